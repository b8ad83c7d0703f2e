//! Builds a container image from files of this machine: a program, the shared libraries that it needs, nothing else. The
//! result is an OCI archive for containerd. Does not load it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::error::ClusterError;
use super::process::{self, CommandLine};

/// The user of every image's program.
const USER: &str = "65532:65532";

/// An image to build.
#[derive(Debug, Clone)]
pub struct Image {
    name: String,
    entrypoint: Vec<String>,
    /// Where in the image, and from where.
    files: BTreeMap<PathBuf, PathBuf>,
}

impl Image {
    /// An image that runs `program`, which becomes `/FILENAME` in it. The name needs a host, a path and a tag, such as
    /// `localhost/shop/web:1`; with the tag `latest` the kubelet would try to pull it.
    pub fn of_program(name: &str, program: &Path) -> Result<Self, ClusterError> {
        let name = image_name(name)?;
        let file = program.file_name().ok_or_else(|| ClusterError::Image {
            image: name.clone(),
            reason: format!("{} is no file", program.display()),
        })?;
        let place = Path::new("/").join(file);
        let entrypoint = vec![place.display().to_string()];
        Ok(Self { name, entrypoint, files: BTreeMap::from([(place, program.to_owned())]) })
    }

    /// Adds a file, at an absolute path.
    #[must_use]
    pub fn with_file(mut self, source: &Path, place: &Path) -> Self {
        self.files.insert(place.to_owned(), source.to_owned());
        self
    }

    /// Adds arguments to the entry point.
    #[must_use]
    pub fn with_args<I: IntoIterator<Item: Into<String>>>(mut self, args: I) -> Self {
        self.entrypoint.extend(args.into_iter().map(Into::into));
        self
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Builds it in `scratch`, an empty folder, and returns the archive's path there.
    pub async fn build(&self, scratch: &Path) -> Result<PathBuf, ClusterError> {
        let root = scratch.join("root");
        let mut files = self.files.clone();
        for source in self.files.values() {
            for library in libraries(source).await.map_err(|reason| self.fail(reason))? {
                files.insert(library.clone(), library);
            }
        }
        self.lay_out(&root, &files).map_err(|error| self.fail(error.to_string()))?;
        let layer = scratch.join("layer.tar");
        tar(&root, &layer).await?;
        let archive = scratch.join("archive");
        self.write_archive(&layer, &archive).map_err(|error| self.fail(error.to_string()))?;
        let result = scratch.join("image.tar");
        tar(&archive, &result).await?;
        Ok(result)
    }

    fn fail(&self, reason: impl Into<String>) -> ClusterError {
        ClusterError::Image { image: self.name.clone(), reason: reason.into() }
    }

    /// The image's file tree. Names are looked up in /etc/hosts and by DNS, as glibc does only if told.
    fn lay_out(&self, root: &Path, files: &BTreeMap<PathBuf, PathBuf>) -> std::io::Result<()> {
        for folder in ["etc", "tmp"] {
            fs::create_dir_all(root.join(folder))?;
        }
        fs::write(root.join("etc/nsswitch.conf"), "hosts: files dns\n")?;
        fs::write(root.join("etc/passwd"), "app:x:65532:65532::/:/\n")?;
        for (place, source) in files {
            let target = root.join(place.strip_prefix("/").unwrap_or(place));
            if let Some(parent) = target.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::copy(source, &target)
                .map_err(|error| std::io::Error::new(error.kind(), format!("{}: {error}", source.display())))?;
        }
        Ok(())
    }

    /// The OCI layout: layer, configuration, manifest, index, each named by its digest.
    fn write_archive(&self, layer: &Path, archive: &Path) -> std::io::Result<()> {
        let blobs = archive.join("blobs/sha256");
        fs::create_dir_all(&blobs)?;
        let (layer_digest, layer_size) = digest_of_file(layer)?;
        fs::rename(layer, blobs.join(&layer_digest))?;
        let blob = |content: &serde_json::Value| -> std::io::Result<(String, usize)> {
            let bytes = content.to_string().into_bytes();
            let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(&bytes));
            fs::write(blobs.join(&digest), &bytes)?;
            Ok((format!("sha256:{digest}"), bytes.len()))
        };
        let (config, config_size) = blob(&json!({
            "architecture": architecture(), "os": "linux",
            "config": {"User": USER, "Entrypoint": self.entrypoint, "WorkingDir": "/"},
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{layer_digest}")]},
        }))?;
        let (manifest, manifest_size) = blob(&json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": config_size},
            "layers": [{
                "mediaType": "application/vnd.oci.image.layer.v1.tar",
                "digest": format!("sha256:{layer_digest}"), "size": layer_size,
            }],
        }))?;
        let index = json!({
            "schemaVersion": 2,
            "manifests": [{
                "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": manifest, "size": manifest_size,
                "annotations": {"io.containerd.image.name": self.name},
            }],
        });
        fs::write(archive.join("index.json"), index.to_string())?;
        fs::write(archive.join("oci-layout"), json!({"imageLayoutVersion": "1.0.0"}).to_string())
    }
}

