//! `system check`: each thing is broken for real, found, mended, and found no more; and a busy engine
//! is no reason for a finding.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::audit::{Seen, agrees, cgroups, database, is_clean, kill_supervisor};
use crate::harness::{IMAGE, Lab, Test, eventually, joined, lacks_programs, run};
use crate::tests;

pub(crate) fn tests() -> Vec<Test> {
    let mut all = tests![
        a_root_without_an_engine,
        the_output,
        modes_of_folders,
        folders_without_rows_and_rows_without_folders,
        layers,
        what_killed_processes_left,
        a_dead_supervisor,
        leases_and_journal,
        a_cgroup_with_processes,
        dangling_references,
        a_row_that_cannot_be_read,
        a_damaged_database,
        a_database_that_is_gone,
        a_mount,
        a_copied_root,
        a_busy_engine,
    ];
    let nft = lacks_programs(&["nft", "ip", "nsenter"]);
    all.push(Test::new("the_firewall", the_firewall).needing(nft.clone()));
    all.push(Test::new("links_and_bridge", links_and_bridge).needing(nft));
    all
}

/// Returns what a check finds, as documents.
fn findings(lab: &Lab, code: i32) -> Vec<Value> {
    let out = lab.ends(code, &["system", "check", "--format", "json"]);
    out.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The one thing that is wrong is found with this in its sentence, mended, and found no more.
#[track_caller]
fn found_and_mended(lab: &Lab, area: &str, says: &str) {
    let found = findings(lab, 1);
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    let fits = |finding: &Value| {
        text(finding, "Area") == area
            && format!("{}: {}", text(finding, "Object"), text(finding, "Problem")).contains(says)
            && finding["Mended"] == false
    };
    assert!(!found.is_empty() && found.iter().all(fits), "{found:#?}, not {area} {says}");
    let out = lab.ends(0, &["system", "check", "--repair"]);
    assert_eq!(out.stdout.lines().count(), found.len(), "{}", out.stdout);
    assert!(out.stdout.lines().all(|line| line.contains("(mended)")), "{}", out.stdout);
    is_clean(lab);
}

fn execute(lab: &Lab, sql: &str) {
    let database = database(lab);
    database.execute_batch(&format!("PRAGMA foreign_keys = OFF; {sql}")).unwrap();
}

fn sleeper(lab: &Lab, name: &str, network: &str) -> String {
    lab.ok(&["run", "-d", "--name", name, "--network", network, IMAGE, "sleep", "1000"])
}

fn a_root_without_an_engine() {
    let lab = Lab::empty();
    let nowhere = lab.root().join("nowhere");
    let nowhere = nowhere.to_str().unwrap();
    lab.fails(1, "no engine has its data here", &["--root", nowhere, "system", "check"]);
    assert!(!std::path::Path::new(nowhere).exists(), "a look makes nothing");
}

fn the_output() {
    let lab = Lab::new();
    is_clean(&lab);
    let private = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(lab.root().join("layers"), private).unwrap();
    let out = lab.ends(1, &["system", "check"]);
    let layers = lab.root().join("layers");
    let line = format!("files     {}: has mode 0755 instead of 0700\n", layers.display());
    assert_eq!(out.stdout, line);
    assert!(out.stderr.contains("1 found"), "{}", out.stderr);
    let out = lab.ends(0, &["system", "check", "--repair"]);
    assert_eq!(out.stdout, line.replace('\n', " (mended)\n"));
    lab.fails(125, "invalid format", &["system", "check", "--format", "yaml"]);
}

fn modes_of_folders() {
    let lab = Lab::new();
    for (name, mode) in [("containers", 0o711), ("layers", 0o755), ("tmp", 0o777), ("run", 0o750)] {
        let path = lab.root().join(name);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        found_and_mended(&lab, "files", &format!("has mode {mode:04o} instead of 0700"));
    }
    std::fs::remove_dir_all(lab.root().join("tmp")).unwrap();
    found_and_mended(&lab, "files", "tmp: can't be used");
    let root = lab.root();
    std::fs::set_permissions(root, std::fs::Permissions::from_mode(0o777)).unwrap();
    found_and_mended(&lab, "files", "has mode 0777 instead of 0711");
}

fn folders_without_rows_and_rows_without_folders() {
    let lab = Lab::new();
    let id = "ab".repeat(32);
    std::fs::create_dir_all(lab.root().join("containers").join(&id).join("upper/deep")).unwrap();
    found_and_mended(&lab, "files", "no container has this folder");
    assert!(!lab.root().join("containers").join(&id).exists());
    let locks = lab.root().join("run/containers").join(&id);
    std::fs::create_dir_all(&locks).unwrap();
    std::fs::write(locks.join("ctl.sock"), "").unwrap();
    found_and_mended(&lab, "files", "no container has this folder");
    assert!(!locks.exists());
    lab.ok(&["create", "--name", "bare", IMAGE, "true"]);
    let id = lab.inspect("bare", "/Id");
    let folder = lab.root().join("containers").join(id.as_str().unwrap());
    std::fs::remove_dir_all(&folder).unwrap();
    found_and_mended(&lab, "files", "container bare has no folder");
    lab.ok(&["start", "-a", "bare"]);
}

fn layers() {
    let lab = Lab::new();
    let orphan = lab.root().join("layers").join("cd".repeat(32));
    std::fs::create_dir_all(orphan.join("etc")).unwrap();
    found_and_mended(&lab, "files", "no image has it");
    assert!(!orphan.exists());
    // One that is gone can't be made up; the image can be loaded again.
    let entries = std::fs::read_dir(lab.root().join("layers")).unwrap();
    let mut folders = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    std::fs::remove_dir_all(folders.next().unwrap()).unwrap();
    let found = findings(&lab, 1);
    assert!(found[0]["Problem"].as_str().unwrap().contains("its folder is gone"), "{found:?}");
    assert!(found[0]["WayOut"].as_str().unwrap().contains("load it again"), "{found:?}");
    lab.ends(1, &["system", "check", "--repair"]);
    lab.ok(&["rmi", "-f", IMAGE]);
    is_clean(&lab);
    let archive = crate::harness::rootfs_archive();
    lab.ok(&["import", archive.to_str().unwrap(), IMAGE]);
    lab.shell(&[], "true");
    is_clean(&lab);
}

fn what_killed_processes_left() {
    let lab = Lab::new();
    let staging = lab.root().join("tmp/image-0123456789abcdef");
    std::fs::create_dir_all(staging.join("layer-x")).unwrap();
    found_and_mended(&lab, "files", "whoever made it is gone");
    assert!(!staging.exists());
}

fn a_dead_supervisor() {
    let lab = Lab::new();
    let id = sleeper(&lab, "orphan", "bridge");
    let pid = lab.pid("orphan");
    assert!(kill_supervisor(&lab, &id));
    eventually("it ends", || {
        !cgroups(&format!("wharf/{id}")).iter().any(|group| {
            std::fs::read_to_string(group.join("cgroup.procs")).is_ok_and(|text| !text.is_empty())
        })
    });
    let found = findings(&lab, 1);
    assert!(found[0]["Problem"].as_str().unwrap().contains("its supervisor is gone"), "{found:?}");
    lab.ends(0, &["system", "check", "--repair"]);
    is_clean(&lab);
    assert_eq!(lab.inspect("orphan", "/State/ExitCode"), 137);
    assert!(!std::fs::exists(format!("/proc/{pid}/root/bin/busybox")).unwrap());
    agrees(&lab, &mut Seen::default(), "mended");
    lab.ok(&["start", "orphan"]);
}

fn leases_and_journal() {
    let lab = Lab::new();
    lab.ok(&["run", "--name", "was", IMAGE, "true"]);
    let id = lab.inspect("was", "/Id").as_str().unwrap().to_owned();
    agrees(&lab, &mut Seen::default(), "ended");
    let lease = |container: &str| {
        let columns = "container, network, id, number, link, ipv4, spec";
        let network = "(SELECT id FROM network WHERE name = 'bridge')";
        let values = format!("'{container}', {network}, 'e', 0, 'whx', '10.9.8.7', '{{}}'");
        execute(&lab, &format!("INSERT INTO endpoint ({columns}) VALUES ({values})"));
    };
    lease(&id);
    found_and_mended(
        &lab,
        "database",
        "container was: doesn't run, but still has address 10.9.8.7",
    );
    let gone = "ef".repeat(32);
    lease(&gone);
    found_and_mended(&lab, "database", "(removed): doesn't run, but still has address 10.9.8.7");
    execute(&lab, &format!("INSERT INTO journal VALUES ('cgroup', 'wharf/{gone}', '{gone}')"));
    found_and_mended(&lab, "database", &format!("still has cgroup wharf/{gone}"));
    execute(&lab, "INSERT INTO journal VALUES ('link', 'whx', 'nonsense')");
    found_and_mended(&lab, "database", "no container can be called so");
    agrees(&lab, &mut Seen::default(), "mended");
}

fn a_cgroup_with_processes() {
    let lab = Lab::new();
    lab.ok(&["run", "--name", "was", "--network", "none", IMAGE, "true"]);
    let id = lab.inspect("was", "/Id").as_str().unwrap().to_owned();
    agrees(&lab, &mut Seen::default(), "ended");
    let running = sleeper(&lab, "other", "none");
    let name = format!("wharf/{id}");
    for group in cgroups(&format!("wharf/{running}")) {
        std::fs::create_dir(group.parent().unwrap().join(&id)).unwrap();
    }
    found_and_mended(&lab, "kernel", &format!("cgroup {name}: its container doesn't run"));
    assert!(cgroups(&name).is_empty());
    // And with a process in it that nobody watches.
    let mut stray = Command::new("sleep").arg("1000").spawn().unwrap();
    for group in cgroups(&format!("wharf/{running}")) {
        let group = group.parent().unwrap().join(&id);
        std::fs::create_dir(&group).unwrap();
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let parent = group.parent().unwrap().join(file);
            if let Ok(text) = std::fs::read_to_string(parent) {
                let _ = std::fs::write(group.join(file), text);
            }
        }
        std::fs::write(group.join("cgroup.procs"), stray.id().to_string()).unwrap();
    }
    let found = findings(&lab, 1);
    assert!(found[0]["Problem"].as_str().unwrap().contains("without a supervisor"), "{found:?}");
    lab.ends(0, &["system", "check", "--repair"]);
    assert_eq!(crate::harness::code_of(stray.wait().unwrap()), 137);
    is_clean(&lab);
    assert_eq!(lab.inspect("other", "/State/Running"), true);
}

