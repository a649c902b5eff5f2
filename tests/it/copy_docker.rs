//! `cp`, `diff`, `export`, `commit` and layers beside real docker: the same calls, the same results.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::path::Path;
use std::process::Command;

use crate::dockerd;
use crate::harness::{IMAGE, Out, Test, folder, lacks_programs};
use crate::sides::Side;

pub(crate) fn tests() -> Vec<Test> {
    let lacks = || dockerd::lacks().or_else(|| lacks_programs(&["docker"]));
    vec![
        Test::new("cp_does_what_docker_does", cp_table).needing(lacks()),
        Test::new("diff_and_export_are_those_of_docker", diff_and_export).needing(lacks()),
        Test::new("layers_unpack_as_docker_unpacks_them", layers).needing(lacks()),
        Test::new("images_of_containers_are_docker_s_too", commits).needing(lacks()),
    ]
}

/// Kind, mode, owner, content or target of each path.
pub(crate) type Tree = BTreeMap<String, String>;

pub(crate) fn tree_of_tar(bytes: &[u8], times: bool) -> Tree {
    let mut tree = Tree::new();
    let mut archive = tar::Archive::new(bytes);
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        let xattrs: Vec<String> = entry
            .pax_extensions()
            .unwrap()
            .into_iter()
            .flatten()
            .flatten()
            .filter(|e| e.key_bytes().starts_with(b"SCHILY.xattr."))
            .map(|e| format!("{}={:?}", e.key().unwrap(), e.value_bytes()))
            .collect();
        let header = entry.header();
        let link = entry.link_name_bytes().map(|l| String::from_utf8_lossy(&l).into_owned());
        let time = if times { header.mtime().unwrap() } else { 0 };
        let described = format!(
            "{:?} {:o} {}:{} {time} {} {:?} {:?} {:?}:{:?} {xattrs:?}",
            header.entry_type(),
            header.mode().unwrap() & 0o7777,
            header.uid().unwrap(),
            header.gid().unwrap(),
            content.len(),
            link,
            String::from_utf8_lossy(&content[..content.len().min(64)]),
            header.device_major().unwrap_or_default(),
            header.device_minor().unwrap_or_default(),
        );
        tree.insert(path.trim_matches('/').trim_start_matches("./").to_owned(), described);
    }
    tree
}

fn tree_of_folder(folder: &Path) -> Tree {
    fn add(root: &Path, at: &Path, tree: &mut Tree) {
        for entry in std::fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            let found = path.symlink_metadata().unwrap();
            let kind = found.file_type();
            let content = match () {
                () if kind.is_symlink() => {
                    format!("-> {}", std::fs::read_link(&path).unwrap().display())
                }
                () if kind.is_file() => std::fs::read_to_string(&path).unwrap(),
                () if kind.is_fifo() => "fifo".to_owned(),
                () => String::new(),
            };
            let described = format!("{:o} {}:{} {content}", found.mode(), found.uid(), found.gid());
            let name = path.strip_prefix(root).unwrap().display().to_string();
            tree.insert(name, described);
            if kind.is_dir() {
                add(root, &path, tree);
            }
        }
    }
    let mut tree = Tree::new();
    add(folder, folder, &mut tree);
    tree
}

/// What a tree holds besides its kind of entries: made below `at` by the shell.
const SOURCES: &str = "mkdir -p dir/sub empty; echo f > file; echo a > dir/a; echo b > dir/sub/b; \
    chmod 640 file; chmod 751 dir; chown 1000:2000 file dir/a; ln -s file to-file; ln -s dir to-dir; \
    ln -s nowhere dangling; ln dir/a dir/same; mkfifo fifo; mkdir -p deep/er; echo d > deep/er/f; \
    ln -s deep/er across; ln -s /etc/hostname absolute";

const TARGETS: &str = "mkdir -p dir/file dir2 other; echo old > file; ln -s file to-file; \
    ln -s other to-dir; ln -s new dangling; ln -s missing/new lost; mkdir -p has/dir has/to-dir; \
    echo x > has/dir/keep; mkdir -p taken; echo in-the-way > taken/dir";

fn suffixed(names: &[&str], suffixes: &[&str]) -> Vec<String> {
    names.iter().flat_map(|n| suffixes.iter().map(move |s| format!("{n}{s}"))).collect()
}

