//! A real dockerd with its own containerd on a private socket, touching nothing of the machine's.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use wharf_backend::Backend;
use wharf_backend::docker::Docker;
use wharf_model::RemoveOptions;

use crate::harness::{PATIENCE, binary, folder, lacks_programs, run, wait_for};
use crate::hosts::Host;
use crate::pty::Terminal;

/// A running dockerd; dropping it ends it and cleans up after it.
pub(crate) struct Dockerd {
    folder: PathBuf,
    containerd: Option<Daemon>,
    dockerd: Option<Daemon>,
    /// The file of the network namespace that it runs in, if it isn't the machine's.
    network: Option<String>,
    flags: Vec<String>,
}

/// A daemon that says on its standard error when it is ready.
struct Daemon {
    child: Child,
    reader: Option<std::thread::JoinHandle<()>>,
}

/// Returns why there can be no dockerd here.
pub(crate) fn lacks() -> Option<String> {
    lacks_programs(&["dockerd", "containerd", "containerd-shim-runc-v2", "runc"])
}

impl Dockerd {
    /// Starts one that leaves the machine's network alone, and waits until it listens.
    pub(crate) fn start() -> Self {
        let alone = ["--bridge=none", "--iptables=false", "--ip-forward=false", "--ip-masq=false"];
        Self::with(None, &alone)
    }

    /// Starts one on a host of its own, with its default bridge and its firewall, whose containers
    /// outlive it.
    pub(crate) fn on(host: &Host) -> Self {
        Self::with(Some(host.file()), &["--live-restore"])
    }

    /// Starts one that leaves the machine's network alone and listens elsewhere, too.
    pub(crate) fn listening(flags: &[&str]) -> Self {
        let alone = ["--bridge=none", "--iptables=false", "--ip-forward=false", "--ip-masq=false"];
        Self::with(None, &[&alone, flags].concat())
    }

    /// Returns its containerd's socket.
    pub(crate) fn containerd_socket(&self) -> PathBuf {
        self.folder.join("containerd.sock")
    }

    /// Returns its socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.join("docker.sock")
    }

    fn with(network: Option<String>, flags: &[&str]) -> Self {
        let folder = folder();
        let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
        let config = format!(
            "version = 2\nroot = {:?}\nstate = {:?}\n\
             disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = {:?}\n",
            path("containerd"),
            path("containerd-run"),
            path("containerd.sock")
        );
        std::fs::write(folder.join("containerd.toml"), config).unwrap();
        let mut dockerd = Self {
            folder: folder.clone(),
            containerd: None,
            dockerd: None,
            network,
            flags: flags.iter().map(ToString::to_string).collect(),
        };
        dockerd.containerd = Some(Daemon::start(
            Command::new("containerd").args(["--config", &path("containerd.toml")]),
            "containerd successfully booted",
            folder.join("containerd.log"),
        ));
        dockerd.go();
        dockerd
    }

    /// Starts dockerd itself.
    pub(crate) fn go(&mut self) {
        let folder = &self.folder;
        let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
        let mut command = match &self.network {
            None => Command::new("dockerd"),
            Some(file) => {
                let mut command = Command::new("nsenter");
                command.arg(format!("--net={file}")).arg("dockerd");
                command
            }
        };
        command.args([
            "--host",
            &format!("unix://{}", path("docker.sock")),
            "--containerd",
            &path("containerd.sock"),
            "--data-root",
            &path("data"),
            "--exec-root",
            &path("exec"),
            "--pidfile",
            &path("dockerd.pid"),
            "--cgroup-parent",
            &format!("/{}", folder.file_name().unwrap().to_str().unwrap()),
            "--storage-driver",
            storage_driver(folder),
        ]);
        command.args(&self.flags);
        let log = folder.join("dockerd.log");
        self.dockerd = Some(Daemon::start(&mut command, "API listen on", log));
    }

    /// Returns its address.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}/docker.sock", self.folder.display())
    }

    /// Runs docker's own program against it, which has to succeed; returns what it prints.
    #[track_caller]
    pub(crate) fn docker(&self, arguments: &[&str], input: &[u8]) -> String {
        let mut command = Command::new("docker");
        command.args(["--host", &self.host()]).args(arguments);
        let out = run(command, input);
        assert_eq!(out.code, 0, "docker {arguments:?}: {out:?}");
        out.stdout
    }

    /// Starts the dashboard over it.
    pub(crate) fn dashboard(&self, columns: u16, rows: u16) -> Terminal {
        let mut command = Command::new(binary());
        command.args(["--host", &self.host()]);
        Terminal::start(&command, columns, rows)
    }

    /// Removes every container and network: shims and bridges outlive both daemons.
    fn remove_containers(&self) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let Ok(docker) = Docker::connect(&self.host()) else {
                return;
            };
            for container in docker.containers(true).await.unwrap_or_default() {
                let container = container.id.to_string();
                let options = RemoveOptions { force: true, volumes: true };
                let _ = docker.execute(wharf_model::Command::Remove { container, options }).await;
            }
            // Their bridges would outlive it too.
            let filters = wharf_model::Filters::default();
            let _ = docker.execute(wharf_model::Command::PruneNetworks { filters }).await;
        });
    }

    /// Ends dockerd, as an engine that goes away.
    pub(crate) fn stop(&mut self) {
        if let Some(daemon) = self.dockerd.take() {
            daemon.end();
        }
    }
}

