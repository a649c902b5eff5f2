//! A private engine root per test, with an image of busybox in it, and the binary to drive it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex, OnceLock};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// No command of these tests takes this long; a slow machine may say so in `WHARF_TEST_PATIENCE`, in
/// seconds.
pub(crate) static PATIENCE: LazyLock<Duration> = LazyLock::new(|| {
    let given = std::env::var("WHARF_TEST_PATIENCE").ok();
    Duration::from_secs(given.map_or(60, |text| text.parse().unwrap()))
});

/// The image that every lab has.
pub(crate) const IMAGE: &str = "box";

/// One test: its name, what it needs of the machine, and what it does.
pub(crate) struct Test {
    name: &'static str,
    lacks: Option<String>,
    run: Box<dyn FnOnce() + Send>,
}

impl Test {
    /// Returns a test that can run anywhere.
    pub(crate) fn new(name: &'static str, run: impl FnOnce() + Send + 'static) -> Self {
        Self { name, lacks: None, run: Box::new(run) }
    }

    /// Returns the same test, skipped if something is lacking.
    pub(crate) fn needing(mut self, lacks: Option<String>) -> Self {
        self.lacks = self.lacks.or(lacks);
        self
    }

    /// Returns it as the test runner wants it.
    pub(crate) fn into_trial(self, module: &str) -> libtest_mimic::Trial {
        let name = format!("{module}::{}", self.name);
        let lacks = self.lacks;
        if let Some(why) = &lacks {
            eprintln!("skipped {name}: {why}");
        }
        let run = self.run;
        libtest_mimic::Trial::test(name.clone(), move || {
            let began = Instant::now();
            let result = catch_unwind(AssertUnwindSafe(run));
            TIMES.lock().unwrap().push((began.elapsed(), name));
            result.map_err(|_| PANIC.take().into())
        })
        .with_ignored_flag(lacks.is_some())
    }
}

/// Makes tests of functions.
#[macro_export]
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        vec![$($crate::harness::Test::new(stringify!($name), $name)),*]
    };
}

thread_local! {
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

static TIMES: Mutex<Vec<(Duration, String)>> = Mutex::new(Vec::new());

/// Tells which tests took longest, so that whoever waits for all of them knows for what.
pub(crate) fn tell_slowest() {
    let mut times = std::mem::take(&mut *TIMES.lock().unwrap());
    times.sort();
    for (length, name) in times.iter().rev().take(20) {
        eprintln!("slowest: {:6.1} s  {name}", length.as_secs_f64());
    }
}

/// Keeps what a failed test said, so that it is shown under the test's name.
pub(crate) fn remember_panics() {
    std::panic::set_hook(Box::new(|info| PANIC.set(info.to_string())));
}

/// Returns what a thread of a test returned; its panic is the test's.
#[track_caller]
pub(crate) fn joined<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|payload| {
        let text = payload.downcast_ref::<String>().cloned();
        let text = text.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        panic!("{}", text.unwrap_or_default())
    })
}

/// Returns the text of the last panic of this thread.
pub(crate) fn last_panic() -> String {
    PANIC.take()
}

/// What a program said and how it ended.
#[derive(Debug)]
pub(crate) struct Out {
    /// The exit code; 128+n when a signal ended it.
    pub(crate) code: i32,
    /// Its standard output.
    pub(crate) stdout: String,
    /// Its standard error.
    pub(crate) stderr: String,
}

/// Returns the exit code as a shell tells it.
pub(crate) fn code_of(status: ExitStatus) -> i32 {
    status.code().or(status.signal().map(|signal| 128 + signal)).expect("it ended")
}

/// Returns the binary under test.
pub(crate) fn binary() -> PathBuf {
    let path = std::env::var_os("WHARF_BIN")
        .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_wharf")), PathBuf::from);
    std::path::absolute(path).unwrap()
}

/// Copies a program that will be run: by a process that starts no other, since one that is started
/// while the copy is open for writing holds it open, and then it can't be run.
pub(crate) fn copy_program(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("--").args([from, to]).status().unwrap();
    assert!(status.success(), "cp {} {}: {status}", from.display(), to.display());
}

/// Returns a new empty folder of the tests' own.
pub(crate) fn folder() -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let parent = std::env::var_os("WHARF_TEST_DIR").map_or("/tmp".into(), PathBuf::from);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = parent.join(format!("wharf-it-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    path
}

/// Waits until a child has ended, and ends it when it takes too long.
pub(crate) fn wait_for(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let pid = Pid::from_child(child);
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).unwrap();
    if !readable(&pidfd, patience) {
        let _ = child.kill();
        let _ = child.wait();
        return None;
    }
    Some(child.wait().unwrap())
}

