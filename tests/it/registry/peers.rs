//! The same registry from the other side: each reads what the other wrote.

use std::path::Path;

use wharf_model::{LayerState, PullOptions, PushOptions, TransferEvent};

use futures_util::StreamExt;
use wharf_backend::Backend;
use wharf_backend::docker::Docker;

use super::layer;
use super::server::{Desk, Registry, program, text};
use crate::copy_docker::on_disk;
use crate::dockerd::{self, Dockerd};
use crate::harness::{Test, eventually, folder, lacks_programs, rootfs_tar, run};
use crate::verbs_image::image_archive;

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::new("skopeo_reads_and_writes_the_same", skopeo),
        Test::new("a_dockerd_reads_and_writes_the_same", docker).needing(dockerd::lacks()),
        Test::new("podman_reads_and_writes_the_same", podman).needing(lacks_programs(&["podman"])),
    ]
}

fn skopeo() {
    let registry = Registry::plain();
    let desk = Desk::new();
    let name = |rest: &str| format!("{}/{rest}", registry.address);
    let image = name("own:1");
    assert_eq!(run(desk.command(&["import", "-", &image]), &rootfs_tar()).code, 0);
    let pushed = desk.ok(&["push", &image]);
    let pushed = pushed.lines().last().unwrap().split(' ').nth(2).unwrap().to_owned();
    let place = |rest: &str| format!("docker://{}", name(rest));
    let inspect = |rest: &str| {
        let text = program("skopeo", &["inspect", "--tls-verify=false", &place(rest)]);
        serde_json::from_str::<serde_json::Value>(&text).unwrap()
    };
    assert_eq!(inspect("own:1")["Digest"], pushed);
    let copy = |flags: &[&str], from: &str, to: &str| {
        let mut words = vec!["copy", "--src-tls-verify=false", "--dest-tls-verify=false"];
        words.extend_from_slice(flags);
        words.extend_from_slice(&[from, to]);
        program("skopeo", &words);
    };
    // In docker's form, and with its layers packed anew.
    copy(&["--format", "v2s2"], &place("own:1"), &place("docker:1"));
    copy(&["--dest-compress-format", "zstd"], &place("own:1"), &place("zstd:1"));
    for other in ["docker:1", "zstd:1"] {
        desk.forget();
        let out = desk.ok(&["pull", &name(other)]);
        let digest = inspect(other)["Digest"].as_str().unwrap().to_owned();
        assert!(out.contains(&format!("Digest: {digest}\n")), "{out}");
        let run = ["run", "--rm", "--network", "none", &name(other), "cat", "/srv/readme"];
        assert_eq!(desk.ok(&run), "not a program");
        // And out again, byte for byte.
        let back = name("back:1");
        desk.ok(&["tag", &name(other), &back]);
        let out = desk.ok(&["push", &back]);
        assert!(out.contains(&format!("1: digest: {digest} size: ")), "{out}");
    }
}

fn podman() {
    let registry = Registry::plain();
    let desk = Desk::new();
    let folder = folder();
    let path = |name: &str| text(&folder.join(name));
    let podman = |arguments: &[&str]| {
        let (root, run) = (path("root"), path("run"));
        let mut words = vec!["--root", &root, "--runroot", &run, "--storage-driver", "vfs"];
        words.extend_from_slice(arguments);
        program("podman", &words).trim().to_owned()
    };
    let name = |rest: &str| format!("{}/{rest}", registry.address);
    let (ours, theirs) = (name("ours:1"), name("theirs:1"));
    assert_eq!(run(desk.command(&["import", "-", &ours]), &rootfs_tar()).code, 0);
    desk.ok(&["push", &ours]);
    let id = desk.ok(&["images", "-q", "--no-trunc", &ours]);
    assert_eq!(format!("sha256:{}", podman(&["pull", "-q", "--tls-verify=false", &ours])), id);
    let shown = ["image", "inspect", "-f", "{{.Digest}}", &ours];
    let digest = podman(&shown);
    let shown = desk.ok(&["inspect", "-f", "{{index .RepoDigests 0}}", &ours]);
    assert_eq!(shown, format!("{}@{digest}", name("ours")));
    // The other way round, in both forms, and with the layers packed by zstd.
    for flags in
        [&["--format", "oci"][..], &["--format", "v2s2"], &["--compression-format", "zstd"]]
    {
        podman(&["tag", &ours, &theirs]);
        podman(&[&["push", "-q", "--tls-verify=false"], flags, &[&theirs]].concat());
        desk.forget();
        desk.ok(&["pull", &theirs]);
        let run = ["run", "--rm", "--network", "none", &theirs, "cat", "/srv/readme"];
        assert_eq!(desk.ok(&run), "not a program", "{flags:?}");
    }
    eventually("podman's folders can be removed", || {
        std::fs::remove_dir_all(&folder).is_ok() || !folder.exists()
    });
}

