//! Probes: while one is armed, the hops that belong to it are noted for `lapdev trace`. At most one at a time, for a
//! bounded time, with a bounded number of hops; when none is armed a request pays one atomic load.

use lapdev_api::{
    key::EnvironmentKey,
    route::{Hop, Probe, Station},
};
use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// A probe keeps so many hops; later ones are dropped.
pub const MOST_HOPS: usize = 512;
/// The longest that a probe may last.
pub const LONGEST: Duration = Duration::from_secs(60);
/// No hop's request is longer, in characters.
const LONGEST_REQUEST: usize = 256;

/// Why a probe was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// Its trace id is none.
    #[error("the trace id must be 32 lower-case hexadecimal digits, not all of them 0")]
    TraceId,
    /// It is too long, or no time at all.
    #[error("a probe lasts 1 to {} seconds", LONGEST.as_secs())]
    Seconds,
}

/// The one place for a probe.
#[derive(Debug, Default)]
pub struct Probes {
    armed: AtomicBool,
    current: Mutex<Option<Arc<Armed>>>,
}

impl Probes {
    /// Begins a probe, in place of an older one.
    ///
    /// # Errors
    /// If its trace id or its time is illegal.
    pub fn arm(&self, probe: Probe, now: Instant) -> Result<(), ProbeError> {
        let time = Duration::from_secs(u64::from(probe.seconds));
        if !is_trace_id(&probe.trace_id) {
            return Err(ProbeError::TraceId);
        }
        if time.is_zero() || time > LONGEST {
            return Err(ProbeError::Seconds);
        }
        let armed = Armed { probe, until: now + time, noted: Mutex::default() };
        *self.lock() = Some(Arc::new(armed));
        self.armed.store(true, Ordering::Release);
        Ok(())
    }

    /// The probe that is under way.
    #[must_use]
    pub fn active(&self) -> Option<Arc<Armed>> {
        if !self.armed.load(Ordering::Acquire) {
            return None;
        }
        self.active_at(Instant::now())
    }

    fn active_at(&self, now: Instant) -> Option<Arc<Armed>> {
        let current = self.lock();
        let armed = current.as_ref().filter(|armed| now < armed.until).cloned();
        if armed.is_none() {
            self.armed.store(false, Ordering::Release);
        }
        armed
    }

