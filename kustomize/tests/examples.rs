//! The examples do what they say.
#![allow(missing_docs, reason = "a test binary has no readers of its documentation")]

#[allow(dead_code)]
#[path = "../examples/file_system.rs"]
mod file_system;
#[allow(dead_code)]
#[path = "../examples/overlays.rs"]
mod overlays;
#[allow(dead_code)]
#[path = "../examples/render.rs"]
mod render;

type Result = std::result::Result<(), Box<dyn std::error::Error>>;

#[test]
fn files_of_the_program_are_rendered() -> Result {
    let mut out = Vec::new();
    file_system::run(&mut out)?;
    let expected = "apiVersion: v1\ndata:\n  log: debug\nkind: ConfigMap\nmetadata:\n  name: dev-settings\n";
    assert_eq!(String::from_utf8(out)?, expected);
    Ok(())
}

#[test]
fn three_environments_share_a_base() -> Result {
    let mut out = Vec::new();
    overlays::run(&mut out)?;
    let lines = ["dev", "staging", "production"].map(|name| format!("Service {name}/web from base/service.yaml:1:1\n"));
    assert_eq!(String::from_utf8(out)?, lines.concat());
    Ok(())
}

#[test]
fn a_directory_of_the_disk_is_rendered() -> Result {
    let folder = std::env::temp_dir().join(format!("lapdev-kustomize-example-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("kustomization.yaml"), "configMapGenerator: [{name: a, literals: [b=c]}]\n")?;
    let mut out = Vec::new();
    let words = ["--load-restrictor", "LoadRestrictionsNone", &folder.display().to_string()].map(str::to_owned);
    let done = render::run(words.into_iter(), &mut out);
    std::fs::remove_dir_all(&folder)?;
    done?;
    let text = String::from_utf8(out)?;
    assert!(text.starts_with("apiVersion: v1\ndata:\n  b: c\nkind: ConfigMap\nmetadata:\n  name: a-"), "{text}");
    assert!(render::run(std::iter::empty(), &mut Vec::new()).is_err());
    Ok(())
}
