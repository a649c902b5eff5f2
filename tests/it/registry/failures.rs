//! What networks and registries do: break off, stand still, turn away, lie; and what is left of a
//! pull that was ended.

use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use wharf_model::ImageName;
use wharf_registry::{Folders, Registries, Upload, Uploaded};

use super::layer;
use super::proxy::{Action, Gate, Proxy};
use super::server::{Desk, Registry, digest};
use crate::harness::{PATIENCE, Test, code_of, eventually, run, wait_for};
use crate::tests;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        a_broken_download_goes_on_where_it_was,
        a_registry_that_is_busy_is_asked_again,
        lies_are_found_out,
        a_pull_that_was_ended_leaves_whole_blobs,
        a_broken_upload_is_sent_again,
        a_large_blob_goes_in_pieces,
    ]
}

/// More than one piece of an upload.
const LARGE: usize = 40 << 20;

/// What a layer of the tests has.
const SIZE: usize = 900_000;

fn a_broken_download_goes_on_where_it_was() {
    let registry = Registry::plain();
    let desk = Desk::new();
    let proxy = Proxy::before(&registry.address);
    let layers = [layer("a", SIZE), layer("b", SIZE)];
    registry.put_image("x:1", "amd64", &layers);
    let name = format!("{}/x:1", proxy.address);
    let blob = format!("/blobs/{}", digest(&layers[0]));
    // It breaks, and breaks again.
    proxy.first(1, "GET", &blob, Action::Cut(400_000));
    proxy.first(1, "GET", &blob, Action::Cut(300_000));
    proxy.first(1, "GET", "/manifests/", Action::Cut(10));
    let out = desk.ok(&["pull", &name]);
    assert_eq!(out.matches("Retrying in 1 second").count(), 1, "{out}");
    let asked = proxy.asked();
    let ranges: Vec<_> = asked
        .iter()
        .filter(|asked| asked.is("GET", &blob))
        .map(|asked| asked.header("range").map(str::to_owned))
        .collect();
    let wanted = [None, Some("bytes=300000-".to_owned()), Some("bytes=700000-".to_owned())];
    assert_eq!(ranges, wanted, "{asked:?}");
    assert_eq!(desk.ok(&["system", "check"]), "");
    // A registry that knows no parts sends all of it again.
    desk.forget();
    proxy.first(1, "GET", &blob, Action::Cut(500_000));
    let whole = layers[0].clone();
    let mut calls = 0;
    proxy.rule(move |asked| {
        calls += usize::from(asked.is("GET", &blob));
        (calls == 2 && asked.is("GET", &blob)).then(|| Action::Answer(200, vec![], whole.clone()))
    });
    desk.ok(&["pull", &name]);
}

fn a_registry_that_is_busy_is_asked_again() {
    let registry = Registry::plain();
    let desk = Desk::new();
    let proxy = Proxy::before(&registry.address);
    registry.put_image("x:1", "amd64", &[layer("a", 50)]);
    let name = format!("{}/x:1", proxy.address);
    let errors =
        json!({ "errors": [{ "code": "TOOMANYREQUESTS", "message": "slow\u{1b}[2J down" }] });
    let busy = |after: &str| {
        let after = vec![("Retry-After", after.to_owned())];
        Action::Answer(429, after, errors.to_string().into_bytes())
    };
    proxy.first(1, "GET", "/manifests/", busy("1"));
    proxy.first(1, "GET", "/blobs/", Action::Answer(503, vec![], vec![]));
    let started = std::time::Instant::now();
    desk.ok(&["pull", &name]);
    assert!(started.elapsed().as_millis() >= 1000, "it came back before it was asked to");
    let asked = proxy.asked();
    assert_eq!(asked.iter().filter(|asked| asked.is("GET", "/manifests/")).count(), 2);
    // One that wants an hour is not waited for.
    desk.forget();
    proxy.first(99, "GET", "/manifests/", busy("3600"));
    let out = desk.ends(1, &["pull", &name]);
    assert!(out.stderr.contains("toomanyrequests: slow[2J down: try again in 3600"), "{out:?}");
    proxy.behave();
    // Nor one that never recovers.
    proxy.first(99, "GET", "/manifests/", busy("0"));
    desk.fails("toomanyrequests", &["pull", &name]);
    let asked = proxy.asked();
    assert_eq!(asked.iter().filter(|asked| asked.is("GET", "/manifests/")).count(), 7, "1 and 6");
}

