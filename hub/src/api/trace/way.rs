//! The hops of a probe, sorted by who was given the key and who sent what. Pure.
//!
//! What is in the probe's trace is surely the probe's. What carries its key in another trace may be somebody else's request
//! to the same branch: it counts, as uncertain, only where it comes from who is on the probe's way; the rest is left out.

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
    /// Who was given the key in the probe's trace.
    given: BTreeMap<&'a Station, Carried>,
    /// Who was given it in another trace, by somebody on the probe's way.
    perhaps: BTreeMap<&'a Station, Carried>,
    /// Who was also called without it, in the probe's trace.
    pub(super) denied: BTreeSet<&'a Station>,
    pub(super) senders: BTreeMap<&'a Station, Sent<'a>>,
    /// From addresses that belong to no routed Service.
    pub(super) nobody: Sent<'a>,
    /// How many requests had the key and were left out: in another trace, from somebody who is not on the way.
    pub(super) others: usize,
}

impl<'a> Way<'a> {
    pub(super) fn of(report: &'a TraceReport) -> Self {
        let mut way = Self::default();
        let direct = reached_directly(report).filter(|_| !report.hops.iter().any(|hop| is_entry(report, hop)));
        way.given.extend(direct);
        let stations = on_the_way(report, direct.map(|(station, _)| station));
        for hop in &report.hops {
            let carried = Carried::by(hop);
            let is_ours = hop.in_trace || hop.from.as_ref().is_some_and(|from| stations.contains(from));
            if carried.any() && !is_ours {
                way.others += 1;
                continue;
            }
            way.receive(hop, carried);
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
        way
    }

    fn receive(&mut self, hop: &'a Hop, carried: Carried) {
        match (carried.any(), hop.in_trace) {
            (false, false) => {}
            (false, true) => drop(self.denied.insert(&hop.to)),
            (true, in_trace) => {
                let whose = if in_trace { &mut self.given } else { &mut self.perhaps };
                let given = whose.entry(&hop.to).or_default();
                *given = given.and(carried);
            }
        }
    }

    /// What somebody was given in the probe's trace, where it is clear that it was: not if it was called both with and
    /// without the key.
    pub(super) fn surely_given(&self, station: &Station) -> Option<Carried> {
        self.given.get(station).copied().filter(|_| !self.denied.contains(station))
    }

    /// What somebody was given, as it seems.
    pub(super) fn given(&self, station: &Station) -> Option<Carried> {
        let perhaps = self.perhaps.get(station).copied();
        self.given.get(station).copied().into_iter().chain(perhaps).reduce(Carried::and)
    }

    /// Whoever was given the key, as it seems.
    pub(super) fn receivers(&self) -> BTreeSet<&'a Station> {
        self.given.keys().chain(self.perhaps.keys()).copied().collect()
    }
}

/// Who is in the probe's trace, and whom these gave the key in another one.
fn on_the_way<'a>(report: &'a TraceReport, direct: Option<&'a Station>) -> BTreeSet<&'a Station> {
    let in_trace = report.hops.iter().filter(|hop| hop.in_trace);
    let mut stations: BTreeSet<_> = in_trace.flat_map(|hop| hop.from.iter().chain([&hop.to])).chain(direct).collect();
    let mut calls: BTreeMap<&Station, Vec<&Station>> = BTreeMap::new();
    for hop in report.hops.iter().filter(|hop| Carried::by(hop).any()) {
        hop.from.iter().for_each(|from| calls.entry(from).or_default().push(&hop.to));
    }
    let mut ahead: Vec<_> = stations.iter().copied().collect();
    while let Some(from) = ahead.pop() {
        ahead.extend(calls.remove(from).into_iter().flatten().filter(|to| stations.insert(to)));
    }
    stations
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