/// Returns the storage driver that this filesystem carries: overlayfs can't lie on overlayfs.
fn storage_driver(folder: &Path) -> &'static str {
    const OVERLAYFS_MAGIC: i64 = 0x794c_7630;
    let filesystem = rustix::fs::statfs(folder).unwrap();
    if filesystem.f_type == OVERLAYFS_MAGIC { "vfs" } else { "overlay2" }
}

impl Daemon {
    fn start(command: &mut Command, ready: &'static str, log: PathBuf) -> Self {
        // dockerd looks for its helpers on the path.
        let path = std::env::var("PATH").unwrap_or_default();
        let mut child = command
            .env("PATH", format!("{path}:/usr/sbin:/sbin"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stderr = child.stderr.take().unwrap();
        let (sender, receiver) = mpsc::channel();
        let copy = log.clone();
        let reader = std::thread::spawn(move || {
            let mut file = File::create(copy).unwrap();
            let mut reader = BufReader::new(stderr);
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|length| length > 0) {
                let _ = std::io::Write::write_all(&mut file, line.as_bytes());
                if line.contains(ready) {
                    let _ = sender.send(());
                }
                line.clear();
            }
        });
        let daemon = Self { child, reader: Some(reader) };
        if receiver.recv_timeout(*PATIENCE).is_err() {
            daemon.end();
            let mut said = String::new();
            let _ = File::open(log).and_then(|mut file| file.read_to_string(&mut said));
            panic!("{command:?} isn't ready:\n{said}");
        }
        daemon
    }

    fn end(mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        wait_for(&mut self.child, Duration::from_secs(30));
        if let Some(reader) = self.reader.take() {
            // A shim may hold the other end; it is gone when its containers are.
            drop(reader);
        }
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        if self.dockerd.is_some() {
            self.remove_containers();
        }
        self.stop();
        if let Some(daemon) = self.containerd.take() {
            daemon.end();
        }
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let ours = self.folder.to_str().unwrap();
        let mut points: Vec<&str> = mounts
            .lines()
            .filter_map(|line| line.split(' ').nth(4))
            .filter(|point| point.starts_with(ours))
            .collect();
        // What was mounted last lies on top.
        points.reverse();
        for point in points {
            let _ = rustix::mount::unmount(point, rustix::mount::UnmountFlags::DETACH);
        }
        let group = self.folder.file_name().unwrap();
        for hierarchy in std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
            remove_groups(&hierarchy.path().join(group));
        }
        remove_groups(&Path::new("/sys/fs/cgroup").join(group));
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Removes a control group and those below it. The kernel may need a moment until it takes a group
/// for empty.
pub(crate) fn remove_groups(group: &Path) {
    let Ok(children) = std::fs::read_dir(group) else {
        return;
    };
    for child in children.flatten().filter(|child| child.file_type().is_ok_and(|t| t.is_dir())) {
        remove_groups(&child.path());
    }
    let deadline = Instant::now() + Duration::from_secs(5);
    while std::fs::remove_dir(group).is_err() && group.exists() && Instant::now() < deadline {
        std::thread::yield_now();
    }
}
