//! Why the pods of a workload do not run: the container's own reason, the scheduler's, or the kubelet's.

use super::builtin::condition;
use serde_json::Value;

/// A pod's reason for not being ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// In one word, as Kubernetes says it.
    pub reason: String,
    /// The sentence that belongs to it.
    pub message: String,
    /// Whether only a change can help.
    pub stuck: bool,
}

/// The most telling reason among the pods of one workload; none when all are well or merely young.
#[must_use]
pub fn worst_of_pods<'a>(pods: impl IntoIterator<Item = &'a Value>) -> Option<Reason> {
    let reasons = pods.into_iter().filter_map(of_pod);
    // The first among equals, so that the same pods always tell the same story.
    reasons.reduce(|worst, next| if weight(&next) > weight(&worst) { next } else { worst })
}

/// A reason that only a change can remove tells most; then one that the pod names itself.
fn weight(reason: &Reason) -> u8 {
    match (reason.stuck, reason.reason.as_str()) {
        (true, _) => 3,
        (false, "ErrImagePull" | "Error" | "OOMKilled") => 2,
        (false, "Unschedulable") => 1,
        (false, _) => 0,
    }
}

/// Why this pod is not ready, if it says so.
fn of_pod(pod: &Value) -> Option<Reason> {
    let text = |pointer: &str| pod.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    if text("/status/phase") == "Succeeded" {
        return None;
    }
    let containers = ["/status/initContainerStatuses", "/status/containerStatuses"];
    let statuses = containers.iter().filter_map(|pointer| pod.pointer(pointer)?.as_array()).flatten();
    if let Some(reason) = statuses.filter_map(of_container).max_by_key(weight) {
        return Some(reason);
    }
    let unscheduled = condition(pod, "PodScheduled").filter(|condition| condition.status == "False");
    if let Some(condition) = unscheduled {
        return Some(Reason {
            reason: condition.reason.to_owned(),
            message: condition.message.to_owned(),
            stuck: false,
        });
    }
    let reason = text("/status/reason");
    (text("/status/phase") == "Failed" && !reason.is_empty()).then(|| Reason {
        reason: reason.to_owned(),
        message: text("/status/message").to_owned(),
        stuck: false,
    })
}

fn of_container(status: &Value) -> Option<Reason> {
    let text = |pointer: &str| status.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let name = text("/name");
    let waiting = text("/state/waiting/reason");
    let message = match text("/state/waiting/message") {
        "" => format!("container {name} waits"),
        message => format!("container {name}: {message}"),
    };
    match waiting {
        "" => {
            let ended = status.pointer("/state/terminated")?;
            let (reason, message) = exit(name, ended)?;
            Some(Reason { reason, message, stuck: false })
        }
        "ContainerCreating" | "PodInitializing" => None,
        "CrashLoopBackOff" => {
            let exit = status.pointer("/lastState/terminated").and_then(|ended| exit(name, ended));
            Some(Reason { reason: waiting.into(), message: exit.map_or(message, |(_, exit)| exit), stuck: true })
        }
        reason => Some(Reason { reason: reason.into(), message, stuck: is_stuck(reason) }),
    }
}

/// What an ended container says of itself; none when it ended well.
fn exit(name: &str, ended: &Value) -> Option<(String, String)> {
    let code = ended.get("exitCode").and_then(Value::as_i64).unwrap_or_default();
    let reason = ended.get("reason").and_then(Value::as_str).unwrap_or("Error");
    (code != 0).then(|| (reason.to_owned(), format!("container {name} exited with code {code} ({reason})")))
}

/// `ErrImagePull` is the first try and may pass; `ImagePullBackOff` has seen several.
fn is_stuck(reason: &str) -> bool {
    let stuck = [
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
    ];
    stuck.contains(&reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(container: &Value) -> Value {
        json!({"status": {"phase": "Pending", "containerStatuses": [container]}})
    }

    #[test]
    fn the_containers_own_reason_is_carried_up() {
        let pull = pod(&json!({"name": "web", "state": {"waiting":
            {"reason": "ImagePullBackOff", "message": "Back-off pulling image \"x\""}}}));
        let reason = worst_of_pods([&pull]).expect("a reason");
        assert_eq!(reason.reason, "ImagePullBackOff");
        assert_eq!(reason.message, "container web: Back-off pulling image \"x\"");
        assert!(reason.stuck);
        let first = pod(&json!({"name": "web", "state": {"waiting": {"reason": "ErrImagePull"}}}));
        assert!(!worst_of_pods([&first]).expect("a reason").stuck);
    }

    #[test]
    fn a_crash_says_its_exit_code() {
        let crash = pod(&json!({"name": "web", "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"exitCode": 3, "reason": "Error"}}}));
        let reason = worst_of_pods([&crash]).expect("a reason");
        assert_eq!((reason.reason.as_str(), reason.stuck), ("CrashLoopBackOff", true));
        assert_eq!(reason.message, "container web exited with code 3 (Error)");
    }

    #[test]
    fn what_only_a_change_can_help_tells_most() {
        let unschedulable = json!({"status": {"phase": "Pending", "conditions": [{"type": "PodScheduled",
            "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available"}]}});
        let config = pod(&json!({"name": "web", "state": {"waiting": {"reason": "CreateContainerConfigError"}}}));
        let young = pod(&json!({"name": "web", "state": {"waiting": {"reason": "ContainerCreating"}}}));
        assert_eq!(worst_of_pods([&young]), None);
        assert_eq!(worst_of_pods([&young, &unschedulable]).expect("a reason").reason, "Unschedulable");
        let worst = worst_of_pods([&unschedulable, &config]).expect("a reason");
        assert_eq!(worst.reason, "CreateContainerConfigError");
    }

    #[test]
    fn init_containers_count_and_success_is_no_reason() {
        let init = json!({"status": {"phase": "Pending", "initContainerStatuses": [{"name": "migrate",
            "state": {"terminated": {"exitCode": 1, "reason": "Error"}}}]}});
        let reason = worst_of_pods([&init]).expect("a reason");
        assert_eq!(reason.message, "container migrate exited with code 1 (Error)");
        let done = json!({"status": {"phase": "Pending", "initContainerStatuses": [{"name": "migrate",
            "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}]}});
        assert_eq!(worst_of_pods([&done]), None);
    }
}