fn dangling_references() {
    let lab = Lab::new();
    lab.ok(&["create", "--name", "web", IMAGE, "true"]);
    execute(&lab, "INSERT INTO tag VALUES ('docker.io/library/lost:latest', 'sha256:00')");
    found_and_mended(&lab, "database", "table tag: 1 of its rows name a image that isn't there");
    let image = format!("sha256:{}", "12".repeat(32));
    execute(&lab, &format!("UPDATE container SET image = '{image}' WHERE name = 'web'"));
    let found = findings(&lab, 1);
    assert!(found[0]["Problem"].as_str().unwrap().contains("its image"), "{found:?}");
    assert!(found[0]["WayOut"].as_str().unwrap().contains("wharf rm -f web"), "{found:?}");
    lab.ok(&["rm", "-f", "web"]);
    is_clean(&lab);
}

fn a_row_that_cannot_be_read() {
    let lab = Lab::new();
    sleeper(&lab, "fine", "none");
    lab.ok(&["create", "--name", "odd", IMAGE, "true"]);
    let id = lab.inspect("odd", "/Id").as_str().unwrap().to_owned();
    execute(&lab, "UPDATE container SET spec = '{' WHERE name = 'odd'");
    lab.fails(1, "run 'wharf system check'", &["ps", "-a"]);
    let found = findings(&lab, 1);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0]["Problem"].as_str().unwrap().contains("its row can't be read"), "{found:?}");
    // What it wrote isn't thrown away with the row, but by a second repair.
    lab.ends(1, &["system", "check", "--repair"]);
    assert_eq!(lab.ok(&["ps", "-a", "--no-trunc"]).lines().count(), 2);
    assert!(lab.root().join("containers").join(&id).exists());
    found_and_mended(&lab, "files", "no container has this folder");
}