    /// The hops of the newest probe, in the order in which they began; it may have ended. Empty when there was none.
    #[must_use]
    pub fn hops(&self) -> Vec<Hop> {
        let current = self.lock().clone();
        let mut hops = current.map_or_else(Vec::new, |armed| armed.lock().hops.clone());
        hops.sort_by_key(|hop| hop.at);
        hops
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Arc<Armed>>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A probe that is under way.
#[derive(Debug)]
pub struct Armed {
    probe: Probe,
    until: Instant,
    noted: Mutex<Noted>,
}

#[derive(Debug, Default)]
struct Noted {
    hops: Vec<Hop>,
    /// Where hops of this probe went.
    reached: BTreeSet<Station>,
}

/// What a request's head says that matters to a probe.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen<'a> {
    /// The lines of its `traceparent`; more than one is none.
    pub traceparent: Option<&'a [u8]>,
    /// The key in `tracestate`.
    pub tracestate: Option<&'a EnvironmentKey>,
    /// The key in `baggage`.
    pub baggage: Option<&'a EnvironmentKey>,
}

/// A hop that was noted, to be told its status.
#[derive(Debug)]
pub struct Noting {
    armed: Arc<Armed>,
    at: usize,
}

impl Armed {
    /// Notes a request if it belongs to the probe. `from` and `to` are asked only then.
    pub fn note(self: &Arc<Self>, seen: Seen<'_>, request: &str, from: Option<Station>, to: Station) -> Option<Noting> {
        let carries = |key: Option<&EnvironmentKey>| key == Some(&self.probe.key);
        let in_trace = seen.traceparent.is_some_and(|line| is_of_trace(line, &self.probe.trace_id));
        let (in_tracestate, in_baggage) = (carries(seen.tracestate), carries(seen.baggage));
        let mut noted = self.lock();
        // A branch's own pods are of this probe wherever its first hop went: the other router may have seen that.
        let own = |from: &Station| from.key.as_ref() == Some(&self.probe.key);
        let follows = from.as_ref().is_some_and(|from| own(from) || noted.reached.contains(from));
        if !(in_trace || in_tracestate || in_baggage || follows) || noted.hops.len() >= MOST_HOPS {
            return None;
        }
        noted.reached.insert(to.clone());
        let request = request.chars().take(LONGEST_REQUEST).collect();
        let at = jiff::Timestamp::now();
        noted.hops.push(Hop { at, from, to, request, status: None, in_trace, in_tracestate, in_baggage });
        Some(Noting { armed: self.clone(), at: noted.hops.len() - 1 })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Noting {
    /// The status of its answer.
    pub fn answered(&self, status: u16) {
        if let Some(hop) = self.armed.lock().hops.get_mut(self.at) {
            hop.status = Some(status);
        }
    }
}

fn is_trace_id(text: &str) -> bool {
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == 32 && text.bytes().all(digit) && text.bytes().any(|byte| byte != b'0')
}

/// `version-traceid-parentid-flags`; later versions may say more after it.
fn is_of_trace(traceparent: &[u8], trace_id: &str) -> bool {
    let mut fields = traceparent.trim_ascii().split(|byte| *byte == b'-').skip(1);
    fields.next().is_some_and(|field| field == trace_id.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn key() -> EnvironmentKey {
        "x-abc234".parse().expect("legal")
    }

    fn probe(seconds: u32) -> Probe {
        Probe { trace_id: TRACE.to_owned(), key: key(), seconds }
    }

    fn station(service: &str) -> Station {
        Station { service: service.to_owned(), key: None }
    }

    fn armed() -> (Probes, Arc<Armed>) {
        let probes = Probes::default();
        probes.arm(probe(30), Instant::now()).expect("a legal probe");
        let armed = probes.active().expect("it was armed");
        (probes, armed)
    }

    #[test]
    fn a_request_belongs_to_a_probe_by_its_trace_by_its_key_or_by_where_it_comes_from() {
        let (probes, armed) = armed();
        let key = key();
        let traceparent = format!("00-{TRACE}-00f067aa0ba902b7-01");
        let in_trace = Seen { traceparent: Some(traceparent.as_bytes()), ..Seen::default() };
        let keyed = Seen { tracestate: Some(&key), ..Seen::default() };
        let dropped = Seen::default();
        assert!(armed.note(dropped, "GET /", Some(station("web")), station("cart")).is_none(), "nothing leads there");
        let first = armed.note(in_trace, "GET /a", None, station("web")).expect("the trace");
        assert!(armed.note(keyed, "GET /b", None, station("cart")).is_some());
        assert!(armed.note(dropped, "GET /c", Some(station("cart")), station("db")).is_some(), "cart lost the key");
        assert!(armed.note(dropped, "GET /d", Some(station("other")), station("db")).is_none());
        let own = Station { key: Some(key.clone()), ..station("unseen") };
        assert!(armed.note(dropped, "GET /e", Some(own), station("web")).is_some(), "the branch's own pods");
        first.answered(502);
        let hops = probes.hops();
        let brief: Vec<_> = hops.iter().map(|h| (h.request.as_str(), h.status, h.in_trace, h.in_tracestate)).collect();
        let expected = [
            ("GET /a", Some(502), true, false),
            ("GET /b", None, false, true),
            ("GET /c", None, false, false),
            ("GET /e", None, false, false),
        ];
        assert_eq!(brief, expected);
        assert!(hops.iter().all(|hop| !hop.in_baggage));
    }

    #[test]
    fn a_probe_ends_by_itself_and_its_hops_can_be_read_after_it() {
        let (probes, armed) = armed();
        let seen = Seen { baggage: Some(&armed.probe.key), ..Seen::default() };
        armed.note(seen, "GET /", None, station("web"));
        let later = Instant::now() + Duration::from_secs(31);
        assert!(probes.active_at(later).is_none());
        assert!(!probes.armed.load(Ordering::Acquire), "and costs nothing again");
        assert!(probes.active().is_none());
        assert_eq!(probes.hops().len(), 1);
        probes.arm(probe(1), Instant::now()).expect("a legal probe");
        assert!(probes.hops().is_empty(), "a newer one replaces it");
    }

    #[test]
    fn hops_are_bounded_in_number_and_length() {
        let (probes, armed) = armed();
        let seen = Seen { baggage: Some(&armed.probe.key), ..Seen::default() };
        for _ in 0..MOST_HOPS + 10 {
            armed.note(seen, &"ü".repeat(10_000), None, station("web"));
        }
        let hops = probes.hops();
        assert_eq!(hops.len(), MOST_HOPS);
        assert!(hops.iter().all(|hop| hop.request.chars().count() == LONGEST_REQUEST));
    }

    #[test]
    fn what_is_no_probe_is_refused() {
        let probes = Probes::default();
        for id in ["", &"0".repeat(32), &"A".repeat(32), &"a".repeat(31), &"g".repeat(32)] {
            let probe = Probe { trace_id: id.to_owned(), ..probe(1) };
            assert_eq!(probes.arm(probe, Instant::now()), Err(ProbeError::TraceId), "{id}");
        }
        for seconds in [0, 61, u32::MAX] {
            assert_eq!(probes.arm(probe(seconds), Instant::now()), Err(ProbeError::Seconds));
        }
        assert!(probes.active().is_none());
    }

    #[test]
    fn a_traceparent_is_of_the_trace_by_its_second_field_alone() {
        for yes in [format!("00-{TRACE}-1-01"), format!(" ff-{TRACE}-1-01-more "), format!("00-{TRACE}")] {
            assert!(is_of_trace(yes.as_bytes(), TRACE), "{yes}");
        }
        for no in [TRACE.to_owned(), format!("00-1-{TRACE}-01"), String::new(), format!("00-{TRACE}0-1-01")] {
            assert!(!is_of_trace(no.as_bytes(), TRACE), "{no}");
        }
    }
}
