//! Tests against the running kernel, as root, in groups of their own.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use wharf_cgroup::{Group, Limits};
use wharf_model::{Limit, Resources};

use super::*;
use crate::Usage;

/// A shell with a network of its own, in a group of its own, both gone when the test ends.
struct Scene {
    parent: String,
    layout: Layout,
    group: Group,
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Scene {
    fn new(test: &str) -> Self {
        let layout = Layout::detect().unwrap();
        let parent = format!("wharf-stats-{}-{test}", std::process::id());
        let limits = Limits::default();
        let group = Group::create(&layout, &format!("{parent}/box"), &limits).unwrap();
        let mut child = Command::new("unshare")
            .args(["-n", "sh", "-c", "echo ready; while read line; do eval \"$line\"; done"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        group.add(i32::try_from(child.id()).unwrap()).unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut scene = Self { parent, layout, group, child, output };
        scene.answer();
        scene
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line
    }

    /// Has the shell run a command, and waits until it has.
    fn run(&mut self, command: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{command}; echo done").unwrap();
        assert_eq!(self.answer(), "done\n");
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    /// What a sampler wants to know of it.
    fn subject(&self, id: &ContainerId, started_ms: i64) -> Subject {
        let group = format!("{}/box", self.parent);
        Subject { id: id.clone(), group, pid: self.pid(), started_ms, links: None }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = self.group.kill();
        let _ = self.child.wait();
        let _ = self.group.wait_empty(Duration::from_secs(20));
        let gone = self.group.delete();
        let parent = Group::open(&self.layout, &self.parent).map(|parent| parent.delete());
        if !std::thread::panicking() {
            gone.unwrap();
            parent.unwrap().unwrap();
        }
    }
}

#[test]
fn a_container_is_sampled_until_it_ends() {
    let mut scene = Scene::new("ends");
    let mut sampler = Sampler::new(scene.layout.clone(), Path::new("/"));
    let id = ContainerId::from_bytes([7; 32]);
    sampler.add(scene.subject(&id, 5)).unwrap();
    let first = sampler.tick();
    assert_eq!(first.containers.len(), 1);
    let (found, before) = &first.containers[0];
    assert_eq!((found, before.started_ms), (&id, 5));
    scene.run("i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done");
    let second = sampler.tick();
    let now = &second.containers[0].1;
    let usage = Usage::between(Some(before), now, second.host.memory_total);
    let cpu = usage.cpu_percent.unwrap();
    assert!(cpu > 1.0 && cpu < 120.0, "{cpu}");
    assert!(usage.memory.unwrap() > 0);
    // A hierarchy without the controller has no such counter; then it is none, not zero.
    if let Some(pids) = usage.pids {
        assert_eq!(pids, 1);
    }
    let net = now.network.expect("it has a network of its own");
    assert_eq!(net.rx_bytes, 0, "the loopback doesn't count");

    scene.child.kill().unwrap();
    scene.child.wait().unwrap();
    let last = sampler.tick();
    assert!(last.containers.is_empty());
    assert_eq!(last.gone, std::slice::from_ref(&id));
    assert_eq!(sampler.containers().count(), 0);
    assert!(sampler.add(scene.subject(&id, 5)).is_err());
}

#[test]
fn adding_twice_is_once_and_a_restart_begins_anew() {
    let scene = Scene::new("twice");
    let mut sampler = Sampler::new(scene.layout.clone(), Path::new("/"));
    let id = ContainerId::from_bytes([8; 32]);
    sampler.add(scene.subject(&id, 5)).unwrap();
    sampler.add(scene.subject(&id, 5)).unwrap();
    assert_eq!(sampler.tick().containers.len(), 1);
    sampler.add(scene.subject(&id, 6)).unwrap();
    assert_eq!(sampler.tick().containers[0].1.started_ms, 6);
    let group = "wharf-none".to_owned();
    let nobody = Subject { group, ..scene.subject(&ContainerId::from_bytes([9; 32]), 0) };
    assert!(sampler.add(nobody).is_err());
    sampler.retain(|_| false);
    assert!(sampler.tick().containers.is_empty());
}

#[test]
fn one_that_is_settled_is_seen_to_go_on() {
    let mut scene = Scene::new("rests");
    let mut sampler = Sampler::new(scene.layout.clone(), Path::new("/"));
    let id = ContainerId::from_bytes([10; 32]);
    sampler.add(scene.subject(&id, 5)).unwrap();
    let usage = |tick: &Tick| tick.containers[0].1.cpu.as_ref().unwrap().usage_ns;
    let is_settled = |sampler: &Sampler| {
        let last = sampler.containers[0].last.as_ref().unwrap();
        last.is_settled(sampler.origin.elapsed())
    };
    let mut before = sampler.tick();
    let mut ticks = 0;
    // Whole readings are among these; they don't end the rest. The shell may have been on its way to
    // sleep at the first.
    for _ in 0..100 * WHOLE_OF_SETTLED {
        if !is_settled(&sampler) {
            sampler.origin = sampler.origin.checked_sub(WRITTEN_BACK).unwrap();
            ticks = 0;
        }
        before = sampler.tick();
        ticks += 1;
        if ticks == 2 * WHOLE_OF_SETTLED {
            break;
        }
    }
    assert_eq!(ticks, 2 * WHOLE_OF_SETTLED);
    scene.run("i=0; while [ $i -lt 1000 ]; do i=$((i+1)); done");
    assert!(usage(&sampler.tick()) > usage(&before));
    assert!(!is_settled(&sampler));
}

#[test]
fn other_limits_are_seen_at_once() {
    let scene = Scene::new("limits");
    let mut sampler = Sampler::new(scene.layout.clone(), Path::new("/"));
    let id = ContainerId::from_bytes([12; 32]);
    sampler.add(scene.subject(&id, 5)).unwrap();
    sampler.tick();
    let mut before = Resources::default();
    // It rests: of these ticks one at most reads all by itself.
    for limit in [50, 60, 70] {
        let after = Resources { pids_limit: Some(limit), ..Resources::default() };
        scene.group.update(&before, &after).unwrap();
        sampler.changed(&id);
        let tick = sampler.tick();
        let pids = tick.containers[0].1.pids.as_ref().unwrap();
        assert_eq!(pids.limit, Some(Limit::At(limit)));
        before = after;
    }
}

#[test]
fn one_with_nothing_to_be_written_settles_soon() {
    let scene = Scene::new("written");
    let mut sampler = Sampler::new(scene.layout.clone(), Path::new("/"));
    let id = ContainerId::from_bytes([11; 32]);
    sampler.add(scene.subject(&id, 5)).unwrap();
    sampler.tick();
    for _ in 0..100 * WHOLE {
        // Far less than what is waited for when nobody counts what is to be written.
        sampler.origin = sampler.origin.checked_sub(ADDED_UP).unwrap();
        sampler.tick();
        let last = sampler.containers[0].last.as_ref().unwrap();
        // A hierarchy without the memory controller doesn't count it.
        let Some(unwritten) = last.raw.unwritten else { return };
        if last.written {
            assert_eq!(unwritten, 0);
            return;
        }
    }
    panic!("it never settled");
}

#[test]
fn traffic_is_seen_by_the_links_of_this_host() {
    let mut scene = Scene::new("links");
    let mut sampler = Sampler::new(scene.layout.clone(), Path::new("/"));
    let link = format!("wst{}", std::process::id());
    let run = |program: &str, arguments: &str| {
        let arguments: Vec<_> = arguments.split(' ').collect();
        assert!(Command::new(program).args(&arguments).status().unwrap().success());
    };
    let pid = scene.pid();
    run("ip", &format!("link add {link} up type veth peer name inside netns {pid}"));
    scene.run("ip link set inside up");
    run("ip", &format!("address add 192.0.2.1/30 dev {link}"));
    let socket = std::net::UdpSocket::bind("192.0.2.1:0").unwrap();
    socket.set_broadcast(true).unwrap();
    let id = ContainerId::from_bytes([12; 32]);
    let subject = Subject { links: Some(vec![link.clone()]), ..scene.subject(&id, 5) };
    sampler.add(subject.clone()).unwrap();
    let traffic = |tick: &Tick| tick.containers[0].1.network.unwrap();
    let passed = |sampler: &Sampler| sampler.containers[0].last.as_ref().unwrap().passed;
    // The kernel itself says something when a link comes up.
    let mut before = sampler.tick();
    assert!(passed(&sampler).is_some());
    for _ in 0..5 {
        // To nobody: what counts is that it arrives while nothing runs in there.
        socket.send_to(b"anybody", "192.0.2.3:9").unwrap();
        let now = sampler.tick();
        assert!(traffic(&now).rx_packets > traffic(&before).rx_packets);
        before = now;
    }
    // An interface that nobody knew of: its traffic can't be seen from here.
    scene.run("ip link add other type veth peer name another");
    sampler.add(Subject { started_ms: 6, ..subject }).unwrap();
    sampler.tick();
    assert_eq!(passed(&sampler), None);
}

#[test]
fn a_meter_sees_what_changes_in_one_that_rests() {
    let scene = Scene::new("meter");
    let mut meter = crate::Meter::open(&scene.group, scene.pid(), 1).unwrap();
    let mut limit = || meter.read(Duration::ZERO).unwrap().pids.unwrap().limit;
    // What it did at its start has been counted then.
    let before = (limit(), limit()).1;
    let after = Resources { pids_limit: Some(50), ..Resources::default() };
    scene.group.update(&Resources::default(), &after).unwrap();
    assert_ne!(before, Some(Limit::At(50)));
    assert!((0..8).any(|_| limit() == Some(Limit::At(50))));
}