fn lies_are_found_out() {
    let registry = Registry::plain();
    let desk = Desk::new();
    let proxy = Proxy::before(&registry.address);
    let layers = [layer("a", 5000), layer("b", 5000)];
    let manifest = registry.put_image("x:1", "amd64", &layers);
    let name = format!("{}/x:1", proxy.address);
    let pinned = format!("{}/x@{}", proxy.address, digest(&manifest));
    let config: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let config = config["config"]["digest"].as_str().unwrap().to_owned();
    let blob = format!("/blobs/{}", digest(&layers[1]));
    let tries = [
        ("/manifests/", Action::Corrupt, &name, "verification failed for digest"),
        ("/manifests/", Action::Corrupt, &pinned, "verification failed for digest"),
        (config.as_str(), Action::Corrupt, &name, "digest mismatch"),
        (config.as_str(), Action::Longer, &name, "its manifest says"),
        (blob.as_str(), Action::Corrupt, &name, "digest"),
        (blob.as_str(), Action::Longer, &name, "its manifest says"),
    ];
    for (part, action, image, says) in tries {
        proxy.behave();
        proxy.first(99, "GET", part, action);
        let out = desk.ends(1, &["pull", image]);
        assert!(out.stderr.contains(says), "{part}: should say {says:?}: {}", out.stderr);
        assert!(!desk.has(image), "{part}: a half image");
    }
    // Another manifest than the one that was asked for, which calls itself by its own name.
    proxy.behave();
    let other = registry.put_image("y:1", "amd64", &[layer("c", 5)]);
    let headers = vec![
        ("Content-Type", super::OCI_MANIFEST.to_owned()),
        ("Docker-Content-Digest", digest(&other).to_string()),
    ];
    proxy.first(99, "GET", "/manifests/", Action::Answer(200, headers, other));
    desk.fails("verification failed for digest", &["pull", &pinned]);
    assert_eq!(desk.ok(&["images", "-aq"]), "");
    proxy.behave();
    desk.ok(&["pull", &pinned]);
    assert_eq!(desk.ok(&["system", "check"]), "");
}

fn a_pull_that_was_ended_leaves_whole_blobs() {
    let registry = Registry::plain();
    let desk = Desk::new();
    let proxy = Proxy::before(&registry.address);
    let layers = [layer("a", 30_000), layer("b", SIZE)];
    registry.put_image("x:1", "amd64", &layers);
    let name = format!("{}/x:1", proxy.address);
    let blob = |index: usize| format!("/blobs/{}", digest(&layers[index]));
    for signal in [Signal::INT, Signal::KILL] {
        desk.forget();
        let gate = Gate::default();
        proxy.first(1, "GET", &blob(1), Action::Hold(500_000, gate.clone()));
        let mut child = desk
            .command(&["pull", &name])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut output = child.stdout.take().unwrap();
        // The second layer stands still; the first is whole.
        gate.wait_for_visitor();
        let short = digest(&layers[0]).short().to_owned();
        let mut seen = Vec::new();
        while !String::from_utf8_lossy(&seen).contains(&format!("{short}: Pull complete\n")) {
            let mut chunk = [0; 4096];
            let length = std::io::Read::read(&mut output, &mut chunk).unwrap();
            assert_ne!(length, 0, "{}", String::from_utf8_lossy(&seen));
            seen.extend_from_slice(&chunk[..length]);
        }
        kill_process(Pid::from_child(&child), signal).unwrap();
        let status = wait_for(&mut child, *PATIENCE).expect("it ends");
        let code = if signal == Signal::INT { 130 } else { 137 };
        assert_eq!(code_of(status), code);
        gate.open();
        assert!(!desk.has(&name));
        assert_eq!(desk.ok(&["images", "-aq"]), "");
        if signal == Signal::INT {
            let left = std::fs::read_dir(desk.lab.root().join("tmp")).unwrap();
            let left = left.flatten().filter(|entry| entry.file_name() != ".lock");
            assert_eq!(left.count(), 0, "what was half made is gone");
        }
        proxy.asked();
        desk.ok(&["pull", &name]);
        let asked = proxy.asked();
        assert!(!asked.iter().any(|asked| asked.is("GET", &blob(0))), "it came twice: {asked:?}");
        assert!(asked.iter().any(|asked| asked.is("GET", &blob(1))));
        eventually("all is in order", || run(desk.command(&["system", "check"]), b"").code == 0);
    }
}

