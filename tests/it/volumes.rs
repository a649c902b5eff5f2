//! Volumes: names, what goes into them, who has them, and what is mounted when.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use rustix::process::{Pid, Signal, kill_process};

use crate::audit::{is_clean, supervisors};
use crate::harness::{IMAGE, Lab, Test, eventually, rootfs_tar};
use crate::tests;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        names_and_options_are_dockers,
        lists_and_documents,
        an_empty_volume_takes_what_the_image_has,
        volumes_without_names_go_with_their_containers,
        a_volume_in_use_stays,
        volumes_of_other_containers,
        mounts_of_their_own_come_and_go,
        a_killed_supervisor_leaves_no_mount,
        nothing_of_the_host_goes_with_a_volume,
        events_tell_of_volumes,
        a_check_mends_volumes,
    ]
}

/// Returns where a volume's data is.
pub(crate) fn data(lab: &Lab, name: &str) -> PathBuf {
    lab.root().join("volumes").join(name).join("_data")
}

/// Returns the names of all volumes.
fn names(lab: &Lab) -> Vec<String> {
    lab.ok(&["volume", "ls", "-q"]).lines().map(str::to_owned).collect()
}

/// Returns a size in docker's words: four digits that count.
pub(crate) fn shown(bytes: u64) -> String {
    let mut value = f64::from(u32::try_from(bytes).unwrap());
    let mut units = ["B", "kB", "MB", "GB"].iter();
    let mut unit = units.next().unwrap();
    while value >= 1000.0 {
        value /= 1000.0;
        unit = units.next().unwrap();
    }
    let digits = [3, 2, 1][(value >= 10.0) as usize + (value >= 100.0) as usize];
    let text = format!("{value:.digits$}");
    format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
}

fn is_mounted(lab: &Lab, name: &str) -> bool {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let point = data(lab, name).display().to_string();
    table.lines().any(|line| line.split(' ').nth(4) == Some(&point))
}

const MEMORY: [&str; 6] = ["-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=1m,mode=750"];

fn names_and_options_are_dockers() {
    let lab = Lab::new();
    let fails = |says: &str, words: &[&str]| {
        lab.fails(1, says, &[&["volume", "create"], words].concat());
    };
    fails("create a: volume name is too short, names should be at least two", &["a"]);
    fails("create a$b: \"a$b\" includes invalid characters for a local volume name", &["a$b"]);
    fails("create ../x: \"../x\" includes invalid characters", &["../x"]);
    fails("error looking up volume plugin foo: plugin \"foo\" not found", &["v1", "-d", "foo"]);
    fails("create v2: invalid option: \"foo\"", &["v2", "-o", "foo=bar"]);
    fails("missing required option: \"device\"", &["v2", "-o", "type=tmpfs"]);
    fails("missing required option: \"type\"", &["v2", "-o", "device=x"]);
    assert_eq!(names(&lab), Vec::<String>::new());
    assert_eq!(lab.ok(&["volume", "create", "v1"]), "v1");
    assert_eq!(lab.ok(&["volume", "create", "v1"]), "v1");
    assert_eq!(names(&lab), ["v1"]);
    let run = |flags: &[&str], says: &str| {
        lab.fails(
            125,
            says,
            &[&["run", "--rm", "--network", "none"], flags, &[IMAGE, "true"]].concat(),
        );
    };
    run(&["-v", "vv:x"], "type \"volume\": invalid mount path: 'x' mount path must be absolute");
    run(&["-v", "vv:/x:rshared"], "type \"volume\": field BindOptions must not be specified");
    run(&["--mount", "src=/abs,dst=/x"], "create /abs: \"/abs\" includes invalid characters");
    run(&["--mount", "dst=/x,ro"], "must not set ReadOnly mode when using anonymous volumes");
    run(&["--mount", "src=vv,dst=/x,volume-subpath=../y"], "must be a relative path within");
    run(&["-v", "vv:/x", "--volume-driver", "foo"], "error looking up volume plugin foo");
    run(&["-v", "vv:/x", "--mount", "src=v2,dst=/x"], "Duplicate mount point: /x");
    run(&["-v", "/etc/passwd"], "cannot mount volume over existing file, file exists /etc/passwd");
    // What failed has made nothing.
    assert_eq!(names(&lab), ["v1"]);
    lab.fails(1, "get nope: no such volume", &["volume", "rm", "nope"]);
    assert_eq!(lab.ok(&["volume", "rm", "-f", "nope"]), "nope");
    lab.fails(1, "volume update only valid for cluster volumes", &["volume", "update", "v1"]);
    assert_eq!(lab.ok(&["volume", "rm", "v1"]), "v1");
    is_clean(&lab);
}

