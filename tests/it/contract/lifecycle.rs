//! Create, start, stop, kill, pause, remove, wait: what they do and how they refuse.

use std::time::Duration;

use futures_util::future::join_all;
use wharf_model::{
    Bind, Command, ErrorKind, HostConfig, NamespaceMode, NetworkMode, Outcome, Resources,
    SeccompMode, Status, UpdateOptions,
};

use super::{Bench, Check, checks, kind};
use crate::harness::{IMAGE, PATIENCE};

pub(super) const CHECKS: &[(&str, Check)] = checks![
    create_start_stop_start_kill_remove,
    refusals,
    names_and_prefixes,
    waiting,
    pausing,
    restarting,
    exit_codes,
    commands_that_cannot_be_run,
    settings_are_kept,
    limits_are_changed,
    out_of_memory,
    many_at_once,
];

const TRAPPED: &str = "trap 'exit 7' TERM; echo ready; while :; do sleep 0.1; done";

async fn create_start_stop_start_kill_remove(bench: &Bench) {
    let mut options = Bench::options(TRAPPED);
    options.name = Some("wharf-life".to_owned());
    let id = bench.create(options).await.unwrap();
    let detail = bench.detail(&id).await;
    assert_eq!((detail.name.as_str(), detail.state.status), ("wharf-life", Status::Created));
    assert_eq!(detail.state.started_at, None);
    let listed = |all| async move {
        let list = bench.backend.containers(all).await.unwrap();
        list.into_iter().find(|row| row.name == "wharf-life")
    };
    assert_eq!(listed(false).await, None);
    let row = listed(true).await.unwrap();
    assert_eq!((row.status, row.status_text.as_str()), (Status::Created, "Created"));
    assert_eq!(row.image, IMAGE);

    assert_eq!(bench.start(&id).await, Ok(Outcome::Done));
    assert_eq!(bench.start(&id).await, Ok(Outcome::NotModified));
    bench.wait_for_log(&id, "ready").await;
    let row = listed(false).await.unwrap();
    assert!(row.status_text.starts_with("Up "), "{}", row.status_text);
    let state = bench.detail(&id).await.state;
    assert!(state.pid.is_some() && state.started_at.is_some() && state.finished_at.is_none());

    assert_eq!(bench.stop(&id, 20).await, Ok(Outcome::Done));
    assert_eq!(bench.stop(&id, 20).await, Ok(Outcome::NotModified));
    let state = bench.detail(&id).await.state;
    assert_eq!((state.status, state.exit_code, state.pid), (Status::Exited, 7, None));
    assert!(!state.oom_killed);
    let row = listed(true).await.unwrap();
    assert_eq!(row.exit_code, Some(7));
    assert!(row.status_text.starts_with("Exited (7) "), "{}", row.status_text);

    assert_eq!(bench.start(&id).await, Ok(Outcome::Done));
    assert_eq!(bench.kill(&id, None).await, Ok(Outcome::Done));
    assert_eq!(bench.backend.wait(&id).await, Ok(137));
    assert_eq!(bench.remove(&id, false).await, Ok(Outcome::Done));
    assert_eq!(kind(bench.backend.container(&id).await), ErrorKind::NotFound);
}

async fn refusals(bench: &Bench) {
    let mut options = Bench::options("sleep 1000");
    options.name = Some("wharf-refuse".to_owned());
    let id = bench.create(options.clone()).await.unwrap();
    assert_eq!(kind(bench.create(options.clone()).await), ErrorKind::Conflict);
    options.name = Some("not/a name".to_owned());
    assert_eq!(kind(bench.create(options.clone()).await), ErrorKind::Invalid);
    options.name = None;
    options.image = "wharf-no-such-image".to_owned();
    assert_eq!(kind(bench.create(options).await), ErrorKind::NotFound);

    assert_eq!(kind(bench.kill(&id, None).await), ErrorKind::Conflict);
    assert_eq!(kind(bench.pause(&id).await), ErrorKind::Conflict);
    bench.start(&id).await.unwrap();
    assert_eq!(kind(bench.remove(&id, false).await), ErrorKind::Conflict);
    assert_eq!(kind(bench.kill(&id, Some("NOSUCH")).await), ErrorKind::Invalid);
    for missing in ["wharf-none", "", "..", "a b", "x/json?all=1"] {
        assert_eq!(kind(bench.start(missing).await), ErrorKind::NotFound, "{missing:?}");
        assert_eq!(kind(bench.backend.container(missing).await), ErrorKind::NotFound);
    }
    assert_eq!(kind(bench.stop("wharf-none", 1).await), ErrorKind::NotFound);
    assert_eq!(kind(bench.remove("wharf-none", true).await), ErrorKind::NotFound);
    assert_eq!(kind(bench.backend.wait("wharf-none").await), ErrorKind::NotFound);
    assert_eq!(bench.remove(&id, true).await, Ok(Outcome::Done));
}

