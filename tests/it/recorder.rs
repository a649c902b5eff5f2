//! The past of real containers, as their supervisors record it.

use std::time::Duration;

use chrono::Utc;
use futures_util::StreamExt;
use wharf_backend::Backend;
use wharf_backend::native::Native;
use wharf_engine::Paths;
use wharf_model::{HealthStatus, Recording, Sample, Status, What};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{Lab, Test, eventually, parent_of};
use crate::pty::Terminal;
use crate::tests;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        a_recorded_sample_is_one_that_a_dashboard_reads,
        a_life_is_recorded_to_its_end,
        probes_are_recorded_together,
        it_can_be_turned_off,
        what_cannot_be_recorded_harms_nobody,
        the_past_is_looked_at,
        a_postmortem_says_why,
        a_kill_for_want_of_memory_is_told,
        a_recorder_that_is_killed_is_followed_by_the_next,
        the_host_is_recorded_by_one_of_all,
        a_full_disk_costs_samples_alone,
    ]
}

fn native(lab: &Lab) -> Native {
    Native::open(Paths::new(lab.root(), lab.root().join("run"))).unwrap()
}

/// Runs a question on a runtime of its own.
fn ask<T>(question: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
        .block_on(question)
}

fn recording(lab: &Lab, container: &str) -> Recording {
    ask(native(lab).recording(container)).unwrap()
}

fn actions(recording: &Recording) -> Vec<String> {
    let action = |what: &What| match what {
        What::Event { action, .. } => Some(action.clone()),
        What::Probes(_) => None,
    };
    recording.happenings.iter().filter_map(|one| action(&one.what)).collect()
}

/// Returns what is recorded of a container's counters.
fn samples(lab: &Lab, container: &str) -> Vec<Sample> {
    recording(lab, container).samples.into_iter().map(|one| one.sample).collect()
}

/// Returns the container's counters as a dashboard reads them.
fn live(lab: &Lab) -> Sample {
    ask(async {
        let mut samples = native(lab).samples(Duration::from_millis(100)).await.unwrap();
        loop {
            let batch = samples.next().await.unwrap().unwrap();
            if let Some((_, sample)) = batch.containers.into_iter().next() {
                return sample;
            }
        }
    })
}

fn a_recorded_sample_is_one_that_a_dashboard_reads() {
    let lab = Lab::new();
    let id = lab.start(&["-m", "48m", "--cpus", "0.25"], "while :; do :; done");
    let first = Utc::now();
    let before = live(&lab);
    // Whatever lies between two readings has counters between theirs.
    eventually("a sample is recorded", || {
        samples(&lab, &id).last().is_some_and(|s| s.at > wharf_model::since_epoch(first))
    });
    let after = live(&lab);
    let last = Utc::now();
    let recorded = samples(&lab, &id);
    let between =
        |at: Duration| wharf_model::since_epoch(first) < at && at < wharf_model::since_epoch(last);
    let sample = recorded.iter().rev().find(|sample| between(sample.at)).unwrap();
    assert_eq!(sample.started_ms, before.started_ms);
    let cores = recording(&lab, &id).samples.pop().unwrap().cores;
    let counted = ask(native(&lab).details(&id)).unwrap().cores;
    assert_eq!(cores.len(), counted.map_or(0, |cores| cores.len()), "all cores, where they count");
    let usage = |sample: &Sample| sample.cpu.unwrap().usage_ns;
    assert!(usage(sample) <= usage(&after), "{sample:?} {after:?}");
    assert!(recorded.iter().any(|one| usage(one) > 0), "{recorded:?}");
    // The first sample may be older than what was read at first.
    if wharf_model::since_epoch(first) + Duration::from_secs(2) < sample.at {
        assert!(usage(&before) <= usage(sample), "{before:?} {sample:?}");
    }
    let limits = |sample: &Sample| {
        (sample.cpu.unwrap().limit, sample.memory.unwrap().limit, sample.pids.unwrap().limit)
    };
    assert_eq!(limits(sample), limits(&after));
    assert_eq!(sample.pids.unwrap().current, after.pids.unwrap().current);
    let known = |sample: &Sample| {
        (sample.network.is_some(), sample.block.is_some(), sample.pressure.cpu.is_some())
    };
    assert_eq!(known(sample), known(&after));
    assert!(sample.at.as_millis() > 1_700_000_000_000);
}

