//! The example shop as container images: the one service program and a service's greeting, built here, loaded into the
//! node. A team's CI would do this.

use crate::{
    cluster::{Image, NodesCluster},
    stage::{Error, Program, Repository},
};
use std::path::Path;

/// The services of the shop, each a folder of the application repository.
pub const SERVICES: [&str; 5] = ["web", "cart", "catalog", "pricing", "stock"];

/// Builds the image of `service` from `branch` and loads it into the node.
pub async fn build_image(
    cluster: &NodesCluster,
    app: &Repository,
    branch: &str,
    service: &str,
    tag: &str,
    scratch: &Path,
) -> Result<(), Error> {
    let greeting = scratch.join(format!("{service}-{tag}.txt"));
    std::fs::write(&greeting, app.read(branch, &format!("services/{service}/greeting.txt"))?)?;
    let name = format!("localhost/shop/{service}:{tag}");
    let image =
        Image::of_program(&name, &Program::ShopService.path()?)?.with_file(&greeting, Path::new("/app/greeting.txt"));
    Ok(cluster.load_image(&image).await?)
}
