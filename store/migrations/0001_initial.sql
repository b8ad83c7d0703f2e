-- Plain SQL that PostgreSQL understands as well: ids are text, times are microseconds since 1970, JSON is text.
-- Columns beside a JSON document repeat what is looked up by; the document is the truth.

CREATE TABLE secrets (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE documents (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE deliveries (
    id TEXT NOT NULL PRIMARY KEY,
    forge TEXT NOT NULL,
    event TEXT NOT NULL,
    action TEXT,
    repository_id TEXT,
    repository TEXT,
    received_at BIGINT NOT NULL,
    ignored BOOLEAN NOT NULL,
    processed_at BIGINT
);

CREATE INDEX deliveries_pending ON deliveries (received_at, id) WHERE processed_at IS NULL;
CREATE INDEX deliveries_processed ON deliveries (processed_at);

CREATE TABLE bundles (
    digest TEXT NOT NULL PRIMARY KEY,
    gzip BLOB NOT NULL
);

CREATE TABLE environments (
    uid TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    cluster TEXT NOT NULL,
    state TEXT NOT NULL,
    generation BIGINT NOT NULL,
    -- The bundle that must be kept: that of a living environment.
    bundle TEXT REFERENCES bundles (digest),
    first_seen BIGINT NOT NULL,
    closed_at BIGINT,
    record TEXT NOT NULL
);

CREATE INDEX environments_name ON environments (name, first_seen);
CREATE INDEX environments_cluster ON environments (cluster, state);
CREATE INDEX environments_state ON environments (state, closed_at);
CREATE INDEX environments_bundle ON environments (bundle);

CREATE TABLE preview_hosts (
    host TEXT NOT NULL,
    uid TEXT NOT NULL REFERENCES environments (uid) ON DELETE CASCADE,
    PRIMARY KEY (host, uid)
);

CREATE INDEX preview_hosts_uid ON preview_hosts (uid);

CREATE TABLE statuses (
    uid TEXT NOT NULL PRIMARY KEY REFERENCES environments (uid) ON DELETE CASCADE,
    cluster TEXT NOT NULL,
    generation BIGINT NOT NULL,
    reported_at BIGINT NOT NULL,
    status TEXT NOT NULL
);

CREATE TABLE sessions (
    cluster TEXT NOT NULL PRIMARY KEY,
    epoch BIGINT NOT NULL,
    opened_at BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    connected BOOLEAN NOT NULL,
    agent_version TEXT NOT NULL,
    kubernetes TEXT
);

CREATE TABLE tokens (
    id TEXT NOT NULL PRIMARY KEY,
    cluster TEXT NOT NULL,
    secret_sha256 TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT
);

CREATE INDEX tokens_cluster ON tokens (cluster, created_at);

CREATE TABLE comments (
    repository_id TEXT NOT NULL,
    number BIGINT NOT NULL,
    comment_id BIGINT NOT NULL,
    body_digest TEXT NOT NULL,
    PRIMARY KEY (repository_id, number)
);

CREATE TABLE commit_statuses (
    repository_id TEXT NOT NULL,
    commit_id TEXT NOT NULL,
    context TEXT NOT NULL,
    digest TEXT NOT NULL,
    written_at BIGINT NOT NULL,
    PRIMARY KEY (repository_id, commit_id, context)
);

CREATE INDEX commit_statuses_written ON commit_statuses (written_at);