async fn names_and_prefixes(bench: &Bench) {
    let mut options = Bench::options("sleep 1000");
    options.name = Some("wharf-name.1_a".to_owned());
    let id = bench.create(options).await.unwrap();
    for word in ["wharf-name.1_a", &id[..12], &id[..6], &id] {
        assert_eq!(bench.detail(word).await.id.as_str(), id, "{word}");
    }
    let unnamed = bench.create(Bench::options("true")).await.unwrap();
    assert!(!bench.detail(&unnamed).await.name.is_empty());
    let list = bench.backend.containers(true).await.unwrap();
    let ids: Vec<&str> = list.iter().map(|row| row.id.as_str()).collect();
    assert_eq!(ids, [unnamed.as_str(), id.as_str()], "newest first");
}

async fn waiting(bench: &Bench) {
    let id = bench.run("read line < /tmp/gate; exit 42").await;
    // It ends by itself: there is no gate.
    assert_eq!(bench.backend.wait(&id).await.map(|code| code != 0), Ok(true));
    let mut options = Bench::options("read line; exit 42");
    options.open_stdin = true;
    let id = bench.create(options).await.unwrap();
    bench.start(&id).await.unwrap();
    let (code, killed) = tokio::join!(bench.backend.wait(&id), bench.kill(&id, Some("SIGKILL")));
    assert_eq!((code, killed), (Ok(137), Ok(Outcome::Done)));
    assert_eq!(bench.backend.wait(&id).await, Ok(137), "again, of one that ended");
}

async fn pausing(bench: &Bench) {
    let id = bench.run("sleep 1000").await;
    assert_eq!(bench.pause(&id).await, Ok(Outcome::Done));
    assert_eq!(bench.detail(&id).await.state.status, Status::Paused);
    let list = bench.backend.containers(false).await.unwrap();
    assert!(list[0].status_text.ends_with("(Paused)"), "{}", list[0].status_text);
    assert_eq!(kind(bench.pause(&id).await), ErrorKind::Conflict);
    assert_eq!(bench.unpause(&id).await, Ok(Outcome::Done));
    assert_eq!(bench.detail(&id).await.state.status, Status::Running);
    assert!(bench.unpause(&id).await.is_err(), "it isn't paused");
}

async fn restarting(bench: &Bench) {
    let id = bench.run("echo up; sleep 1000").await;
    let first = bench.detail(&id).await.state;
    let container = id.clone();
    let restart = Command::Restart { container, timeout: Some(0), signal: None };
    assert_eq!(bench.backend.execute(restart).await, Ok(Outcome::Done));
    let second = bench.detail(&id).await.state;
    assert_eq!(second.status, Status::Running);
    assert_ne!(first.pid, second.pid);
    assert!(second.started_at > first.started_at);
}

async fn exit_codes(bench: &Bench) {
    for (line, code) in [("exit 0", 0), ("exit 255", 255), ("kill -TERM $$", 143)] {
        // A first process takes only the signals that it has asked for, so a child kills itself.
        let line = format!("sh -c '{line}'; exit $?");
        let id = bench.run(&line).await;
        assert_eq!(bench.backend.wait(&id).await, Ok(code), "{line}");
        assert_eq!(bench.detail(&id).await.state.exit_code, code);
    }
}

async fn commands_that_cannot_be_run(bench: &Bench) {
    for (program, expected, code) in [
        ("no-such-program", ErrorKind::CommandNotFound, 127),
        ("/no/such/program", ErrorKind::CommandNotFound, 127),
        ("/srv/readme", ErrorKind::CommandNotExecutable, 126),
    ] {
        let mut options = Bench::options("");
        options.command = vec![program.to_owned()];
        let id = bench.create(options).await.unwrap();
        assert_eq!(kind(bench.start(&id).await), expected, "{program}");
        let state = bench.detail(&id).await.state;
        assert_ne!(state.status, Status::Running);
        assert_eq!(state.exit_code, code, "{program}");
        assert!(!state.error.is_empty());
    }
}

