//! Descriptors that leave the runtime or come through it: terminals, preserved ones, listeners.

use std::fs::File;
use std::io::{IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::Command;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
use serde_json::{Value, json};

use super::Bench;
use crate::harness::{PATIENCE, Test, eventually, joined, readable};
use crate::pty::Terminal;
use crate::tests;

pub(super) fn tests() -> Vec<Test> {
    tests![
        a_terminal_is_sent_to_its_socket,
        a_terminal_beside_the_callers_own,
        descriptors_are_preserved_and_no_others,
        somebody_answers_system_calls,
    ]
}

/// Waits for a descriptor on a socket; returns it with the words that came along.
fn receive(listener: &UnixListener) -> (OwnedFd, String) {
    assert!(readable(listener, *PATIENCE), "nobody connects");
    let (stream, _) = listener.accept().unwrap();
    assert!(readable(&stream, *PATIENCE), "nothing is sent");
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = vec![0; 65536];
    let mut parts = [IoSliceMut::new(&mut bytes)];
    let flags = RecvFlags::CMSG_CLOEXEC;
    let length = rustix::net::recvmsg(&stream, &mut parts, &mut control, flags).unwrap().bytes;
    let descriptor = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    (descriptor.expect("a descriptor"), String::from_utf8_lossy(&bytes[..length]).into_owned())
}

/// Reads from a terminal until it has shown this.
fn shows(terminal: &mut File, text: &str) -> String {
    let mut seen = String::new();
    while !seen.contains(text) {
        assert!(readable(terminal, *PATIENCE), "it shows {seen:?}, not {text:?}");
        let mut chunk = [0; 4096];
        let length = terminal.read(&mut chunk).unwrap_or(0);
        assert!(length > 0, "it shows {seen:?}, not {text:?}");
        seen.push_str(&String::from_utf8_lossy(&chunk[..length]));
    }
    seen
}

fn a_terminal_is_sent_to_its_socket() {
    let bench = Bench::new();
    let mut config =
        bench.config("stty size; tty; ls /dev/console; while read line; do echo got $line; done");
    config["process"]["terminal"] = json!(true);
    config["process"]["consoleSize"] = json!({"height": 33, "width": 77});
    // Longer than a socket's address may be.
    let deep = bench.path(&"d".repeat(120));
    std::fs::create_dir(&deep).unwrap();
    let folder = File::open(&deep).unwrap();
    let short = by_number(&folder).join("s");
    let listener = UnixListener::bind(short).unwrap();
    let socket = deep.join("s").display().to_string();
    let received = std::thread::scope(|scope| {
        let thread = scope.spawn(|| receive(&listener));
        bench.create(&config, &["--console-socket", &socket], "c");
        joined(thread)
    });
    assert_eq!(received.1, "/dev/ptmx");
    let mut terminal = File::from(received.0);
    bench.ok(&["start", "c"]);
    let text = shows(&mut terminal, "/dev/console");
    assert!(text.contains("33 77") && text.contains("/dev/pts/0"), "{text:?}");
    terminal.write_all(b"hello\n").unwrap();
    shows(&mut terminal, "got hello");
    // And that of a further program.
    let (further, _) = std::thread::scope(|scope| {
        let thread = scope.spawn(|| receive(&listener));
        bench.ok(&["exec", "-d", "-t", "--console-socket", &socket, "c", "sh", "-c", "tty; cat"]);
        joined(thread)
    });
    shows(&mut File::from(further), "/dev/pts/1");
    bench.ok(&["delete", "--force", "c"]);
}

/// Returns a short path to what an open folder is.
fn by_number(folder: &File) -> std::path::PathBuf {
    use std::os::fd::AsRawFd;
    format!("/proc/self/fd/{}", folder.as_raw_fd()).into()
}

fn a_terminal_beside_the_callers_own() {
    let bench = Bench::new();
    let mut config = bench.config("stty size; read line; echo got $line; exit 4");
    config["process"]["terminal"] = json!(true);
    bench.write(&config);
    let command = bench.command(&["run", "--bundle", bench.bundle().to_str().unwrap(), "c"]);
    let mut terminal = Terminal::start(&command, 91, 17);
    terminal.wait_for("17 91");
    terminal.send("hello\r");
    terminal.wait_for("got hello");
    assert_eq!(terminal.wait(), 4);
}

fn descriptors_are_preserved_and_no_others() {
    let bench = Bench::new();
    let config = bench.config("cat <&3; echo; cat <&4; ls /proc/self/fd | wc -l");
    bench.write(&config);
    for (name, text) in [("one", "first"), ("two", "second"), ("three", "third")] {
        std::fs::write(bench.path(name), text).unwrap();
    }
    let line = "exec 3<one 4<two 5<three; cd bundle; exec ../wharf-oci --root ../root run \
                --preserve-fds 2 c";
    let mut command = Command::new("sh");
    command.args(["-c", line]).current_dir(bench.path(""));
    let out = crate::harness::run(command, b"");
    // Three streams, two descriptors, and that by which the folder is read.
    assert_eq!(out.stdout, "first\nsecond6\n", "{out:?}");
    let out = bench.run(&["run", "--preserve-fds", "2", "c"]);
    assert!(out.code == 1 && out.stderr.contains("preserve 2 descriptors"), "{out:?}");
}

fn somebody_answers_system_calls() {
    let bench = Bench::new();
    let socket = bench.path("listener").display().to_string();
    let mut config = bench.config("mkdir /tmp/x; chmod 700 /tmp; echo $?");
    config["linux"]["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64"],
        "listenerPath": socket,
        "listenerMetadata": "something",
        "syscalls": [
            {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY"},
            {"names": ["chmod", "fchmodat", "fchmodat2"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28},
        ],
    });
    bench.write(&config);
    let listener = UnixListener::bind(&socket).unwrap();
    let (received, out) = std::thread::scope(|scope| {
        // Dropped, so that the calls fail as if the kernel had none: nobody answers any more.
        let thread = scope.spawn(|| receive(&listener).1);
        let out = bench.run(&["run", "c"]);
        (joined(thread), out)
    });
    let document: Value = serde_json::from_str(&received).unwrap();
    assert_eq!(document["fds"], json!(["seccompFd"]));
    assert_eq!(document["metadata"], "something");
    assert_eq!(document["state"]["id"], "c");
    assert_eq!(document["pid"], document["state"]["pid"]);
    assert!(out.stderr.contains("Function not implemented"), "{out:?}");
    assert!(out.stderr.contains("No space left on device"), "{out:?}");
    eventually("it is removed", || bench.remains().is_empty());
}
