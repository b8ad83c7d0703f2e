//! The hops of a probe, sorted by who was given the key and who sent what. Pure.

use lapdev_api::route::{Hop, Station, TraceReport};
use std::collections::{BTreeMap, BTreeSet};

/// Which headers carried the key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Carried {
    pub(super) state: bool,
    pub(super) baggage: bool,
}

impl Carried {
    pub(super) fn by(hop: &Hop) -> Self {
        Self { state: hop.in_tracestate, baggage: hop.in_baggage }
    }

    pub(super) fn any(self) -> bool {
        self.state || self.baggage
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self { state: self.state || other.state, baggage: self.baggage || other.baggage }
    }

    pub(super) fn names(self) -> Vec<&'static str> {
        [(self.state, "tracestate"), (self.baggage, "baggage")]
            .into_iter()
            .filter_map(|(is, n)| is.then_some(n))
            .collect()
    }
}

/// What one caller sent.
#[derive(Default)]
pub(super) struct Sent<'a> {
    /// With the key, and by which headers.
    pub(super) with: Vec<(&'a Hop, Carried)>,
    /// In the probe's trace, without the key.
    pub(super) without: Vec<&'a Hop>,
    /// Without trace and key: perhaps not the probe's at all.
    pub(super) stray: Vec<&'a Hop>,
}

/// The hops by who was given the key and who sent what.
#[derive(Default)]
pub(super) struct Way<'a> {
    /// Whether a router saw the probe itself, and whether it saw it without its key.
    pub(super) entered: bool,
    pub(super) entered_without: bool,
    /// Who called whom besides, in the probe's trace or with its key. A probe is sent several times, so hops come again.
    pub(super) calls: BTreeSet<(Option<&'a Station>, &'a Station)>,
    pub(super) given: BTreeMap<&'a Station, Carried>,
    /// Who was also called without it, in the probe's trace.
    pub(super) denied: BTreeSet<&'a Station>,
    pub(super) senders: BTreeMap<&'a Station, Sent<'a>>,
    /// From addresses that belong to no routed Service.
    pub(super) nobody: Sent<'a>,
}

impl<'a> Way<'a> {
    pub(super) fn of(report: &'a TraceReport) -> Self {
        let mut way = Self::default();
        for hop in &report.hops {
            let carried = Carried::by(hop);
            if carried.any() {
                let given = way.given.entry(&hop.to).or_default();
                *given = given.and(carried);
            } else if hop.in_trace {
                way.denied.insert(&hop.to);
            }
            if is_entry(report, hop) {
                way.entered = true;
                way.entered_without |= !carried.any();
                continue;
            }
            if carried.any() || hop.in_trace {
                way.calls.insert((hop.from.as_ref(), &hop.to));
            }
            let sent = match &hop.from {
                Some(from) => way.senders.entry(from).or_default(),
                None => &mut way.nobody,
            };
            match (carried.any(), hop.in_trace) {
                (true, _) => sent.with.push((hop, carried)),
                (false, true) => sent.without.push(hop),
                (false, false) => sent.stray.push(hop),
            }
        }
        if !way.entered {
            way.given.extend(reached_directly(report));
        }
        way
    }

    /// What somebody was given, where it is clear that it was: not if it was called both with and without the key.
    pub(super) fn clearly_given(&self, station: &Station) -> Option<Carried> {
        self.given.get(station).copied().filter(|_| !self.denied.contains(station))
    }
}

/// A Service that only the branch has is no routed one: the probe goes to its pods past the routers, with the key in both.
fn reached_directly(report: &TraceReport) -> Option<(&Station, Carried)> {
    let its_own = |from: &&Station| from.service == report.service && from.key.as_ref() == Some(&report.key);
    let from = report.hops.iter().filter_map(|hop| hop.from.as_ref()).find(its_own)?;
    Some((from, Carried { state: true, baggage: true }))
}

/// The probe itself, seen on its way in.
fn is_entry(report: &TraceReport, hop: &Hop) -> bool {
    hop.from.is_none() && hop.in_trace && hop.to.service == report.service
}
