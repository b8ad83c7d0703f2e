//! The memory of this process: what holds on to it is found here. And ten thousand idle connections.

use super::{backend::Backend, ground::Ground, talk::Talk, witness::Witness};
use std::{
    io::{BufRead, BufReader, Lines, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, ChildStdout, Command, Stdio},
};
use tokio::{
    io::AsyncReadExt,
    net::TcpListener,
    sync::{RwLock, RwLockReadGuard, RwLockWriteGuard},
};

/// Tests that measure run alone.
static RUNNING: RwLock<()> = RwLock::const_new(());

const IDLE: usize = 10_000;
const WAITING: usize = 1_000;
const ADDRESS: &str = "LAPDEV_TEST_HOLD";

/// Held by a test that measures nothing.
pub async fn others() -> RwLockReadGuard<'static, ()> {
    RUNNING.read().await
}

/// Held by a test that measures.
pub async fn alone() -> RwLockWriteGuard<'static, ()> {
    RUNNING.write().await
}

/// Bytes of memory that this process has.
pub fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it is said");
    let kib: usize = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kib * 1024
}

/// Panics if this process has more memory than `before` and so many MiB.
pub fn grew_at_most(before: usize, mib: usize) {
    let grown = resident().saturating_sub(before);
    assert!(grown <= mib << 20, "{} KiB more", grown / 1024);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_idle_connections_cost_little_and_harm_nobody() {
    let _alone = alone().await;
    let (mut ground, backend) = (Ground::start().await, Backend::start().await);
    ground.baseline(&[backend.address]);
    raise_open_files();
    let before = resident();
    let holder = Holder::start(ground.web);
    let (holder, seconds) = tokio::task::spawn_blocking(move || holder.until_held()).await.expect("it holds");
    let each = resident().saturating_sub(before) / IDLE;
    let open: usize = ground.metric("connections").parse().expect("a number");
    assert!(open >= IDLE, "{open} of {IDLE} are open; {} were accepted", ground.metric("connections_accepted_total"));
    let witness = Witness::of(&ground);
    // Long enough that whatever looks over idle connections has done so.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    witness.was_unharmed().await;
    // Unoptimised, where every future is larger; the bench measures what a pod has.
    assert!(each < 24 << 10, "{each} bytes each, opened in {seconds:.1} s");
    drop(holder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_wait_for_their_answer_hold_little_memory() {
    let _alone = alone().await;
    let mut ground = Ground::start().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    ground.baseline(&[silent.local_addr().expect("it is bound")]);
    raise_open_files();
    let (before, mut polls) = (resident(), Vec::new());
    for _ in 0..WAITING {
        let mut poll = Talk::to(ground.web).await;
        poll.send("GET /events HTTP/1.1\r\nhost: web\r\n\r\n").await;
        let mut head = [0; 16];
        let (mut server, _) = silent.accept().await.expect("it is asked");
        server.read_exact(&mut head).await.expect("it is sent");
        polls.push((poll, server));
    }
    let each = resident().saturating_sub(before) / WAITING;
    // Its head, in case that it has to be sent again; and, unoptimised, large futures and both its other ends.
    assert!(each < 24 << 10, "{each} bytes each");
}

/// This process holds one end of each connection, another the other one: each may have so many files.
struct Holder {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
}

impl Holder {
    fn start(web: SocketAddr) -> Self {
        let this = std::env::current_exe().expect("it runs");
        let held = Command::new(this)
            .args(["--exact", "memory::holds_connections", "--ignored", "--nocapture"])
            .env(ADDRESS, web.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut child = held.expect("it starts");
        let said = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        Self { child, said }
    }

    /// Waits until all are there; how long the process says that it took.
    fn until_held(mut self) -> (Self, f64) {
        let mut said = self.said.by_ref().map(|line| line.expect("text"));
        let seconds = said.find_map(|line| line.strip_prefix("held after ").and_then(|rest| rest.parse().ok()));
        let seconds = seconds.expect("it holds them");
        (self, seconds)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // The end of its input ends it.
        drop(self.child.stdin.take());
        self.said.by_ref().for_each(drop);
        let _ = self.child.wait();
    }
}

#[test]
#[ignore = "the other process of ten_thousand_idle_connections_cost_little_and_harm_nobody"]
fn holds_connections() {
    let web: SocketAddr = std::env::var(ADDRESS).expect("that test says where").parse().expect("an address");
    raise_open_files();
    let start = std::time::Instant::now();
    let held: Vec<TcpStream> = (0..IDLE).map(|_| asked_once(web)).collect();
    writeln!(std::io::stdout(), "\nheld after {}", start.elapsed().as_secs_f64()).expect("somebody reads");
    let mut rest = Vec::new();
    std::io::stdin().read_to_end(&mut rest).expect("it ends");
    drop(held);
}

fn asked_once(web: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(web).expect("it accepts");
    stream.write_all(b"GET / HTTP/1.1\r\nhost: web\r\n\r\n").expect("it is taken");
    let (mut answer, mut buffer) = (Vec::new(), [0; 1024]);
    while !answer.ends_with(b"\r\n\r\n/") {
        let count = stream.read(&mut buffer).expect("it is not reset");
        assert!(count > 0, "it ended");
        answer.extend_from_slice(&buffer[..count]);
    }
    stream
}

fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    assert!(limit.maximum.is_none_or(|most| most as usize > IDLE + 1000), "ulimit -n must allow 11,000 open files");
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).expect("it may be raised");
}
