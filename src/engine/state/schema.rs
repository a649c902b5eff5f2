//! The tables, and how older ones become these.

use std::fs::File;
use std::path::Path;

use rusqlite::Connection;
use wharf_model::ErrorKind;

use crate::{Error, Result};

/// Version of the schema below, kept in `user_version`.
const VERSION: i64 = 4;

const SCHEMA: &str = "
CREATE TABLE container (
    id       TEXT PRIMARY KEY,
    name     TEXT NOT NULL UNIQUE,
    created  INTEGER NOT NULL,          -- milliseconds since 1970
    image    TEXT NOT NULL,             -- image id; a container pins its image
    spec     TEXT NOT NULL,             -- JSON: what only update changes
    state    TEXT NOT NULL              -- JSON: what its supervisor observes
) WITHOUT ROWID;
CREATE INDEX container_image ON container (image);

CREATE TABLE image (
    id       TEXT PRIMARY KEY,          -- digest of the configuration blob
    created  INTEGER,                   -- milliseconds since 1970, as the image says
    added    INTEGER NOT NULL,          -- when it came here
    manifest TEXT,                      -- digest of the manifest, where there is one
    config   BLOB NOT NULL,             -- the configuration, byte for byte
    removed  INTEGER NOT NULL DEFAULT 0 -- 1: removed, kept only while containers use its layers
) WITHOUT ROWID;

CREATE TABLE tag (
    name  TEXT PRIMARY KEY,             -- canonical: domain/path:tag
    image TEXT NOT NULL REFERENCES image (id)
) WITHOUT ROWID;
CREATE INDEX tag_image ON tag (image);

CREATE TABLE layer (
    chain_id TEXT PRIMARY KEY,
    diff_id  TEXT NOT NULL,
    parent   TEXT,                      -- chain ID of the layer below
    size     INTEGER NOT NULL           -- bytes unpacked
) WITHOUT ROWID;

CREATE TABLE image_layer (
    image    TEXT NOT NULL REFERENCES image (id),
    position INTEGER NOT NULL,          -- 0 is the lowest
    layer    TEXT NOT NULL REFERENCES layer (chain_id),
    PRIMARY KEY (image, position)
) WITHOUT ROWID;
CREATE INDEX image_layer_layer ON image_layer (layer);

-- Images that are made of this program itself.
CREATE TABLE builtin (
    name  TEXT PRIMARY KEY,             -- canonical
    image TEXT NOT NULL,
    stamp TEXT NOT NULL                 -- which file it was made of
) WITHOUT ROWID;

CREATE TABLE network (
    id      TEXT PRIMARY KEY,
    name    TEXT NOT NULL UNIQUE,
    created INTEGER NOT NULL,
    spec    TEXT NOT NULL               -- JSON: driver, link, addresses, options, labels
) WITHOUT ROWID;

-- What is taken outside this database, written before it is taken.
CREATE TABLE journal (
    kind  TEXT NOT NULL,                -- cgroup, link, folder, ids, mount, volume
    key   TEXT NOT NULL,
    owner TEXT NOT NULL,                -- the container, or 'volume'
    PRIMARY KEY (kind, key)
) WITHOUT ROWID;
CREATE INDEX journal_owner ON journal (owner);

CREATE TABLE event (
    seq   INTEGER PRIMARY KEY AUTOINCREMENT,
    time  INTEGER NOT NULL,             -- milliseconds since 1970
    event TEXT NOT NULL                 -- JSON
);
";

/// Which containers have which places on networks now. What they asked for is in their own rows.
const ENDPOINT: &str = "
CREATE TABLE endpoint (
    container TEXT NOT NULL,
    network   TEXT NOT NULL REFERENCES network (id),
    id        TEXT NOT NULL,
    number    INTEGER NOT NULL,         -- of its interface: 0 for eth0
    link      TEXT NOT NULL UNIQUE,     -- its end on the host, where it has one
    ipv4      TEXT,
    ipv6      TEXT,
    mac       TEXT,
    spec      TEXT NOT NULL,            -- JSON: host name, and what was asked for
    PRIMARY KEY (container, network),
    UNIQUE (network, ipv4),
    UNIQUE (network, ipv6)
) WITHOUT ROWID;
";

/// Makes version 2 of version 1, which had one network, and its leases.
const FROM_1: &str = "
UPDATE network SET spec = json_object(
    'Driver', spec ->> '$.Driver',
    'Link', spec ->> '$.Bridge',
    'OwnsLink', json('true'),
    'Ipv4', json_object(
        'Subnet', spec ->> '$.Subnet',
        'Gateway', spec ->> '$.Gateway',
        'Chosen', json('true'),
        'LastLeased', spec ->> '$.LastLeased'));
