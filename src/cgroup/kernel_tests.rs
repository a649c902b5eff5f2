//! Tests against the running kernel, as root: each group is `wharf-test-<pid>/<test>` and removed
//! when the test ends.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use wharf_model::{Limit, Resources};

use crate::layout::Layout;
use crate::{Controller, Counters, DeviceAccess, Error, Group, Limits, OomWatch, list};

const WAIT: Duration = Duration::from_secs(20);

/// A group that is killed and removed when the test ends.
struct Scene {
    layout: Layout,
    parent: String,
    group: Group,
}

impl Scene {
    fn new(test: &str, limits: &Limits) -> Self {
        assert!(rustix::process::geteuid().is_root(), "these tests need root");
        let layout = Layout::detect().unwrap();
        let parent = format!("wharf-test-{}-{test}", std::process::id());
        let group = Group::create(&layout, &format!("{parent}/box"), limits).unwrap();
        Self { layout, parent, group }
    }

    /// Starts a shell in the group that runs `script` once it is in.
    fn shell(&self, script: &str) -> Shell {
        let mut child = Command::new(shell().0)
            .args(shell().1)
            .args(["-c", &format!("read go; {script}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.group.add(i32::try_from(child.id()).unwrap()).unwrap();
        child.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Shell { group: self.group.clone(), child, output }
    }

    fn file(&self, controller: Controller, file: &str) -> String {
        let path = self.group.member(controller).unwrap().path.join(file);
        std::fs::read_to_string(path).unwrap().trim().to_owned()
    }

    fn is_v2(&self, controller: Controller) -> bool {
        self.group.member(controller).unwrap().hierarchy.unified
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let killed = self.group.kill();
        let empty = self.group.wait_empty(WAIT);
        let gone = self.group.delete();
        let parent = Group::open(&self.layout, &self.parent).map(|parent| parent.delete());
        if !std::thread::panicking() {
            killed.unwrap();
            assert!(empty.unwrap());
            gone.unwrap();
            parent.unwrap().unwrap();
        }
    }
}

/// A shell in a group, ended with the test.
struct Shell {
    group: Group,
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Shell {
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // Even out of a frozen group, which a failed test may leave.
        let _ = self.group.kill();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The static busybox where there is one (a virtual machine may have nothing else).
fn shell() -> (&'static str, &'static [&'static str]) {
    match std::path::Path::new("/bin/busybox").exists() {
        true => ("/bin/busybox", &["sh"]),
        false => ("/bin/sh", &[]),
    }
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + WAIT;
    while !done() {
        assert!(Instant::now() < deadline, "{what} did not come true");
        rustix::thread::sched_yield();
    }
}

fn open_devices() -> Limits {
    Limits { devices: DeviceAccess::Unrestricted, ..Limits::default() }
}

fn of(resources: Resources) -> Limits {
    Limits { resources, ..Limits::default() }
}

#[test]
fn a_group_is_made_in_every_hierarchy_and_removed_from_all() {
    let scene = Scene::new("life", &Limits::default());
    for hierarchy in scene.layout.hierarchies() {
        assert!(hierarchy.mount.join(scene.group.name()).is_dir(), "{hierarchy:?}");
    }
    assert_eq!(list(&scene.layout, &scene.parent).unwrap(), [scene.group.name()]);
    assert!(scene.group.is_empty().unwrap());
    let mut shell = scene.shell("read more");
    let pid = i32::try_from(shell.child.id()).unwrap();
    assert_eq!(scene.group.processes().unwrap(), [pid]);
    assert!(!scene.group.is_empty().unwrap());
    assert!(!scene.group.wait_empty(Duration::from_millis(1)).unwrap());
    let membership = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let wanted = format!("/{}", scene.group.name());
    assert_eq!(
        membership.lines().filter(|line| line.ends_with(&wanted)).count(),
        scene.layout.hierarchies().len(),
        "{membership}"
    );
    // Busy: the removal says so for each hierarchy, and the next attempt succeeds.
    let error = scene.group.delete().unwrap_err();
    assert!(matches!(&error, Error::Delete { failures, .. } if !failures.is_empty()), "{error}");
    assert!(matches!(
        Group::create(&scene.layout, scene.group.name(), &Limits::default()),
        Err(Error::Occupied(_))
    ));
    let again = Group::open(&scene.layout, scene.group.name()).unwrap();
    again.kill().unwrap();
    assert!(again.wait_empty(WAIT).unwrap());
    assert_eq!(shell.wait().signal(), Some(9));
    scene.group.delete().unwrap();
    scene.group.delete().unwrap();
    assert!(matches!(Group::open(&scene.layout, scene.group.name()), Err(Error::NotFound(_))));
}

/// Several engines begin at once: one has made the folder of all groups, and not furnished it yet.
#[test]
fn a_parent_that_somebody_else_is_making_is_no_obstacle() {
    let name = format!("wharf-test-{}-begun", std::process::id());
    for hierarchy in Layout::detect().unwrap().hierarchies() {
        std::fs::create_dir(hierarchy.mount.join(&name)).unwrap();
    }
    let scene = Scene::new("begun", &Limits::default());
    assert!(scene.shell("exit 3").wait().code() == Some(3));
}

#[test]
fn a_leftover_group_is_replaced_with_what_is_below_it() {
    let scene = Scene::new("leftover", &Limits::default());
    for member in &scene.group.members {
        std::fs::create_dir_all(member.path.join("nested/deeper")).unwrap();
    }
    let again = Group::create(&scene.layout, scene.group.name(), &Limits::default()).unwrap();
    for member in &again.members {
        assert!(!member.path.join("nested").exists());
    }
}

#[test]
fn names_stay_below_the_mount() {
    let layout = Layout::detect().unwrap();
    for name in ["", "/etc", "wharf/../..", "wharf//x", "wharf/.", "wharf/cgroup.procs"] {
        let made = Group::create(&layout, name, &open_devices());
        assert!(matches!(made, Err(Error::Name(_))), "{name:?}");
    }
}

#[test]
fn limits_are_what_was_asked_for_and_can_be_changed() {
    let limits = Resources {
        memory: Some(64 << 20),
        nano_cpus: Some(1_500_000_000),
        pids_limit: Some(9),
        ..Resources::default()
    };
    let scene = Scene::new("limits", &of(limits.clone()));
    let cpu = |scene: &Scene| match scene.is_v2(Controller::Cpu) {
        true => scene.file(Controller::Cpu, "cpu.max"),
        false => format!(
            "{} {}",
            scene.file(Controller::Cpu, "cpu.cfs_quota_us"),
            scene.file(Controller::Cpu, "cpu.cfs_period_us")
        ),
    };
    let (memory, swap) = match scene.is_v2(Controller::Memory) {
        true => ("memory.max", "memory.swap.max"),
        false => ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes"),
    };
    let has_swap = scene.group.member(Controller::Memory).unwrap().path.join(swap).exists();
    let swap_total = |bytes: u64| match scene.is_v2(Controller::Memory) {
        true => bytes.to_string(),
        false => (2 * bytes).to_string(),
    };
    assert_eq!(cpu(&scene), "150000 100000");
    assert_eq!(scene.file(Controller::Memory, memory), (64 << 20).to_string());
    assert_eq!(scene.file(Controller::Pids, "pids.max"), "9");
    // Up beyond the old limit on memory and swap, and down again below it.
    let mut before = limits.clone();
    for bytes in [512 << 20, 32 << 20] {
        let after =
            Resources { memory: Some(bytes), nano_cpus: Some(500_000_000), ..limits.clone() };
        scene.group.update(&before, &after).unwrap();
        before = after;
        assert_eq!(scene.file(Controller::Memory, memory), bytes.to_string());
        if has_swap {
            assert_eq!(scene.file(Controller::Memory, swap), swap_total(bytes));
        }
        assert_eq!(cpu(&scene), "50000 100000");
    }
    scene.group.update(&before, &Resources::default()).unwrap();
    assert_eq!(scene.file(Controller::Pids, "pids.max"), "max");
    assert!(cpu(&scene).starts_with("-1 ") || cpu(&scene).starts_with("max "));
    let counters = Counters::open(&scene.layout, scene.group.name()).unwrap().read().unwrap();
    assert_eq!(counters.memory.unwrap().limit, Some(Limit::Unlimited));
    assert_eq!(counters.pids.unwrap().limit, Some(Limit::Unlimited));
}

#[test]
fn a_refused_change_leaves_all_limits_as_they_were() {
    let before = Resources {
        memory: Some(64 << 20),
        pids_limit: Some(9),
        cpu_shares: Some(512),
        ..Resources::default()
    };
    let scene = Scene::new("refused", &of(before.clone()));
    // 16 bytes, doubled 20 times; the shell holds the old and the new text at once.
    let mut shell = scene.shell(
        "x=0123456789abcdef; n=0; while [ $n -lt 20 ]; do x=$x$x; n=$((n+1)); done; echo full; \
         read more",
    );
    assert_eq!(shell.line(), "full");
    let files = |scene: &Scene| {
        let v2 = scene.is_v2(Controller::Memory);
        let names: &[&str] = match v2 {
            true => &["memory.max", "memory.swap.max", "memory.high"],
            false => &["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"],
        };
        names.iter().map(|name| scene.file(Controller::Memory, name)).collect::<Vec<_>>()
    };
    let held = files(&scene);
    let after = Resources { memory: Some(8 << 20), pids_limit: Some(5), ..before.clone() };
    let error = scene.group.update(&before, &after).unwrap_err();
    assert!(error.to_string().starts_with("unable to set memory limit to 8388608"), "{error}");
    assert_eq!(error.kind(), wharf_model::ErrorKind::Conflict);
    assert_eq!(files(&scene), held);
    // What can be given at the same time is not given either.
    let after = Resources { cpuset_cpus: "4000".to_owned(), cpu_shares: Some(2), ..before.clone() };
    let error = scene.group.update(&before, &after).unwrap_err();
    assert!(error.to_string().starts_with("--cpuset-cpus 4000"), "{error}");
    match scene.is_v2(Controller::Cpu) {
        true => assert_eq!(scene.file(Controller::Cpu, "cpu.weight"), "59"),
        false => assert_eq!(scene.file(Controller::Cpu, "cpu.shares"), "512"),
    }
    assert!(shell.child.try_wait().unwrap().is_none(), "nobody was killed");
}

#[test]
fn a_limit_without_its_controller_is_refused_by_name() {
    let layout = Layout::from_mountinfo(
        b"41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n",
    );
    let resources = Resources { pids_limit: Some(5), ..Resources::default() };
    let limits = Limits { resources, ..open_devices() };
    let error = Group::create(&layout, "wharf-test-never", &limits).unwrap_err();
    let message = error.to_string();
    assert!(message.starts_with("--pids-limit needs the pids controller, which"), "{message}");
    assert_eq!(error.kind(), wharf_model::ErrorKind::Unsupported);
}

#[test]
fn an_impossible_limit_is_refused_and_leaves_nothing_behind() {
    let layout = Layout::detect().unwrap();
    let name = format!("wharf-test-{}-impossible", std::process::id());
    // Far below the millisecond that the kernel wants as a quota.
    let resources = Resources { nano_cpus: Some(1000), ..Resources::default() };
    let limits = Limits { resources, ..open_devices() };
    let error = Group::create(&layout, &name, &limits).unwrap_err();
    assert!(error.to_string().starts_with("--cpus"), "{error}");
    assert!(matches!(Group::open(&layout, &name), Err(Error::NotFound(_))));
}

#[test]
fn the_task_limit_stops_forks() {
    let scene = Scene::new("pids", &of(Resources { pids_limit: Some(3), ..Resources::default() }));
    let mut shell =
        scene.shell("for n in 1 2 3 4 5; do sleep 600 >/dev/null & echo $n; done; echo all");
    // A shell that can't fork ends with 2.
    assert_eq!(shell.wait().code(), Some(2));
    assert_eq!((shell.line(), shell.line()), ("1".to_owned(), "2".to_owned()));
    assert_eq!(shell.line(), "");
    let mut counters = Counters::open(&scene.layout, scene.group.name()).unwrap();
    let pids = counters.read().unwrap().pids.unwrap();
    assert_eq!((pids.current, pids.limit), (2, Some(Limit::At(3))));
}

#[test]
fn running_out_of_memory_is_noticed_and_counted() {
    let scene =
        Scene::new("oom", &of(Resources { memory: Some(16 << 20), ..Resources::default() }));
    let watch = OomWatch::open(&scene.group).unwrap().unwrap();
    assert_eq!(watch.oom_kills().unwrap(), 0);
    let condition = match scene.is_v2(Controller::Memory) {
        true => PollFlags::PRI,
        false => PollFlags::IN,
    };
    let pollable = |millis: i64| {
        let timeout = rustix::event::Timespec { tv_sec: 0, tv_nsec: millis * 1_000_000 };
        let fd = watch.fd();
        let mut fds = [PollFd::new(&fd, condition)];
        rustix::event::poll(&mut fds, Some(&timeout)).unwrap() > 0
    };
    assert!(!pollable(0), "quiet before anything happened");
    // Swap, if there is any, fills up as well; each round doubles what is held.
    let mut shell = scene.shell("x=0123456789abcdef; while :; do x=$x$x; done");
    assert_eq!(shell.wait().signal(), Some(9));
    assert!(pollable(900), "the kill is announced");
    assert_eq!(watch.oom_kills().unwrap(), 1);
    // The kernel gathers notices over 10 ms: one that only repeats the last may follow.
    wait_until("quiet", || watch.oom_kills().unwrap() == 1 && !pollable(0));
    let counters = Counters::open(&scene.layout, scene.group.name()).unwrap().read().unwrap();
    assert_eq!(counters.memory.unwrap().oom_kills, Some(1));
}

#[test]
fn frozen_processes_stand_still_until_thawed() {
    let scene = Scene::new("freeze", &Limits::default());
    let mut shell = scene.shell("while :; do :; done");
    let mut counters = Counters::open(&scene.layout, scene.group.name()).unwrap();
    let usage = |counters: &mut Counters| counters.read().unwrap().cpu.unwrap().usage_ns;
    let first = usage(&mut counters);
    wait_until("CPU use", || usage(&mut counters) > first + 1_000_000);
    scene.group.freeze().unwrap();
    let frozen = usage(&mut counters);
    let pause = Instant::now();
    while pause.elapsed() < Duration::from_millis(30) {
        rustix::thread::sched_yield();
    }
    // The last slice may still be accounted for after the state has changed.
    let crept = usage(&mut counters) - frozen;
    assert!(crept < 5_000_000, "{crept} ns in 30 ms of standing still");
    scene.group.thaw().unwrap();
    wait_until("CPU use", || usage(&mut counters) > frozen + 1_000_000);
    // Killing goes through the ice.
    scene.group.freeze().unwrap();
    scene.group.kill().unwrap();
    assert!(scene.group.wait_empty(WAIT).unwrap());
    assert_eq!(shell.wait().signal(), Some(9));
}

#[test]
fn killing_one_by_one_leaves_nobody() {
    let scene = Scene::new("each", &Limits::default());
    let mut shell = scene.shell("while :; do (:) & done");
    wait_until("several processes", || scene.group.processes().unwrap().len() > 3);
    scene.group.kill_each().unwrap();
    assert_eq!(shell.wait().signal(), Some(9));
    assert!(scene.group.wait_empty(WAIT).unwrap());
}

#[test]
fn waiting_for_processes_works_without_the_events_file() {
    let mut scene = Scene::new("legacy", &Limits::default());
    if scene.layout.version_word() == "2" {
        return;
    }
    let unified = scene.group.members.iter().position(|member| member.hierarchy.unified);
    let unified = unified.map(|index| scene.group.members.remove(index));
    let mut shell = scene.shell("while :; do :; done");
    assert!(!scene.group.wait_empty(Duration::from_millis(1)).unwrap());
    scene.group.freeze().unwrap();
    assert_eq!(scene.file(Controller::Freezer, "freezer.state"), "FROZEN");
    scene.group.thaw().unwrap();
    scene.group.kill().unwrap();
    assert!(scene.group.wait_empty(WAIT).unwrap());
    assert_eq!(shell.wait().signal(), Some(9));
    scene.group.members.extend(unified);
}

#[test]
fn counters_grow_and_end_with_the_group() {
    let scene = Scene::new("counters", &Limits::default());
    let mut counters = Counters::open(&scene.layout, scene.group.name()).unwrap();
    let before = counters.read().unwrap();
    let mut shell = scene.shell(
        "x=0123456789abcdef; for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 \
        16; do x=$x$x; done; echo grown; read more",
    );
    assert_eq!(shell.line(), "grown");
    let after = counters.read().unwrap();
    let (memory, cpu) = (after.memory.unwrap(), after.cpu.unwrap());
    assert!(memory.usage > before.memory.unwrap().usage + (1 << 20), "{before:?} {after:?}");
    assert!(memory.anon.unwrap() > 1 << 20, "{memory:?}");
    assert!(memory.inactive_file.is_some() && memory.file.is_some());
    assert!(cpu.usage_ns > before.cpu.unwrap().usage_ns);
    assert!(cpu.user_ns.unwrap() + cpu.system_ns.unwrap() <= cpu.usage_ns + 20_000_000);
    assert_eq!(cpu.throttled_periods, Some(0));
    assert!(after.pids.unwrap().current >= 1);
    assert!(after.block.is_some());
    scene.group.kill().unwrap();
    shell.wait();
    assert!(scene.group.wait_empty(WAIT).unwrap());
    scene.group.delete().unwrap();
    assert!(matches!(counters.read(), Err(Error::NotFound(_))));
}

#[test]
fn throttling_is_counted() {
    let resources = Resources { nano_cpus: Some(50_000_000), ..Resources::default() };
    let scene = Scene::new("throttle", &of(resources));
    let _shell = scene.shell("while :; do :; done");
    let mut counters = Counters::open(&scene.layout, scene.group.name()).unwrap();
    wait_until("throttling", || {
        let cpu = counters.read().unwrap().cpu.unwrap();
        assert_eq!(cpu.limit, Some(Limit::At(50_000_000)));
        cpu.throttled_periods.unwrap() > 0 && cpu.throttled_ns.unwrap() > 0
    });
}

#[test]
fn only_the_standard_devices_can_be_opened() {
    let script = "(: </dev/null) && (: </dev/urandom) && echo allowed; \
        (: </dev/kmsg) && echo kmsg || echo refused";
    let scene = Scene::new("devices", &Limits::default());
    let mut shell = scene.shell(script);
    assert_eq!((shell.line(), shell.line()), ("allowed".to_owned(), "refused".to_owned()));
    let scene = Scene::new("all-devices", &open_devices());
    let mut shell = scene.shell(script);
    assert_eq!((shell.line(), shell.line()), ("allowed".to_owned(), "kmsg".to_owned()));
}

#[test]
fn a_process_passes_the_gate_by_itself() {
    let scene = Scene::new("gate", &Limits::default());
    let gate = scene.group.gate().unwrap();
    let legacy = scene.layout.hierarchies().iter().filter(|one| !one.unified).count();
    assert_eq!(gate.files().len(), legacy);
    // The gate moves the thread that calls: one made for this, which then ends.
    let membership = std::thread::spawn(move || {
        gate.enter().unwrap();
        std::fs::read_to_string("/proc/thread-self/cgroup").unwrap()
    })
    .join()
    .unwrap();
    // It counts as this whole process until the kernel is done with it.
    wait_until("the thread's end", || scene.group.processes().unwrap().is_empty());
    let wanted = format!("/{}", scene.group.name());
    let entered = membership.lines().filter(|line| line.ends_with(&wanted)).count();
    assert_eq!(entered, legacy, "{membership}");
    assert_eq!(scene.group.directory_fd().unwrap().is_some(), scene.group.unified().is_some());
}

#[test]
fn a_version_2_parent_with_processes_is_reported_with_the_way_out() {
    let scene = Scene::new("occupied", &open_devices());
    if scene.layout.version_word() != "2" {
        return;
    }
    let _shell = scene.shell("read more");
    let occupied = scene.group.unified().unwrap().path.clone();
    let layout = Layout::unified_at(&occupied);
    let error = Group::create(&layout, "wharf/box", &open_devices()).unwrap_err();
    assert!(matches!(&error, Error::ParentOccupied(path) if *path == occupied), "{error}");
    assert!(!occupied.join("wharf/box").exists());
}
