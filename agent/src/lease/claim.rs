//! Who may take the Lease, and what is then written on it. Pure.

use super::LeaseSettings;
use jiff::Timestamp;
use k8s_openapi::{api::coordination::v1::LeaseSpec, apimachinery::pkg::apis::meta::v1::MicroTime};
use std::time::Duration;
use tokio::time::Instant;

/// What was seen of another holder's Lease, and since when it is unchanged.
#[derive(Debug, Default)]
pub(super) struct Sighting(Option<(LeaseSpec, Instant)>);

/// Whether to take the Lease.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// It is free, ours, or was silent for its whole duration.
    Take,
    /// Another holds it: look again after this.
    Wait(Duration),
}

pub(super) fn claim(spec: &LeaseSpec, us: &LeaseSettings, sighting: &mut Sighting, now: Instant) -> Claim {
    let holder = spec.holder_identity.as_deref().unwrap_or_default();
    if holder.is_empty() || holder == us.identity {
        return Claim::Take;
    }
    let since = match &sighting.0 {
        Some((seen, since)) if seen == spec => *since,
        _ => {
            sighting.0 = Some((spec.clone(), now));
            now
        }
    };
    let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    let left = seconds.map_or(us.duration, Duration::from_secs).saturating_sub(now - since);
    if left.is_zero() { Claim::Take } else { Claim::Wait(left) }
}

/// The Lease as ours. Each taking counts, also by the same holder: its earlier process had the earlier epoch.
pub(super) fn taken(before: &LeaseSpec, us: &LeaseSettings) -> LeaseSpec {
    let now = Some(MicroTime(Timestamp::now()));
    let seconds = us.duration.as_secs().max(1);
    LeaseSpec {
        holder_identity: Some(us.identity.clone()),
        lease_duration_seconds: Some(i32::try_from(seconds).unwrap_or(i32::MAX)),
        lease_transitions: Some(before.lease_transitions.unwrap_or_default().saturating_add(1)),
        acquire_time: now.clone(),
        renew_time: now,
        ..before.clone()
    }
}

pub(super) fn renew(spec: &mut LeaseSpec) {
    spec.renew_time = Some(MicroTime(Timestamp::now()));
}

pub(super) fn held_by_us(spec: &LeaseSpec, us: &LeaseSettings) -> bool {
    spec.holder_identity.as_deref() == Some(&us.identity)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn us() -> LeaseSettings {
        LeaseSettings {
            namespace: "lapdev-agent".into(),
            name: "lapdev-agent".into(),
            identity: "us".into(),
            duration: Duration::from_secs(15),
        }
    }

    fn held_by(holder: &str) -> LeaseSpec {
        taken(&LeaseSpec::default(), &LeaseSettings { identity: holder.into(), ..us() })
    }

    #[test]
    fn a_free_lease_and_our_own_are_taken_and_each_taking_counts() {
        let (mut sighting, now) = (Sighting::default(), Instant::now());
        assert_eq!(claim(&LeaseSpec::default(), &us(), &mut sighting, now), Claim::Take);
        let first = taken(&LeaseSpec::default(), &us());
        assert_eq!(claim(&first, &us(), &mut sighting, now), Claim::Take);
        assert_eq!(first.lease_transitions, Some(1));
        assert_eq!(taken(&first, &us()).lease_transitions, Some(2));
        assert!(held_by_us(&first, &us()));
    }

    #[test]
    fn anothers_lease_is_taken_only_after_it_was_silent_for_its_duration() {
        let (mut sighting, start) = (Sighting::default(), Instant::now());
        let mut other = held_by("other");
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        assert_eq!(claim(&other, &us(), &mut sighting, at(0)), Claim::Wait(Duration::from_secs(15)));
        assert_eq!(claim(&other, &us(), &mut sighting, at(14)), Claim::Wait(Duration::from_secs(1)));
        other.renew_time = Some(MicroTime(Timestamp::UNIX_EPOCH));
        assert_eq!(claim(&other, &us(), &mut sighting, at(14)), Claim::Wait(Duration::from_secs(15)), "it was renewed");
        assert_eq!(claim(&other, &us(), &mut sighting, at(29)), Claim::Take);
    }
}