fn lists_and_documents() {
    let lab = Lab::new();
    lab.ok(&["volume", "create", "data", "--label", "a=1"]);
    lab.ok(&[&["volume", "create", "mem"], &MEMORY[..]].concat());
    assert_eq!(lab.ok(&["volume", "ls"]), "DRIVER    VOLUME NAME\nlocal     data\nlocal     mem");
    let text = lab.ok(&["volume", "inspect", "data", "mem"]);
    let documents: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(documents[0]["Labels"]["a"], "1");
    assert_eq!(documents[0]["Options"], serde_json::Value::Null);
    assert_eq!(documents[0]["Mountpoint"], data(&lab, "data").display().to_string());
    assert_eq!(documents[1]["Options"]["o"], "size=1m,mode=750");
    assert_eq!(lab.ok(&["inspect", "--type", "volume", "-f", "{{.Name}}", "data"]), "data");
    assert_eq!(lab.ok(&["inspect", "-f", "{{.Scope}} {{.Driver}}", "mem"]), "local local");
    lab.start(&["--name", "user", "-v", "data:/d:ro"], "sleep 1000");
    let of = |filter: &str| lab.ok(&["volume", "ls", "-q", "--filter", filter]);
    assert_eq!(of("dangling=true"), "mem");
    assert_eq!(of("dangling=false"), "data");
    assert_eq!((of("label=a").as_str(), of("name=^me").as_str()), ("data", "mem"));
    lab.fails(1, "invalid filter 'foo'", &["volume", "ls", "--filter", "foo=1"]);
    let mount = lab.inspect("user", "/Mounts/0");
    assert_eq!((&mount["Type"], &mount["Name"]), (&"volume".into(), &"data".into()));
    assert_eq!((&mount["RW"], &mount["Mode"]), (&false.into(), &"ro".into()));
    assert_eq!(lab.ok(&["ps", "--filter", "volume=data", "--format", "{{.Names}}"]), "user");
    assert_eq!(lab.ok(&["ps", "-q", "--filter", "volume=mem"]), "");
    lab.fails(1, "No such container", &["inspect", "--type", "container", "data"]);
}

/// An image with a folder of owners, modes, links and attributes at /data.
fn furnished(lab: &Lab) {
    let mut bytes = rootfs_tar();
    // A tar ends in empty blocks, whose place the further entries take.
    while bytes.ends_with(&[0; 512]) {
        bytes.truncate(bytes.len() - 512);
    }
    let mut tar = tar::Builder::new(bytes);
    let mut owned = |path: &str, mode: u32, kind: tar::EntryType, data: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_mode(mode);
        header.set_uid(1234);
        header.set_gid(5678);
        header.set_mtime(1_000_000_000);
        header.set_entry_type(kind);
        header.set_size(data.len() as u64);
        tar.append_data(&mut header, path, data).unwrap();
    };
    owned("data", 0o2770, tar::EntryType::Directory, b"");
    owned("data/file", 0o640, tar::EntryType::Regular, b"content\n");
    owned("data/deep/below", 0o700, tar::EntryType::Directory, b"");
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Link);
    header.set_size(0);
    // What a hard link's entry says counts for the file, as with docker.
    header.set_mode(0o640);
    header.set_uid(1234);
    header.set_gid(5678);
    header.set_mtime(1_000_000_000);
    tar.append_link(&mut header, "data/hard", "data/file").unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    tar.append_link(&mut header, "data/soft", "/etc/passwd").unwrap();
    tar.append_link(&mut header, "way", "data").unwrap();
    lab.import(&tar.into_inner().unwrap(), "furnished");
}

