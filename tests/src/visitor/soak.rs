//! Mixed requests without a pause, until told to stop; a record of each.

use super::{
    connection::Connections,
    message::{Protocol, Question, What, versions},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    io::{BufWriter, Read as _, Write as _, stdin, stdout},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

/// Records on their way to stdout.
const UNDER_WAY: usize = 1000;
/// Every so many requests asks for the whole chain, and gRPC also for a stream.
const CHAIN_EVERY: u64 = 32;

/// What to ask, and by how many at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The namespace of the services.
    pub namespace: String,
    /// The services.
    pub services: Vec<String>,
    /// Their port.
    pub port: u16,
    /// The keys that requests carry; as many carry none.
    pub keys: Vec<String>,
    /// Tasks for each protocol, each with a connection to each service.
    pub tasks: BTreeMap<Protocol, usize>,
}

/// One request and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// When it was sent, in microseconds of Unix time.
    pub sent: u64,
    /// When all of its answer was there.
    pub answered: u64,
    /// How.
    pub protocol: Protocol,
    /// Whom.
    pub service: String,
    /// With which key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Which version of each service answered, or what came in place of an answer.
    pub answer: Result<BTreeMap<String, String>, String>,
    /// How often it was sent anew because nobody had begun with it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub again: u32,
    /// How many connections were opened for it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub connections: u32,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Asks until stdin ends; writes a JSON line with each [`Record`] to stdout.
///
/// # Errors
/// When stdin or stdout break.
pub async fn soak(plan: Plan) -> std::io::Result<()> {
    let (stop, stopped) = watch::channel(false);
    let (report, mut reports) = mpsc::channel(UNDER_WAY);
    let (plan, mut tasks) = (Arc::new(plan), JoinSet::new());
    for (protocol, number) in &plan.tasks {
        for _ in 0..*number {
            let seed = tasks.len() as u64 + 1;
            tasks.spawn(task(plan.clone(), *protocol, Chance::new(seed), report.clone(), stopped.clone()));
        }
    }
    drop(report);
    let writer = tokio::task::spawn_blocking(move || write_down(&mut reports));
    // A thread that nobody waits for: the process may end while it reads.
    std::thread::spawn(move || {
        // Whatever ends stdin, it ends the soak.
        let _ = stdin().read_to_end(&mut Vec::new());
        stop.send_replace(true);
    });
    while tasks.join_next().await.is_some() {}
    writer.await?
}

fn write_down(reports: &mut mpsc::Receiver<Record>) -> std::io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 16, stdout());
    while let Some(record) = reports.blocking_recv() {
        serde_json::to_writer(&mut out, &record)?;
        out.write_all(b"\n")?;
    }
    out.flush()
}

async fn task(
    plan: Arc<Plan>,
    protocol: Protocol,
    mut chance: Chance,
    report: mpsc::Sender<Record>,
    stopped: watch::Receiver<bool>,
) {
    let mut connections = Connections::default();
    while !*stopped.borrow() {
        let record = one(&plan, protocol, &mut chance, &mut connections).await;
        if report.send(record).await.is_err() {
            return;
        }
    }
}

async fn one(plan: &Plan, protocol: Protocol, chance: &mut Chance, connections: &mut Connections) -> Record {
    let service = &plan.services[chance.below(plan.services.len())];
    // Half of them carry no key.
    let key = plan.keys.get(chance.below(plan.keys.len() * 2));
    let what = match chance.next() % CHAIN_EVERY {
        0 => What::Chain,
        1 if protocol == Protocol::Grpc => What::Chat,
        _ => What::Alone,
    };
    // Each of the two headers for half of the keys' requests.
    let name = if chance.below(2) == 0 { "tracestate" } else { "baggage" };
    let headers = key.map(|key| (name.to_owned(), format!("other=1,lapdev={key}"))).into_iter().collect();
    let to = format!("{service}.{}:{}", plan.namespace, plan.port);
    let sent = now();
    let reply = connections.ask(&Question { protocol, to, what, headers }).await;
    let refused = || Err(format!("{} {:?} {}", reply.status, reply.grpc_status, reply.says));
    let answer = if reply.is_fine() { versions(&reply.says) } else { refused() };
    Record {
        sent,
        answered: now(),
        protocol,
        service: service.clone(),
        key: key.cloned(),
        answer,
        again: reply.again,
        connections: reply.connections,
    }
}

/// Microseconds of Unix time.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

/// A sequence that looks random and is the same each time (xorshift).
struct Chance(u64);

impl Chance {
    fn new(seed: u64) -> Self {
        // Neighbouring seeds shall not begin alike; never 0, which would stay.
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 11
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}
