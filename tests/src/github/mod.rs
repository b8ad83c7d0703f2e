//! A double of GitHub for tests and the demo: a stateful HTTP server with real git repositories on disk.
//!
//! It is honest where lapdev could be fooled: status codes, pages with `Link`, `ETag` and 304, 404 for what may not be
//! seen, 422 for what is malformed, signed webhooks. A test holds every exchange against GitHub's published
//! description. What goes wrong with GitHub in practice, it can be told to do ([`Fault`], [`WebhookPolicy`]). It is no
//! part of what is shipped.

mod action;
mod api;
mod auth;
mod control;
mod error;
mod fault;
mod git;
mod git_http;
mod hook;
mod record;
mod reply;
mod server;
mod shape;
mod tls;
mod world;

pub use action::NewPull;
pub use control::Command;
pub use error::DoubleError;
pub use fault::{Fault, FaultRule};
pub use hook::{Delivery, Webhook, WebhookPolicy, signature};
pub use record::Exchange;
pub use tls::Identity;
pub use world::{Comment, Status};

use hook::Hooks;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{
    io::Read,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{
    net::TcpListener,
    sync::watch,
    task::{JoinHandle, JoinSet},
};
use world::World;

/// How to start a double.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// How others reach it, if not at the address that it listens on: `https://github.test:8443`.
    pub url: Option<String>,
    /// Where the repositories that it creates are kept.
    pub folder: PathBuf,
    /// Serve HTTPS.
    pub identity: Option<Identity>,
}

impl Options {
    /// On loopback, by plain HTTP.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self { listen: (Ipv4Addr::LOCALHOST, 0).into(), url: None, folder: folder.to_owned(), identity: None }
    }
}

/// What the server's tasks and the methods share.
struct Shared {
    world: Mutex<World>,
    hooks: Hooks,
    /// Counts recorded exchanges.
    recorded: watch::Sender<u64>,
    /// Requests that a fault holds, and how often they were released.
    holding: watch::Sender<u64>,
    released: watch::Sender<u64>,
    /// What a fault put off.
    late: Mutex<JoinSet<()>>,
}

impl Shared {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, exchange: Exchange) {
        self.world().recording.add(exchange);
        self.recorded.send_modify(|count| *count += 1);
    }

    /// Counts a held request, from this call on, and waits for the next release.
    fn hold(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut released = self.released.subscribe();
        let seen = *released.borrow_and_update();
        self.holding.send_modify(|count| *count += 1);
        async move {
            // It fails only when the double is gone, which also ends the wait.
            let _ = released.wait_for(|count| *count > seen).await;
        }
    }

    fn release(&self) {
        self.released.send_modify(|count| *count += 1);
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.late.lock().unwrap_or_else(PoisonError::into_inner).spawn(task);
    }

    fn pushed(&self, repository: &str) -> Result<(), DoubleError> {
        self.run(Command::Pushed { repository: repository.to_owned() }).map(drop)
    }
}

/// A running double. It ends when it is dropped.
pub struct Double {
    shared: Arc<Shared>,
    address: SocketAddr,
    url: String,
    tasks: [JoinHandle<()>; 2],
}

impl Double {
    /// Starts one.
    ///
    /// # Errors
    /// When the address is taken or the certificate cannot be used.
    pub async fn start(options: Options) -> Result<Self, DoubleError> {
        let failed = |source| DoubleError::Io { what: format!("listening on {}", options.listen), source };
        let listener = TcpListener::bind(options.listen).await.map_err(failed)?;
        Self::start_on(listener, options)
    }