/// Returns layers of files of the Debian that this host is: programs, libraries, documentation, what the
/// package manager knows; some 100 MB, as far as there is so much.
fn debian(folder: &Path) -> Vec<Vec<u8>> {
    let parts = [
        ("usr/bin", 40 << 20),
        ("usr/lib/x86_64-linux-gnu", 50 << 20),
        ("usr/share/doc", 4 << 20),
        ("var/lib/dpkg/info", 3 << 20),
    ];
    let layer = |(part, most): (&str, u64)| {
        let mut names = Vec::new();
        let mut entries: Vec<_> =
            std::fs::read_dir(Path::new("/").join(part)).unwrap().flatten().collect();
        entries.sort_by_key(std::fs::DirEntry::file_name);
        let mut sum = 0;
        for entry in entries {
            let found = entry.metadata().unwrap();
            // Folders of documentation are small, and those of libraries have no end.
            let size = match found.is_dir() {
                true if part != "usr/share/doc" => continue,
                true => 40 << 10,
                false => found.len(),
            };
            if size < most / 4 && sum < most {
                sum += size;
                names.push(format!("{part}/{}", entry.file_name().to_str().unwrap()));
            }
        }
        let list = folder.join("list");
        let archive = text(&folder.join("layer.tar"));
        let words = ["-C", "/", "--xattrs", "--numeric-owner", "--sort=name", "-cf", &archive];
        // The first name is the folder alone, without what is in it.
        let alone = ["--no-recursion", part, "--recursion", "-T", &text(&list)];
        std::fs::write(&list, names.join("\n")).unwrap();
        program("tar", &[&words[..], &alone[..]].concat());
        std::fs::read(&archive).unwrap()
    };
    parts.map(layer).to_vec()
}

