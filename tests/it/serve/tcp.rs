//! Ports, which are for clients with certificates alone.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;

use super::Served;
use crate::harness::{IMAGE, Lab, PATIENCE, Test, eventually, folder, lacks_programs, run};

pub(crate) fn tests() -> Vec<Test> {
    let lacks = lacks_programs(&["docker", "curl", "openssl"]);
    vec![Test::new("a_port_is_for_known_clients", known_clients).needing(lacks)]
}

/// Two authorities, a server's certificate of the first, and a client's of each.
struct Papers(PathBuf);

impl Papers {
    fn new() -> Self {
        let papers = Self(folder());
        for authority in ["ca", "other-ca"] {
            papers.openssl(&[
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "2",
                "-subj",
                &format!("/CN={authority}"),
                "-keyout",
                &papers.path(&format!("{authority}-key.pem")),
                "-out",
                &papers.path(&format!("{authority}.pem")),
            ]);
        }
        let names = "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n";
        papers.issue("server", "ca", names);
        papers.issue("client", "ca", "extendedKeyUsage=clientAuth\n");
        papers.issue("stranger", "other-ca", "extendedKeyUsage=clientAuth\n");
        papers
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    fn openssl(&self, words: &[&str]) {
        let mut command = Command::new("openssl");
        command.args(words);
        let out = run(command, b"");
        assert_eq!(out.code, 0, "{words:?}: {out:?}");
    }

    fn issue(&self, name: &str, authority: &str, extensions: &str) {
        let file = |end: &str| self.path(&format!("{name}{end}"));
        std::fs::write(file(".ext"), extensions).unwrap();
        self.openssl(&[
            "req",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            &format!("/CN={name}"),
            "-keyout",
            &file("-key.pem"),
            "-out",
            &file(".csr"),
        ]);
        self.openssl(&[
            "x509",
            "-req",
            "-days",
            "2",
            "-in",
            &file(".csr"),
            "-extfile",
            &file(".ext"),
            "-CA",
            &self.path(&format!("{authority}.pem")),
            "-CAkey",
            &self.path(&format!("{authority}-key.pem")),
            "-CAcreateserial",
            "-out",
            &file(".pem"),
        ]);
    }
}

impl Drop for Papers {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Returns what the kernel says of who listens, since the port is its choice.
fn port_of(pid: u32) -> Option<u16> {
    let links = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let numbers: Vec<String> = links
        .filter_map(|link| std::fs::read_link(link.path()).ok()?.to_str().map(str::to_owned))
        .filter_map(|link| Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let table = std::fs::read_to_string(format!("/proc/{pid}/net/tcp")).unwrap();
    let mut rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let row = rows.find(|row| {
        row.get(3) == Some(&"0A") && numbers.iter().any(|number| row.get(9) == Some(&&**number))
    });
    Some(u16::from_str_radix(row?[1].split_once(':').unwrap().1, 16).unwrap())
}

fn known_clients() {
    let papers = Papers::new();
    let lab = Lab::new();
    let path = |name: &str| papers.path(name);
    let (authority, certificate, key) =
        (path("ca.pem"), path("server.pem"), path("server-key.pem"));
    let files = ["--tlscacert", &authority, "--tlscert", &certificate, "--tlskey", &key];
    let says = "is served to clients with certificates alone";
    lab.fails(1, says, &["serve", "--host", "tcp://127.0.0.1:0"]);
    lab.fails(
        1,
        "give --tlsverify",
        &[&["serve", "--host", "tcp://127.0.0.1:0"], &files[..]].concat(),
    );
    lab.fails(1, "needs --tlscacert, --tlscert and --tlskey", &["serve", "--tlsverify"]);
    lab.fails(1, "give --tlsverify", &["serve", "--tls"]);
    let wrong = ["serve", "-H", "tcp://127.0.0.1:0", "--tlsverify", "--tlscacert", &key];
    let wrong = [&wrong[..], &files[2..]].concat();
    lab.fails(1, "there is no certificate in it", &wrong);

    let socket = lab.root().join("api.sock");
    let flags = [&["--host", "tcp://127.0.0.1:0", "--tlsverify"], &files[..]].concat();
    let served = Served::with(lab, socket.clone(), &flags);
    eventually("it listens on a port", || port_of(served.pid()).is_some());
    let port = port_of(served.pid()).unwrap();
    let docker = |who: &str, authority: &str, words: &[&str], input: &[u8]| {
        let mut command = Command::new("docker");
        command.env("DOCKER_CONFIG", "/nonexistent").env_remove("DOCKER_HOST");
        command.args(["--host", &format!("tcp://127.0.0.1:{port}"), "--tlsverify"]);
        command.args(["--tlscacert", &path(&format!("{authority}.pem"))]);
        command.args(["--tlscert", &path(&format!("{who}.pem"))]);
        command.args(["--tlskey", &path(&format!("{who}-key.pem"))]).args(words);
        run(command, input)
    };
    // Streams both ways, a half of the connection closed before the other.
    let words =
        ["run", "-i", "--rm", "--network", "none", IMAGE, "sh", "-c", "cat; echo end; exit 3"];
    let data = "0123456789abcde\n".repeat(50_000);
    let out = docker("client", "ca", &words, data.as_bytes());
    assert_eq!((out.code, out.stdout.len()), (3, data.len() + 4), "{}", out.stderr);
    assert!(out.stdout.ends_with("e\nend\n"));
    // Whoever has another authority's certificate gets nowhere, and whoever asks another authority
    // about the server goes nowhere.
    let out = docker("stranger", "ca", &["ps"], b"");
    assert!(out.code != 0 && out.stderr.contains("certificate"), "{out:?}");
    let out = docker("client", "other-ca", &["ps"], b"");
    assert!(out.code != 0 && out.stderr.contains("certificate"), "{out:?}");
    let curl = |words: &[&str]| {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--cacert", &path("ca.pem")]).args(words);
        run(command, b"")
    };
    let address = format!("https://127.0.0.1:{port}/_ping");
    let (client, key) = (path("client.pem"), path("client-key.pem"));
    let out = curl(&["--cert", &client, "--key", &key, &address]);
    assert_eq!(out.stdout, "OK", "{out:?}");
    let out = curl(&[&address]);
    assert!(out.code != 0 && out.stdout.is_empty(), "{out:?}");
    // Nothing is said in the clear.
    let mut plain = TcpStream::connect(("127.0.0.1", port)).unwrap();
    plain.set_read_timeout(Some(*PATIENCE)).unwrap();
    plain.write_all(b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP/"), "{answer:?}");
    // Strangers who say nothing keep nobody out at the other socket, and leave no trace.
    let silent: Vec<TcpStream> =
        (0..300).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    assert_eq!(served.ask("GET", "/_ping", None).body, "OK");
    drop(silent);
    eventually("there is room again", || {
        docker("client", "ca", &["version", "-f", "{{.Server.Os}}"], b"").stdout == "linux\n"
    });
    a_manager_hands_a_port_over(&served.lab, &files);
}

/// A port of a service manager's is one like any other.
fn a_manager_hands_a_port_over(lab: &Lab, files: &[&str]) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let start = |flags: &[&str]| {
        let mut command = Command::new("sh");
        let line = "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" serve \"$@\"";
        command.args(["-c", line]).arg(crate::harness::binary()).args(flags);
        command.env("WHARF_ROOT", lab.root());
        command.stdin(std::os::fd::OwnedFd::from(listener.try_clone().unwrap()));
        command.output().unwrap()
    };
    let out = start(&[]);
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(!out.status.success() && said.contains("with certificates alone"), "{said}");
    let out = start(&[&["--idle-timeout", "100ms", "--tlsverify"], files].concat());
    assert!(out.status.success(), "{out:?}");
}