fn an_empty_volume_takes_what_the_image_has() {
    let lab = Lab::new();
    furnished(&lab);
    let run = |flags: &[&str], line: &str| {
        let words = ["run", "--rm", "--network", "none"];
        lab.ok(&[&words[..], flags, &["furnished", "sh", "-c", line]].concat())
    };
    let look = "stat -c '%u:%g %a %h' /data /data/file; stat -c %Y /data/file; readlink /data/soft";
    let wanted = "1234:5678 2770 3\n1234:5678 640 2\n1000000000\n/etc/passwd";
    assert_eq!(run(&["-v", "new:/data"], look), wanted);
    lab.ok(&["volume", "create", "there"]);
    assert_eq!(run(&["--mount", "src=there,dst=/data"], look), wanted);
    assert_eq!(run(&["-v", "/data"], look), wanted);
    // Through a link of the image's.
    assert_eq!(run(&["-v", "linked:/way"], "cat /way/file"), "content");
    // What isn't empty, or isn't to be filled, stays as it is.
    assert_eq!(run(&["-v", "new:/data"], "rm -r /data/*; touch /data/own; ls /data"), "own");
    assert_eq!(run(&["-v", "new:/data"], "ls /data"), "own");
    assert_eq!(run(&["-v", "bare:/data:nocopy"], "ls /data; stat -c %a /data"), "755");
    assert_eq!(run(&["--mount", "src=bare,dst=/data,volume-nocopy"], "ls /data"), "");
    assert_eq!(run(&["-v", "other:/not/there"], "ls /not/there"), "");
    // A container that runs with an empty volume sees what comes into it.
    lab.start(&["--name", "first", "-v", "shared:/here"], "sleep 1000");
    assert_eq!(run(&["-v", "shared:/data"], look), wanted);
    assert_eq!(lab.ok(&["exec", "first", "cat", "/here/file"]), "content");
    // In memory that somebody uses, too.
    lab.ok(&[&["volume", "create", "mem"], &MEMORY[..]].concat());
    lab.start(&["--name", "second", "-v", "mem:/here"], "sleep 1000");
    assert_eq!(run(&["-v", "mem:/data"], "cat /data/file"), "content");
    is_clean(&lab);
}

