//! The admin token: made at the first start, in a file that only the control plane's user may read.

use super::answers::Failure;
use crate::hub::Hub;
use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};
use subtle::ConstantTimeEq;

const FILE: &str = "admin.token";
/// What is shorter was not made by us, and could be guessed.
const SHORTEST: usize = 32;

/// Why there is no admin token.
#[derive(Debug, thiserror::Error)]
pub enum AdminTokenError {
    /// The file cannot be read.
    #[error("cannot read {path}", path = .0.display())]
    Read(PathBuf, #[source] io::Error),
    /// The file cannot be made.
    #[error("cannot make {path}", path = .0.display())]
    Make(PathBuf, #[source] io::Error),
    /// The file holds no token.
    #[error("{path} holds no token of at least {SHORTEST} characters; remove it, and the next start makes a new one", path = .0.display())]
    TooShort(PathBuf),
    /// The operating system gives no random bytes.
    #[error("there are no random bytes for an admin token")]
    Random,
}

/// Reads the token, or makes one.
pub(crate) fn admin_token(data_dir: &Path) -> Result<String, AdminTokenError> {
    let path = data_dir.join(FILE);
    let text = match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return make(&path),
        Err(error) => return Err(AdminTokenError::Read(path, error)),
        Ok(text) => text,
    };
    let token = text.trim();
    if token.len() < SHORTEST { Err(AdminTokenError::TooShort(path)) } else { Ok(token.to_owned()) }
}

fn make(path: &Path) -> Result<String, AdminTokenError> {
    let mut bits = [0; 32];
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    provider.secure_random.fill(&mut bits).map_err(|_| AdminTokenError::Random)?;
    let token = format!("lapdev_admin_{}", data_encoding::BASE32_NOPAD.encode(&bits).to_ascii_lowercase());
    // Under another name first: a crash halfway through must not leave a file without a token.
    let fresh = path.with_extension("token.new");
    let failed = |error| AdminTokenError::Make(path.to_owned(), error);
    let mut options = OpenOptions::new();
    let mut file: File = options.write(true).create(true).truncate(true).mode(0o600).open(&fresh).map_err(failed)?;
    file.write_all(format!("{token}\n").as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    std::fs::rename(&fresh, path).map_err(failed)?;
    Ok(token)
}

/// Whether the request may pass; takes the same time wherever tokens differ.
pub(super) fn check(hub: &Hub, authorization: Option<&str>) -> Result<(), Failure> {
    let given = authorization.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    if bool::from(given.as_bytes().ct_eq(hub.admin_token.as_bytes())) { Ok(()) } else { Err(Failure::Unauthorized) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_token_is_made_once_and_for_its_owner_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let token = admin_token(folder.path()).expect("made");
        assert_eq!(admin_token(folder.path()).expect("read"), token);
        let mode = std::fs::metadata(folder.path().join(FILE)).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::write(folder.path().join(FILE), "short\n").expect("written");
        assert!(matches!(admin_token(folder.path()), Err(AdminTokenError::TooShort(_))));
    }
}