/// What skopeo has put into the registry is on the disk as dockerd has it.
fn installed(registry: &Registry, desk: &Desk, dockerd: &Dockerd) {
    let folder = folder();
    let layers = debian(&folder);
    let archive = folder.join("debian.tar");
    std::fs::write(&archive, image_archive("debian:1", &layers)).unwrap();
    let name = format!("{}/debian:1", registry.address);
    let from = format!("docker-archive:{}", text(&archive));
    program(
        "skopeo",
        &[
            "--insecure-policy",
            "copy",
            "-q",
            "--dest-tls-verify=false",
            &from,
            &format!("docker://{name}"),
        ],
    );
    desk.forget();
    desk.ok(&["pull", &name]);
    dockerd.docker(&["pull", "-q", &name], b"");
    if dockerd.docker(&["info", "--format", "{{.Driver}}"], b"").trim() == "overlay2" {
        let theirs = "{{.GraphDriver.Data.UpperDir}}:{{.GraphDriver.Data.LowerDir}}";
        let theirs = dockerd.docker(&["image", "inspect", "-f", theirs, &name], b"");
        let ours = "{{.GraphDriver.Data.UpperDir}}:{{.GraphDriver.Data.LowerDir}}";
        let ours = desk.ok(&["image", "inspect", "-f", ours, &name]);
        let pairs: Vec<_> = ours.split(':').zip(theirs.trim().split(':')).collect();
        assert_eq!(pairs.len(), layers.len(), "{ours} {theirs}");
        let mut files = 0;
        for (ours, theirs) in pairs {
            let (ours, theirs) = (on_disk(Path::new(ours)), on_disk(Path::new(theirs)));
            for (path, what) in &theirs {
                assert_eq!(ours.get(path), Some(what), "{path}");
            }
            assert_eq!(ours.len(), theirs.len());
            files += theirs.len();
        }
        assert!(files > 1000, "{files}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

fn docker() {
    let registry = Registry::plain();
    let desk = Desk::new();
    let dockerd = Dockerd::start();
    let host = dockerd.host();
    let docker = |arguments: &[&str]| dockerd.docker(arguments, b"");
    installed(&registry, &desk, &dockerd);
    let name = |rest: &str| format!("{}/{rest}", registry.address);
    let (ours, theirs) = (name("ours:1"), name("theirs:1"));
    assert_eq!(run(desk.command(&["import", "-", &ours]), &rootfs_tar()).code, 0);
    let pushed = desk.ok(&["push", &ours]);
    let digest = pushed.lines().last().unwrap().split(' ').nth(2).unwrap().to_owned();
    let pulled = docker(&["pull", &ours]);
    assert!(pulled.contains(&format!("Digest: {digest}\n")), "{pulled}");
    let id = desk.ok(&["images", "-q", "--no-trunc", &ours]);
    assert_eq!(docker(&["images", "-q", "--no-trunc", &ours]).trim(), id);
    // What docker says of a pull with nothing to do is what we say.
    assert_eq!(docker(&["pull", &ours]).trim_end(), desk.ok(&["pull", &ours]));
    // The other way round.
    docker(&["tag", &ours, &theirs]);
    let out = docker(&["push", &theirs]);
    desk.forget();
    let pulled = desk.ok(&["pull", &theirs]);
    let digest = out.lines().last().unwrap().split(' ').nth(2).unwrap();
    assert!(pulled.contains(&format!("Digest: {digest}\n")), "{pulled}\n{out}");
    assert_eq!(desk.ok(&["images", "-q", "--no-trunc", &theirs]), id);
    let out = desk.ok(&["manifest", "inspect", &theirs]);
    let mut command = std::process::Command::new("docker");
    command
        .args(["manifest", "inspect", "--insecure", &theirs])
        .env("DOCKER_CONFIG", desk.docker());
    let wanted = run(command, b"");
    let (out, wanted): (serde_json::Value, serde_json::Value) =
        (serde_json::from_str(&out).unwrap(), serde_json::from_str(&wanted.stdout).unwrap());
    assert_eq!(out, wanted);
    lists_in_docker_s_folder(&desk, &theirs, &name("list:1"));
    // Its own pulls and pushes, seen through us.
    registry.put_image("new:1", "amd64", &[rootfs_tar(), layer("a", 700)]);
    let out = run(desk.command(&["--host", &host, "pull", &name("new:1")]), b"");
    assert_eq!(out.code, 0, "{out:?}");
    for says in ["1: Pulling from new\n", ": Pull complete\n", "Status: Downloaded newer image for"]
    {
        assert!(out.stdout.contains(says), "no {says:?} in {}", out.stdout);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let backend = Docker::connect(&host).unwrap();
        let reference = name("new:1").parse::<wharf_model::ImageReference>().unwrap();
        let events = backend.pull(PullOptions::new(reference.clone())).await.unwrap();
        let events: Vec<_> = events.collect().await;
        assert!(
            matches!(events.last(), Some(Ok(TransferEvent::Ended { newer: false, .. }))),
            "{events:?}"
        );
        let push = PushOptions {
            repository: reference.repository().clone(),
            tag: Some("1".to_owned()),
            platform: None,
        };
        let events: Vec<_> = backend.push(push).await.unwrap().collect().await;
        let there = |event: &&Result<TransferEvent, _>| {
            // It takes a layer over that another of its images has sent already.
            matches!(
                event,
                Ok(TransferEvent::Layer {
                    state: LayerState::Exists | LayerState::Mounted { .. },
                    ..
                })
            )
        };
        assert_eq!(events.iter().filter(there).count(), 2, "{events:?}");
        assert!(matches!(events.last(), Some(Ok(TransferEvent::Pushed(_)))), "{events:?}");
        let missing = name("nobody:1").parse::<wharf_model::ImageReference>().unwrap();
        let refused = match backend.pull(PullOptions::new(missing)).await {
            Ok(events) => events.collect::<Vec<_>>().await.pop().unwrap().unwrap_err(),
            Err(error) => error,
        };
        assert_eq!(refused.kind, wharf_model::ErrorKind::NotFound, "{refused}");
    });
}

/// A list of manifests that `docker manifest create` has made is shown as docker shows it.
fn lists_in_docker_s_folder(desk: &Desk, image: &str, list: &str) {
    let docker = |arguments: &[&str]| {
        let mut command = std::process::Command::new("docker");
        command.args(["manifest"]).args(arguments).env("DOCKER_CONFIG", desk.docker());
        run(command, b"")
    };
    let made = docker(&["create", "--insecure", list, image]);
    assert_eq!(made.code, 0, "{made:?}");
    for words in [&[list, image][..], &["-v", list, image], &[list], &["-v", list]] {
        let wanted = docker(&[&["inspect", "--insecure"], words].concat());
        assert_eq!(wanted.code, 0, "{wanted:?}");
        let ours = desk.ok(&[&["manifest", "inspect"], words].concat());
        assert_eq!(ours, wanted.stdout.trim_end(), "{words:?}");
    }
    let missing = docker(&["inspect", list, "nobody:1"]);
    assert_eq!(missing.stderr, "No such manifest: docker.io/library/nobody:1\n");
    desk.fails(
        "No such manifest: docker.io/library/nobody:1",
        &["manifest", "inspect", list, "nobody:1"],
    );
}
