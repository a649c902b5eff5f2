//! What an engine tells without being changed: documents, processes, samples, events, itself.

use std::time::Duration;

use futures_util::StreamExt;
use wharf_model::{
    Command, ContainerListOptions, ErrorKind, EventKind, EventOptions, Filters, ImageListOptions,
    Limit, Outcome,
};

use super::{Bench, Check, checks, kind};

pub(super) const CHECKS: &[(&str, Check)] = checks![
    the_inspect_document,
    processes,
    samples_of_what_runs,
    events_as_they_happen,
    events_of_the_past,
    lists_by_filter,
    names_change,
    prune,
    the_engine_itself,
];

async fn the_inspect_document(bench: &Bench) {
    let mut options = Bench::options("sleep 1000");
    options.name = Some("wharf-document".to_owned());
    let id = bench.create(options).await.unwrap();
    bench.start(&id).await.unwrap();
    let document = bench.backend.inspect_container("wharf-document").await.unwrap();
    assert_eq!(document["Id"], id.as_str());
    assert_eq!(document["Name"], "/wharf-document");
    assert_eq!(document["Path"], "sh");
    assert_eq!(document["Args"], serde_json::json!(["-c", "sleep 1000"]));
    assert_eq!(document["State"]["Status"], "running");
    assert_eq!(document["State"]["Running"], true);
    assert!(document["State"]["Pid"].as_i64().unwrap() > 0);
    assert_eq!(document["Config"]["Image"], "box");
    assert_eq!(document["HostConfig"]["NetworkMode"], "none");
    for key in [
        "/Created",
        "/State/StartedAt",
        "/State/OOMKilled",
        "/Config/Env",
        "/Config/Labels",
        "/HostConfig/Memory",
        "/NetworkSettings/Networks",
        "/Mounts",
        "/GraphDriver/Name",
        "/LogPath",
    ] {
        assert!(document.pointer(key).is_some(), "{key}");
    }
    let missing = bench.backend.inspect_container("wharf-none").await;
    assert_eq!(kind(missing), ErrorKind::NotFound);
}

async fn processes(bench: &Bench) {
    let id = bench.run("sleep 1234 & sleep 5678").await;
    let first = bench.detail(&id).await.state.pid.unwrap().to_string();
    loop {
        let table = bench.backend.top(&id, &[]).await.unwrap();
        let column = |title: &str| table.titles.iter().position(|one| one == title).unwrap();
        let (pid, command) = (column("PID"), column("CMD"));
        assert!(table.processes.iter().all(|row| row.len() == table.titles.len()));
        assert!(table.processes.iter().any(|row| row[pid] == first));
        // The shell takes a moment until its child is another program.
        if table.processes.iter().any(|row| row[command].contains("sleep 1234")) {
            break;
        }
    }
    bench.kill(&id, None).await.unwrap();
    bench.backend.wait(&id).await.unwrap();
    assert_eq!(kind(bench.backend.top(&id, &[]).await), ErrorKind::Conflict);
}

async fn samples_of_what_runs(bench: &Bench) {
    let mut options = Bench::options("while :; do :; done");
    options.host.resources.memory = Some(64 << 20);
    options.host.resources.pids_limit = Some(30);
    let id = bench.create(options).await.unwrap();
    bench.start(&id).await.unwrap();
    let of = |batch: wharf_backend::SampleBatch| {
        let mut found = batch.containers.into_iter().filter(|(one, _)| one.as_str() == id);
        found.next().map(|(_, sample)| sample)
    };
    let mut batches = bench.backend.samples(Duration::from_millis(1100)).await.unwrap();
    let batch = batches.next().await.unwrap().unwrap();
    // Whatever speaks for it: where its group is this kernel's, so are the host's counters.
    assert_eq!(batch.host.is_some(), !bench.is_far);
    let first = of(batch).expect("in the first batch");
    let mut second = first.clone();
    while second.at == first.at {
        second = of(batches.next().await.unwrap().unwrap()).expect("still runs");
    }
    assert!(second.at > first.at);
    assert_eq!(second.started_ms, first.started_ms);
    let started = bench.detail(&id).await.state.started_at.unwrap().timestamp_millis();
    match bench.backend.name() {
        // Its word would have to be asked for of each container: it is when its first process began, or
        // when its statistics were first asked for.
        "docker" => {
            let now = chrono::Utc::now().timestamp_millis();
            assert!((started - 2000..=now).contains(&second.started_ms));
        }
        _ => assert_eq!(second.started_ms, started),
    }
    let used = second.cpu.unwrap().usage_ns - first.cpu.unwrap().usage_ns;
    assert!(used > 50_000_000, "{used} ns of a busy loop");
    let memory = second.memory.unwrap();
    assert!(memory.usage > 0 && memory.usage <= 64 << 20);
    assert_eq!(memory.limit, Some(Limit::At(64 << 20)));
    let pids = second.pids.unwrap();
    assert!(pids.current >= 1);
    assert_eq!(pids.limit, Some(Limit::At(30)));

    // One that starts joins, one that starts again is told from before, one that ends leaves.
    let late = bench.run("sleep 1000").await;
    let run_of = |batch: &wharf_backend::SampleBatch, wanted: &str| {
        let mut all = batch.containers.iter();
        all.find(|(one, _)| one.as_str() == wanted).map(|(_, sample)| sample.started_ms)
    };
    while run_of(&batches.next().await.unwrap().unwrap(), &late).is_none() {}
    bench.kill(&id, None).await.unwrap();
    while run_of(&batches.next().await.unwrap().unwrap(), &id).is_some() {}
    bench.start(&id).await.unwrap();
    let again = loop {
        let batch = batches.next().await.unwrap().unwrap();
        if let Some(again) = run_of(&batch, &id) {
            break again;
        }
    };
    assert!(again > second.started_ms, "{again} {}", second.started_ms);
}