/// Waits until a descriptor has something, or the time is over.
pub(crate) fn readable(descriptor: &impl AsFd, patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).unwrap();
        match poll(&mut [PollFd::new(descriptor, PollFlags::IN)], Some(&timeout)) {
            Ok(count) => return count > 0,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("poll: {error}"),
        }
    }
}

/// Returns the process whose child a process is.
pub(crate) fn parent_of(pid: i32) -> i32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap();
    line.trim().parse().unwrap()
}

/// Runs a program to its end, feeding it `input`.
pub(crate) fn run(mut command: Command, input: &[u8]) -> Out {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let mut stdin = child.stdin.take().unwrap();
    let (mut stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // The program need not read all of it.
            let _ = stdin.write_all(input);
        });
        let out = scope.spawn(move || read_all(&mut stdout));
        let err = scope.spawn(move || read_all(&mut stderr));
        let status = wait_for(&mut child, *PATIENCE);
        let (stdout, stderr) = (out.join().unwrap(), err.join().unwrap());
        let Some(status) = status else {
            panic!("{command:?} took too long\nstdout: {stdout}\nstderr: {stderr}");
        };
        Out { code: code_of(status), stdout, stderr }
    })
}

fn read_all(reader: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A private engine root. Dropping it removes all that it has and looks for what is left.
pub(crate) struct Lab {
    root: PathBuf,
    /// The argument of `nsenter` for commands in a network namespace of their own.
    network: Option<String>,
}

impl Lab {
    /// Returns an engine with [`IMAGE`] in it.
    pub(crate) fn new() -> Self {
        let lab = Self::empty();
        let archive = rootfs_archive();
        lab.ok(&["import", archive.to_str().unwrap(), IMAGE]);
        lab
    }

    /// Returns an engine with nothing in it.
    pub(crate) fn empty() -> Self {
        Self::at(folder())
    }

    /// Returns an engine with nothing in it in this folder, which need not be there.
    pub(crate) fn at(root: PathBuf) -> Self {
        Self { root, network: None }
    }

    /// Returns the same engine, all of whose commands run in another network namespace: `--net=FILE`.
    pub(crate) fn in_network(mut self, enter: &str) -> Self {
        self.network = Some(enter.to_owned());
        self
    }

    /// Returns an engine with nothing in it, below a folder that the test has made.
    pub(crate) fn below(folder: &Path) -> Self {
        Self::at(folder.join("engine"))
    }

    /// Brings in a root filesystem under a name.
    pub(crate) fn import(&self, tar: &[u8], name: &str) {
        let out = self.run_with(&["import", "-", name], tar);
        assert_eq!(out.code, 0, "{out:?}");
    }

    /// Returns the engine's root.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the folder of what is said of this engine, which needn't be there.
    pub(crate) fn config(&self) -> PathBuf {
        let mut name = self.root.as_os_str().to_owned();
        name.push("-config");
        name.into()
    }

    /// Writes the file of settings for all further commands of this engine.
    pub(crate) fn configure(&self, settings: &str) {
        std::fs::create_dir_all(self.config()).unwrap();
        std::fs::write(self.config().join("config.toml"), settings).unwrap();
    }

    /// Returns a command of this engine's, not yet started.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = match &self.network {
            None => Command::new(binary()),
            Some(enter) => {
                let mut command = Command::new("nsenter");
                command.arg(enter).arg(binary());
                command
            }
        };
        let config = self.config();
        if config.exists() {
            command.env("WHARF_CONFIG", config);
        }
        command
            .args(arguments)
            .env("WHARF_ROOT", &self.root)
            .env_remove("WHARF_HOST")
            .env_remove("DOCKER_HOST");
        command
    }

    /// Runs a command.
    pub(crate) fn run(&self, arguments: &[&str]) -> Out {
        self.run_with(arguments, b"")
    }

    /// Runs a command that reads `input`.
    pub(crate) fn run_with(&self, arguments: &[&str], input: &[u8]) -> Out {
        run(self.command(arguments), input)
    }

    /// Runs a command that must succeed; returns its output without the last newline.
    #[track_caller]
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        self.ends(0, arguments).stdout.trim_end_matches('\n').to_owned()
    }

    /// Runs a command that must end with this code.
    #[track_caller]
    pub(crate) fn ends(&self, code: i32, arguments: &[&str]) -> Out {
        let out = self.run(arguments);
        assert_eq!(
            out.code,
            code,
            "wharf {}\nstdout: {}\nstderr: {}",
            arguments.join(" "),
            out.stdout,
            out.stderr
        );
        out
    }

    /// Runs a command that must fail with this code and say this.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, says: &str, arguments: &[&str]) {
        let out = self.ends(code, arguments);
        assert!(
            out.stderr.contains(says),
            "wharf {}\nshould say {says:?}, says: {}",
            arguments.join(" "),
            out.stderr
        );
    }

    /// Runs a shell line in a container of its own without a network; returns its output.
    #[track_caller]
    pub(crate) fn shell(&self, flags: &[&str], line: &str) -> String {
        let mut arguments = vec!["run", "--rm", "--network", "none"];
        arguments.extend_from_slice(flags);
        arguments.extend_from_slice(&[IMAGE, "sh", "-c", line]);
        self.ok(&arguments)
    }

    /// Starts a container without a network that runs a shell line; returns its id.
    #[track_caller]
    pub(crate) fn start(&self, flags: &[&str], line: &str) -> String {
        let mut arguments = vec!["run", "-d", "--network", "none"];
        arguments.extend_from_slice(flags);
        arguments.extend_from_slice(&[IMAGE, "sh", "-c", line]);
        self.ok(&arguments)
    }

    /// Returns one value of a container's inspect document.
    #[track_caller]
    pub(crate) fn inspect(&self, container: &str, pointer: &str) -> serde_json::Value {
        let text = self.ok(&["inspect", container]);
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        document[0].pointer(pointer).unwrap_or_else(|| panic!("no {pointer} in {text}")).clone()
    }

    /// Returns the first process of a container, as the host counts it.
    #[track_caller]
    pub(crate) fn pid(&self, container: &str) -> i32 {
        let pid = self.inspect(container, "/State/Pid").as_i64().unwrap();
        assert!(pid > 0, "{container} has no process");
        i32::try_from(pid).unwrap()
    }

    /// Waits until a container has written this to its log.
    #[track_caller]
    pub(crate) fn wait_for_log(&self, container: &str, text: &str) {
        let mut command = self.command(&["logs", "-f", container]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut output = child.stdout.take().unwrap();
        let mut seen = Vec::new();
        let deadline = Instant::now() + *PATIENCE;
        while !String::from_utf8_lossy(&seen).contains(text) {
            let mut chunk = [0; 4096];
            let left = deadline.saturating_duration_since(Instant::now());
            let length = if readable(&output, left) { output.read(&mut chunk).unwrap() } else { 0 };
            if length == 0 {
                let _ = child.kill();
                let _ = child.wait();
                panic!("{container} wrote {:?}, not {text:?}", String::from_utf8_lossy(&seen));
            }
            seen.extend_from_slice(&chunk[..length]);
        }
        let _ = child.kill();
        let _ = child.wait();
    }

    /// Waits until a container exists and has written this to its log.
    #[track_caller]
    pub(crate) fn wait_for_log_of(&self, container: &str, text: &str) {
        eventually("the container exists", || self.run(&["inspect", container]).code == 0);
        eventually("the container has started", || {
            self.inspect(container, "/State/Status") != "created"
        });
        self.wait_for_log(container, text);
    }

    /// Returns what is left on the machine of this root: mounts and processes.
    fn remains(&self) -> Vec<String> {
        let root = self.root.to_str().unwrap();
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let mut remains: Vec<String> = mounts
            .lines()
            .filter(|line| line.contains(root))
            .map(|line| format!("mount {line}"))
            .collect();
        for process in std::fs::read_dir("/proc").unwrap().flatten() {
            let path = process.path();
            let is = |file: &str| {
                std::fs::read_link(path.join(file))
                    .is_ok_and(|target| target.to_string_lossy().contains(root))
            };
            if process.file_name().to_string_lossy().parse::<u32>().is_ok()
                && (is("root") || is("cwd"))
            {
                remains.push(format!("process {}", path.display()));
            }
        }
        remains
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let ids = self.run(&["ps", "-a", "-q", "--no-trunc"]);
        for id in ids.stdout.lines() {
            let out = self.run(&["rm", "-f", id]);
            if out.code != 0 && !std::thread::panicking() {
                panic!("rm -f {id}: {}", out.stderr);
            }
        }
        // The default network and the images.
        let out = self.run(&["system", "reset", "--force"]);
        if out.code != 0 && !std::thread::panicking() {
            panic!("system reset: {}", out.stderr);
        }
        let remains = self.remains();
        if !std::thread::panicking() {
            assert_eq!(remains, Vec::<String>::new(), "left behind");
        }
        // A failed test may leave a mount; its folder must not be emptied through it.
        if !remains.iter().any(|what| what.starts_with("mount")) {
            // A reset takes the folder along.
            let _ = std::fs::remove_dir_all(&self.root);
        }
        let _ = std::fs::remove_dir_all(self.config());
    }
}

