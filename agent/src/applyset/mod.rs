//! The inventory of an environment: an ApplySet (KEP-3659), whose parent is a ConfigMap `lapdev-<uid>` in the
//! environment's namespace. Pure: what a parent looks like, written and read.
//!
//! The parent alone carries generation and digest. It also keeps what the agent last *accepted*: the bundle itself
//! where it fits, so that an agent that restarts while the control plane is away goes on, and a tombstone until
//! everything is gone, so that it does not begin again with what was ended.

mod parent;

pub use parent::{MAX_HELD_BUNDLE, Parent, ParentError, Tombstone, Version};

use lapdev_api::name::{Namespace, Uid};
use sha2::{Digest as _, Sha256};

/// The set's id as the KEP computes it: base64url of the SHA-256 of `<name>.<namespace>.<kind>.<group>` of the parent.
#[must_use]
pub fn id(namespace: &Namespace, uid: &Uid) -> String {
    let reference = format!("{}.{namespace}.ConfigMap.", lapdev_api::labels::parent_name(uid));
    format!("applyset-{}-v1", data_encoding::BASE64URL_NOPAD.encode(&Sha256::digest(reference)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_the_keps() {
        let namespace = "shop".parse().expect("legal");
        let uid = "aaaaaaaaaaaaaaaa".parse().expect("legal");
        // printf lapdev-aaaaaaaaaaaaaaaa.shop.ConfigMap. | openssl dgst -sha256 -binary | basenc --base64url
        assert_eq!(id(&namespace, &uid), "applyset-kQhRjSrS86PsLQxcLWMSxTdfep8x33l__xqYVqxMvvs-v1");
    }
}
