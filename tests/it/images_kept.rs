//! What the engine keeps of images and gives to others: `save` and `load` with everybody's tools, the
//! sizes of it all on the disk, and what a prune gives back.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use crate::audit::is_clean;
use crate::copy_docker::{is_their_own, tree_of_tar};
use crate::dockerd::{self, Dockerd};
use crate::harness::{
    IMAGE, Lab, Test, entry, eventually, folder, lacks_programs, rootfs_archive, run,
};
use crate::pty::Terminal;
use crate::tests;
use crate::verbs_image::{layered_archive, sha256};

pub(crate) fn tests() -> Vec<Test> {
    let mut tests = tests![
        saved_images_come_back,
        bad_saves_and_loads_leave_nothing,
        sizes_are_those_of_the_filesystem,
        blobs_are_checked,
    ];
    let lacks =
        dockerd::lacks().or_else(|| lacks_programs(&["docker", "podman", "skopeo", "gzip"]));
    let test = Test::new("everybody_reads_what_is_saved", everybody).needing(lacks);
    tests.push(test);
    tests
}

/// Returns the name, the id and the digest of all that is in the list.
fn list(lab: &Lab) -> Vec<String> {
    let format = "{{.Repository}}:{{.Tag}} {{.ID}}";
    let text = lab.ok(&["images", "--no-trunc", "--format", format]);
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// An engine with an image of several layers, and one made of a container of it.
fn furnished() -> Lab {
    let lab = Lab::empty();
    let out = lab.run_with(&["load"], &layered_archive());
    assert_eq!(out.code, 0, "{out:?}");
    let line =
        "echo made > /etc/made; rm /kept; mkdir /new; chmod 711 /new; ln /etc/made /new/same";
    lab.ok(&[
        "run",
        "--name",
        "maker",
        "--network",
        "none",
        "wharf-test/layers:1",
        "sh",
        "-c",
        line,
    ]);
    lab.ok(&["commit", "maker", "made:1"]);
    lab.ok(&["rm", "maker"]);
    lab.ok(&["tag", "made:1", "made:2"]);
    lab
}

fn saved_images_come_back() {
    let lab = furnished();
    let file = lab.root().join("saved.tar");
    let path = file.to_str().unwrap();
    lab.ok(&["save", "-o", path, "made", "wharf-test/layers:1"]);
    assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o600);
    let bytes = std::fs::read(&file).unwrap();
    let streamed = lab.command(&["save", "made", "wharf-test/layers:1"]).output().unwrap();
    assert!(streamed.stdout == bytes, "{:?}", String::from_utf8_lossy(&streamed.stderr));

    let other = Lab::empty();
    let loaded = other.ok(&["load", "-i", path]);
    let mut lines: Vec<&str> = loaded.lines().collect();
    lines.sort_unstable();
    let wanted = ["made:1", "made:2", "wharf-test/layers:1"].map(|n| format!("Loaded image: {n}"));
    assert_eq!(lines, wanted);
    assert_eq!(list(&other), list(&lab));
    let show = "cat /etc/made; ls / | grep kept; ls /dir; stat -c %a%h /new/same";
    let shown = other.ok(&["run", "--rm", "--network", "none", "made:2", "sh", "-c", show]);
    assert_eq!(shown, "made\nnew\n6442");
    // One after the other, by id: without a name.
    let id = lab.ok(&["images", "-q", "--no-trunc", "made:1"]);
    let third = Lab::empty();
    let archive = lab.command(&["save", &id]).output().unwrap().stdout;
    let out = third.run_with(&["load", "-q"], &archive);
    assert_eq!(out.stdout, format!("Loaded image ID: {id}\n"), "{out:?}");
    // Whatever the archive is packed in.
    for program in ["gzip", "zstd"] {
        if lacks_programs(&[program]).is_some() {
            continue;
        }
        let mut packer = Command::new(program);
        packer.args(["-f", "-k", path]);
        assert_eq!(run(packer, b"").code, 0);
        let packed = format!("{path}.{}", if program == "gzip" { "gz" } else { "zst" });
        let fresh = Lab::empty();
        fresh.ok(&["load", "-i", &packed]);
        assert_eq!(list(&fresh), list(&lab), "{program}");
    }
    for lab in [&lab, &other, &third] {
        is_clean(lab);
    }
}

