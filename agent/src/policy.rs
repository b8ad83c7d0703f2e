//! Whether the API server already enforces the agent's ValidatingAdmissionPolicy: it becomes active some seconds after
//! it was made, and until then RBAC alone would let the agent do more than it should be able to.

use crate::apiserver::{ApiServer, CallError, CallFailure};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api,
    api::{ObjectMeta, PostParams},
};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A namespace that the policy must deny: it carries no label. Only ever asked for as a dry run.
const PROBE: &str = "lapdev-policy-probe";
const AGAIN: Duration = Duration::from_secs(1);
/// Tries after which a person is told.
const PATIENCE: u32 = 10;

/// Waits until the policy denies what it should. False: told to stop first.
pub async fn wait_until_active(api: &ApiServer, stop: &CancellationToken) -> bool {
    for tries in 1u32.. {
        match is_active(api).await {
            Ok(true) => return true,
            Ok(false) if tries % PATIENCE == 0 => {
                tracing::warn!("the ValidatingAdmissionPolicy of the chart is not active; the agent does not begin");
            }
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, cause = %error.source, "cannot tell whether the policy is active"),
        }
        tokio::select! {
            () = stop.cancelled() => return false,
            () = tokio::time::sleep(AGAIN) => {}
        }
    }
    false
}

async fn is_active(api: &ApiServer) -> Result<bool, CallError> {
    let metadata = ObjectMeta { name: Some(PROBE.to_owned()), ..ObjectMeta::default() };
    let probe = Namespace { metadata, ..Namespace::default() };
    let (namespaces, dry_run) =
        (Api::<Namespace>::all(api.client()), PostParams { dry_run: true, field_manager: None });
    match api.call(|| format!("try namespace {PROBE}"), namespaces.create(&dry_run, &probe)).await {
        Ok(_) => Ok(false),
        Err(CallError { source: CallFailure::Refused(status), .. })
            if status.message.contains("ValidatingAdmissionPolicy") =>
        {
            Ok(true)
        }
        Err(error) => Err(error),
    }
}