fn cases() -> Vec<(String, String, Vec<&'static str>)> {
    let sources = suffixed(
        &["file", "dir", "empty", "to-file", "to-dir", "across", "dangling", "fifo", "missing"],
        &["", "/", "/."],
    );
    let targets = suffixed(
        &["dir", "dir2", "file", "to-file", "to-dir", "dangling", "lost", "has", "taken", "no"],
        &["", "/"],
    );
    let mut cases = Vec::new();
    for (n, source) in sources.iter().enumerate() {
        for (m, target) in targets.iter().enumerate() {
            let links = source.starts_with("to-") || source.starts_with("across");
            let mut flags = vec![vec![]];
            if links {
                flags.push(vec!["-L"]);
            } else if (n + m) % 3 == 0 {
                flags.push(vec!["-a"]);
            }
            for flags in flags {
                cases.push((source.clone(), target.clone(), flags));
            }
        }
    }
    // All of them take minutes.
    if std::env::var_os("WHARF_TEST_ALL").is_none() {
        cases = cases.into_iter().step_by(9).collect();
    }
    for (source, target) in [
        ("file", "no/no"),
        ("file", "."),
        ("dir/.", "no"),
        ("dir", "dir/."),
        ("dir/sub/../..", "dir2"),
        ("deep/er/../er/f", "dir2/../new"),
        (".", "dir2"),
        ("dir/a", "dir2/./x"),
    ] {
        cases.push((source.to_owned(), target.to_owned(), vec![]));
    }
    cases
}

/// Makes an error comparable: where it came from and in which folder is no matter.
fn said(out: &Out, base: &str) -> String {
    let text = out.stderr.trim();
    let text = text.strip_prefix("wharf: ").unwrap_or(text);
    let text = text.strip_prefix("Error response from daemon: ").unwrap_or(text);
    let text = text.replace(base, "BASE");
    // Docker's client logs what it can't write any more.
    text.lines().find(|line| !line.starts_with("time=")).unwrap_or_default().to_owned()
}

fn shell(line: &str, at: &Path) {
    let busybox = crate::harness::busybox();
    let status = Command::new(busybox).args(["sh", "-c", line]).current_dir(at).status().unwrap();
    assert!(status.success(), "{line}");
}

type Results = Vec<(String, bool, String, Tree)>;

fn copied_out(side: &Side, base: &Path, stopped: bool) -> Results {
    let mut results = Results::new();
    let cases = cases();
    for (n, (source, target, flags)) in cases.iter().enumerate() {
        if stopped && n % 7 != 0 {
            continue;
        }
        let at = base.join("place");
        std::fs::create_dir(&at).unwrap();
        shell(TARGETS, &at);
        let (from, to) = (format!("box:/src/{source}"), format!("{}/{target}", at.display()));
        let arguments = [&["cp"][..], flags, &[&from, &to]].concat();
        let out = side.run(&arguments, b"");
        let what = format!("cp {flags:?} box:{source} {target}");
        let text = said(&out, base.to_str().unwrap());
        results.push((what, out.code == 0, text, tree_of_folder(&at)));
        std::fs::remove_dir_all(&at).unwrap();
    }
    results
}

fn copied_in(side: &Side, base: &Path, stopped: bool) -> Results {
    let cases = cases();
    let chosen: Vec<usize> = (0..cases.len()).filter(|n| !stopped || n % 7 == 0).collect();
    let mut outs = Vec::new();
    for n in &chosen {
        let (source, target, flags) = &cases[*n];
        let (from, to) = (
            format!("{}/source/{source}", base.display()),
            format!("box:/places/{}/{target}", n + 1000 * usize::from(stopped)),
        );
        let out = side.run(&[&["cp"][..], flags, &[&from, &to]].concat(), b"");
        outs.push((format!("cp {flags:?} {source} box:{target}"), out));
    }
    let tree = tree_of_tar(&side.bytes(&["cp", "box:/places", "-"]), false);
    chosen
        .into_iter()
        .zip(outs)
        .map(|(n, (what, out))| {
            let number = n + 1000 * usize::from(stopped);
            let place = format!("places/{number}/");
            let below = |(path, what): (&String, &String)| {
                let what = what.replace(&place, "");
                Some((path.strip_prefix(&place)?.to_owned(), what))
            };
            let text = said(&out, base.to_str().unwrap()).replace(&format!("/places/{number}"), "");
            (what, out.code == 0, text, tree.iter().filter_map(below).collect())
        })
        .collect()
}