fn file(lab: &Lab, suffix: &str) -> PathBuf {
    lab.root().join(format!("state.db{suffix}"))
}

/// Brings the whole database into its file, where it can be damaged.
fn settle(lab: &Lab) {
    database(lab).query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
}

fn a_damaged_database() {
    let lab = Lab::new();
    let id = sleeper(&lab, "survivor", "none");
    for n in 0..60 {
        lab.ok(&["create", "--name", &format!("c{n}"), IMAGE, "true"]);
    }
    settle(&lab);
    // An index that lost its way: every row can still be read.
    let (page, size): (i64, i64) = {
        let database = database(&lab);
        let root = "SELECT rootpage FROM sqlite_master WHERE name = 'container_image'";
        (
            database.query_row(root, [], |row| row.get(0)).unwrap(),
            database.query_row("PRAGMA page_size", [], |row| row.get(0)).unwrap(),
        )
    };
    let mut bytes = std::fs::read(file(&lab, "")).unwrap();
    let start = usize::try_from((page - 1) * size).unwrap();
    let end = start + usize::try_from(size).unwrap();
    bytes[start + 8..end].fill(0xa5);
    std::fs::write(file(&lab, ""), &bytes).unwrap();
    let found = findings(&lab, 1);
    assert!(found[0]["Problem"].as_str().unwrap().starts_with("damaged: "), "{found:?}");
    let out = lab.ends(0, &["system", "check", "--repair"]);
    assert!(out.stdout.contains("state.db.damaged"), "{}", out.stdout);
    is_clean(&lab);
    assert_eq!(lab.ok(&["ps", "-aq"]).lines().count(), 61);
    assert_eq!(lab.ok(&["ps", "-q", "--no-trunc"]), id);
    lab.ok(&["exec", "survivor", "true"]);
    lab.ok(&["stop", "-t", "0", "survivor"]);
    assert_eq!(lab.inspect("survivor", "/State/ExitCode"), 137);
    std::fs::remove_file(file(&lab, ".damaged")).unwrap();
    for part in [".damaged-wal", ".damaged-shm"] {
        // There when somebody still had it open.
        let _ = std::fs::remove_file(file(&lab, part));
    }
    agrees(&lab, &mut Seen::default(), "after the rescue");
}