fn volumes_without_names_go_with_their_containers() {
    let lab = Lab::new();
    lab.ok(&["create", "--name", "made", IMAGE, "true"]);
    lab.ok(&["commit", "-c", "VOLUME /vol", "made", "withvol"]);
    lab.shell(&["-v", "/anon", "-v", "kept:/kept"], "echo x > /anon/x; echo y > /kept/y");
    assert_eq!(names(&lab), ["kept"]);
    let words = ["run", "--name", "one", "--network", "none", "-v", "/anon", "withvol", "true"];
    lab.ok(&words);
    assert_eq!(names(&lab).len(), 3);
    let volumes = lab.inspect("one", "/Config/Volumes");
    assert_eq!(volumes.to_string(), r#"{"/anon":{},"/vol":{}}"#);
    // A commit keeps them.
    lab.ok(&["commit", "one", "again"]);
    assert_eq!(
        lab.ok(&["image", "inspect", "-f", "{{json .Config.Volumes}}", "again"]),
        r#"{"/anon":{},"/vol":{}}"#
    );
    lab.ok(&["rm", "one"]);
    assert_eq!(names(&lab).len(), 3);
    assert_eq!(lab.ok(&["volume", "prune", "-f"]).lines().count(), 5);
    assert_eq!(names(&lab), ["kept"]);
    lab.ok(&words);
    lab.ok(&["rm", "-v", "one"]);
    assert_eq!(names(&lab), ["kept"]);
    // A host path, a named volume or memory at its path takes its place.
    for flags in [&["-v", "kept:/vol"][..], &["--tmpfs", "/vol"], &["-v", "/tmp:/vol:ro"]] {
        let line = [&["run", "--name", "two", "--network", "none"], flags, &["withvol", "true"]];
        lab.ok(&line.concat());
        assert_eq!(names(&lab), ["kept"], "{flags:?}");
        lab.ok(&["rm", "two"]);
    }
    is_clean(&lab);
}

fn a_volume_in_use_stays() {
    let lab = Lab::new();
    let id = lab.ok(&["create", "--name", "user", "-v", "data:/d", IMAGE, "true"]);
    let says = format!("remove data: volume is in use - [{id}]");
    lab.fails(1, &says, &["volume", "rm", "data"]);
    lab.fails(1, &says, &["volume", "rm", "-f", "data"]);
    assert_eq!(lab.ok(&["volume", "prune", "-a", "-f"]), "Total reclaimed space: 0B");
    lab.ok(&["rm", "user"]);
    std::fs::write(data(&lab, "data").join("x"), vec![1; 100_000]).unwrap();
    let size = data(&lab, "data").join("x").metadata().unwrap().blocks() * 512;
    // What a volume's options say would be lost.
    lab.ok(&["volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "store"]);
    let pruned = lab.ok(&["volume", "prune", "-a", "-f"]);
    assert_eq!(names(&lab), ["store"]);
    lab.ok(&["volume", "rm", "store"]);
    assert_eq!(pruned, format!("Deleted Volumes:\ndata\n\nTotal reclaimed space: {}", shown(size)));
    is_clean(&lab);
}

fn volumes_of_other_containers() {
    let lab = Lab::new();
    lab.start(&["--name", "one", "-v", "data:/d", "-v", "/anon"], "echo 1 > /anon/1; sleep 1000");
    eventually("it is written", || lab.run(&["exec", "one", "cat", "/anon/1"]).code == 0);
    lab.start(&["--name", "two", "--volumes-from", "one:ro"], "sleep 1000");
    assert_eq!(lab.ok(&["exec", "two", "cat", "/anon/1"]), "1");
    lab.ends(1, &["exec", "two", "touch", "/d/x"]);
    lab.ok(&["rm", "-fv", "one"]);
    assert_eq!(names(&lab).len(), 2, "the other container has it still");
    assert_eq!(lab.ok(&["exec", "two", "cat", "/anon/1"]), "1");
    lab.ok(&["rm", "-fv", "two"]);
    assert_eq!(names(&lab), ["data"]);
    is_clean(&lab);
}

fn mounts_of_their_own_come_and_go() {
    let lab = Lab::new();
    lab.ok(&[&["volume", "create", "mem"], &MEMORY[..]].concat());
    assert!(!is_mounted(&lab, "mem"));
    lab.start(&["--name", "one", "-v", "mem:/m"], "echo shared > /m/x; sleep 1000");
    assert!(is_mounted(&lab, "mem"));
    lab.start(&["--name", "two", "-v", "mem:/m"], "sleep 1000");
    eventually("both see it", || lab.run(&["exec", "two", "cat", "/m/x"]).stdout == "shared\n");
    assert_eq!(lab.ok(&["exec", "two", "stat", "-f", "-c", "%b", "/m"]), "256");
    lab.ok(&["rm", "-f", "one"]);
    assert!(is_mounted(&lab, "mem"));
    assert_eq!(lab.ok(&["exec", "two", "cat", "/m/x"]), "shared");
    lab.ok(&["rm", "-f", "two"]);
    assert!(!is_mounted(&lab, "mem"));
    // A folder of the host's.
    let folder = lab.root().join("own");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("file"), "host").unwrap();
    let device = format!("device={}", folder.display());
    lab.ok(&["volume", "create", "own", "-o", "type=none", "-o", "o=bind,ro", "-o", &device]);
    assert_eq!(
        lab.shell(&["-v", "own:/m"], "cat /m/file; touch /m/x 2>&1 | grep -c Read"),
        "host1"
    );
    lab.ok(&["create", "--name", "three", "-v", "own:/m", IMAGE, "true"]);
    assert!(lab.ok(&["cp", "-q", "three:/m/file", "-"]).contains("host"));
    eventually("it is unmounted", || !is_mounted(&lab, "own"));
    // One that can't be mounted.
    let words = ["volume", "create", "bad", "-o", "type=none", "-o", "o=bind", "-o"];
    lab.ok(&[&words[..], &["device=/no/such"]].concat());
    let run = ["run", "--rm", "--network", "none", "-v", "bad:/m", IMAGE, "true"];
    lab.fails(125, "failed to mount local volume: mount /no/such:", &run);
    // One of a server's, which a kernel may or may not have: it is asked for as it was said.
    let words = ["volume", "create", "far", "-o", "type=nfs", "-o", "device=:/srv/data", "-o"];
    lab.ok(&[&words[..], &["o=addr=localhost,ro,nosuid,nfsvers=4,soft,timeo=1,retrans=1"]].concat());
    let run = ["run", "--rm", "--network", "none", "-v", "far:/m", IMAGE, "true"];
    let out = lab.ends(125, &run);
    let place = data(&lab, "far");
    let says = format!("failed to mount local volume: mount :/srv/data:{}", place.display());
    assert!(out.stderr.contains(&says), "{says}: {}", out.stderr);
    let says = ["127.0.0.1", "::1"].map(|to| format!("addr={to},nfsvers=4,soft,timeo=1,retrans=1"));
    assert!(says.iter().any(|says| out.stderr.contains(says)), "{}", out.stderr);
    lab.ok(&["volume", "rm", "far"]);
    lab.ok(&["rm", "-f", "three"]);
    lab.ok(&["volume", "rm", "own", "bad", "mem"]);
    assert_eq!(std::fs::read_to_string(folder.join("file")).unwrap(), "host");
    is_clean(&lab);
    std::fs::remove_dir_all(folder).unwrap();
}

fn a_killed_supervisor_leaves_no_mount() {
    let lab = Lab::new();
    lab.ok(&[&["volume", "create", "mem"], &MEMORY[..]].concat());
    let id = lab.start(&["--name", "one", "--rm", "-v", "mem:/m", "-v", "/anon"], "sleep 1000");
    assert!(is_mounted(&lab, "mem"));
    kill_process(Pid::from_raw(supervisors()[&id]).unwrap(), Signal::KILL).unwrap();
    eventually("it is noticed", || lab.ok(&["ps", "-aq"]).is_empty());
    eventually("it is unmounted", || {
        lab.ok(&["ps", "-a"]);
        !is_mounted(&lab, "mem")
    });
    assert_eq!(names(&lab), ["mem"]);
    is_clean(&lab);
}

/// What the user has mounted in a volume is never emptied with it.
fn nothing_of_the_host_goes_with_a_volume() {
    let lab = Lab::new();
    lab.ok(&["volume", "create", "data"]);
    let (precious, inside) = (lab.root().join("precious"), data(&lab, "data").join("sub"));
    std::fs::create_dir_all(&precious).unwrap();
    std::fs::create_dir_all(&inside).unwrap();
    std::fs::write(precious.join("file"), "x").unwrap();
    rustix::mount::mount_bind(&precious, &inside).unwrap();
    lab.fails(1, "is mounted in it: unmount it first", &["volume", "rm", "data"]);
    let pruned = lab.run(&["volume", "prune", "-af"]);
    assert_eq!(pruned.code, 1, "{pruned:?}");
    assert!(precious.join("file").exists() && names(&lab) == ["data"]);
    rustix::mount::unmount(&inside, rustix::mount::UnmountFlags::empty()).unwrap();
    lab.ok(&["volume", "rm", "data"]);
    assert!(precious.join("file").exists());
    std::fs::remove_dir_all(precious).unwrap();
}

fn events_tell_of_volumes() {
    let lab = Lab::new();
    let id = lab.ok(&["create", "--name", "one", "-v", "data:/d:ro", IMAGE, "true"]);
    lab.ok(&["start", "-a", "one"]);
    lab.ok(&["rm", "one"]);
    lab.ok(&["volume", "rm", "data"]);
    let words = ["events", "--since", "1h", "--until", "0s", "--filter", "type=volume"];
    let told = lab.ok(&[
        &words[..],
        &["--format", "{{.Action}} {{.Actor.ID}} {{json .Actor.Attributes}}"],
    ]
    .concat());
    let told: Vec<&str> = told.lines().collect();
    let mount = format!(
        "mount data {{\"container\":\"{id}\",\"destination\":\"/d\",\"driver\":\"local\",\
         \"propagation\":\"\",\"read/write\":\"false\"}}"
    );
    let unmount = format!("unmount data {{\"container\":\"{id}\",\"driver\":\"local\"}}");
    let plain = |word: &str| format!("{word} data {{\"driver\":\"local\"}}");
    assert_eq!(told, [plain("create"), mount, unmount, plain("destroy")]);
}

fn a_check_mends_volumes() {
    let lab = Lab::new();
    for name in ["gone", "lost", "fine"] {
        lab.ok(&["volume", "create", name]);
    }
    std::fs::remove_dir_all(lab.root().join("volumes/gone")).unwrap();
    std::fs::write(data(&lab, "lost").join("file"), "precious").unwrap();
    crate::audit::database(&lab).execute("DELETE FROM volume WHERE name = 'lost'", []).unwrap();
    std::fs::create_dir_all(lab.root().join("volumes/bare/_data")).unwrap();
    lab.fails(1, "holds data that no volume is known for", &["volume", "create", "lost"]);
    let found = lab.ends(1, &["system", "check"]).stdout;
    assert_eq!(found.lines().count(), 3, "{found}");
    assert!(found.contains("gone has no folder") && found.contains("a repair makes it one"));
    let run = ["run", "--rm", "--network", "none", "-v", "gone:/x:nocopy", IMAGE, "true"];
    lab.fails(125, "of volume gone is gone", &run);
    lab.ok(&["system", "check", "--repair"]);
    is_clean(&lab);
    assert_eq!(names(&lab), ["fine", "gone", "lost"]);
    assert_eq!(lab.shell(&["-v", "lost:/x"], "cat /x/file"), "precious");
    // A mount that nobody has any more.
    lab.ok(&[&["volume", "create", "mem"], &MEMORY[..]].concat());
    let flags = rustix::mount::MountFlags::empty();
    rustix::mount::mount("tmpfs", data(&lab, "mem"), "tmpfs", flags, c"").unwrap();
    let found = lab.ends(1, &["system", "check"]).stdout;
    assert!(found.contains("no container runs with the volume"), "{found}");
    lab.ok(&["system", "check", "--repair"]);
    assert!(!is_mounted(&lab, "mem"));
    assert_eq!(data(&lab, "fine").metadata().unwrap().permissions().mode() & 0o777, 0o755);
    is_clean(&lab);
}