async fn settings_are_kept(bench: &Bench) {
    let mut options = Bench::options("sleep 1000");
    options.env = vec!["A=1".to_owned()];
    options.working_dir = Some("/srv".to_owned());
    options.user = Some("app".to_owned());
    options.hostname = Some("sea".to_owned());
    options.labels.insert("color".to_owned(), "blue".to_owned());
    options.stop_signal = Some("SIGINT".to_owned());
    options.host = HostConfig {
        network_mode: NetworkMode::None,
        readonly_rootfs: true,
        tmpfs: [("/run".to_owned(), String::new())].into(),
        cap_drop: vec!["NET_RAW".to_owned()],
        no_new_privileges: true,
        seccomp: SeccompMode::Unconfined,
        binds: vec![Bind {
            source: "/srv".to_owned(),
            target: "/bound".to_owned(),
            read_only: true,
            options: "ro,rprivate".to_owned(),
            ..Bind::default()
        }],
        // What docker puts where nothing is asked for differs with the host's cgroups.
        ipc_mode: NamespaceMode::Private,
        cgroupns_mode: NamespaceMode::Host,
        shm_size: Some(1 << 20),
        group_add: vec!["7".to_owned()],
        sysctls: [("net.ipv4.ip_forward".to_owned(), "1".to_owned())].into(),
        dns: vec!["1.1.1.1".to_owned()],
        dns_search: vec!["a.b".to_owned()],
        dns_options: vec!["ndots:2".to_owned()],
        extra_hosts: vec!["a:1.2.3.4".to_owned()],
        resources: Resources {
            memory: Some(64 << 20),
            nano_cpus: Some(500_000_000),
            pids_limit: Some(20),
            ..Resources::default()
        },
        ..Default::default()
    };
    let mut asked = options.clone();
    let id = bench.create(options).await.unwrap();
    let detail = bench.detail(&id).await;
    assert!(detail.config.env.contains(&"A=1".to_owned()));
    assert_eq!(detail.config.working_dir, "/srv");
    assert_eq!(detail.config.user, "app");
    assert_eq!(detail.config.hostname, "sea");
    assert_eq!(detail.config.labels["color"], "blue");
    assert_eq!(detail.config.stop_signal, "SIGINT");
    // What the engine completes: where output goes, as much swap as memory, and whether the kernel offers a choice.
    asked.host.resources.memory_swap = Some(128 << 20);
    asked.host.resources.oom_kill_disable = detail.host_config.resources.oom_kill_disable;
    asked.host.log_config.settle(&Default::default());
    assert_eq!(detail.host_config, asked.host);
    let list = bench.backend.containers(true).await.unwrap();
    assert_eq!(list[0].labels["color"], "blue");
    assert_eq!(list[0].networks, ["none"]);
}

async fn limits_are_changed(bench: &Bench) {
    let id = bench.run("sleep 1000").await;
    let limits = Resources {
        memory: Some(64 << 20),
        memory_swap: Some(96 << 20),
        cpu_shares: Some(512),
        pids_limit: Some(20),
        ..Resources::default()
    };
    let update = async |resources: Resources, unlimited_pids: bool| {
        let options = UpdateOptions { resources, unlimited_pids, ..UpdateOptions::default() };
        let container = id.clone();
        bench.backend.execute(Command::Update { container, options: Box::new(options) }).await
    };
    let outcome = update(limits.clone(), false).await.unwrap();
    assert!(matches!(outcome, Outcome::Updated { .. }), "{outcome:?}");
    let held = async || bench.detail(&id).await.host_config.resources;
    let expected = Resources { oom_kill_disable: held().await.oom_kill_disable, ..limits.clone() };
    assert_eq!(held().await, expected);
    update(Resources::default(), true).await.unwrap();
    assert_eq!(held().await, Resources { pids_limit: None, ..expected.clone() });
    // A refusal changes nothing.
    let more = Resources { memory: Some(512 << 20), ..Resources::default() };
    let error = update(more, false).await.unwrap_err();
    assert!(error.message.contains("smaller than already set memoryswap limit"), "{error}");
    assert_eq!(held().await, Resources { pids_limit: None, ..expected.clone() });
    // What is lifted is no limit any more.
    let mut lifted = Resources::default();
    lifted.lift_memory();
    update(lifted, false).await.unwrap();
    let without = Resources { pids_limit: None, memory: None, memory_swap: None, ..expected };
    assert_eq!(held().await, without);
}

async fn out_of_memory(bench: &Bench) {
    let mut options = Bench::options("exec tail /dev/zero");
    options.host.resources.memory = Some(16 << 20);
    let id = bench.create(options).await.unwrap();
    bench.start(&id).await.unwrap();
    assert_eq!(bench.backend.wait(&id).await, Ok(137));
    // Docker may hear of it after the exit.
    let known = async {
        while !bench.detail(&id).await.state.oom_killed {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(*PATIENCE, known).await.unwrap();
}

async fn many_at_once(bench: &Bench) {
    let codes = join_all((0..8).map(|code| async move {
        let id = bench.run(&format!("exit {code}")).await;
        bench.backend.wait(&id).await
    }));
    let expected: Vec<_> = (0..8).map(Ok).collect();
    assert_eq!(codes.await, expected);
}