/// Complaints that say the same in other words, or name what docker's own structure makes of it.
fn same_complaint(docker: &str, wharf: &str) -> bool {
    docker == wharf || docker.is_empty() == wharf.is_empty() && !docker.is_empty()
}

fn cp_table() {
    let sides = Side::both();
    let mut all = Vec::new();
    for side in &sides {
        let base = folder();
        let source = base.join("source");
        std::fs::create_dir(&source).unwrap();
        shell(SOURCES, &source);
        let _ = symlink("x", base.join("unused"));
        side.ok(&["run", "-d", "--name", "box", "--network", "none", IMAGE, "sleep", "100000"]);
        let count = cases().len();
        let line = format!(
            "mkdir /src && cd /src && {SOURCES}; mkdir /places; n=0; \
             while [ $n -lt {count} ]; do for m in $n $((n+1000)); do mkdir /places/$m; \
             cd /places/$m; {TARGETS}; done; n=$((n+1)); done"
        );
        side.ok(&["exec", "box", "sh", "-c", &line]);
        let mut results = copied_out(side, &base, false);
        results.extend(copied_in(side, &base, false));
        side.ok(&["kill", "box"]);
        side.ok(&["wait", "box"]);
        results.extend(copied_out(side, &base, true));
        results.extend(copied_in(side, &base, true));
        all.push(results);
        std::fs::remove_dir_all(&base).unwrap();
    }
    let [docker, wharf] = all.try_into().unwrap();
    assert_eq!(docker.len(), wharf.len());
    let mut different = Vec::new();
    let mut words = BTreeMap::new();
    for (docker, wharf) in docker.iter().zip(&wharf) {
        // Docker's own command line stumbles over the slash behind the link.
        if docker.0.contains("/. to-dir/") && docker.2.contains("overwrite non-directory") {
            assert!(wharf.1, "{}: {}", wharf.0, wharf.2);
            continue;
        }
        if (docker.1, &docker.3) != (wharf.1, &wharf.3) {
            let gone: Vec<_> = docker.3.iter().filter(|e| wharf.3.get(e.0) != Some(e.1)).collect();
            let new: Vec<_> = wharf.3.iter().filter(|e| docker.3.get(e.0) != Some(e.1)).collect();
            different.push(format!(
                "{}\n  docker: {} {:?}\n    {gone:?}\n  wharf:  {} {:?}\n    {new:?}",
                docker.0, docker.1, docker.2, wharf.1, wharf.2
            ));
        } else if docker.2 != wharf.2 {
            words.entry((docker.2.clone(), wharf.2.clone())).or_insert(docker.0.clone());
        }
    }
    if std::env::var_os("WHARF_SHOW").is_some() {
        for ((docker, wharf), what) in &words {
            eprintln!("{what}\n  docker: {docker}\n  wharf:  {wharf}");
        }
    }
    assert!(different.is_empty(), "{} differ:\n{}", different.len(), different.join("\n"));
    for ((docker, wharf), what) in words {
        assert!(same_complaint(&docker, &wharf), "{what}\n  {docker}\n  {wharf}");
    }
}

/// Changes of every kind. `/srv` holds what is there before.
const BEFORE: &str = "cd /srv; mkdir -p gone/sub opaque/sub same moved mode owner down; \
    echo 1 > gone/sub/f; echo 1 > opaque/old; echo 1 > opaque/sub/f; echo 1 > same/f; \
    echo 1 > moved/f; echo 1 > file; echo 1 > time; echo 1 > to-folder; echo 1 > down/f; \
    ln file linked; echo 1 > untouched; ln -s a link; chmod 644 untouched; \
    find /srv | while read f; do touch -h -d '2019-01-01 00:00:00' $f; done";

