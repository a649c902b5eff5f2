//! Whether database, folders and kernel agree: what `wharf system check` says, and what an eye that
//! shares no code with it sees.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rusqlite::{Connection, OpenFlags};
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::harness::{Lab, PATIENCE, eventually};

/// A container's row.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// Its id.
    pub(crate) id: String,
    /// Its name.
    pub(crate) name: String,
    /// Its status, in docker's word.
    pub(crate) status: String,
    /// Its first process, while it runs.
    pub(crate) pid: Option<i32>,
    /// How many networks it is on while it runs.
    networks: usize,
}

impl Row {
    /// Returns whether it has processes.
    pub(crate) fn is_alive(&self) -> bool {
        ["running", "paused"].contains(&self.status.as_str())
    }
}

/// Returns how many networks a container's settings name; what has its default is left out of them.
fn networks(spec: &Value) -> usize {
    if let Some(Value::Array(networks)) = spec.get("networks") {
        return networks.len();
    }
    match search(spec, "NetworkMode").and_then(Value::as_str) {
        Some(mode) if ["host", "none"].contains(&mode) || mode.starts_with("container:") => 0,
        _ => 1,
    }
}

/// Opens a lab's database.
pub(crate) fn database(lab: &Lab) -> Connection {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database = Connection::open_with_flags(lab.root().join("state.db"), flags).unwrap();
    database.busy_timeout(*PATIENCE).unwrap();
    // As the engine does: the last to close leaves the write-ahead log alone.
    let keep = rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
    database.set_db_config(keep, true).unwrap();
    database
}

/// Returns a lab's containers as their rows stand, without asking the engine.
pub(crate) fn rows(lab: &Lab) -> Vec<Row> {
    let database = database(lab);
    let mut statement = database.prepare("SELECT id, name, spec, state FROM container").unwrap();
    let rows = statement.query_map([], |row| {
        let text = |n: usize| row.get::<_, String>(n);
        let document = |n: usize| serde_json::from_str::<Value>(&text(n).unwrap()).unwrap();
        let (spec, state) = (document(2), document(3));
        let find = |value: &Value, key: &str| search(value, key).cloned();
        Ok(Row {
            id: text(0)?,
            name: text(1)?,
            status: find(&state, "Status").and_then(|s| s.as_str().map(str::to_owned)).unwrap(),
            pid: find(&state, "Pid").and_then(|pid| i32::try_from(pid.as_i64()?).ok()),
            networks: networks(&spec),
        })
    });
    rows.unwrap().map(Result::unwrap).collect()
}

/// Returns the value of a key anywhere in a document, whatever the case of its first letter.
fn search<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    let same = |name: &str| name.replace('_', "").eq_ignore_ascii_case(key);
    match value {
        Value::Object(map) => map
            .iter()
            .find(|(name, _)| same(name))
            .map(|(_, value)| value)
            .or_else(|| map.values().find_map(|value| search(value, key))),
        Value::Array(list) => list.iter().find_map(|value| search(value, key)),
        _ => None,
    }
}

/// The ids that a lab has ever had, as its events tell.
#[derive(Debug, Default)]
pub(crate) struct Seen(BTreeSet<String>);

impl Seen {
    /// Takes in what happened since; at most a thousand events are kept, so look often.
    pub(crate) fn look(&mut self, lab: &Lab) {
        let database = database(lab);
        let mut statement = database.prepare("SELECT event FROM event").unwrap();
        let events = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        for event in events.map(Result::unwrap) {
            let event: Value = serde_json::from_str(&event).unwrap();
            let id = search(&event, "id").and_then(Value::as_str).unwrap_or_default();
            if id.len() == 64 {
                self.0.insert(id.to_owned());
            }
        }
        self.0.extend(rows(lab).into_iter().map(|row| row.id));
    }
}

