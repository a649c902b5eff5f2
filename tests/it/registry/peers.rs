//! The same registry from the other side: each reads what the other wrote.

use wharf_model::{LayerState, PullOptions, PushOptions, TransferEvent};

use futures_util::StreamExt;
use wharf_backend::Backend;
use wharf_backend::docker::Docker;

use super::layer;
use super::server::{Desk, Registry, program};
use crate::dockerd::{self, Dockerd};
use crate::harness::{Test, rootfs_tar, run};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::new("skopeo_reads_and_writes_the_same", skopeo),
        Test::new("a_dockerd_reads_and_writes_the_same", docker).needing(dockerd::lacks()),
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

fn docker() {
    let registry = Registry::plain();
    let desk = Desk::new();
    let dockerd = Dockerd::start();
    let host = dockerd.host();
    let docker = |arguments: &[&str]| {
        let mut words = vec!["--host", host.as_str()];
        words.extend_from_slice(arguments);
        program("docker", &words)
    };
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
        let push =
            PushOptions { repository: reference.repository().clone(), tag: Some("1".to_owned()) };
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