/// Returns a root filesystem of busybox as a tar file, made once and removed with the last use by
/// the operating system's cleaning of its folder: it lives in a file without a name.
pub(crate) fn rootfs_archive() -> PathBuf {
    static ARCHIVE: OnceLock<std::fs::File> = OnceLock::new();
    let file = ARCHIVE.get_or_init(|| {
        let parent = folder();
        let path = parent.join("rootfs.tar");
        let mut file = std::fs::File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)
            .unwrap();
        file.write_all(&rootfs_tar()).unwrap();
        std::fs::remove_dir_all(&parent).unwrap();
        file
    });
    use std::os::fd::AsRawFd;
    format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()).into()
}

/// Returns the path of the static busybox.
pub(crate) fn busybox() -> PathBuf {
    ["/bin/busybox", "/usr/bin/busybox"]
        .into_iter()
        .map(PathBuf::from)
        .find(|path| path.exists())
        .expect("busybox-static is installed")
}

/// Returns a root filesystem of busybox as the bytes of a tar.
pub(crate) fn rootfs_tar() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, mode) in [
        ("bin", 0o755),
        ("etc", 0o755),
        ("home/app", 0o755),
        ("root", 0o700),
        ("tmp", 0o1777),
        ("srv", 0o755),
    ] {
        entry(&mut tar, path, mode, tar::EntryType::Directory, b"");
    }
    let program = std::fs::read(busybox()).unwrap();
    entry(&mut tar, "bin/busybox", 0o755, tar::EntryType::Regular, &program);
    let applets = Command::new(busybox()).arg("--list").output().unwrap();
    for applet in String::from_utf8(applets.stdout).unwrap().lines() {
        if applet != "busybox" {
            link(&mut tar, &format!("bin/{applet}"), "busybox");
        }
    }
    let file = |tar: &mut tar::Builder<Vec<u8>>, path: &str, text: &str| {
        entry(tar, path, 0o644, tar::EntryType::Regular, text.as_bytes());
    };
    file(
        &mut tar,
        "etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/home/app:/bin/sh\n",
    );
    file(&mut tar, "etc/group", "root:x:0:\napp:x:1000:\nextra:x:2000:app\n");
    file(&mut tar, "srv/readme", "not a program\n");
    tar.into_inner().unwrap()
}