INSERT INTO endpoint (container, network, id, number, link, ipv4, spec)
    SELECT container, network, lower(hex(randomblob(32))), 0, 'wh' || substr(container, 1, 12),
           address, json_object('Options', json_object('Network', 'bridge'))
    FROM lease WHERE true GROUP BY container, network;
DROP TABLE lease;
";

/// What version 3 adds.
const VOLUMES: &str = "
CREATE TABLE volume (
    name    TEXT PRIMARY KEY,
    created INTEGER NOT NULL,           -- milliseconds since 1970
    spec    TEXT NOT NULL               -- JSON: labels, options of the driver
) WITHOUT ROWID;

-- Which containers have a volume, running or not; the database itself keeps what is used.
CREATE TABLE volume_use (
    volume    TEXT NOT NULL REFERENCES volume (name),
    container TEXT NOT NULL,
    PRIMARY KEY (volume, container)
) WITHOUT ROWID;
CREATE INDEX volume_use_container ON volume_use (container);
";

/// What version 4 adds.
const BLOBS: &str = "
-- Manifests of images, as they came; image.manifest names them.
CREATE TABLE manifest (
    digest     TEXT PRIMARY KEY,
    media_type TEXT NOT NULL,
    content    BLOB NOT NULL            -- byte for byte
);

-- Layers as they came, or as they were packed to be sent.
CREATE TABLE blob (
    digest  TEXT PRIMARY KEY,
    diff_id TEXT NOT NULL,              -- digest of the tar that it unpacks to
    size    INTEGER NOT NULL,           -- bytes
    wanted  INTEGER NOT NULL            -- milliseconds since 1970: when somebody last wanted it
) WITHOUT ROWID;
CREATE INDEX blob_diff_id ON blob (diff_id);

-- Which blob an image has for which of its layers.
CREATE TABLE image_blob (
    image    TEXT NOT NULL REFERENCES image (id),
    position INTEGER NOT NULL,          -- 0 is the lowest
    blob     TEXT NOT NULL REFERENCES blob (digest),
    PRIMARY KEY (image, position)
) WITHOUT ROWID;
CREATE INDEX image_blob_blob ON image_blob (blob);

-- By which digests, of manifests or of indexes, repositories know images.
CREATE TABLE repo_digest (
    repository TEXT NOT NULL,           -- canonical: domain/path
    digest     TEXT NOT NULL,
    image      TEXT NOT NULL REFERENCES image (id),
    PRIMARY KEY (repository, digest)
) WITHOUT ROWID;
CREATE INDEX repo_digest_image ON repo_digest (image);

INSERT OR IGNORE INTO repo_digest (repository, digest, image)
    SELECT substr(stem, 1, length(stem) - 1), manifest, id FROM (
        -- What is before the last colon, with it.
        SELECT rtrim(name, replace(name, ':', '')) AS stem, manifest, id
        FROM tag JOIN image ON tag.image = image.id WHERE manifest IS NOT NULL);
";

/// Keeps others from making the database at `path` at the same time: the change to a write-ahead log
/// doesn't wait for them.
fn lock(path: &Path) -> Result<File> {
    let folder = path.parent().unwrap_or(path);
    let failed = |cause| Error::failed(format_args!("lock {}", folder.display()), cause);
    let file = File::open(folder).map_err(failed)?;
    file.lock().map_err(failed)?;
    Ok(file)
}

/// Brings the database, which is at `path`, to this version.
pub(super) fn migrate(connection: &Connection, path: &Path) -> Result<()> {
    let version = |c: &Connection| c.query_row("PRAGMA user_version", [], |row| row.get(0));
    let (_lock, found): (_, i64) = match version(connection) {
        Ok(VERSION) => (None, VERSION),
        // It isn't made yet, or is being made.
        Ok(_)
        | Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error { code: rusqlite::ErrorCode::DatabaseBusy, .. },
            _,
        )) => (Some(lock(path)?), version(connection)?),
        Err(cause) => return Err(cause.into()),
    };
    // Closing the last connection must not stop for a checkpoint: a command has no later one to
    // leave it to. The log is bounded by the automatic checkpoints instead.
    connection.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    // Committed changes outlive a crash of any process; only a power cut may lose the last ones,
    // and the engine's objects are checked against the kernel anyway.
    connection.execute_batch(
        "PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;
         PRAGMA wal_autocheckpoint = 250;",
    )?;
    if found == VERSION {
        return Ok(());
    }
    if found > VERSION {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "state database: it has version {found}, newer than this program's {VERSION}: use the newer wharf"
            ),
        ));
    }
    connection.execute_batch("PRAGMA journal_mode = WAL; BEGIN IMMEDIATE;")?;
    // Another process may have been first.
    let found: i64 = version(connection)?;
    if found == 0 {
        connection.execute_batch(SCHEMA)?;
    }
    if found < 2 {
        connection.execute_batch(ENDPOINT)?;
    }
    if found == 1 {
        connection.execute_batch(FROM_1)?;
    }
    if found < 3 {
        connection.execute_batch(VOLUMES)?;
    }
    if found < 4 {
        connection.execute_batch(BLOBS)?;
    }
    if found < VERSION {
        connection.pragma_update(None, "user_version", VERSION)?;
    }
    connection.execute_batch("COMMIT")?;
    if found == 0 {
        reserve(path);
    }
    Ok(())
}

