//! Interleaved rounds: in each, every load on every proxy in turn, so that whatever else the machine does meets all alike.

use super::{
    ground::Ground,
    measure::{Drive, Measured},
    proxy::Proxy,
};
use crate::{bench::median::median, load::Protocol, stage::Error};
use std::io::Write as _;

/// The rounds of one load on one proxy.
pub struct Series {
    /// What was spoken.
    pub protocol: Protocol,
    /// The proxy's name.
    pub name: &'static str,
    /// One for each round.
    pub rounds: Vec<Measured>,
}

impl Series {
    /// Measures every load on every proxy; in the order of loads, then of proxies.
    pub async fn measure(
        ground: &Ground,
        proxies: &[&Proxy],
        drives: &[Drive],
        rounds: usize,
    ) -> Result<Vec<Self>, Error> {
        let empty =
            |drive: &Drive, proxy: &&Proxy| Self { protocol: drive.protocol, name: proxy.name, rounds: Vec::new() };
        let mut all: Vec<Self> =
            drives.iter().flat_map(|drive| proxies.iter().map(move |proxy| empty(drive, proxy))).collect();
        for round in 0..rounds {
            for (series, (drive, proxy)) in
                all.iter_mut().zip(drives.iter().flat_map(|drive| proxies.iter().map(move |proxy| (drive, proxy))))
            {
                let measured = drive.run(ground, proxy).await?;
                progress(round, proxy.name, drive, &measured);
                series.rounds.push(measured);
            }
        }
        Ok(all)
    }

    /// The median of a figure over the rounds.
    pub fn median(&self, figure: impl Fn(&Measured) -> f64) -> f64 {
        median(self.rounds.iter().map(figure))
    }

    /// The median over the rounds of this figure compared with the other's in the same round.
    pub fn compared(&self, other: &Self, figure: impl Fn(&Measured) -> f64, how: impl Fn(f64, f64) -> f64) -> f64 {
        median(self.rounds.iter().zip(&other.rounds).map(|(own, other)| how(figure(own), figure(other))))
    }

    /// Requests that failed or were answered wrongly, with the first reason.
    pub fn bad(&self) -> Option<String> {
        let outcome = self.rounds.iter().map(|round| &round.outcome).find(|outcome| outcome.bad() > 0)?;
        Some(format!(
            "{} {}: {} of {} requests failed or were answered wrongly: {:?} {:?}",
            self.name,
            self.protocol,
            outcome.bad(),
            outcome.total,
            outcome.errors,
            outcome.answers
        ))
    }
}

/// A run takes minutes: a line on stderr for each measurement.
fn progress(round: usize, name: &str, drive: &Drive, measured: &Measured) {
    let Measured { outcome, proxy, backends, client } = measured;
    let _ = writeln!(
        std::io::stderr(),
        "round {round} {:4} {name:14} {:8.0}/s p50 {:6} µs p99 {:6} µs; cores per 1,000/s: {proxy:.4} proxy, \
         {backends:.4} backends, {client:.4} client; bad {}",
        drive.protocol.to_string(),
        outcome.per_second,
        outcome.p50,
        outcome.p99,
        outcome.bad(),
    );
}