fn header(mode: u32, kind: tar::EntryType, size: usize) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1_700_000_000);
    header.set_size(u64::try_from(size).unwrap());
    header
}

/// Adds one file or folder.
pub(crate) fn entry(
    tar: &mut tar::Builder<Vec<u8>>,
    path: &str,
    mode: u32,
    kind: tar::EntryType,
    data: &[u8],
) {
    tar.append_data(&mut header(mode, kind, data.len()), path, data).unwrap();
}

/// Adds a symbolic link.
pub(crate) fn link(tar: &mut tar::Builder<Vec<u8>>, path: &str, target: &str) {
    tar.append_link(&mut header(0o777, tar::EntryType::Symlink, 0), path, target).unwrap();
}

/// Returns the files of a tar with what they hold; none until it can be read to its end.
pub(crate) fn whole_tar(path: &Path) -> Option<BTreeMap<String, Vec<u8>>> {
    let mut archive = tar::Archive::new(std::fs::File::open(path).ok()?);
    let mut files = BTreeMap::new();
    for entry in archive.entries().ok()? {
        let mut entry = entry.ok()?;
        let name = entry.path().ok()?.display().to_string();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).ok()?;
        files.insert(name, content);
    }
    Some(files)
}

/// Returns why these programs can't be used, if one of them is missing.
pub(crate) fn lacks_programs(names: &[&str]) -> Option<String> {
    let path = std::env::var("PATH").unwrap_or_default();
    let found = |name: &&&str| {
        path.split(':').chain(["/usr/sbin", "/sbin"]).any(|folder| {
            std::fs::metadata(Path::new(folder).join(name))
                .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
        })
    };
    let missing: Vec<&str> = names.iter().filter(|name| !found(name)).copied().collect();
    (!missing.is_empty()).then(|| format!("{} not installed", missing.join(", ")))
}

/// Asks again until the answer is yes: for what nobody announces. Yields between the questions.
#[track_caller]
pub(crate) fn eventually(what: &str, mut question: impl FnMut() -> bool) {
    let deadline = Instant::now() + *PATIENCE;
    while !question() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::yield_now();
    }
}