fn a_broken_upload_is_sent_again() {
    let registry = Registry::plain();
    let desk = Desk::new();
    let proxy = Proxy::before(&registry.address);
    let name = format!("{}/up:1", proxy.address);
    assert_eq!(run(desk.command(&["import", "-", &name]), &layer("a", SIZE)).code, 0);
    proxy.first(1, "PATCH", "/blobs/uploads/", Action::Drop(100_000));
    proxy.first(1, "POST", "/blobs/uploads/", Action::Answer(500, vec![], vec![]));
    let out = desk.ok(&["push", &name]);
    assert!(out.contains(": Pushed\n"), "{out}");
    assert!(out.contains("Retrying in 1 second"), "{out}");
    // The answer to the last request is lost, though the registry has all of it.
    let other = format!("{}/up:2", proxy.address);
    assert_eq!(run(desk.command(&["import", "-", &other]), &layer("b", SIZE)).code, 0);
    proxy.first(1, "PUT", "/blobs/uploads/", Action::Cut(0));
    desk.ok(&["push", &other]);
    let refused = json!({ "errors": [{ "code": "DENIED", "message": "read only" }] });
    let refused = Action::Answer(403, vec![], refused.to_string().into_bytes());
    proxy.first(99, "PUT", "/manifests/", refused);
    desk.fails("push access denied for", &["push", &other]);
    let out = desk.ends(1, &["push", &other]);
    assert!(out.stderr.contains("denied: read only"), "{out:?}");
    proxy.behave();
    desk.forget();
    desk.ok(&["pull", &name]);
    desk.ok(&["pull", &other]);
}

fn a_large_blob_goes_in_pieces() {
    let registry = Registry::plain();
    let proxy = Proxy::before(&registry.address);
    let file = crate::harness::folder().join("blob");
    let content = layer("large", LARGE);
    std::fs::write(&file, &content).unwrap();
    let resolve = std::sync::Arc::new(wharf_engine::network::host_addresses);
    let registries = Registries::open(&Folders::default(), resolve).unwrap();
    let name = format!("{}/pieces:1", proxy.address).parse::<ImageName>().unwrap();
    let remote = registries.repository(name.repository());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let digest = digest(&content);
    let size = u64::try_from(content.len()).unwrap();
    // The second piece breaks off on its way, and is sent again from where the registry has got to.
    let mut pieces = 0;
    proxy.rule(move |asked| {
        pieces += usize::from(asked.is("PATCH", "/blobs/uploads/"));
        (pieces == 2 && asked.method == "PATCH").then_some(Action::Drop(1_000_000))
    });
    let open = || std::fs::File::open(&file);
    let sent = runtime.block_on(remote.upload(&Upload {
        digest: &digest,
        size,
        open: &open,
        elsewhere: &[],
        progress: std::sync::Arc::new(|_| ()),
        on_retry: &|_| (),
    }));
    assert_eq!(sent.unwrap(), Uploaded::Sent);
    let asked = proxy.asked();
    let pieces: Vec<_> = asked.iter().filter(|asked| asked.method == "PATCH").collect();
    let ranges: Vec<_> = pieces.iter().map(|asked| asked.header("content-range")).collect();
    let second = format!("33554432-{}", size - 1);
    assert_eq!(ranges, [Some("0-33554431"), Some(&second), Some(&second)], "{asked:?}");
    // Each goes where the answer before says.
    let mut places: Vec<&str> = pieces.iter().map(|asked| asked.path.as_str()).collect();
    places.dedup();
    assert!(places.len() >= 2, "{places:?}");
    let gone_on = asked.iter().any(|asked| asked.is("GET", "/blobs/uploads/"));
    assert!(gone_on, "the registry is asked how far it has come: {asked:?}");
    let there = registry.ask("GET", &format!("/v2/pieces/blobs/{digest}"), &[], b"");
    assert!(there.body == content, "the registry has other bytes");
    std::fs::remove_dir_all(file.parent().unwrap()).unwrap();
}