fn a_life_is_recorded_to_its_end() {
    let lab = Lab::new();
    let id = lab.start(&[], "trap '' TERM; echo up; while :; do sleep 0.1; done");
    lab.wait_for_log(&id, "up");
    eventually("a sample is recorded", || !recording(&lab, &id).samples.is_empty());
    let ran = Utc::now();
    lab.ok(&["pause", &id]);
    let paused = Utc::now();
    lab.ok(&["unpause", &id]);
    lab.ok(&["kill", &id]);
    lab.ok(&["wait", &id]);
    eventually("its end is recorded", || actions(&recording(&lab, &id)).contains(&"die".into()));
    let whole = recording(&lab, &id);
    assert_eq!(actions(&whole), ["start", "pause", "unpause", "kill (signal 9)", "die"]);
    let status = |at| whole.status_at(at).map(|(status, _)| status);
    assert_eq!(status(ran), Some(Status::Running));
    assert_eq!(status(paused), Some(Status::Paused));
    assert_eq!(status(Utc::now()), Some(Status::Exited));
    assert_eq!(whole.exit_code_at(Utc::now()), Some(137));
    // The next run goes on in the same record.
    lab.ok(&["start", &id]);
    eventually("the next run is recorded", || {
        samples(&lab, &id).last().unwrap().started_ms != whole.samples[0].sample.started_ms
    });
    assert_eq!(actions(&recording(&lab, &id)).len(), 6);
    let file = lab.root().join("containers").join(&id).join("record");
    assert!(file.exists());
    lab.ok(&["rm", "-f", &id]);
    assert!(!file.exists(), "the record goes with its container");
    assert!(ask(native(&lab).recording(&id)).is_err());
}

fn probes_are_recorded_together() {
    let lab = Lab::new();
    let flags = ["--health-cmd", "test -e /tmp/well || { echo ill; exit 7; }"];
    let often = ["--health-interval", "50ms", "--health-retries", "2"];
    let id = lab.start(&[&flags[..], &often].concat(), "sleep 1000");
    let probes = || {
        let happenings = recording(&lab, &id).happenings;
        let probes = happenings.into_iter().filter_map(|one| match one.what {
            What::Probes(probes) => Some(probes),
            What::Event { .. } => None,
        });
        probes.collect::<Vec<_>>()
    };
    let of =
        |status| move |probes: &wharf_model::Probes| probes.status == status && probes.count >= 3;
    eventually("it is ill", || probes().iter().any(of(HealthStatus::Unhealthy)));
    lab.ok(&["exec", &id, "touch", "/tmp/well"]);
    eventually("it is well", || probes().iter().any(of(HealthStatus::Healthy)));
    let all = probes();
    assert!(all.len() <= 8, "{all:?}");
    let ill = all.iter().find(|one| of(HealthStatus::Unhealthy)(one)).unwrap();
    assert_eq!((ill.exit_code, ill.output.trim()), (7, "ill"));
    assert!(ill.streak >= 3 && ill.longest >= ill.last, "{ill:?}");
    let events = actions(&recording(&lab, &id));
    assert!(events.contains(&"health_status: unhealthy".to_owned()), "{events:?}");
    assert!(events.contains(&"health_status: healthy".to_owned()), "{events:?}");
    assert_eq!(recording(&lab, &id).health_at(Utc::now()), Some(HealthStatus::Healthy));
}

fn it_can_be_turned_off() {
    let lab = Lab::new();
    assert_eq!(lab.ok(&["system", "recorder"]), "on");
    lab.fails(125, "neither on nor off", &["system", "recorder", "maybe"]);
    lab.ok(&["system", "recorder", "off"]);
    assert_eq!(lab.ok(&["system", "recorder"]), "off");
    let id = lab.start(&[], "sleep 1000");
    let file = lab.root().join("containers").join(&id).join("record");
    // Its first samples would be due by now.
    let begun = std::time::Instant::now();
    eventually("some time has passed", || begun.elapsed() > Duration::from_secs(3));
    assert!(!file.exists());
    assert_eq!(recording(&lab, &id), Recording::default());
    lab.ok(&["system", "recorder", "on"]);
    eventually("it is recorded now", || file.exists());
    lab.ok(&["system", "recorder", "on"]);
}

