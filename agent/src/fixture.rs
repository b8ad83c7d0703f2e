//! The bundle that this crate's unit tests start from.

use lapdev_api::{
    bundle::{Bundle, Identity, Target},
    kinds::EnvironmentType,
};
use serde_json::Value;

/// A Shared environment without a namespace, of the control plane `aaaa…` and the uid `bbbb…`.
pub(crate) fn bundle(objects: Vec<Value>) -> Bundle {
    Bundle {
        control_plane: "aaaaaaaaaaaaaaaa".parse().expect("legal"),
        environment: Identity {
            uid: "bbbbbbbbbbbbbbbb".parse().expect("legal"),
            name: "staging".parse().expect("legal"),
            environment_type: EnvironmentType::Shared,
            catalog: "shop".parse().expect("legal"),
            branch: None,
        },
        target: Target::Host,
        namespaces: vec![],
        previews: vec![],
        expires_at: None,
        objects,
    }
}