const AFTER: &str = "cd /srv; rm -rf gone; rm -rf opaque; mkdir -p opaque/sub; echo 2 > opaque/new; \
    rm -rf same; mkdir same; echo 1 > same/f; mv moved elsewhere; chmod 700 mode; chown 5:6 owner; \
    echo 22 > file; touch -d '2020-01-01 00:00:00' time; rm to-folder; mkdir to-folder; \
    echo x > to-folder/x; rm -rf down; echo y > down; ln -sf b link; mkfifo fifo; \
    chmod 644 untouched; : >> untouched; mkdir -p /new/deep; echo n > /new/deep/f; \
    echo /etc > /etc/added; echo m > /mem/x; mkdir /empty; chmod 4755 /bin/busybox";

/// Made by the engines themselves.
pub(crate) fn is_their_own(path: &str) -> bool {
    let own = ["dev", "proc", "sys", ".dockerenv", "etc/hosts", "etc/hostname", "etc/resolv.conf"];
    path == "etc/mtab" || own.contains(&path) || path.starts_with("dev/") || path.is_empty()
}

fn diff_and_export() {
    let mut all = Vec::new();
    for side in &Side::both() {
        let run = |name: &str, image: &str, flags: &[&str], line: &str| {
            let fixed = ["run", "--name", name, "--network", "none"];
            side.ok(&[&fixed[..], flags, &[image, "sh", "-c", line]].concat());
        };
        run("first", IMAGE, &[], BEFORE);
        side.ok(&["commit", "first", "two"]);
        let bound = folder();
        let bind = format!("{}:/bound", bound.display());
        let flags = ["-v", &bind, "--tmpfs", "/mem", "-d"];
        run(
            "second",
            "two",
            &flags,
            &format!("{AFTER}; touch /bound/x; touch /srv/done; sleep 9999"),
        );
        crate::harness::eventually("the changes are made", || {
            side.run(&["exec", "second", "ls", "/srv/done"], b"").code == 0
        });
        let diff = |side: &Side| {
            let text = side.ok(&["diff", "second"]);
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.sort_unstable();
            lines
        };
        let export = |side: &Side| {
            let mut tree = tree_of_tar(&side.bytes(&["export", "second"]), false);
            tree.retain(|path, _| !is_their_own(path));
            tree
        };
        let running = (diff(side), export(side));
        side.ok(&["kill", "second"]);
        side.ok(&["wait", "second"]);
        assert_eq!((diff(side), export(side)), running, "{}", side.name());
        all.push(running);
        std::fs::remove_dir_all(bound).unwrap();
    }
    let [docker, wharf] = all.try_into().unwrap();
    assert_eq!(wharf.0, docker.0);
    assert!(docker.1.len() > 20);
    for (path, what) in &docker.1 {
        assert_eq!(wharf.1.get(path), Some(what), "{path}");
    }
    assert_eq!(wharf.1.len(), docker.1.len());
}

/// Returns an archive as `docker save` writes it.
pub(crate) fn saved(layers: &[Vec<u8>], name: &str) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let file = tar::EntryType::Regular;
    let mut names = Vec::new();
    let mut ids = Vec::new();
    for (n, layer) in layers.iter().enumerate() {
        names.push(format!("{n}.tar"));
        ids.push(format!("sha256:{}", crate::verbs_image::sha256(layer)));
        crate::harness::entry(&mut tar, &names[n], 0o644, file, layer);
    }
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux", "config": {"Cmd": ["true"]},
        "rootfs": {"type": "layers", "diff_ids": ids},
    });
    let manifest =
        serde_json::json!([{"Config": "config.json", "RepoTags": [name], "Layers": names}]);
    crate::harness::entry(&mut tar, "config.json", 0o644, file, config.to_string().as_bytes());
    crate::harness::entry(&mut tar, "manifest.json", 0o644, file, manifest.to_string().as_bytes());
    tar.into_inner().unwrap()
}

