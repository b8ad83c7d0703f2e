//! The signature in a preview's link: whoever holds the link may open that host, for as long as the environment lives.
//!
//! It does not expire by itself, so that the comment that carries it need not be edited to stay valid; it dies with the
//! environment's uid.

use crate::{kinds::Access, name::Uid, record::PreviewRecord};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// What the store calls the secret that links are signed with.
pub const SECRET: &str = "preview-links";

/// The whole address of a preview, signed where only those who hold it may open it. `scheme` and `port` are those under
/// which people reach the control plane.
#[must_use]
pub fn address(scheme: &str, port: Option<u16>, secret: &[u8; 32], uid: &Uid, preview: &PreviewRecord) -> String {
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    let address = format!("{scheme}://{}{port}/", preview.host);
    match preview.access {
        Access::Public => address,
        Access::Organization => format!("{address}?{PARAMETER}={}", sign(secret, uid, &preview.host)),
    }
}

/// The query parameter that carries a link's signature.
pub const PARAMETER: &str = "lapdev-token";

/// The cookie that carries it from then on.
pub const COOKIE: &str = "lapdev-preview";

/// The signature for `host` of the environment `uid`, base64url without padding.
#[must_use]
pub fn sign(secret: &[u8; 32], uid: &Uid, host: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes a key of any length");
    mac.update(b"lapdev preview link v1\0");
    mac.update(uid.as_str().as_bytes());
    mac.update(b"\0");
    mac.update(host.as_bytes());
    data_encoding::BASE64URL_NOPAD.encode(&mac.finalize().into_bytes())
}

/// Whether `token` is the signature for `host` of `uid`; takes the same time wherever they differ.
#[must_use]
pub fn verify(secret: &[u8; 32], uid: &Uid, host: &str, token: &str) -> bool {
    sign(secret, uid, host).as_bytes().ct_eq(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_opens_one_host_of_one_life_of_one_environment() {
        let uid: Uid = "aaaaaaaaaaaaaaaa".parse().expect("legal");
        let later: Uid = "aaaaaaaaaaaaaaab".parse().expect("legal");
        let token = sign(&[7; 32], &uid, "web--x.example.com");
        assert!(verify(&[7; 32], &uid, "web--x.example.com", &token));
        assert!(!verify(&[7; 32], &uid, "api--x.example.com", &token));
        assert!(!verify(&[7; 32], &later, "web--x.example.com", &token));
        assert!(!verify(&[8; 32], &uid, "web--x.example.com", &token));
        assert!(!verify(&[7; 32], &uid, "web--x.example.com", ""));
    }
}