async fn events_as_they_happen(bench: &Bench) {
    let mut events = bench.backend.events().await.unwrap();
    let mut options = Bench::options("exit 3");
    options.name = Some("wharf-events".to_owned());
    options.labels.insert("color".to_owned(), "blue".to_owned());
    let id = bench.create(options).await.unwrap();
    bench.start(&id).await.unwrap();
    bench.backend.wait(&id).await.unwrap();
    bench.remove(&id, false).await.unwrap();
    let mut seen = Vec::new();
    while seen.last().is_none_or(|last| last != "destroy") {
        let event = events.next().await.unwrap().unwrap();
        if event.kind != EventKind::Container || event.id != id {
            continue;
        }
        assert_eq!(event.attributes["name"], "wharf-events");
        assert_eq!(event.attributes["color"], "blue");
        if event.action == "die" {
            assert_eq!(event.attributes["exitCode"], "3");
        }
        seen.push(event.action);
    }
    let told = |action: &str| seen.iter().position(|one| one == action);
    let order = ["create", "start", "die", "destroy"].map(|action| told(action).expect(action));
    assert!(order.is_sorted(), "{seen:?}");
}

async fn the_engine_itself(bench: &Bench) {
    bench.run("sleep 1000").await;
    bench.create(Bench::options("true")).await.unwrap();
    let info = bench.backend.info().await.unwrap();
    assert_eq!((info.containers, info.running, info.stopped), (2, 1, 1));
    assert!(info.images >= 1);
    assert!(!info.server_version.is_empty() && !info.kernel_version.is_empty());
    assert!(info.cpus > 0 && info.memory_total > 1 << 20);
    let version = bench.backend.version().await.unwrap();
    assert_eq!((version.os.as_str(), version.arch.as_str()), ("linux", "amd64"));
    assert!(!version.version.is_empty());
    assert!(["wharf", "docker"].contains(&bench.backend.name()));
}

fn named(name: &str) -> wharf_model::CreateOptions {
    let mut options = Bench::options("exit 3");
    options.name = Some(name.to_owned());
    options.labels.insert("wharf.test".to_owned(), name.to_owned());
    options
}

async fn events_of_the_past(bench: &Bench) {
    let id = bench.create(named("wharf-past")).await.unwrap();
    bench.start(&id).await.unwrap();
    bench.backend.wait(&id).await.unwrap();
    let filters = Filters::from_iter([("container", "wharf-past"), ("type", "container")]);
    let mut actions = Vec::new();
    while !actions.contains(&"die".to_owned()) {
        let now = chrono::Utc::now();
        let options = EventOptions {
            since: Some(now - chrono::TimeDelta::hours(1)),
            until: Some(now),
            filters: filters.clone(),
        };
        let events = bench.backend.list_events(options).await.unwrap();
        actions = events.map(|event| event.unwrap().action).collect().await;
    }
    actions.retain(|action| ["create", "start", "die"].contains(&action.as_str()));
    assert_eq!(actions, ["create", "start", "die"]);
}

