//! The router beside its peers: `lapdev-router` (the real binary, with a real API server), Debian's haproxy and nginx with
//! the equivalent rule (`bench/peers/`), and no proxy at all; same client, same backends, same cores, in one run. Rounds are
//! interleaved and medians quoted, because the machine is shared.

mod change;
mod ground;
mod measure;
mod memory;
mod program;
mod proxy;
mod report;
mod routes;
mod series;

use crate::{load::Protocol, stage::Error};
use ground::Ground;
use measure::Drive;
use proxy::Proxy;
use report::Report;
use routes::Routes;
use series::Series;

/// Connections and concurrent requests of a run at full load: 64 for HTTP/1.1, 16 × 8 for HTTP/2.
const H1_CONNECTIONS: usize = 64;
const H2_CONNECTIONS: usize = 16;
const H2_STREAMS: usize = 8;
/// Requests a second where latency is measured: a rate that leaves every part idle most of the time.
const RATE: u32 = 2000;
/// Connections there, so that requests hardly ever meet on one.
const RATE_CONNECTIONS: usize = 32;
/// Connections that do nothing while memory is measured.
const IDLE: usize = 1000;

/// How long to measure.
#[derive(Debug, Clone, clap::Args)]
pub struct Length {
    /// Rounds; medians are over these.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of one measurement, of which the first fifth is not measured.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Leave the router out: only its peers and the direct way.
    #[arg(long)]
    peers_only: bool,
    /// Leave out the tables of 1,000 and 10,000 branches.
    #[arg(long)]
    small_only: bool,
}

impl Default for Length {
    fn default() -> Self {
        Self { rounds: 5, seconds: 3.0, peers_only: false, small_only: false }
    }
}

/// Measures everything and prints the tables; an error when a bound is missed.
pub async fn run(length: &Length) -> Result<(), Error> {
    let ground = Ground::prepare().await?;
    let mut proxies = vec![Proxy::direct()];
    if !length.peers_only {
        Routes::write(ground.client(), "ten", 10_300, 10, 10).await?;
        proxies.push(Proxy::router(&ground, "ten", 10_300, 9990).await?);
    }
    proxies.extend([Proxy::haproxy(&ground).await?, Proxy::nginx(&ground).await?]);
    let proxies: Vec<&Proxy> = proxies.iter().collect();
    let mut report = Report::default();
    report.begin(length);
    report.idle_memory(&memory::now(&proxies)?);
    let full = [Protocol::H1, Protocol::H2, Protocol::Grpc].map(|protocol| full_load(protocol, length));
    report.full_load(&Series::measure(&ground, &proxies, &full, length.rounds).await?);
    let steady = [Protocol::H1, Protocol::H2, Protocol::Grpc].map(|protocol| steady(protocol, length));
    report.steady(&Series::measure(&ground, &proxies, &steady, length.rounds).await?);
    report.busy_memory(&memory::with_idle_connections(&ground, &proxies, IDLE).await?);
    if !length.peers_only && !length.small_only {
        many_branches(&ground, proxies[1], length, &mut report).await?;
    }
    report.print();
    report.verdict()
}

/// What depends on the size of the table: memory, look-up, and changing it under load.
async fn many_branches(ground: &Ground, ten: &Proxy, length: &Length, report: &mut Report) -> Result<(), Error> {
    let mut routes = Routes::write(ground.client(), "thousand", 10_400, 10, 1000).await?;
    let thousand = Proxy::router(ground, "thousand", 10_400, 9991).await?;
    let memory = memory::with_idle_connections(ground, &[&thousand], IDLE).await?;
    report.thousand_memory(&memory);
    report.change(&change::measure(ground, &thousand, &mut routes, length).await?);
    drop(routes);
    Routes::write(ground.client(), "most", 10_500, 1, 10_000).await?;
    let most = Proxy::router(ground, "most", 10_500, 9992).await?;
    let by_size = [ten, &thousand, &most];
    report.look_up(&Series::measure(ground, &by_size, &[full_load(Protocol::H1, length)], length.rounds).await?);
    Ok(())
}

fn full_load(protocol: Protocol, length: &Length) -> Drive {
    let (connections, streams) =
        if protocol == Protocol::H1 { (H1_CONNECTIONS, 1) } else { (H2_CONNECTIONS, H2_STREAMS) };
    let (seconds, warm_up) = (length.seconds, length.seconds / 5.0);
    Drive { protocol, connections, streams, rate: None, seconds, warm_up }
}

fn steady(protocol: Protocol, length: &Length) -> Drive {
    let drive = full_load(protocol, length);
    Drive { rate: Some(RATE), connections: RATE_CONNECTIONS, streams: 1, ..drive }
}