fn bad_saves_and_loads_leave_nothing() {
    let lab = Lab::new();
    let file = lab.root().join("saved.tar");
    let path = file.to_str().unwrap();
    lab.fails(1, "No such image: none:latest", &["save", "-o", path, IMAGE, "none"]);
    lab.fails(1, "requires at least 1 argument", &["save"]);
    lab.fails(
        1,
        "does not match the specified platform: wanted linux/s390x, actual: linux/amd64",
        &["save", "--platform", "linux/s390x", "-o", path, IMAGE],
    );
    assert!(!file.exists());
    lab.ok(&["save", "--platform", "linux/amd64", "-o", path, IMAGE]);
    lab.fails(1, "is a directory", &["save", "-o", lab.root().to_str().unwrap(), IMAGE]);
    let mut terminal = Terminal::start(&lab.command(&["save", IMAGE]), 200, 24);
    terminal.wait_for("cowardly refusing to save to a terminal");
    assert_eq!(terminal.wait(), 1);

    let other = Lab::empty();
    let platform = ["load", "-i", path, "--platform", "linux/s390x"];
    other.fails(1, "does not match the specified platform", &platform);
    other.fails(1, "No such file", &["load", "-i", "/nowhere"]);
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    other.fails(1, "cut off", &["load", "-i", path]);
    let cut = other.run_with(&["load"], &whole[..whole.len() / 2]);
    assert!(cut.code == 1 && cut.stderr.contains("cut off"), "{cut:?}");
    assert_eq!(other.ok(&["images", "-aq"]), "");
    is_clean(&other);
}

/// Returns the bytes of the disk that the engine's images take, everything looked at.
pub(crate) fn on_disk(lab: &Lab) -> u64 {
    fn blocks(path: &Path, known: &mut BTreeSet<u64>) -> u64 {
        let Ok(found) = path.symlink_metadata() else { return 0 };
        if !known.insert(found.ino()) {
            return 0;
        }
        let mut within = 0;
        if found.is_dir() {
            for entry in std::fs::read_dir(path).unwrap() {
                within += blocks(&entry.unwrap().path(), known);
            }
        }
        found.blocks() * 512 + within
    }
    let mut known = BTreeSet::new();
    ["layers", "blobs", "tmp"].iter().map(|name| blocks(&lab.root().join(name), &mut known)).sum()
}

/// Returns the number that a text like `1.5kB` stands for.
fn bytes(text: &str) -> f64 {
    let at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap();
    let unit = ["B", "kB", "MB", "GB"].iter().position(|unit| *unit == &text[at..]).unwrap();
    text[..at].parse::<f64>().unwrap() * 1000_f64.powi(i32::try_from(unit).unwrap())
}

fn close_to(found: f64, wanted: u64, what: &str) {
    let wanted = f64::from(u32::try_from(wanted).unwrap());
    // Four digits are shown; folders themselves grow and don't shrink.
    assert!((found - wanted).abs() <= wanted / 500.0 + 8192.0, "{what}: {found}, not {wanted}");
}

