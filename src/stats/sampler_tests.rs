//! Tests against the running kernel, as root, in groups of their own.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use wharf_cgroup::{Group, Limits};

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
    let group = format!("{}/box", scene.parent);
    sampler.add(&id, &group, scene.pid(), 5).unwrap();
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
    assert!(sampler.add(&id, &group, scene.pid(), 5).is_err());
}

#[test]
fn adding_twice_is_once_and_a_restart_begins_anew() {
    let scene = Scene::new("twice");
    let mut sampler = Sampler::new(scene.layout.clone(), Path::new("/"));
    let id = ContainerId::from_bytes([8; 32]);
    let group = format!("{}/box", scene.parent);
    sampler.add(&id, &group, scene.pid(), 5).unwrap();
    sampler.add(&id, &group, scene.pid(), 5).unwrap();
    assert_eq!(sampler.tick().containers.len(), 1);
    sampler.add(&id, &group, scene.pid(), 6).unwrap();
    assert_eq!(sampler.tick().containers[0].1.started_ms, 6);
    assert!(sampler.add(&ContainerId::from_bytes([9; 32]), "wharf-none", 1, 0).is_err());
    sampler.retain(|_| false);
    assert!(sampler.tick().containers.is_empty());
}

#[test]
fn one_that_has_rested_long_is_seen_to_go_on() {
    let mut scene = Scene::new("rests");
    let mut sampler = Sampler::new(scene.layout.clone(), Path::new("/"));
    let id = ContainerId::from_bytes([10; 32]);
    sampler.add(&id, &format!("{}/box", scene.parent), scene.pid(), 5).unwrap();
    let usage = |tick: &Tick| tick.containers[0].1.cpu.as_ref().unwrap().usage_ns;
    let rests_long = |sampler: &Sampler| {
        let last = sampler.containers[0].last.as_ref().unwrap();
        last.has_rested_long(sampler.origin.elapsed())
    };
    let mut before = sampler.tick();
    let mut ticks = 0;
    // Whole readings are among these; they don't end the rest. The shell may have been on its way to
    // sleep at the first.
    for _ in 0..100 * WHOLE_AFTER_LONG {
        if !rests_long(&sampler) {
            sampler.origin = sampler.origin.checked_sub(LONG).unwrap();
            ticks = 0;
        }
        before = sampler.tick();
        ticks += 1;
        if ticks == 2 * WHOLE_AFTER_LONG {
            break;
        }
    }
    assert_eq!(ticks, 2 * WHOLE_AFTER_LONG);
    scene.run("i=0; while [ $i -lt 1000 ]; do i=$((i+1)); done");
    assert!(usage(&sampler.tick()) > usage(&before));
    assert!(!rests_long(&sampler));
}