fn entries(folder: impl AsRef<Path>) -> BTreeSet<String> {
    std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

/// Returns the folders of a cgroup in all hierarchies that have it.
pub(crate) fn cgroups(name: &str) -> Vec<PathBuf> {
    let top = Path::new("/sys/fs/cgroup");
    let mut found: Vec<PathBuf> =
        entries(top).iter().map(|hierarchy| top.join(hierarchy).join(name)).collect();
    found.push(top.join(name));
    found.retain(|path| path.is_dir());
    found
}

fn processes(cgroup: &Path) -> Vec<i32> {
    let text = std::fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
    let mut all: Vec<i32> = text.lines().filter_map(|line| line.parse().ok()).collect();
    for below in entries(cgroup) {
        let path = cgroup.join(below);
        if path.is_dir() {
            all.extend(processes(&path));
        }
    }
    all
}

/// Returns the supervisors that run on this machine and their copies that are to become containers'
/// first processes, by container.
fn all_supervisors() -> Vec<(String, i32)> {
    let of = |pid: &String| {
        let text = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let mut words = text.split(|byte| *byte == 0);
        words.next()?;
        if words.next()? != b"__supervise" {
            return None;
        }
        let id = String::from_utf8(words.next()?.to_vec()).ok()?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        (!status.contains("State:\tZ")).then_some((id, pid.parse().ok()?))
    };
    entries("/proc")
        .iter()
        .filter(|name| name.starts_with(char::is_numeric))
        .filter_map(of)
        .collect()
}

/// Returns the supervisors that run on this machine, by container.
pub(crate) fn supervisors() -> BTreeMap<String, i32> {
    let mut found = all_supervisors();
    // Of a supervisor and its copies, the first is meant.
    found.sort_by_key(|(_, pid)| std::cmp::Reverse(*pid));
    found.into_iter().collect()
}

/// Returns the endpoints that are noted: container, link, and the network's driver.
fn endpoints(lab: &Lab) -> Vec<(String, String, String)> {
    let database = database(lab);
    let all = "SELECT container, link, network.spec ->> '$.Driver' FROM endpoint
               JOIN network ON network.id = endpoint.network";
    let mut statement = database.prepare(all).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    rows.unwrap().map(Result::unwrap).collect()
}

/// Kills a container's supervisor, and waits until it and its copies have let go of all they had, locks
/// above all. Returns whether there was one.
pub(crate) fn kill_supervisor(lab: &Lab, id: &str) -> bool {
    let doomed = all_supervisors();
    let Some(first) = supervisors().get(id).copied() else { return false };
    // It may have ended since.
    let _ = kill_process(Pid::from_raw(first).unwrap(), Signal::KILL);
    let life = lab.root().join("run/containers").join(id).join("life.lock");
    eventually("its supervisor is gone", || {
        let next = |one: &(String, i32)| one.0 == id && !doomed.contains(one);
        // A process that is killed is unknown to /proc long before its files are closed.
        let Ok(file) = File::open(&life) else { return true };
        flock(&file, FlockOperation::NonBlockingLockShared).is_ok()
            // Somebody has it started again.
            || all_supervisors().iter().any(next)
    });
    true
}

/// Returns what is wrong at this moment.
fn problems(lab: &Lab, seen: &Seen) -> Vec<String> {
    let mut wrong = Vec::new();
    let rows = rows(lab);
    let ids: BTreeSet<String> = rows.iter().map(|row| row.id.clone()).collect();
    let alive: BTreeSet<String> =
        rows.iter().filter(|row| row.is_alive()).map(|row| row.id.clone()).collect();
    let supervisors = supervisors();
    let endpoints = endpoints(lab);
    for id in seen.0.union(&ids) {
        let runs = alive.contains(id);
        let groups = cgroups(&format!("wharf/{id}"));
        let short = &id[..12];
        if runs {
            let pid = rows.iter().find(|row| row.id == *id).and_then(|row| row.pid);
            let inside =
                groups.iter().any(|group| pid.is_some_and(|p| processes(group).contains(&p)));
            if !inside {
                wrong.push(format!("{short} runs, but {pid:?} isn't in its cgroup"));
            }
            if !supervisors.contains_key(id) {
                wrong.push(format!("{short} runs without a supervisor"));
            }
        } else {
            wrong.extend(groups.iter().map(|group| format!("{short}: cgroup {}", group.display())));
            if let Some(pid) = supervisors.get(id) {
                wrong.push(format!("{short}: supervisor {pid} of a container that doesn't run"));
            }
        }
        let begins = format!("wh{short}");
        let links: BTreeSet<String> = entries("/sys/class/net")
            .into_iter()
            .filter(|link| link.starts_with(&begins))
            .collect();
        let noted: BTreeSet<String> = endpoints
            .iter()
            .filter(|(container, _, driver)| container == id && driver == "bridge" && runs)
            .map(|(_, link, _)| link.clone())
            .collect();
        if links != noted {
            wrong.push(format!("{short}: links {links:?}, noted {noted:?}, runs: {runs}"));
        }
    }
    let database = database(lab);
    let list = |sql: &str| -> BTreeSet<String> {
        let mut statement = database.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        rows.map(Result::unwrap).collect()
    };
    for (owner, ..) in endpoints.iter().filter(|(owner, ..)| !alive.contains(owner)) {
        wrong.push(format!("lease of {owner}"));
    }
    for row in rows.iter().filter(|row| row.is_alive()) {
        let count = endpoints.iter().filter(|(owner, ..)| *owner == row.id).count();
        if count != row.networks {
            wrong.push(format!("{} has {count} leases for {} networks", row.id, row.networks));
        }
    }
    for entry in list("SELECT owner || ' ' || kind || ' ' || key FROM journal") {
        if entry.get(..64).is_none_or(|owner| !alive.contains(owner)) {
            wrong.push(format!("journal {entry}"));
        }
    }
    let root = lab.root();
    let same = |what: &str, found: &BTreeSet<String>, wanted: &BTreeSet<String>| {
        (found != wanted).then(|| format!("{what}: {found:?}, rows: {wanted:?}"))
    };
    wrong.extend(same("containers", &entries(root.join("containers")), &ids));
    let locks = entries(root.join("run/containers"));
    wrong.extend(locks.difference(&ids).map(|id| format!("locks of {id}")));
    let layers = list("SELECT substr(chain_id, 8) FROM layer");
    let (frames, unpacked) = entries(root.join("layers"))
        .into_iter()
        .partition::<BTreeSet<_>, _>(|name| name.ends_with(".frame"));
    wrong.extend(same("layers", &unpacked, &layers));
    let whole = |name: &&String| !layers.contains(name.strip_suffix(".frame").unwrap());
    wrong.extend(frames.iter().filter(whole).map(|name| format!("frame {name}")));
    let mut blobs = entries(root.join("blobs/sha256"));
    blobs.remove(".lock");
    wrong.extend(same("blobs", &blobs, &list("SELECT substr(digest, 8) FROM blob")));
    let temporary = entries(root.join("tmp"));
    wrong.extend(temporary.iter().filter(|n| *n != ".lock").map(|name| format!("tmp/{name}")));
    let volumes = list("SELECT name FROM volume");
    wrong.extend(same("volumes", &entries(root.join("volumes")), &volumes));
    for entry in list("SELECT volume || ' of ' || container FROM volume_use") {
        let (volume, container) = entry.split_once(" of ").unwrap();
        if !ids.contains(container) || !root.join("volumes").join(volume).join("_data").is_dir() {
            wrong.push(format!("use of {entry}"));
        }
    }
    let known = [
        "containers",
        "layers",
        "blobs",
        "tmp",
        "volumes",
        "run",
        // By whichever supervisor was there first.
        "host-record",
        "state.db",
        "state.db-wal",
        "state.db-shm",
    ];
    let odd = entries(root).into_iter().filter(|name| !known.contains(&name.as_str()));
    wrong.extend(odd.map(|name| format!("file {name}")));
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let below = format!("{}/", root.display());
    // What a container that runs has mounted by its volume's options.
    let used: BTreeSet<String> = list("SELECT key FROM journal WHERE kind = 'mount'")
        .iter()
        .filter_map(|key| Some(format!(" {below}volumes/{}/_data ", key.split(':').next()?)))
        .collect();
    let ours = mounts.lines().filter(|line| line.contains(&below));
    wrong.extend(ours.filter(|line| !used.iter().any(|one| line.contains(one))).map(str::to_owned));
    wrong
}

/// Waits until all agrees; supervisors give back what they had after they told of the end.
#[track_caller]
pub(crate) fn agrees(lab: &Lab, seen: &mut Seen, when: &str) {
    let deadline = Instant::now() + *PATIENCE;
    loop {
        seen.look(lab);
        let wrong = problems(lab, seen);
        if wrong.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "{when}: {wrong:#?}");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

/// The engine's own check finds nothing.
#[track_caller]
pub(crate) fn is_clean(lab: &Lab) {
    let out = lab.run(&["system", "check"]);
    assert_eq!((out.code, out.stdout.as_str()), (0, ""), "{}", out.stderr);
}