/// The shared libraries of a program with the loader, as `ldd` finds them; none for a static program or a data file.
async fn libraries(file: &Path) -> Result<Vec<PathBuf>, String> {
    let none: [OsString; 0] = [];
    match process::run(&CommandLine::new(&none, "ldd").arg(file), b"").await {
        Ok(output) => parse_ldd(&String::from_utf8_lossy(&output)),
        Err(ClusterError::Command { stderr, .. }) if stderr.contains("not a dynamic executable") => Ok(Vec::new()),
        Err(error) => Err(error.to_string()),
    }
}

/// Reads lines such as `libc.so.6 => /lib/libc.so.6 (0x…)` and `/lib64/ld-linux.so.2 (0x…)`.
fn parse_ldd(output: &str) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    for line in output.lines().map(str::trim) {
        let target = line.split_once(" => ").map_or(line, |(_, target)| target);
        if target == "not found" {
            return Err(format!("a shared library is not on this machine: {line}"));
        }
        if target.starts_with('/') {
            found.push(target.split(' ').next().unwrap_or(target).into());
        }
    }
    Ok(found)
}

async fn tar(folder: &Path, archive: &Path) -> Result<(), ClusterError> {
    let none: [OsString; 0] = [];
    let line = CommandLine::new(&none, "tar")
        .args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime=@0", "--create"])
        .file("--directory", folder)
        .file("--file", archive)
        .arg(".");
    process::run(&line, b"").await.map(drop)
}

fn digest_of_file(path: &Path) -> std::io::Result<(String, u64)> {
    let mut file = fs::File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    let mut size = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((data_encoding::HEXLOWER.encode(&hash.finalize()), size)),
            read => {
                hash.update(&buffer[..read]);
                size += read as u64;
            }
        }
    }
}

/// As OCI names it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Checks that containerd and the kubelet read a name alike: without a host, the kubelet would add one.
fn image_name(name: &str) -> Result<String, ClusterError> {
    let refuse = || ClusterError::ImageName(name.to_owned());
    let (host, path) = name.split_once('/').ok_or_else(refuse)?;
    let (_, tag) = path.rsplit_once(':').ok_or_else(refuse)?;
    let is_host = host == "localhost" || host.contains(['.', ':']);
    if is_host && !tag.is_empty() && tag != "latest" { Ok(name.to_owned()) } else { Err(refuse()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_the_kubelet_would_read_otherwise_are_refused() {
        for bad in ["web:1", "shop/web:1", "localhost/web", "localhost/web:latest", "localhost/web:"] {
            assert!(image_name(bad).is_err(), "{bad} must be refused");
        }
        for good in ["localhost/web:1", "registry.example.com/shop/web:abc", "localhost:5000/a/b:1"] {
            assert!(image_name(good).is_ok(), "{good} must be taken");
        }
    }

    #[test]
    fn the_loader_and_every_library_are_found_and_a_missing_one_is_an_error() {
        let output =
            "\tlinux-vdso.so.1 (0x1)\n\tlibc.so.6 => /lib/libc.so.6 (0x2)\n\t/lib64/ld-linux-x86-64.so.2 (0x3)\n";
        let expected: Vec<PathBuf> = vec!["/lib/libc.so.6".into(), "/lib64/ld-linux-x86-64.so.2".into()];
        assert_eq!(parse_ldd(output), Ok(expected));
        assert!(parse_ldd("\tlibz.so.1 => not found\n").is_err());
    }
}