async fn lists_by_filter(bench: &Bench) {
    let gone = bench.create(named("wharf-gone")).await.unwrap();
    bench.start(&gone).await.unwrap();
    bench.backend.wait(&gone).await.unwrap();
    let new = bench.create(named("wharf-new")).await.unwrap();
    let list = async |filters: &[(&str, &str)]| {
        let options = ContainerListOptions {
            all: true,
            filters: filters.iter().copied().collect(),
            ..ContainerListOptions::default()
        };
        let list = bench.backend.list_containers(&options).await?;
        Ok::<_, wharf_backend::Error>(list.iter().map(|c| c.id.to_string()).collect::<Vec<_>>())
    };
    for (filters, wanted) in [
        (&[("label", "wharf.test")][..], &[&new, &gone][..]),
        (&[("label", "wharf.test=wharf-new")], &[&new]),
        (&[("name", "^/wharf-gone$")], &[&gone]),
        (&[("id", &new[..20])], &[&new]),
        (&[("status", "created"), ("name", "wharf-")], &[&new]),
        (&[("exited", "3"), ("name", "wharf-")], &[&gone]),
        (&[("since", "wharf-gone"), ("name", "wharf-")], &[&new]),
        (&[("before", "wharf-new"), ("name", "wharf-")], &[&gone]),
        (&[("ancestor", "box"), ("name", "wharf-")], &[&new, &gone]),
        (&[("ancestor", "nothing")], &[]),
        (&[("health", "none"), ("name", "wharf-")], &[&new, &gone]),
        (&[("network", "none"), ("name", "wharf-gone")], &[&gone]),
        (&[("is-task", "true")], &[]),
    ] {
        assert_eq!(list(filters).await.unwrap().iter().collect::<Vec<_>>(), wanted, "{filters:?}");
    }
    for filters in [("foo", "bar"), ("status", "foo"), ("is-task", "x")] {
        let error = list(&[filters]).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Invalid, "{filters:?}: {error}");
    }
    let last = ContainerListOptions { last: Some(1), size: true, ..Default::default() };
    let newest = bench.backend.list_containers(&last).await.unwrap();
    assert_eq!(newest[0].id.as_str(), new);
    let size = newest[0].size.expect("it was asked for");
    assert!(size.root > 1000 && size.writable < size.root, "{size:?}");
    let images = async |key: &str, value: &str| {
        let options = ImageListOptions { filters: Filters::from_iter([(key, value)]) };
        bench.backend.list_images(&options).await
    };
    assert_eq!(images("reference", "b*").await.unwrap().len(), 1);
    assert_eq!(images("reference", "x*").await.unwrap().len(), 0);
    assert_eq!(images("dangling", "false").await.unwrap().len(), 1);
    assert_eq!(kind(images("foo", "bar").await), ErrorKind::Invalid);
    assert_eq!(kind(images("before", "nothing").await), ErrorKind::NotFound);
}

async fn names_change(bench: &Bench) {
    let id = bench.create(named("wharf-old")).await.unwrap();
    let other = bench.create(named("wharf-other")).await.unwrap();
    let rename = async |container: &str, name: &str| {
        let (container, name) = (container.to_owned(), name.to_owned());
        bench.backend.execute(Command::Rename { container, name }).await
    };
    assert_eq!(rename("wharf-old", "wharf-renamed").await, Ok(Outcome::Done));
    assert_eq!(bench.detail("wharf-renamed").await.id.as_str(), id);
    assert_eq!(kind(rename(&other, "wharf-renamed").await), ErrorKind::Conflict);
    assert_eq!(kind(rename("wharf-none", "wharf-any").await), ErrorKind::NotFound);
    assert_eq!(kind(rename(&other, "a b").await), ErrorKind::Invalid);
}

async fn prune(bench: &Bench) {
    let gone = bench.create(named("wharf-gone")).await.unwrap();
    let kept = bench.create(named("wharf-kept")).await.unwrap();
    let running = bench.run("sleep 1000").await;
    let filters = Filters::from_iter([("label", "wharf.test=wharf-gone")]);
    let outcome = bench.backend.execute(Command::Prune { filters }).await.unwrap();
    let Outcome::Pruned { deleted, failed, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(
        deleted.iter().map(wharf_model::ContainerId::as_str).collect::<Vec<_>>(),
        [gone.as_str()]
    );
    assert!(failed.is_empty(), "{failed:?}");
    bench.detail(&kept).await;
    bench.detail(&running).await;
    let filters = Filters::from_iter([("foo", "bar")]);
    assert_eq!(kind(bench.backend.execute(Command::Prune { filters }).await), ErrorKind::Invalid);
}
