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
        let follows = from.as_ref().is_some_and(|from| noted.reached.contains(from));
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