fn a_database_that_is_gone() {
    let lab = Lab::new();
    lab.ok(&["create", "--name", "lost", IMAGE, "true"]);
    let id = lab.inspect("lost", "/Id").as_str().unwrap().to_owned();
    settle(&lab);
    // Not a database any more.
    std::fs::write(file(&lab, ""), "nothing of the kind".repeat(1000)).unwrap();
    for suffix in ["-wal", "-shm"] {
        // The last connection may have removed them.
        let _ = std::fs::remove_file(file(&lab, suffix));
    }
    lab.fails(1, "run 'wharf system check --repair'", &["ps"]);
    let out = lab.ends(1, &["system", "check", "--repair"]);
    assert!(out.stdout.contains("(mended)"), "{}", out.stdout);
    // What is there still, is shown, and kept until it is asked for again.
    assert!(out.stdout.contains(&id), "{}", out.stdout);
    assert!(lab.root().join("containers").join(&id).exists());
    assert_eq!(lab.ok(&["ps", "-aq"]), "");
    lab.ends(0, &["system", "check", "--repair"]);
    is_clean(&lab);
    assert!(!lab.root().join("containers").join(&id).exists());
    std::fs::remove_file(file(&lab, ".damaged")).unwrap();
}

fn a_mount() {
    let lab = Lab::new();
    lab.ok(&["create", "--name", "web", IMAGE, "true"]);
    let id = lab.inspect("web", "/Id").as_str().unwrap().to_owned();
    let target = lab.root().join("containers").join(id).join("merged");
    rustix::mount::mount("tmpfs", &target, "tmpfs", rustix::mount::MountFlags::empty(), None)
        .unwrap();
    found_and_mended(&lab, "kernel", "is mounted");
    lab.ok(&["start", "-a", "web"]);
}

