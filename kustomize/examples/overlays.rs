//! Three environments of one base, in memory: what they share is kept in its parsed form. Run with
//! `cargo run --example overlays`.

use lapdev_kustomize::{MemoryFileSystem, Options, Renderer, TreePath};
use std::error::Error;
use std::io::{Write, stdout};

const SERVICE: &str = "\
apiVersion: v1
kind: Service
metadata:
  name: web
spec:
  ports:
  - port: 80
";

fn main() -> Result<(), Box<dyn Error>> {
    run(&mut stdout())
}

/// The example, apart from where its output goes.
pub fn run(out: &mut dyn Write) -> Result<(), Box<dyn Error>> {
    let mut tree = MemoryFileSystem::new()
        .with("base/kustomization.yaml", "resources: [service.yaml]\n")
        .with("base/service.yaml", SERVICE);
    let environments = ["dev", "staging", "production"];
    for name in environments {
        let overlay =
            format!("resources: [../base]\nnamespace: {name}\nlabels: [{{pairs: {{environment: {name}}}}}]\n");
        tree.insert(&format!("{name}/kustomization.yaml"), overlay);
    }
    let renderer = Renderer::new(&tree, Options::default());
    for name in environments {
        for object in renderer.render(&TreePath::parse(name).ok_or("leads out of the tree")?)? {
            let namespace = object.namespace().unwrap_or_default();
            writeln!(out, "{} {namespace}/{} from {}", object.kind(), object.name(), object.place())?;
        }
    }
    Ok(())
}