fn layers() {
    let header = |kind: tar::EntryType, mode: u32, size: usize, uid: u64| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(uid);
        header.set_gid(uid + 1);
        header.set_mtime(1_600_000_000 + uid);
        header.set_size(size as u64);
        header
    };
    use tar::EntryType as Kind;
    let mut low = tar::Builder::new(Vec::new());
    let add = |tar: &mut tar::Builder<Vec<u8>>, kind, path: &str, mode, uid, data: &[u8]| {
        tar.append_data(&mut header(kind, mode, data.len(), uid), path, data).unwrap();
    };
    add(&mut low, Kind::Directory, "d/", 0o1777, 10, b"");
    add(&mut low, Kind::Regular, "d/setuid", 0o6755, 11, b"s");
    add(&mut low, Kind::Regular, "no/folder/for/it", 0o600, 12, b"implied");
    add(&mut low, Kind::Regular, "d/twice", 0o600, 13, b"first");
    let long = format!("d/{}/{}", "n".repeat(150), "m".repeat(200));
    add(&mut low, Kind::Regular, &long, 0o644, 15, b"long");
    add(&mut low, Kind::Regular, "d/linked", 0o600, 14, b"several names");
    for (kind, path, link, mode, uid) in [
        (Kind::Link, "d/hard", "d/setuid", 0o4711, 31),
        (Kind::Link, "d/harder", "d/linked", 0o2644, 32),
        (Kind::Link, "d/hardest", "d/harder", 0o640, 33),
        (Kind::Symlink, "d/soft", "/abs/../where", 0o777, 34),
        (Kind::Link, "d/hard-soft", "d/soft", 0o777, 35),
    ] {
        low.append_link(&mut header(kind, mode, 0, uid), path, link).unwrap();
    }
    for (kind, path) in [(Kind::Char, "d/null"), (Kind::Fifo, "d/fifo"), (Kind::Block, "d/blk")] {
        let mut header = header(kind, 0o640, 0, 17);
        header.set_device_major(7).unwrap();
        header.set_device_minor(3).unwrap();
        header.set_path(path).unwrap();
        header.set_cksum();
        low.append(&header, &b""[..]).unwrap();
    }
    // cap_net_raw=ep, revision 2.
    let capability = [1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    low.append_pax_extensions([("SCHILY.xattr.security.capability", &capability[..])]).unwrap();
    add(&mut low, Kind::Regular, "d/capable", 0o755, 18, b"c");
    // A link that says nothing of the capability takes it away.
    low.append_pax_extensions([("SCHILY.xattr.security.capability", &capability[..])]).unwrap();
    add(&mut low, Kind::Regular, "d/was-capable", 0o755, 36, b"c");
    low.append_link(&mut header(Kind::Link, 0o755, 0, 36), "d/linked-capable", "d/was-capable")
        .unwrap();
    let extras: [(&str, &[u8]); 3] = [
        ("SCHILY.xattr.user.own", b"value"),
        ("SCHILY.xattr.trusted.own", b"\0binary\n"),
        ("mtime", b"1500000000.123456789"),
    ];
    low.append_pax_extensions(extras).unwrap();
    add(&mut low, Kind::Regular, "d/attributes", 0o600, 37, b"a");
    low.append_pax_extensions([("mtime", b"-1.5".as_slice())]).unwrap();
    add(&mut low, Kind::Directory, "d/before-1970/", 0o700, 38, b"");
    add(&mut low, Kind::Regular, "d/zeros", 0o600, 39, &vec![0; 300_000]);
    for path in ["w/gone/x", "w/opaque/old", "w/opaque/sub/old", "w/replaced/x", "w/file"] {
        add(&mut low, Kind::Regular, path, 0o644, 19, path.as_bytes());
    }
    add(&mut low, Kind::Directory, "w/", 0o750, 20, b"");
    let mut high = tar::Builder::new(Vec::new());
    // A folder that the upper layer leaves out keeps its properties here, and loses them in docker.
    for (path, mode, uid) in [("d/", 0o1777, 10), ("w/", 0o750, 20), ("w/opaque/", 0o700, 26)] {
        add(&mut high, Kind::Directory, path, mode, uid, b"");
    }
    for path in ["w/.wh.gone", "w/opaque/.wh..wh..opq", "w/.wh.never", "d/.wh.twice"] {
        add(&mut high, Kind::Regular, path, 0, 21, b"");
    }
    add(&mut high, Kind::Regular, "w/opaque/new", 0o644, 22, b"new");
    add(&mut high, Kind::Regular, "w/replaced", 0o644, 23, b"a file now");
    add(&mut high, Kind::Directory, "w/file/", 0o755, 24, b"");
    add(&mut high, Kind::Regular, "w/file/x", 0o644, 25, b"x");
    let layers = [low.into_inner().unwrap(), high.into_inner().unwrap()];
    let archive = saved(&layers, "compared:1");
    let sides = Side::both();
    let trees: Vec<Tree> = sides
        .iter()
        .map(|side| {
            let out = side.run(&["load"], &archive);
            assert_eq!(out.code, 0, "{}: {}", side.name(), out.stderr);
            side.ok(&["create", "--name", "compared", "--network", "none", "compared:1"]);
            let mut tree = tree_of_tar(&side.bytes(&["export", "compared"]), true);
            tree.retain(|path, _| !is_their_own(path) && path != "etc");
            tree
        })
        .collect();
    assert!(trees[0].len() > 15, "{trees:?}");
    for (path, what) in &trees[0] {
        // What the archive leaves out has the time of its making.
        if !path.starts_with("no/folder") && path != "no" && !path.ends_with(&"n".repeat(150)) {
            assert_eq!(trees[1].get(path), Some(what), "{path}");
        }
    }
    let names = |tree: &Tree| tree.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&trees[0]), names(&trees[1]));
    // The layers themselves, as the filesystem has them.
    let driver = sides[0].ok(&["info", "--format", "{{.Driver}}"]);
    if driver != "overlay2" {
        return;
    }
    let theirs = "{{.GraphDriver.Data.UpperDir}}:{{.GraphDriver.Data.LowerDir}}";
    let theirs = sides[0].ok(&["image", "inspect", "-f", theirs, "compared:1"]);
    let Side::Wharf(lab) = &sides[1] else { panic!("the sides are turned round") };
    let mut below = String::new();
    for (layer, their) in layers.iter().zip(theirs.split(':').rev()) {
        let diff_id = format!("sha256:{}", crate::verbs_image::sha256(layer));
        let chain = match below.as_str() {
            "" => diff_id,
            below => {
                let text = format!("{below} {diff_id}");
                format!("sha256:{}", crate::verbs_image::sha256(text.as_bytes()))
            }
        };
        let ours = on_disk(&lab.root().join("layers").join(&chain[7..]));
        let theirs = on_disk(Path::new(their));
        assert!(theirs.len() > 5);
        for (path, what) in &theirs {
            assert_eq!(ours.get(path), Some(what), "{path}");
        }
        assert_eq!(ours.len(), theirs.len());
        below = chain;
    }
}