/// Runs a program that must succeed.
fn succeed(words: &[&str]) -> String {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    let out = run(command, b"");
    assert_eq!(out.code, 0, "{words:?}: {}", out.stderr);
    out.stdout
}

/// A network namespace: the firewall's table is shared by all roots of one.
struct Namespace(String);

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "delete", &self.0]).status();
    }
}

fn the_firewall() {
    let namespace = Namespace(format!("wharf-check-{}", std::process::id()));
    succeed(&["ip", "netns", "add", &namespace.0]);
    let enter = format!("--net=/run/netns/{}", namespace.0);
    let nft = |words: &[&str]| succeed(&[&["nsenter", &enter, "nft"], words].concat());
    let lab = Lab::new().in_network(&enter);
    sleeper(&lab, "web", "bridge");
    is_clean(&lab);
    let name = bridge_of(&lab);
    let tables = nft(&["list", "tables"]);
    let table =
        tables.split_whitespace().find(|word| word.starts_with("wharf")).unwrap().to_owned();
    nft(&["delete", "element", "inet", &table, "bridges", &format!("{{ {name} }}")]);
    found_and_mended(&lab, "kernel", "lacks an element of bridges");
    // What a reload of the host's own rules does.
    nft(&["flush", "table", "inet", &table]);
    found_and_mended(&lab, "kernel", "hasn't all of its rules");
    nft(&["delete", "table", "inet", &table]);
    found_and_mended(&lab, "kernel", "is gone or of another version");
    succeed(&["nsenter", &enter, "sh", "-c", "echo 0 > /proc/sys/net/ipv4/ip_forward"]);
    found_and_mended(&lab, "kernel", "ip_forward: is off");
    let rules = nft(&["list", "table", "inet", &table]);
    assert!(rules.contains("masquerade") && rules.contains(&name), "{rules}");
}

/// Returns the bridge of a lab's network.
fn bridge_of(lab: &Lab) -> String {
    let spec: String = database(lab)
        .query_row("SELECT spec FROM network WHERE name = 'bridge'", [], |row| row.get(0))
        .unwrap();
    let spec: Value = serde_json::from_str(&spec).unwrap();
    spec["Link"].as_str().unwrap().to_owned()
}

fn links_and_bridge() {
    let lab = Lab::new();
    let id = sleeper(&lab, "web", "bridge");
    let other = sleeper(&lab, "other", "bridge");
    let link = format!("wh{}", &id[..12]);
    let bridge = bridge_of(&lab);
    let address = lab.inspect("other", "/NetworkSettings/IPAddress").as_str().unwrap().to_owned();
    let reach = || lab.ok(&["exec", "web", "ping", "-c", "1", "-W", "5", &address]);
    reach();
    succeed(&["ip", "link", "set", &link, "nomaster"]);
    found_and_mended(&lab, "kernel", "of container web is down or not in its bridge");
    reach();
    succeed(&["ip", "link", "delete", &bridge]);
    let found = findings(&lab, 1);
    assert!(found[0]["Problem"].as_str().unwrap().contains("is gone or down"), "{found:?}");
    lab.ends(0, &["system", "check", "--repair"]);
    is_clean(&lab);
    reach();
    let stray = format!("wh{}", "ab".repeat(6));
    succeed(&["ip", "link", "add", &stray, "type", "veth", "peer", "name", &format!("{stray}p")]);
    succeed(&["ip", "link", "set", &stray, "master", &bridge]);
    found_and_mended(&lab, "kernel", "is in the bridge, but no container has it");
    assert!(!std::path::Path::new("/sys/class/net").join(&stray).exists());
    // A link is made at a start only.
    succeed(&["ip", "link", "delete", &format!("wh{}", &other[..12])]);
    let found = findings(&lab, 1);
    assert!(found[0]["WayOut"].as_str().unwrap().contains("wharf restart other"), "{found:?}");
    lab.ok(&["restart", "-t", "0", "other"]);
    is_clean(&lab);
}