fn sizes_are_those_of_the_filesystem() {
    let lab = furnished();
    let empty = on_disk(&Lab::new()).min(12 << 10);
    let column = |field: &str| {
        let text = lab.ok(&["system", "df", "--format", &format!("{{{{.Type}}}} {field}")]);
        let line = text.lines().find(|line| line.starts_with("Images ")).unwrap().to_owned();
        line["Images ".len()..].split(' ').next().unwrap().to_owned()
    };
    // A file with a hole, and one that has several names, count what they take.
    lab.import(&sparse(), "sparse");
    close_to(bytes(&column("{{.Size}}")), on_disk(&lab) - empty, "df");
    let reclaimable = bytes(&column("{{.Reclaimable}}"));
    close_to(reclaimable, on_disk(&lab) - empty, "nothing is used");
    // What a container has, stays.
    lab.ok(&["create", "--name", "user", "wharf-test/layers:1", "true"]);
    let reclaimable = bytes(&column("{{.Reclaimable}}"));
    assert_eq!(column("{{.TotalCount}} {{.Active}}"), "3");
    let before = on_disk(&lab);
    let told = lab.ok(&["image", "prune", "-af"]);
    let freed = before - on_disk(&lab);
    let told = bytes(told.rsplit("Total reclaimed space: ").next().unwrap());
    close_to(told, freed, "image prune");
    close_to(reclaimable, freed, "df before");
    assert_eq!(lab.ok(&["images", "-q"]).lines().count(), 1);
    lab.ok(&["start", "-a", "user"]);
    let text = lab.ok(&["system", "df", "-v"]);
    for part in ["Images space usage:", "UNIQUE SIZE", "wharf-test/layers", "user", "LOCAL VOLUMES"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    // Everything, in one go.
    lab.ok(&["network", "create", "unused"]);
    let answer = lab.run_with(&["system", "prune", "-a"], b"n\n").stdout;
    for part in ["all stopped containers", "all networks", "all images without", "all build cache"]
    {
        assert!(answer.contains(part), "{part}: {answer}");
    }
    lab.fails(1, "not supported with", &["system", "prune", "--volumes", "--filter", "until=1h"]);
    let spared = lab.ok(&["system", "prune", "-af", "--filter", "until=24h"]);
    assert_eq!(spared, "Total reclaimed space: 0B");
    let text = lab.ok(&["system", "prune", "-af", "--volumes"]);
    for part in
        ["Deleted Containers:\n", "Deleted Networks:\nunused\n", "untagged: wharf-test/layers"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(lab.ok(&["images", "-aq"]), "");
    assert!(on_disk(&lab) <= 24 << 10, "{} are left", on_disk(&lab));
    is_clean(&lab);
}

/// A root filesystem with a file that is mostly hole.
fn sparse() -> Vec<u8> {
    let folder = folder();
    let file = std::fs::File::create(folder.join("sparse")).unwrap();
    file.set_len(64 << 20).unwrap();
    std::fs::write(folder.join("data"), vec![b'x'; 3 << 20]).unwrap();
    std::fs::hard_link(folder.join("data"), folder.join("same")).unwrap();
    let mut tar = Command::new("tar");
    tar.args(["-S", "-c", "-C"]).arg(&folder).arg(".");
    let bytes = tar.output().unwrap().stdout;
    std::fs::remove_dir_all(folder).unwrap();
    bytes
}

fn blobs_are_checked() {
    let lab = Lab::empty();
    // What is loaded from an OCI archive has blobs.
    let (archive, layer, manifest) = packed_archive("packed:1");
    let out = lab.run_with(&["load"], &archive);
    assert_eq!((out.code, out.stdout.as_str()), (0, "Loaded image: packed:1\n"), "{out:?}");
    let digests = lab.ok(&["images", "--digests", "--format", "{{.Digest}}", "packed"]);
    assert_eq!(digests, format!("sha256:{manifest}"));
    let detail = lab.ok(&["image", "inspect", "-f", "{{.RepoDigests}}", "packed:1"]);
    assert_eq!(detail, format!("[packed@{digests}]"));
    let by_digest = format!("packed@{digests}");
    lab.ok(&["create", "--name", "named", "--network", "none", &by_digest, "true"]);
    // What runs can be told to the byte.
    assert_eq!(lab.inspect("named", "/ImageManifestDescriptor/digest"), digests.as_str());
    assert_eq!(lab.inspect("named", "/Config/Image"), by_digest.as_str());
    lab.ok(&["start", "-a", "named"]);
    lab.ok(&["rm", "named"]);
    let folder = lab.root().join("blobs/sha256");
    let blob = folder.join(layer);
    let whole = std::fs::read(&blob).unwrap();
    std::fs::write(&blob, &whole[..10]).unwrap();
    let findings = || lab.run(&["system", "check", "--format", "json"]);
    let out = findings();
    assert!(out.stdout.contains("it is gone or cut short"), "{out:?}");
    std::fs::write(&blob, &whole).unwrap();
    is_clean(&lab);
    let orphan = folder.join("ab".repeat(32));
    std::fs::write(&orphan, "nobody's").unwrap();
    assert!(findings().stdout.contains("no image has it"));
    lab.ok(&["system", "check", "--repair"]);
    assert!(!orphan.exists() && blob.exists());
    std::fs::remove_file(&blob).unwrap();
    lab.run(&["system", "check", "--repair"]);
    is_clean(&lab);
    // Containers don't need it; only who wants to give the image away does.
    lab.ok(&["run", "--rm", "--network", "none", "packed:1", "true"]);
    let file = lab.root().join("saved.tar").display().to_string();
    lab.fails(1, "pull or load the image again", &["save", "-o", &file, "packed:1"]);
}

/// Returns an OCI archive of the test's root filesystem in a compressed layer, and the digits of the
/// digests of its layer's blob and its manifest.
pub(crate) fn packed_archive(name: &str) -> (Vec<u8>, String, String) {
    let mut gzip = Command::new(crate::harness::busybox());
    gzip.args(["gzip", "-c"]).arg(rootfs_archive());
    let layer = gzip.output().unwrap().stdout;
    let plain = std::fs::read(rootfs_archive()).unwrap();
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", sha256(&plain))]},
    });
    let config = config.to_string().into_bytes();
    let described = |kind: &str, bytes: &[u8]| {
        serde_json::json!({
            "mediaType": format!("application/vnd.oci.image.{kind}"),
            "digest": format!("sha256:{}", sha256(bytes)), "size": bytes.len(),
        })
    };
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "config": described("config.v1+json", &config),
        "layers": [described("layer.v1.tar+gzip", &layer)],
    });
    let manifest = manifest.to_string().into_bytes();
    let mut named = described("manifest.v1+json", &manifest);
    named["annotations"] = serde_json::json!({"io.containerd.image.name": name});
    let index = serde_json::json!({"schemaVersion": 2, "manifests": [named]}).to_string();
    let mut archive = tar::Builder::new(Vec::new());
    let file = tar::EntryType::Regular;
    for bytes in [&layer, &config, &manifest] {
        entry(&mut archive, &format!("blobs/sha256/{}", sha256(bytes)), 0o644, file, bytes);
    }
    entry(&mut archive, "index.json", 0o644, file, index.as_bytes());
    (archive.into_inner().unwrap(), sha256(&layer), sha256(&manifest))
}