/// Everything that the filesystem says of what is in a folder, but the time of folders that the
/// archive leaves out, which is that of their making.
pub(crate) fn on_disk(folder: &Path) -> Tree {
    fn add(root: &Path, at: &Path, tree: &mut Tree) {
        for entry in std::fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            let found = path.symlink_metadata().unwrap();
            let name = path.strip_prefix(root).unwrap().display().to_string();
            let content = match () {
                () if found.is_file() => crate::verbs_image::sha256(&std::fs::read(&path).unwrap()),
                () if found.is_symlink() => {
                    std::fs::read_link(&path).unwrap().display().to_string()
                }
                () => String::new(),
            };
            let made = found.is_dir() && found.mtime() > 1_700_000_000
                || found.file_type().is_char_device() && found.rdev() == 0;
            let time = if made { (0, 0) } else { (found.mtime(), found.mtime_nsec()) };
            let mut list = vec![0; 4096];
            let length = rustix::fs::llistxattr(&path, list.as_mut_slice()).unwrap();
            let mut attributes: Vec<String> = list[..length]
                .split(|byte| *byte == 0)
                .filter(|key| !key.is_empty() && !key.starts_with(b"security.selinux"))
                .map(|key| {
                    let mut value = vec![0; 4096];
                    let length = rustix::fs::lgetxattr(&path, key, value.as_mut_slice()).unwrap();
                    format!("{}={:?}", String::from_utf8_lossy(key), &value[..length])
                })
                .collect();
            attributes.sort();
            let described = format!(
                "{:o} {}:{} {time:?} links {} device {:x} size {} {content} {attributes:?}",
                found.mode(),
                found.uid(),
                found.gid(),
                if found.is_dir() { 0 } else { found.nlink() },
                found.rdev(),
                if found.is_dir() { 0 } else { found.size() },
            );
            tree.insert(name, described);
            if found.is_dir() {
                add(root, &path, tree);
            }
        }
    }
    let mut tree = Tree::new();
    add(folder, folder, &mut tree);
    tree
}