fn what_cannot_be_recorded_harms_nobody() {
    let lab = Lab::new();
    let id = lab.ok(&["create", crate::harness::IMAGE, "sh", "-c", "while :; do sleep 0.1; done"]);
    let file = lab.root().join("containers").join(&id).join("record");
    // A folder can't be written, as a full disk can't.
    std::fs::create_dir(&file).unwrap();
    lab.ok(&["start", &id]);
    let begun = std::time::Instant::now();
    eventually("some time has passed", || begun.elapsed() > Duration::from_secs(2));
    assert_eq!(lab.inspect(&id, "/State/Status"), "running");
    lab.ok(&["exec", &id, "true"]);
    std::fs::remove_dir(&file).unwrap();
    lab.ok(&["stop", "-t", "0", &id]);
    eventually("its end is recorded after all", || {
        actions(&recording(&lab, &id)).contains(&"die".into())
    });
    // What somebody has scribbled over is begun anew.
    std::fs::write(&file, "scribble").unwrap();
    assert_eq!(recording(&lab, &id), Recording::default());
    lab.ok(&["start", &id]);
    eventually("it is recorded again", || !recording(&lab, &id).samples.is_empty());
}

fn the_past_is_looked_at() {
    let lab = Lab::new();
    let busy = lab.start(&["--name", "busy"], "while :; do sleep 0.05; done");
    eventually("a few samples are recorded", || recording(&lab, &busy).samples.len() >= 2);
    lab.ok(&["kill", &busy]);
    eventually("its end is recorded", || actions(&recording(&lab, &busy)).contains(&"die".into()));
    let at = samples(&lab, &busy)[1].at;
    let at = chrono::DateTime::<Utc>::from_timestamp_millis(at.as_millis().try_into().unwrap());
    let at = at.unwrap().format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
    lab.fails(125, "a time is 14:05", &["replay", "--at", "soon"]);
    lab.fails(125, "hasn't come", &["replay", "--at", "2222-01-01T00:00:00Z"]);
    lab.fails(1, "needs a terminal", &["replay"]);
    // It runs then, and has ended now.
    let mut terminal = Terminal::start(&lab.command(&["replay", "--at", &at]), 120, 40);
    terminal.wait_for("THE PAST");
    terminal.wait_for("running");
    terminal.until("its memory then is shown", |screen| {
        screen.contents().lines().any(|line| line.contains("Memory ") && !line.contains('–'))
    });
    // Nothing can be done in the past.
    terminal.send("s");
    terminal.wait_for("this is the past");
    terminal.send("\u{1b}");
    terminal.wait_until_gone("THE PAST");
    terminal.wait_for("exited 137");
    // And there again, from the chart.
    terminal.send("t");
    terminal.wait_for("THE PAST");
    terminal.send("T");
    terminal.wait_for("Go to which time?");
    terminal.send(&at);
    terminal.send("\r");
    terminal.until("it runs again", |screen| {
        let text = screen.contents();
        text.contains("THE PAST") && text.lines().any(|line| line.contains("● running"))
    });
    terminal.send("\u{1b}");
    terminal.wait_for("exited 137");
    terminal.send("q");
    assert_eq!(terminal.wait(), 0);
}

fn a_postmortem_says_why() {
    let lab = Lab::new();
    let line = "echo begun > /tmp/mark; echo last words; exit 139";
    let id = lab.start(&["--name", "crashed"], line);
    lab.ok(&["wait", &id]);
    let mut terminal = Terminal::start(&lab.command(&["ui"]), 120, 40);
    terminal.wait_for("crashed");
    terminal.send("H");
    terminal.wait_for("ended by SIGSEGV");
    terminal.wait_for("last words");
    terminal.wait_for("1 added");
    terminal.wait_for("A /tmp/mark");
    terminal.send("q");
    assert_eq!(terminal.wait(), 0);
}

fn a_kill_for_want_of_memory_is_told() {
    let lab = Lab::new();
    let flags = ["--name", "eater", "-m", "16m", "--memory-swap", "16m"];
    // It is measured before it begins to eat.
    let line = "echo last words; while [ ! -e /tmp/eat ]; do sleep 0.1; done; \
                x=a; while :; do x=$x$x; done";
    let id = lab.start(&flags, line);
    eventually("a sample is recorded", || !recording(&lab, &id).samples.is_empty());
    lab.ok(&["exec", &id, "touch", "/tmp/eat"]);
    lab.ok(&["wait", &id]);
    eventually("its end is recorded", || actions(&recording(&lab, &id)).contains(&"die".into()));
    let told = actions(&recording(&lab, &id));
    assert_eq!(told, ["start", "oom", "die"], "{told:?}");
    let mut terminal = Terminal::start(&lab.command(&["ui"]), 120, 40);
    terminal.wait_for("eater");
    terminal.send("H");
    terminal.wait_for("for want of memory");
    terminal.wait_for("last words");
    terminal.until("what it used before is recorded", |screen| {
        let text = screen.contents();
        text.contains("memory up to its limit of 16") && text.contains("oom")
    });
    terminal.send("q");
    assert_eq!(terminal.wait(), 0);
}

