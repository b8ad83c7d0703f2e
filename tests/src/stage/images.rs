//! Our programs as container images, built here and loaded into the node: what a team's CI and a release would do.

use super::{Error, Program, Repository};
use crate::cluster::{Image, NodesCluster};
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// The services of the shop, each a folder of the application repository.
pub const SERVICES: [&str; 5] = ["web", "cart", "catalog", "pricing", "stock"];
/// The agent's image.
pub const AGENT: &str = "localhost/lapdev/lapdev-kube-manager:stage";
/// The router's image.
pub const ROUTER: &str = "localhost/lapdev/lapdev-router:stage";
/// The visitor's image: the client in the cluster, with `curl` beside it.
pub const VISITOR: &str = "localhost/lapdev/visitor:stage";

/// Builds images for one node.
pub struct Images<'a> {
    /// The node's cluster.
    pub cluster: &'a NodesCluster,
    /// For what is made on the way.
    pub scratch: &'a Path,
}

impl Images<'_> {
    /// The image of one of the shop's services from a branch: the one service program and the service's greeting.
    pub async fn service(&self, app: &Repository, branch: &str, service: &str, tag: &str) -> Result<(), Error> {
        let greeting = app.read(branch, &format!("services/{service}/greeting.txt"))?;
        self.greeting(service, tag, &greeting).await
    }

    /// The same with a given greeting.
    pub async fn greeting(&self, service: &str, tag: &str, greeting: &str) -> Result<(), Error> {
        let file = self.scratch.join(format!("{service}-{tag}.txt"));
        std::fs::write(&file, greeting)?;
        let program = self.stripped(Program::ShopService).await?;
        let image = Image::of_program(&format!("localhost/shop/{service}:{tag}"), &program)?;
        Ok(self.cluster.load_image(&image.with_file(&file, Path::new("/app/greeting.txt"))).await?)
    }

    /// The image of a program alone.
    pub async fn program(&self, name: &str, program: Program) -> Result<(), Error> {
        Ok(self.cluster.load_image(&Image::of_program(name, &self.stripped(program).await?)?).await?)
    }

    /// The visitor's.
    pub async fn visitor(&self) -> Result<(), Error> {
        let image = Image::of_program(VISITOR, &self.stripped(Program::Visitor).await?)?;
        let image = image.with_file(Path::new("/usr/bin/curl"), Path::new("/usr/bin/curl")).with_args(["stay"]);
        Ok(self.cluster.load_image(&image).await?)
    }

    /// The program without what only a debugger reads, which is most of it: less to hash, to pack and to load.
    async fn stripped(&self, program: Program) -> Result<PathBuf, Error> {
        let source = program.path()?;
        let target = self.scratch.join(source.file_name().ok_or("a program has a name")?);
        if !target.exists() {
            let new = target.with_extension("new");
            let output = Command::new("strip").arg("-o").arg(&new).arg(&source).output().await?;
            if !output.status.success() {
                return Err(format!("strip: {}", String::from_utf8_lossy(&output.stderr)).into());
            }
            std::fs::rename(new, &target)?;
        }
        Ok(target)
    }
}