/// Other people's tools, each with folders of its own.
struct Others {
    dockerd: Dockerd,
    folder: std::path::PathBuf,
}

impl Others {
    #[track_caller]
    fn ok(&self, program: &str, arguments: &[&str]) -> Vec<u8> {
        let mut command = Command::new(program);
        let path = |name: &str| self.folder.join(name).to_str().unwrap().to_owned();
        match program {
            "docker" => {
                command.args(["--config", &path("config"), "--host", &self.dockerd.host()]);
            }
            "podman" => {
                command.args(["--root", &path("root"), "--runroot", &path("run")]);
                command.args(["--storage-driver", "vfs"]);
            }
            _ => {
                command.arg("--insecure-policy");
            }
        }
        let out = command.args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{program} {arguments:?}: {said}");
        out.stdout
    }

    fn text(&self, program: &str, arguments: &[&str]) -> String {
        String::from_utf8(self.ok(program, arguments)).unwrap().trim().to_owned()
    }
}

fn everybody() {
    let others = Others { dockerd: Dockerd::start(), folder: folder() };
    let path = |name: &str| others.folder.join(name).to_str().unwrap().to_owned();
    let lab = furnished();
    let saved = path("saved.tar");
    // Podman has its own opinion of names without a registry.
    let names = ["example.com/made:1", "example.com/layers:1"];
    for (name, from) in names.iter().zip(["made:1", "wharf-test/layers:1"]) {
        lab.ok(&["tag", from, name]);
    }
    lab.ok(&[&["save", "-o", &saved], &names[..]].concat());
    let ids = names.map(|name| lab.ok(&["images", "-q", "--no-trunc", name]));
    let exported = {
        lab.ok(&["create", "--name", "shown", "--network", "none", "made:1"]);
        tree(&lab.command(&["export", "shown"]).output().unwrap().stdout)
    };
    assert!(exported.len() > 10);

    // docker, both ways.
    others.ok("docker", &["load", "-i", &saved]);
    for (name, id) in names.iter().zip(&ids) {
        assert_eq!(others.text("docker", &["image", "inspect", "-f", "{{.Id}}", name]), *id);
    }
    others.ok("docker", &["create", "--name", "shown", "--network", "none", names[0]]);
    let theirs = tree(&others.ok("docker", &["export", "shown"]));
    for (path, what) in &theirs {
        assert_eq!(exported.get(path), Some(what), "{path}");
    }
    assert_eq!(theirs.len(), exported.len());
    let returned = path("docker.tar");
    others.ok("docker", &[&["save", "-o", &returned], &names[..]].concat());
    comes_back(&returned, &names, &ids, "docker");

    // podman, both ways, in both formats.
    others.ok("podman", &["load", "-i", &saved]);
    let podman = |name: &str| others.text("podman", &["image", "inspect", "-f", "{{.Id}}", name]);
    for (name, id) in names.iter().zip(&ids) {
        assert_eq!(format!("sha256:{}", podman(name)), *id);
    }
    for format in ["docker-archive", "oci-archive"] {
        let returned = path(&format!("podman-{format}.tar"));
        let save = ["save", "--format", format, "-o", &returned, names[0]];
        others.ok("podman", &save);
        // Podman writes the configuration anew where the format is another than the image's.
        let ids = if format == "docker-archive" { &ids[..1] } else { &[] };
        comes_back(&returned, &names[..1], ids, format);
    }

    // skopeo reads both sides of the archive, and what it writes is read.
    let from = format!("docker-archive:{saved}:{}", names[1]);
    let written = path("skopeo.tar");
    for (from, to) in [
        (from, format!("oci-archive:{written}:{}", names[1])),
        (format!("oci-archive:{written}"), format!("dir:{}", path("dir"))),
    ] {
        others.ok("skopeo", &["copy", &from, &to]);
    }
    comes_back(&written, &names[1..], &ids[1..], "skopeo");
    // What came compressed goes out as it came.
    let again = Lab::empty();
    again.ok(&["load", "-i", &written]);
    let second = path("second.tar");
    again.ok(&["save", "-o", &second, names[1]]);
    let digest = |archive: &str| {
        let from = format!("oci-archive:{archive}");
        others.text("skopeo", &["inspect", "--format", "{{.Digest}}", &from])
    };
    assert_eq!(digest(&second), digest(&written));
    drop(others.dockerd);
    eventually("podman's folders can be removed", || {
        std::fs::remove_dir_all(&others.folder).is_ok() || !others.folder.exists()
    });
}

fn tree(archive: &[u8]) -> std::collections::BTreeMap<String, String> {
    let mut tree = tree_of_tar(archive, false);
    tree.retain(|path, _| !is_their_own(path) && path != "etc");
    tree
}

/// A fresh engine reads what somebody else wrote, and has the same images.
fn comes_back(archive: &str, names: &[&str], ids: &[String], whose: &str) {
    let lab = Lab::empty();
    let loaded = lab.ok(&["load", "-i", archive]);
    for (n, name) in names.iter().enumerate() {
        let id = lab.ok(&["images", "-q", "--no-trunc", name]);
        assert!(ids.get(n).is_none_or(|wanted| *wanted == id), "{whose}: {name} {id}: {loaded}");
        let out = lab.ok(&["run", "--rm", "--network", "none", name, "cat", "/srv/readme"]);
        assert_eq!(out, "not a program", "{whose}: {name}");
    }
    is_clean(&lab);
}