/// Nobody but the next run's supervisor goes on with the record; what was recorded stays, and the end
/// that the killed one couldn't record is recorded by who finds out.
fn a_recorder_that_is_killed_is_followed_by_the_next() {
    let lab = Lab::new();
    let line = "while :; do sleep 0.1; done";
    let id = lab.start(&["--restart", "always"], line);
    eventually("a sample is recorded", || !recording(&lab, &id).samples.is_empty());
    let before = recording(&lab, &id);
    let supervisor = parent_of(lab.pid(&id));
    kill_process(Pid::from_raw(supervisor).unwrap(), Signal::KILL).unwrap();
    // Any command sees to it.
    eventually("it runs again", || {
        lab.ok(&["ps", "-a"]);
        lab.inspect(&id, "/State/Status") == "running"
    });
    eventually("the next run is recorded", || {
        let now = recording(&lab, &id);
        let last = now.samples.last().unwrap().sample.started_ms;
        last != before.samples[0].sample.started_ms
    });
    let after = recording(&lab, &id);
    assert_eq!(after.samples[..before.samples.len()], before.samples[..], "nothing is lost");
    assert_eq!(actions(&after), ["start", "die", "start"]);
}

fn the_host_is_recorded_by_one_of_all() {
    let lab = Lab::new();
    let line = "while :; do sleep 0.1; done";
    let (first, second) = (lab.start(&[], line), lab.start(&[], line));
    let engine = native(&lab);
    let now = || {
        let moment = ask(engine.moment(Utc::now())).unwrap();
        moment.host.map(|host| host.now)
    };
    eventually("the host is recorded", || now().is_some());
    let seen = now().unwrap();
    assert!(seen.cpus.unwrap() >= 1 && seen.memory_total.unwrap() > 0, "{seen:?}");
    assert!(seen.disk_total.unwrap() >= seen.disk_free.unwrap(), "{seen:?}");
    // Two at once never write it: whoever isn't the first is kept out.
    let record = lab.root().join("host-record");
    let file = std::fs::File::open(&record).unwrap();
    assert!(file.try_lock().is_err(), "its writer holds it");
    // That one is killed. The other's next sample finds the record abandoned, once it is old enough.
    let writes = |id: &str| has_open(parent_of(lab.pid(id)), &record);
    let (writer, other) = if writes(&first) { (&first, &second) } else { (&second, &first) };
    assert!(writes(writer) && !writes(other));
    let killed = Utc::now();
    kill_process(Pid::from_raw(parent_of(lab.pid(writer))).unwrap(), Signal::KILL).unwrap();
    eventually("nobody holds it", || file.try_lock().is_ok());
    file.unlock().unwrap();
    let old = std::time::SystemTime::now() - Duration::from_secs(60);
    std::fs::File::options().write(true).open(&record).unwrap().set_modified(old).unwrap();
    eventually("the other one writes it", || writes(other));
    eventually("the host is recorded again", || {
        now().is_some_and(|sample| sample.at > wharf_model::since_epoch(killed))
    });
    for id in [&first, &second] {
        lab.ok(&["rm", "-f", id]);
    }
    eventually("nobody holds it", || file.try_lock().is_ok());
}

/// Returns whether a process has a file open.
fn has_open(pid: i32, file: &std::path::Path) -> bool {
    let Ok(files) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    files.flatten().any(|open| std::fs::read_link(open.path()).is_ok_and(|path| path == file))
}

fn a_full_disk_costs_samples_alone() {
    let lab = Lab::new();
    let id = lab.start(&[], "while :; do sleep 0.1; done");
    let file = lab.root().join("containers").join(&id).join("record");
    eventually("a sample is recorded", || !recording(&lab, &id).samples.is_empty());
    // What is recorded is lost by nothing that happens to the file's neighbours.
    lab.ok(&["kill", &id]);
    eventually("its end is recorded", || actions(&recording(&lab, &id)).contains(&"die".into()));
    let kept = recording(&lab, &id);
    // A record that can't be written: a disk without room refuses in the same place.
    let full = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink("/dev/full", &file).unwrap();
    lab.ok(&["start", &id]);
    lab.ok(&["exec", &id, "true"]);
    lab.ok(&["kill", &id]);
    lab.ok(&["wait", &id]);
    eventually("it has ended", || lab.inspect(&id, "/State/Status") == "exited");
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, full).unwrap();
    let now = recording(&lab, &id);
    assert_eq!(now.samples[..kept.samples.len()], kept.samples[..]);
}
