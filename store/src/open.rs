//! Opens the database: makes it for its owner's eyes alone, brings its tables up to date, marks what a restart ended.

use crate::{Store, StoreError, error::Attempt as _, notify::Topics};
use lapdev_api::name::ControlPlaneId;
use sqlx::{
    SqlitePool,
    migrate::Migrator,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use std::{
    fs::{self, DirBuilder, OpenOptions, Permissions},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
    sync::Arc,
    time::Duration,
};

static MIGRATOR: Migrator = sqlx::migrate!();

/// How long a statement waits for a connection, or for another process's write lock.
const PATIENCE: Duration = Duration::from_secs(10);

/// Readers at once; each is a thread.
const READERS: u32 = 4;

impl Store {
    /// Opens the database at `path`, or makes it: the file for its owner alone (0600), and a missing folder too (0700).
    /// A new one gets the control plane id `fresh`; any other keeps its own.
    ///
    /// # Errors
    ///
    /// When it cannot be made or read, or when a newer lapdev has changed its tables.
    pub async fn open(path: &Path, fresh: &ControlPlaneId) -> Result<Self, StoreError> {
        make_private(path)?;
        let opened = |source| StoreError::Open { path: path.to_owned(), source };
        let writer = pool(1).connect_with(options(path)).await.map_err(opened)?;
        let migrated = MIGRATOR.run(&writer).await;
        migrated.map_err(|source| StoreError::Migrate { path: path.to_owned(), source })?;
        let readers = pool(READERS).connect_with(options(path).pragma("query_only", "ON")).await.map_err(opened)?;
        end_sessions(&writer).await?;
        let control_plane = control_plane(&writer, fresh).await?;
        Ok(Self { readers, writer, topics: Arc::new(Topics::new()), control_plane })
    }
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        // A delivery is answered with 2xx once it is recorded: it must survive a power cut, too.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(PATIENCE)
        .foreign_keys(true)
}

fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new().max_connections(connections).acquire_timeout(PATIENCE).test_before_acquire(false)
}

/// SQLite gives the files beside it (`-wal`, `-shm`) the mode of the database. An existing folder is left alone: it may
/// be shared, and belongs to whoever made it.
fn make_private(path: &Path) -> Result<(), StoreError> {
    let failed = |path: &Path, source| StoreError::Create { path: path.to_owned(), source };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| failed(folder, error))?;
    }
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(|error| failed(path, error))
        }
        Err(error) => Err(failed(path, error)),
    }
}

/// No agent is connected to a control plane that has just started, and what the agents hold is to be taken note of
/// anew: this database may be a copy from before some of it was published.
async fn end_sessions(writer: &SqlitePool) -> Result<(), StoreError> {
    let ended = sqlx::query("UPDATE sessions SET connected = FALSE, adopted = FALSE").execute(writer).await;
    ended.attempt("mark earlier sessions as ended")?;
    Ok(())
}

async fn control_plane(writer: &SqlitePool, fresh: &ControlPlaneId) -> Result<ControlPlaneId, StoreError> {
    let insert = "INSERT INTO documents (name, value) VALUES ('control-plane', $1) ON CONFLICT (name) DO NOTHING";
    let inserted = sqlx::query(insert).bind(fresh.as_str()).execute(writer).await;
    inserted.attempt("write the control plane's id")?;
    let select = "SELECT value FROM documents WHERE name = 'control-plane'";
    let id: String = sqlx::query_scalar(select).fetch_one(writer).await.attempt("read the control plane's id")?;
    crate::convert::parse("the control plane's id", &id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use std::error::Error as _;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("it is there").permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn the_database_is_for_its_owner_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("data/state/lapdev.db");
        let store = Store::open(&path, &sample::control_plane()).await.expect("opened");
        store.secret("links").await.expect("made");
        assert_eq!(mode(&folder.path().join("data/state")), 0o700);
        for name in ["lapdev.db", "lapdev.db-wal", "lapdev.db-shm"] {
            assert_eq!(mode(&path.with_file_name(name)), 0o600, "{name}");
        }
        store.close().await;
        fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("ours");
        Store::open(&path, &sample::control_plane()).await.expect("opened again");
        assert_eq!(mode(&path), 0o600);
    }

    #[tokio::test]
    async fn ids_and_keys_are_made_once() {
        let (folder, store) = sample::store().await;
        let links = store.secret("links").await.expect("made");
        assert_ne!(links, store.secret("cookies").await.expect("made"));
        assert_ne!(links, [0; 32]);
        let other = "b".repeat(16).parse().expect("legal");
        let again = Store::open(&folder.path().join("lapdev.db"), &other).await.expect("opened again");
        assert_eq!(again.control_plane_id(), sample::control_plane(), "settings that changed change no store");
        assert_eq!(again.secret("links").await.expect("read"), links);
    }

    #[tokio::test]
    async fn a_file_that_is_no_database_is_named_and_left_as_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notes.txt");
        let text = "these are notes, and no database. ".repeat(40);
        fs::write(&path, &text).expect("written");
        let error = Store::open(&path, &sample::control_plane()).await.expect_err("no database");
        assert!(error.to_string().contains("notes.txt"), "{error}");
        let source = error.source().expect("SQLite's own words");
        assert!(!error.to_string().contains(&source.to_string()), "{error}");
        assert_eq!(fs::read_to_string(&path).expect("still there"), text);
    }

    #[tokio::test]
    async fn a_newer_lapdevs_database_is_refused() {
        let (folder, store) = sample::store().await;
        let insert = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                      VALUES (9999, 'of the future', TRUE, x'00', 0)";
        sqlx::query(insert).execute(&store.writer).await.expect("inserted");
        let error = Store::open(&folder.path().join("lapdev.db"), &sample::control_plane()).await.expect_err("newer");
        assert!(matches!(error, StoreError::Migrate { .. }), "{error:?}");
    }

    #[tokio::test]
    async fn readers_cannot_write() {
        let (_folder, store) = sample::store().await;
        let refused = sqlx::query("DELETE FROM documents").execute(&store.readers).await;
        assert!(refused.is_err());
    }
}
