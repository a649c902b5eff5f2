//! Ways to engines elsewhere, and several of them on one dashboard: a dockerd over TLS and by a real
//! sshd, podman's service, one that dies and comes back, and one that nobody reaches.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::dockerd::{self, Dockerd};
use crate::harness::{
    Lab, Out, Test, eventually, folder, lacks_programs, rootfs_tar, run, wait_for,
};
use crate::pty::Terminal;
use crate::tests;

pub(crate) fn tests() -> Vec<Test> {
    let mut list = tests![contexts_are_docker_s_own, what_is_no_way_to_an_engine_is_refused];
    let lacks = dockerd::lacks().or_else(|| lacks_programs(&["docker", "openssl", "ssh", "sshd"]));
    list.push(
        Test::new("a_dockerd_by_tls_by_ssh_and_beside_others", by_tls_and_ssh).needing(lacks),
    );
    let lacks = lacks_programs(&["podman", "conmon", "runc"]);
    list.push(Test::new("podman_is_an_engine_too", podman).needing(lacks));
    list
}

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = folder();
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A program that runs in the background and is killed at the end.
struct Background(Child);

impl Background {
    fn start(command: &mut Command) -> Self {
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(quiet.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.0.kill();
        wait_for(&mut self.0, std::time::Duration::from_secs(30));
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Runs a program that has to succeed.
#[track_caller]
fn must(program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    command.args(arguments);
    let out = run(command, b"");
    assert_eq!(out.code, 0, "{program} {arguments:?}: {out:?}");
    out.stdout
}

fn contexts_are_docker_s_own() {
    let (lab, home) = (Lab::empty(), Folder::new());
    let docker = home.path("docker");
    let wharf = |arguments: &[&str]| -> Out {
        let arguments = [&["--config", docker.as_str()], arguments].concat();
        let mut command = lab.command(&arguments);
        command.env_remove("WHARF_ROOT").env_remove("DOCKER_CONTEXT");
        run(command, b"")
    };
    let says = |arguments: &[&str]| -> String {
        let out = wharf(arguments);
        assert_eq!(out.code, 0, "{arguments:?}: {out:?}");
        out.stdout
    };
    let socket = format!("host=unix://{}", home.path("none.sock"));
    says(&["context", "create", "near", "--docker", &socket, "--description", "the near one"]);
    says(&["context", "create", "far", "--docker", "host=ssh://me@far.invalid"]);
    assert_eq!(says(&["context", "ls", "-q"]), "default\nfar\nnear\n");
    assert_eq!(says(&["context", "show"]), "default\n");
    let endpoint = "{{.Endpoints.docker.Host}}";
    assert_eq!(says(&["context", "inspect", "far", "-f", endpoint]), "ssh://me@far.invalid\n");
    assert_eq!(says(&["context", "use", "near"]), "near\n");
    let table = says(&["context", "ls"]);
    assert!(table.contains("near *") && table.contains("the near one"), "{table}");
    // What is said by file is used, and what is said by flag or variable counts more.
    let out = wharf(&["ps"]);
    assert_eq!(out.code, 1, "{out:?}");
    assert!(out.stderr.contains("none.sock: is it running?"), "{out:?}");
    let mut command = lab.command(&["--config", &docker, "ps", "-q"]);
    command.env_remove("DOCKER_CONTEXT");
    assert_eq!(run(command, b"").code, 0, "WHARF_ROOT counts more");
    let out = wharf(&["--context", "nope", "ps"]);
    assert!(out.stderr.contains("context \"nope\" does not exist"), "{out:?}");
    let out = wharf(&["context", "rm", "near"]);
    assert!(out.code == 1 && out.stderr.contains("is in use"), "{out:?}");
    if lacks_programs(&["docker"]).is_none() {
        // Docker's own program reads what was written, and writes what is read.
        let arguments = ["--config", docker.as_str(), "context"];
        let listed = must("docker", &[&arguments[..], &["ls", "--format", "{{.Name}}"]].concat());
        assert_eq!(listed, "default\nfar\nnear\n");
        let made = ["create", "third", "--docker", "host=tcp://third.invalid:2376"];
        must("docker", &[&arguments[..], &made].concat());
        assert_eq!(
            says(&["context", "inspect", "third", "-f", endpoint]),
            "tcp://third.invalid:2376\n"
        );
    }
    says(&["context", "rm", "-f", "near", "far"]);
    assert_eq!(says(&["context", "show"]), "default\n");
}

fn what_is_no_way_to_an_engine_is_refused() {
    let lab = Lab::empty();
    for (host, says) in [
        ("gopher://x", "unable to parse docker host `gopher://x`: gopher is no scheme"),
        ("ssh://me:secret@x", "no password is taken"),
        ("ssh://-oProxyCommand=x", "don't begin with '-'"),
        ("tcp://127.0.0.1:0", "0 is no port"),
        ("tcp://127.0.0.1:1", "cannot connect to the Docker engine at tcp://127.0.0.1:1"),
        ("ssh://127.0.0.1:1", "ssh://127.0.0.1:1: "),
    ] {
        lab.fails(1, says, &["--host", host, "ps"]);
    }
    let several = ["-H", "unix:///a.sock", "-H", "unix:///b.sock", "ps"];
    lab.fails(1, "only the dashboard takes several", &several);
}

/// Makes an authority, and certificates of a server at 127.0.0.1 and of a client by it.
fn certificates(home: &Folder) {
    let openssl = |arguments: &[&str]| must("openssl", arguments);
    let path = |name: &str| home.path(name);
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    for (name, subject) in [("ca", "/CN=authority"), ("other", "/CN=another authority")] {
        let (to, out) = (path(&format!("{name}-key.pem")), path(&format!("{name}.pem")));
        let rest = ["-x509", "-days", "30", "-subj", subject, "-keyout", &to, "-out", &out];
        openssl(&[&["req"], &key[..], &rest].concat());
    }
    for (name, extension) in [
        ("server", "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n"),
        ("client", "extendedKeyUsage=clientAuth\n"),
    ] {
        let file = |end: &str| path(&format!("{name}{end}"));
        fs::write(file(".ext"), extension).unwrap();
        let (to, out) = (file("-key.pem"), file(".csr"));
        let subject = format!("/CN={name}");
        let rest = ["-subj", &subject, "-keyout", &to, "-out", &out];
        openssl(&[&["req"], &key[..], &rest].concat());
        let (ca, ca_key, ext, pem) =
            (path("ca.pem"), path("ca-key.pem"), file(".ext"), file(".pem"));
        openssl(&[
            "x509",
            "-req",
            "-days",
            "30",
            "-in",
            &out,
            "-CA",
            &ca,
            "-CAkey",
            &ca_key,
            "-CAcreateserial",
            "-extfile",
            &ext,
            "-out",
            &pem,
        ]);
    }
    fs::copy(path("client.pem"), path("cert.pem")).unwrap();
    fs::copy(path("client-key.pem"), path("key.pem")).unwrap();
}

/// A sshd on a port of this host, with keys of its own.
struct Sshd {
    folder: Folder,
    port: u16,
    _running: Background,
}

impl Sshd {
    /// Starts one; `forwards` says whether it lets sockets be forwarded.
    fn start(forwards: bool) -> Self {
        let (folder, port) = (Folder::new(), free_port());
        let path = |name: &str| folder.path(name);
        for name in ["host-key", "user-key"] {
            must("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", &path(name)]);
        }
        // It wants this folder, whatever it does in it.
        fs::create_dir_all("/run/sshd").unwrap();
        let forwards = if forwards { "yes" } else { "no" };
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\n\
             PidFile none\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n\
             PasswordAuthentication no\nAllowStreamLocalForwarding {forwards}\n\
             SetEnv PATH={}\n",
            path("host-key"),
            path("user-key.pub"),
            std::env::var("PATH").unwrap_or_default(),
        );
        fs::write(path("sshd_config"), config).unwrap();
        let sshd = ["/usr/sbin/sshd", "/usr/bin/sshd", "/sbin/sshd"];
        let sshd = sshd.into_iter().find(|path| Path::new(path).exists()).unwrap();
        let running =
            Background::start(Command::new(sshd).args(["-D", "-e", "-f", &path("sshd_config")]));
        eventually("sshd listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        // ssh reads its settings from the home folder that the password file names: this one is told.
        let key = fs::read_to_string(path("host-key.pub")).unwrap();
        fs::write(path("known"), format!("[127.0.0.1]:{port} {key}")).unwrap();
        let program = format!(
            "#!/bin/sh\nexec /usr/bin/ssh -F none -o IdentitiesOnly=yes -i {} \
             -o GlobalKnownHostsFile=none -o UserKnownHostsFile=${{KNOWN:-{}}} \"$@\"\n",
            path("user-key"),
            path("known"),
        );
        fs::create_dir_all(path("bin")).unwrap();
        fs::write(path("bin/ssh"), program).unwrap();
        fs::set_permissions(path("bin/ssh"), fs::Permissions::from_mode(0o755)).unwrap();
        Self { folder, port, _running: running }
    }

    /// Returns the address of an engine whose socket is there.
    fn to(&self, socket: &Path) -> String {
        format!("ssh://root@127.0.0.1:{}{}", self.port, socket.display())
    }

    /// Lets a command find its `ssh`.
    fn reached_by(&self, mut command: Command) -> Command {
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", self.folder.path("bin")));
        command
    }
}

fn by_tls_and_ssh() {
    let (lab, home) = (Lab::new(), Folder::new());
    certificates(&home);
    let port = free_port();
    let address = format!("tcp://127.0.0.1:{port}");
    let (ca, server, key) =
        (home.path("ca.pem"), home.path("server.pem"), home.path("server-key.pem"));
    let mut dockerd = Dockerd::listening(&[
        "--host",
        &address,
        "--tlsverify",
        "--tlscacert",
        &ca,
        "--tlscert",
        &server,
        "--tlskey",
        &key,
    ]);
    dockerd.docker(&["import", "-", "box"], &rootfs_tar());
    let start = ["run", "-d", "--network", "none", "--stop-signal", "KILL", "--name"];
    dockerd.docker(&[&start[..], &["web", "box", "sleep", "1000"]].concat(), b"");
    by_tls(&lab, &home, &address);
    by_ssh(&lab, &dockerd);
    beside_others(&lab, &home, &mut dockerd, &address);
}

/// What verbs that go by each way have to do: ask, and pass a program's input on to its end.
#[track_caller]
fn works(through: impl Fn(&[&str]) -> Command) {
    let out = run(through(&["ps", "--format", "{{.Names}}"]), b"");
    assert_eq!((out.code, out.stdout.as_str()), (0, "web\n"), "{out:?}");
    let out = run(through(&["exec", "-i", "web", "sh", "-c", "cat; exit 3"]), b"to its end\n");
    assert_eq!((out.code, out.stdout.as_str()), (3, "to its end\n"), "{out:?}");
}

fn by_tls(lab: &Lab, home: &Folder, address: &str) {
    let certificates = home.0.to_str().unwrap();
    works(|arguments| {
        let mut command = lab.command(arguments);
        command.env("DOCKER_HOST", address).env("DOCKER_TLS_VERIFY", "1");
        command.env("DOCKER_CERT_PATH", certificates);
        command
    });
    let path = |name: &str| home.path(name);
    let flags = |ca: &str| {
        let (ca, cert, key) = (path(ca), path("cert.pem"), path("key.pem"));
        ["-H", address, "--tlscacert", &ca, "--tlscert", &cert, "--tlskey", &key]
            .map(str::to_owned)
            .to_vec()
    };
    let with = |flags: &[String], arguments: &[&str]| {
        let flags: Vec<&str> =
            flags.iter().map(String::as_str).chain(arguments.iter().copied()).collect();
        run(lab.command(&flags), b"")
    };
    let out = with(&flags("ca.pem"), &["version", "--format", "{{.Server.Version}}"]);
    assert_eq!(out.code, 0, "{out:?}");
    // A server that another authority vouches for isn't believed, nor is a client that none does.
    let out = with(&flags("other.pem"), &["ps"]);
    assert!(out.code == 1 && out.stderr.contains("--tlscacert"), "{out:?}");
    let out = with(&flags("ca.pem")[..4], &["ps"]);
    assert!(out.code == 1, "without a certificate of ours: {out:?}");
    let out = with(&flags("ca.pem")[..2], &["ps"]);
    assert!(out.code == 1 && out.stderr.contains("WARNING"), "in the clear: {out:?}");
    // A context has copies of them.
    let docker = home.path("docker");
    let made = format!(
        "host={address},ca={},cert={},key={}",
        path("ca.pem"),
        path("cert.pem"),
        path("key.pem")
    );
    lab.ok(&["--config", &docker, "context", "create", "sealed", "--docker", &made]);
    works(|arguments| {
        lab.command(&[&["--config", docker.as_str(), "-c", "sealed"], arguments].concat())
    });
}

fn by_ssh(lab: &Lab, dockerd: &Dockerd) {
    for forwards in [true, false] {
        let sshd = Sshd::start(forwards);
        let host = sshd.to(&dockerd.socket());
        works(|arguments| {
            sshd.reached_by(lab.command(&[&["-H", host.as_str()], arguments].concat()))
        });
        if forwards {
            // Who it is has to be known, and nobody is asked.
            let mut command = sshd.reached_by(lab.command(&["-H", &host, "ps"]));
            command.env("KNOWN", sshd.folder.path("nobody"));
            let out = run(command, b"");
            assert!(out.code == 1 && out.stderr.contains("accept its key"), "{out:?}");
            let none = sshd.to(Path::new("/nowhere/docker.sock"));
            let out = run(sshd.reached_by(lab.command(&["-H", &none, "ps"])), b"");
            assert!(out.code == 1 && out.stderr.contains("ssh://root@127.0.0.1"), "{out:?}");
        }
    }
}

fn beside_others(lab: &Lab, home: &Folder, dockerd: &mut Dockerd, address: &str) {
    lab.start(&["--name", "web"], "sleep 1000");
    let config = home.path("config");
    fs::create_dir_all(Path::new(&config).join("wharf")).unwrap();
    let settings = format!(
        "[[hosts]]\nname = \"own\"\nurl = \"wharf://\"\n\
         [[hosts]]\nname = \"sealed\"\nurl = {address:?}\ncert-path = {:?}\n\
         [[hosts]]\nname = \"dead\"\nurl = \"unix://{}\"\n",
        home.0,
        home.path("none.sock"),
    );
    fs::write(Path::new(&config).join("wharf/config.toml"), settings).unwrap();
    let mut command = lab.command(&[]);
    command.env("XDG_CONFIG_HOME", &config).env("XDG_STATE_HOME", home.path("state"));
    let mut terminal = Terminal::start(&command, 100, 30);
    let lines = |screen: &vt100::Screen, host: &str, name: &str| {
        let text = screen.contents();
        text.lines().filter(|line| line.contains(host) && line.contains(name)).count()
    };
    terminal.until("web of both hosts", |screen| {
        lines(screen, "own", " web ") == 1 && lines(screen, "sealed", " web ") == 1
    });
    terminal.wait_for("lost: dead");
    // Stop the dockerd's; the one of the same name here goes on.
    terminal.send("/sealed\r");
    terminal.until("one is left", |screen| lines(screen, "own", " web ") == 0);
    terminal.send("s");
    terminal.wait_for("exited");
    assert_eq!(lab.inspect("web", "/State/Status"), "running");
    let state = dockerd.docker(&["inspect", "-f", "{{.State.Status}}", "web"], b"");
    assert_eq!(state.trim(), "exited");
    let audit = fs::read_to_string(Path::new(&home.path("state")).join("wharf/audit.log")).unwrap();
    assert!(audit.contains("\"host\":\"sealed\""), "{audit}");
    terminal.send("\x1b");
    // It goes away, and what happened meanwhile is seen when it is back.
    dockerd.stop();
    terminal.wait_for("lost: sealed, dead");
    terminal.until("its container is still there", |screen| lines(screen, "sealed", " web ") == 1);
    dockerd.go();
    dockerd.docker(&["rename", "web", "renamed"], b"");
    terminal.until("it is back", |screen| {
        lines(screen, "sealed", " renamed ") == 1 && !screen.contents().contains("lost: sealed")
    });
    terminal.send("6");
    terminal.wait_for("ADDRESS");
    terminal.until("all hosts are listed", |screen| {
        lines(screen, "own", "wharf://") == 1
            && lines(screen, "sealed", "● connected") == 1
            && lines(screen, "dead", "not connected") >= 1
    });
    terminal.send("q");
    assert_eq!(terminal.wait(), 0);
}

/// Removes the control groups that podman leaves behind, when its service has ended.
struct Groups;

impl Drop for Groups {
    fn drop(&mut self) {
        for hierarchy in fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
            dockerd::remove_groups(&hierarchy.path().join("libpod_parent"));
        }
        dockerd::remove_groups(Path::new("/sys/fs/cgroup/libpod_parent"));
    }
}

fn podman() {
    let _groups = Groups;
    let (lab, home) = (Lab::empty(), Folder::new());
    let path = |name: &str| home.path(name);
    let (root, run_root, socket) = (path("storage"), path("run"), path("podman.sock"));
    let places = [
        "--root",
        &root,
        "--runroot",
        &run_root,
        "--storage-driver",
        "vfs",
        "--cgroup-manager",
        "cgroupfs",
        "--runtime",
        "runc",
        "--events-backend",
        "file",
        "--tmpdir",
        &path("tmp"),
    ]
    .map(str::to_owned);
    let url = format!("unix://{socket}");
    // Where no limit may be raised, crun is asked for what this process has at least.
    let settings = "[containers]\ndefault_ulimits = [\"nofile=256:256\", \"nproc=256:256\"]\n";
    fs::write(path("containers.conf"), settings).unwrap();
    let mut service = Command::new("podman");
    service.env("CONTAINERS_CONF", path("containers.conf"));
    service.args(&places).args(["system", "service", "-t", "0", &url]);
    let _service = Background::start(&mut service);
    eventually("podman listens", || std::os::unix::net::UnixStream::connect(&socket).is_ok());
    let wharf = |arguments: &[&str], input: &[u8]| {
        lab.run_with(&[&["-H", url.as_str()], arguments].concat(), input)
    };
    let ok = |arguments: &[&str], input: &[u8]| -> String {
        let out = wharf(arguments, input);
        assert_eq!(out.code, 0, "{arguments:?}: {out:?}");
        out.stdout
    };
    ok(&["import", "-", "localhost/box"], &rootfs_tar());
    assert!(ok(&["images"], b"").contains("localhost/box"));
    let line = "echo hello; cat";
    ok(
        &[
            "create",
            "-i",
            "--network",
            "none",
            "--name",
            "talker",
            "localhost/box",
            "sh",
            "-c",
            line,
        ],
        b"",
    );
    assert!(ok(&["ps", "-a"], b"").contains("talker"));
    assert_eq!(ok(&["start", "-ai", "talker"], b"and more\n"), "hello\nand more\n");
    assert_eq!(ok(&["inspect", "-f", "{{.State.Status}}", "talker"], b"").trim(), "exited");
    let mut terminal = Terminal::start(&lab.command(&["-H", &url]), 120, 30);
    terminal.wait_for("podman on ");
    terminal.wait_for("talker");
    ok(&["rm", "talker"], b"");
    terminal.wait_until_gone("talker");
    terminal.send("q");
    assert_eq!(terminal.wait(), 0);
}