/// What a copy says of running containers is true of the original's.
fn a_copied_root() {
    let lab = Lab::new();
    let copy = PathBuf::from(format!("{}-copy", lab.root().display()));
    let take_copy = || {
        let _ = std::fs::remove_dir_all(&copy);
        let mut command = Command::new("cp");
        command.arg("-a").args([lab.root(), &copy]);
        let out = run(command, b"");
        assert_eq!(out.code, 0, "{out:?}");
    };
    let in_copy = |arguments: &[&str]| {
        let mut command = lab.command(arguments);
        command.env("WHARF_ROOT", &copy);
        run(command, b"")
    };
    lab.ok(&["run", "-d", "--name", "original", IMAGE, "sleep", "1000"]);
    take_copy();
    for arguments in [&["ps"][..], &["rm", "-f", "original"], &["system", "reset", "-f"]] {
        let out = in_copy(arguments);
        assert_eq!(out.code, 1, "{arguments:?}: {out:?}");
        let says = "is a copy of a root folder, and the container original ran there";
        assert!(out.stderr.contains(says), "{arguments:?}: {out:?}");
    }
    lab.ok(&["exec", "original", "true"]);
    lab.ok(&["stop", "-t", "0", "original"]);
    take_copy();
    assert_eq!(in_copy(&["ps", "-a", "--format", "{{.Names}}"]).stdout, "original\n");
    lab.ok(&["start", "original"]);
    assert_eq!(in_copy(&["ps", "-q"]).stdout, "");
    lab.ok(&["exec", "original", "true"]);
    lab.ok(&["rm", "-f", "original"]);
    std::fs::remove_dir_all(&copy).unwrap();
}

fn a_busy_engine() {
    let lab = Lab::new();
    let busy = AtomicBool::new(true);
    std::thread::scope(|scope| {
        let (lab, busy) = (&lab, &busy);
        let workers: Vec<_> = (0..4)
            .map(|worker| {
                scope.spawn(move || {
                    for n in 0..25 {
                        let network = if n % 2 == 0 { "bridge" } else { "none" };
                        let name = format!("w{worker}-{n}");
                        let flags = ["--network", network, "--name", &name, IMAGE];
                        match n % 3 {
                            0 => drop(lab.ok(&[&["run", "--rm"], &flags[..], &["true"]].concat())),
                            1 => {
                                lab.ok(&[&["run", "-d"], &flags[..], &["sleep", "1000"]].concat());
                                lab.ok(&["restart", "-t", "0", &name]);
                                lab.ok(&["rm", "-f", &name]);
                            }
                            _ => {
                                lab.ok(&[&["create"], &flags[..], &["true"]].concat());
                                lab.ok(&["start", "-a", &name]);
                                lab.ok(&["rm", &name]);
                            }
                        }
                    }
                })
            })
            .collect();
        let images = scope.spawn(move || {
            let archive = crate::harness::rootfs_archive();
            while busy.load(Ordering::Relaxed) {
                lab.ok(&["import", archive.to_str().unwrap(), "again"]);
                lab.ok(&["rmi", "again"]);
            }
        });
        let mut checks = 0;
        let mut false_findings = Vec::new();
        while !workers.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            let words: &[&str] = match checks % 2 {
                0 => &["system", "check"],
                _ => &["system", "check", "--repair"],
            };
            let out = lab.run(words);
            if (out.code, out.stdout.as_str()) != (0, "") {
                false_findings.push(format!("{} {} {}", out.code, out.stdout, out.stderr));
            }
            checks += 1;
        }
        busy.store(false, Ordering::Relaxed);
        for worker in workers {
            joined(worker);
        }
        joined(images);
        assert_eq!(false_findings, Vec::<String>::new(), "in {checks} checks");
        assert!(checks > 3, "only {checks} checks");
    });
    is_clean(&lab);
    agrees(&lab, &mut Seen::default(), "at rest");
}
