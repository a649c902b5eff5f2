//! The same registry from the other side: each reads what the other wrote.

use std::path::Path;

use wharf_model::{LayerState, PullOptions, PushOptions, TransferEvent};

use futures_util::StreamExt;
use wharf_backend::Backend;
use wharf_backend::docker::Docker;

use super::layer;
use super::server::{Desk, Registry, digest, program, text};
use crate::copy_docker::on_disk;
use crate::dockerd::{self, Dockerd};
use crate::harness::{Test, eventually, folder, lacks_programs, rootfs_tar, run};
use crate::verbs_image::image_archive;

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::new("skopeo_reads_and_writes_the_same", skopeo),
        Test::new("a_dockerd_reads_and_writes_the_same", docker)
            .needing(dockerd::lacks().or_else(|| lacks_programs(&["podman", "mmdebstrap", "tar"]))),
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

/// Returns the layers of a Debian: its root filesystem as mmdebstrap makes it, some 120 MB; what somebody
/// has added, changed and removed; and one more like that.
fn debian(folder: &Path) -> Vec<Vec<u8>> {
    // Where it has to be made first, that takes its time.
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/debian");
    let made = std::process::Command::new(script).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let root = std::fs::read(String::from_utf8(made.stdout).unwrap().trim()).unwrap();
    assert!(root.len() > 80 << 20, "{}", root.len());
    let top = folder.join("changes");
    let layer = |line: &str| {
        let mut shell = std::process::Command::new("sh");
        std::fs::create_dir(&top).unwrap();
        shell.args(["-euc", line]).current_dir(&top);
        let out = run(shell, b"");
        assert_eq!(out.code, 0, "{out:?}");
        if let Ok(program) = std::fs::File::open(top.join("usr/bin/capable")) {
            // cap_net_raw=ep, revision 2.
            let value = [1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            let flags = rustix::fs::XattrFlags::empty();
            rustix::fs::fsetxattr(&program, "security.capability", &value, flags).unwrap();
            rustix::fs::fsetxattr(&program, "user.note", b"two\nlines", flags).unwrap();
        }
        let archive = text(&folder.join("layer.tar"));
        let words = ["--sort=name", "--numeric-owner", "--sparse", "--mtime=@1600000000.123456789"];
        let attributes = ["--format=posix", "--xattrs", "--xattrs-include=*"];
        let place = ["-C", &text(&top), "-cf", &archive, "."];
        program("tar", &[&words[..], &attributes, &place].concat());
        std::fs::remove_dir_all(&top).unwrap();
        std::fs::read(&archive).unwrap()
    };
    vec![
        root,
        layer(
            "umask 022; mkdir -p usr/bin usr/share/doc/bash usr/share/base-files var/lib/own etc dev
             cp /bin/true usr/bin/capable; chmod 755 usr/bin/capable
             cp /bin/true usr/bin/su; chown 0:4 usr/bin/su; chmod 4755 usr/bin/su
             ln usr/bin/su var/lib/own/su; ln -s ../nowhere etc/loose
             touch etc/.wh.issue usr/share/doc/.wh.dpkg usr/share/base-files/.wh..wh..opq
             echo only > usr/share/base-files/only; chmod 1777 var/lib/own; chown 7:8 var/lib/own
             truncate -s 3M var/lib/own/sparse; echo end >> var/lib/own/sparse
             mknod dev/odd b 7 3; mknod dev/pipe p; mkdir etc/passwd.d; chmod 700 etc/passwd.d",
        ),
        layer(
            "umask 022; mkdir -p usr/share/doc/dpkg etc/issue var/lib etc/passwd.d
             echo again > usr/share/doc/dpkg/again; echo deep > etc/issue/deep
             touch var/lib/.wh.own etc/.wh.loose; echo 'me:x:1000:1000::/:/bin/sh' > etc/passwd",
        ),
    ]
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
            "--dest-compress-format=gzip",
            "--dest-compress-level=1",
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
        assert!(files > 5000, "{files}");
    }
    // What runs in it sees the same.
    let line = "stat -c '%a %u:%g %h' /usr/bin/su; ls /usr/share/base-files /etc/issue \
                /usr/share/doc/dpkg; ls /var/lib/own /etc/loose 2>&1 | wc -l; dpkg -l | wc -l";
    let seen = desk.ok(&["run", "--rm", "--network", "none", &name, "sh", "-c", line]);
    let (seen, packages) = seen.rsplit_once('\n').unwrap();
    let wanted = "4755 0:4 2\n/etc/issue:\ndeep\n\n/usr/share/base-files:\nonly\n\n\
                  /usr/share/doc/dpkg:\nagain\n2";
    assert_eq!(seen, wanted);
    assert!(packages.parse::<u32>().unwrap() > 50, "{packages}");
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
    everybody(&registry, &desk, &dockerd);
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

/// What each of four writes into one registry, each of the four reads as the same image.
fn everybody(registry: &Registry, desk: &Desk, dockerd: &Dockerd) {
    let folder = folder();
    let podman = |arguments: &[&str]| {
        let (root, run) = (text(&folder.join("root")), text(&folder.join("run")));
        let own = ["--root", &root, "--runroot", &run, "--storage-driver", "vfs"];
        program("podman", &[&own[..], arguments].concat()).trim().to_owned()
    };
    let tar = text(&folder.join("root.tar"));
    std::fs::write(&tar, layer("everybody's", 20_000)).unwrap();
    let name = |writer: &str| format!("{}/by-{writer}:1", registry.address);
    let insecure = "--tls-verify=false";
    desk.ok(&["import", &tar, &name("wharf")]);
    desk.ok(&["push", "-q", &name("wharf")]);
    dockerd.docker(&["import", &tar, &name("docker")], b"");
    dockerd.docker(&["push", "-q", &name("docker")], b"");
    podman(&["import", "-q", &tar, &name("podman")]);
    podman(&["push", "-q", insecure, &name("podman")]);
    let archive = text(&folder.join("image.tar"));
    std::fs::write(&archive, image_archive("x:1", &[layer("everybody's", 20_000)])).unwrap();
    let to = format!("docker://{}", name("skopeo"));
    let from = format!("docker-archive:{archive}");
    program("skopeo", &["copy", "-q", "--dest-tls-verify=false", &from, &to]);
    for writer in ["wharf", "docker", "podman", "skopeo"] {
        let image = name(writer);
        let place = format!("docker://{image}");
        let manifest = program("skopeo", &["inspect", "--raw", insecure, &place]);
        let known = format!("{}@{}", image.trim_end_matches(":1"), digest(manifest.as_bytes()));
        let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
        let id = manifest["config"]["digest"].as_str().unwrap().to_owned();
        for reader in ["wharf", "docker", "podman"] {
            // Who wrote it has to fetch it as well.
            let anew = reader == writer;
            let (found, digest) = match reader {
                "wharf" => {
                    if anew {
                        desk.ok(&["rmi", &image]);
                    }
                    desk.ok(&["pull", "-q", &image]);
                    let format = "{{.Id}} {{index .RepoDigests 0}}";
                    let shown = desk.ok(&["image", "inspect", "-f", format, &image]);
                    shown.split_once(' ').map(|(id, of)| (id.to_owned(), of.to_owned())).unwrap()
                }
                "docker" => {
                    if anew {
                        dockerd.docker(&["rmi", &image], b"");
                    }
                    dockerd.docker(&["pull", "-q", &image], b"");
                    let format = "{{.Id}} {{index .RepoDigests 0}}";
                    let shown = dockerd.docker(&["image", "inspect", "-f", format, &image], b"");
                    let (id, of) = shown.trim().split_once(' ').unwrap();
                    (id.to_owned(), of.to_owned())
                }
                _ => {
                    if anew {
                        podman(&["rmi", &image]);
                    }
                    let id = podman(&["pull", "-q", insecure, &image]);
                    let format = "{{range .RepoDigests}}{{.}} {{end}}";
                    let shown = podman(&["image", "inspect", "-f", format, &image]);
                    let of = shown.split(' ').find(|of| **of == known).unwrap_or(&shown);
                    (format!("sha256:{id}"), of.to_owned())
                }
            };
            assert_eq!((found, digest), (id.clone(), known.clone()), "{reader} of {writer}'s");
        }
    }
    eventually("podman's folders can be removed", || {
        std::fs::remove_dir_all(&folder).is_ok() || !folder.exists()
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