    /// Starts one on a listener that was made elsewhere, such as in a network namespace.
    ///
    /// # Errors
    /// When the certificate cannot be used.
    pub fn start_on(listener: TcpListener, options: Options) -> Result<Self, DoubleError> {
        let io = |what: String| move |source| DoubleError::Io { what, source };
        let acceptor = options.identity.as_ref().map(tls::acceptor).transpose()?;
        let address = listener.local_addr().map_err(io("asking for the address".to_owned()))?;
        let scheme = if acceptor.is_some() { "https" } else { "http" };
        let url = options.url.unwrap_or_else(|| format!("{scheme}://{address}"));
        let (hooks, sending) = Hooks::new();
        let shared = Arc::new(Shared {
            world: Mutex::new(World::new(url.trim_end_matches('/').to_owned(), options.folder)),
            hooks,
            recorded: watch::Sender::new(0),
            holding: watch::Sender::new(0),
            released: watch::Sender::new(0),
            late: Mutex::default(),
        });
        let serving = server::serve(listener, acceptor, shared.clone());
        let tasks = [tokio::spawn(serving), tokio::spawn(sending)];
        Ok(Self { shared, address, url, tasks })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base of the API, of pages for people and of clone addresses.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Does what `POST /_double/<command>` does.
    ///
    /// # Errors
    /// When the command does not fit the state.
    pub fn run(&self, command: Command) -> Result<Value, DoubleError> {
        self.shared.run(command)
    }

    /// Adds a private repository with one commit on `main`, and returns where it is on disk.
    ///
    /// # Errors
    /// When it exists.
    pub fn create_repository(&self, repository: &str) -> Result<PathBuf, DoubleError> {
        let name = repository.to_owned();
        let made = self.run(Command::CreateRepository { repository: name, private: true, path: None })?;
        self.commit(repository, "main", &[("README.md", "Hello\n")])?;
        Ok(field::<PathBuf>(&made, "path"))
    }

    /// Commits files to a branch, announces the push, and returns the commit.
    ///
    /// # Errors
    /// When there is no such repository.
    pub fn commit(&self, repository: &str, branch: &str, files: &[(&str, &str)]) -> Result<String, DoubleError> {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), Some((*text).to_owned()))).collect();
        let (repository, branch) = (repository.to_owned(), branch.to_owned());
        let made = self.run(Command::Commit { repository, branch, files, message: String::new() })?;
        Ok(field(&made, "sha"))
    }

    /// Opens a pull request and returns its number.
    ///
    /// # Errors
    /// When there is no such branch, or one is open already.
    pub fn open_pull(&self, repository: &str, pull: NewPull) -> Result<u64, DoubleError> {
        Ok(field(&self.run(Command::OpenPull { repository: repository.to_owned(), pull })?, "number"))
    }

    /// The comments of a pull request, oldest first.
    ///
    /// # Errors
    /// When there is no such repository.
    pub fn comments(&self, repository: &str, number: u64) -> Result<Vec<Comment>, DoubleError> {
        let mut world = self.shared.world();
        let found = world.repository(repository)?;
        Ok(found.comments.values().filter(|comment| comment.number == number).cloned().collect())
    }

    /// The statuses of a commit, oldest first.
    ///
    /// # Errors
    /// When there is no such repository.
    pub fn statuses(&self, repository: &str, sha: &str) -> Result<Vec<Status>, DoubleError> {
        let mut world = self.shared.world();
        let found = world.repository(repository)?;
        Ok(found.statuses.iter().filter(|status| status.sha == sha).cloned().collect())
    }

    /// Makes a token for an account.
    ///
    /// # Errors
    /// None that is known.
    pub fn create_token(&self, login: &str) -> Result<String, DoubleError> {
        let login = login.to_owned();
        Ok(field(&self.run(Command::CreateToken { login, token: None, read_only: false, owners: None })?, "token"))
    }

    /// Adds a fault.
    ///
    /// # Errors
    /// None that is known.
    pub fn fault(&self, method: Option<&str>, path: &str, times: u64, fault: Fault) -> Result<(), DoubleError> {
        let (method, path) = (method.map(str::to_owned), path.to_owned());
        self.run(Command::Fault(FaultRule { method, path, times, fault })).map(drop)
    }

    /// All deliveries so far.
    #[must_use]
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.shared.hooks.deliveries()
    }

    /// Waits until every delivery that is to be sent was sent.
    pub async fn delivered(&self) {
        self.shared.hooks.settled().await;
    }

    /// Waits until a fault holds so many requests, counted from the beginning.
    pub async fn holds(&self, count: u64) {
        // The sender is in `self.shared`, so waiting cannot fail.
        let _ = self.shared.holding.subscribe().wait_for(|held| *held >= count).await;
    }

    /// Every exchange with the API so far.
    #[must_use]
    pub fn exchanges(&self) -> Vec<Exchange> {
        self.shared.world().recording.all()
    }

    /// Waits until there were so many exchanges with the API.
    pub async fn recorded(&self, count: u64) {
        // As above.
        let _ = self.shared.recorded.subscribe().wait_for(|recorded| *recorded >= count).await;
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
        self.shared.late.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }
}

/// A field that the command which was just run is known to give.
fn field<T: DeserializeOwned>(value: &Value, name: &str) -> T {
    serde_json::from_value(value[name].clone()).expect("the command gives this field")
}

/// So many random bytes, in hexadecimal. Ids of two runs must not meet in one ledger.
fn random_hex(bytes: usize) -> String {
    let mut buffer = vec![0; bytes];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut buffer))
        .expect("Linux has /dev/urandom");
    data_encoding::HEXLOWER.encode(&buffer)
}