/// Reserves room for the write-ahead log, which is used again and again: on a disk that a container has
/// filled, containers can still be ended and removed.
fn reserve(path: &Path) {
    const ROOM: u64 = 2 << 20;
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    // A filesystem that can't reserve does without.
    let _ = File::options()
        .write(true)
        .open(&log)
        .map(|file| rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::KEEP_SIZE, 0, ROOM));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network;
    use crate::state::Store;

    /// The tables of version 1 that are others now, and rows as that version wrote them.
    const VERSION_1: &str = "
CREATE TABLE lease (
    network   TEXT NOT NULL REFERENCES network (id),
    address   TEXT NOT NULL,
    container TEXT NOT NULL,
    PRIMARY KEY (network, address)
) WITHOUT ROWID;
CREATE INDEX lease_container ON lease (container);
INSERT INTO network VALUES (
    'e8bc979e1a30eef4ccb8dd8252f30bb6c85df0910a872219a6e8869addd04c10', 'bridge', 1795282191261,
    '{\"Driver\":\"bridge\",\"Bridge\":\"wh-a370eea1\",\"Subnet\":\"172.19.0.0/16\",\
\"Gateway\":\"172.19.0.1\",\"LastLeased\":\"172.19.0.3\"}');
INSERT INTO lease VALUES (
    'e8bc979e1a30eef4ccb8dd8252f30bb6c85df0910a872219a6e8869addd04c10', '172.19.0.2',
    '606d63f3cb5b56e3413bdb572dc158d32fd5b5911130976340eede6a9fe50641');
INSERT INTO journal VALUES (
    'link', 'wh606d63f3cb5b',
    '606d63f3cb5b56e3413bdb572dc158d32fd5b5911130976340eede6a9fe50641');
INSERT INTO image (id, added, manifest, config) VALUES ('sha256:1', 0, 'sha256:2', x'');
INSERT INTO tag VALUES ('localhost:5000/a/b:1.2', 'sha256:1');
PRAGMA user_version = 1;
";

    #[test]
    fn version_1_becomes_this_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let old = Connection::open(&path).unwrap();
        old.execute_batch("PRAGMA journal_mode = WAL").unwrap();
        old.execute_batch(SCHEMA).unwrap();
        old.execute_batch(VERSION_1).unwrap();
        drop(old);
        // Several at once, as when many commands meet a new program.
        std::thread::scope(|scope| {
            let open = || Store::open(&path).map(drop);
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap().unwrap());
        });
        let store = Store::open(&path).unwrap();
        let known = network::network(&store, "bridge").unwrap().unwrap();
        assert_eq!((known.link.as_str(), known.owns_link), ("wh-a370eea1", true));
        let pool = known.ipv4.as_ref().unwrap();
        assert_eq!(pool.subnet.to_string(), "172.19.0.0/16");
        assert_eq!((pool.gateway.to_string().as_str(), pool.chosen), ("172.19.0.1", true));
        assert_eq!(known.created.timestamp_millis(), 1_795_282_191_261);
        let container = "606d63f3cb5b56e3413bdb572dc158d32fd5b5911130976340eede6a9fe50641";
        let endpoints = network::endpoints_of(&store, &container.parse().unwrap()).unwrap();
        let [endpoint] = &endpoints[..] else { panic!("{endpoints:?}") };
        assert_eq!((endpoint.link(), endpoint.interface().as_str()), ("wh606d63f3cb5b", "eth0"));
        assert_eq!(endpoint.info().ip.to_string(), "172.19.0.2");
        assert_eq!(endpoint.info().mac, "02:42:ac:13:00:02");
        let repository: String = store
            .connection()
            .query_row("SELECT repository FROM repo_digest WHERE digest = 'sha256:2'", [], |row| {
                row.get(0)
            })
            .unwrap();
        assert_eq!(repository, "localhost:5000/a/b");
        assert_eq!((endpoint.id().len(), endpoint.info().network.as_str()), (64, "bridge"));
    }

    #[test]
    fn a_newer_version_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        drop(Store::open(&path).unwrap());
        let database = Connection::open(&path).unwrap();
        database.pragma_update(None, "user_version", VERSION + 1).unwrap();
        let error = Store::open(&path).err().unwrap().to_string();
        assert!(error.contains("use the newer wharf"), "{error}");
    }
}