fn commits() {
    let changes = [
        "ENV A=1 B=\"two words\" C=$PATH",
        "LABEL l=$A m='x y'",
        "EXPOSE 80 53/udp",
        "VOLUME /data /more",
        "USER app",
        "WORKDIR /srv",
        "WORKDIR sub",
        "HEALTHCHECK --interval=5s --retries=2 CMD true || false",
        "ONBUILD RUN true",
        "ENTRYPOINT [\"/bin/sh\", \"-c\"]",
        "CMD echo hi",
    ];
    let bad = [
        "RUN x",
        "FOO",
        "ENV",
        "ENV a",
        "ENV a=b c",
        "USER",
        "EXPOSE x",
        "STOPSIGNAL",
        "STOPSIGNAL NO",
        "HEALTHCHECK NONE x",
        "HEALTHCHECK CMD",
        "HEALTHCHECK",
        "ONBUILD",
        "ONBUILD ONBUILD RUN x",
        "ONBUILD FROM x",
        "WORKDIR",
        "VOLUME",
        "LABEL a=\"b",
        "LABEL",
    ];
    let mut all = Vec::new();
    let sides = Side::both();
    for side in &sides {
        side.ok(&[
            "run",
            "--name",
            "one",
            "--network",
            "none",
            "-e",
            "X=y",
            IMAGE,
            "sh",
            "-c",
            "echo x > /new",
        ]);
        let mut arguments = vec!["commit", "-a", "me", "-m", "why"];
        for change in &changes {
            arguments.extend(["-c", change]);
        }
        arguments.extend(["one", "made:1"]);
        let id = side.ok(&arguments);
        assert!(id.starts_with("sha256:") && id.len() == 71, "{id}");
        let text = side.ok(&["inspect", "made:1"]);
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        let document = &document[0];
        assert_eq!(document["Author"], "me");
        assert_eq!(document["Comment"], "why");
        assert_eq!(document["RootFS"]["Layers"].as_array().unwrap().len(), 2);
        let config: Vec<serde_json::Value> =
            ["Env", "Labels", "ExposedPorts", "Volumes", "User", "WorkingDir", "Entrypoint", "Cmd"]
                .iter()
                .map(|key| document["Config"][key].clone())
                .collect();
        // An image made of nothing new has no layer more.
        side.ok(&["create", "--name", "same", "--network", "none", IMAGE, "true"]);
        side.ok(&["commit", "same", "same:1"]);
        let text = side.ok(&["inspect", "same:1"]);
        let same: serde_json::Value = serde_json::from_str(&text).unwrap();
        let layers = same[0]["RootFS"]["Layers"].as_array().unwrap().len();
        let refused: Vec<bool> =
            bad.iter().map(|c| side.run(&["commit", "-c", c, "one"], b"").code != 0).collect();
        if std::env::var_os("WHARF_SHOW").is_some() {
            for change in bad {
                eprintln!(
                    "{}: {change}: {}",
                    side.name(),
                    side.run(&["commit", "-c", change, "one"], b"").stderr
                );
            }
        }
        all.push((config, layers, refused));
        let missing = side.run(&["commit", "none", "x"], b"");
        assert_eq!(missing.code, 1);
        assert!(missing.stderr.contains("No such container: none"), "{missing:?}");
        assert_eq!(side.run(&["commit", "one", "Not/Good"], b"").code, 1);
    }
    assert_eq!(all[0], all[1]);
    // What wharf exports, docker imports, and the other way round.
    for (from, to) in [(0, 1), (1, 0)] {
        let tar = sides[from].bytes(&["export", "one"]);
        let out = sides[to].run(&["import", "-", "crossed:1"], &tar);
        assert_eq!(out.code, 0, "{out:?}");
        let shown = sides[to].ok(&["run", "--rm", "--network", "none", "crossed:1", "cat", "/new"]);
        assert_eq!(shown, "x");
    }
}
