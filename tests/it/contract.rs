//! One suite of promises over `dyn Backend`, kept by the embedded engine and by a real dockerd.
//!
//! Each check is a function over a [`Bench`]; what it makes is removed after it. The suite goes on
//! after a failed check and tells all that failed.

mod archive;
mod data;
mod images;
mod lifecycle;
mod objects;
mod observe;
mod streams;
mod upkeep;

use std::fs::File;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use wharf_backend::{Backend, Error, Session};
use wharf_model::{
    Command, ContainerDetail, CreateOptions, ErrorKind, HostConfig, LogStream, NetworkMode,
    Outcome, RemoveOptions,
};

use crate::dockerd::{self, Dockerd};
use crate::harness::{self, IMAGE, Lab, PATIENCE, Test};

/// The suite, once for each engine.
pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::new("native", native),
        Test::new("docker", docker).needing(dockerd::lacks()),
        Test::new("served", served),
        Test::new("docker_that_is_not_there", docker_that_is_not_there),
    ]
}

fn native() {
    let lab = Lab::empty();
    let paths = wharf_engine::Paths::new(lab.root(), lab.root().join("run"));
    let backend: Arc<dyn Backend> = Arc::new(wharf_backend::native::Native::open(paths).unwrap());
    import(&*backend);
    suite(&backend);
}

fn docker() {
    let dockerd = Dockerd::start();
    let backend = wharf_backend::docker::Docker::connect(&dockerd.host()).unwrap();
    import(&backend);
    let backend: Arc<dyn Backend> = Arc::new(backend);
    suite(&backend);
    // As from another host, where nothing but the engine's word is known of its containers.
    let far = wharf_backend::docker::Docker::connect(&passed_on(&dockerd.socket())).unwrap();
    let far: Arc<dyn Backend> = Arc::new(far);
    suite_of(&far, observe::CHECKS, true);
}

/// Returns an address at which connections are passed on to a socket.
fn passed_on(socket: &Path) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    let socket = socket.to_owned();
    let copy = |from: OwnedFd, to: OwnedFd| {
        std::thread::spawn(move || {
            let (mut from, mut to) = (File::from(from), File::from(to));
            let _ = std::io::copy(&mut from, &mut to);
            let _ = rustix::net::shutdown(&to, rustix::net::Shutdown::Write);
        });
    };
    std::thread::spawn(move || {
        for near in listener.incoming() {
            let near = OwnedFd::from(near.unwrap());
            let Ok(far) = UnixStream::connect(&socket) else { return };
            let far = OwnedFd::from(far);
            copy(near.try_clone().unwrap(), far.try_clone().unwrap());
            copy(far, near);
        }
    });
    address
}

/// The embedded engine as others see it: through its own server and the adapter for Docker engines.
fn served() {
    let served = crate::serve::Served::over(Lab::empty());
    let backend = wharf_backend::docker::Docker::connect(&served.host()).unwrap();
    import(&backend);
    let backend: Arc<dyn Backend> = Arc::new(backend);
    suite(&backend);
}

fn import(backend: &dyn Backend) {
    let archive = Box::new(std::io::Cursor::new(harness::rootfs_tar()));
    runtime().block_on(backend.import(archive, Some(IMAGE.parse().unwrap()).into())).unwrap();
}

fn docker_that_is_not_there() {
    let connect = |host: &str| wharf_backend::docker::Docker::connect(host).unwrap_err();
    let missing = connect("unix:///nonexistent/wharf.sock");
    assert_eq!(missing.kind, ErrorKind::Unavailable);
    assert!(missing.message.contains("is it running?"), "{missing}");
    let pipe = connect("npipe:////./pipe/docker_engine");
    assert_eq!(pipe.kind, ErrorKind::Invalid);
    assert!(pipe.message.contains("npipe isn't supported"), "{pipe}");
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// What a check works with.
struct Bench {
    backend: Arc<dyn Backend>,
    /// Whether it is as one of another host.
    is_far: bool,
}

type Check = for<'a> fn(&'a Bench) -> BoxFuture<'a, ()>;

/// Lists checks with their names.
macro_rules! checks {
    ($($name:ident),* $(,)?) => {
        &[$((stringify!($name), |bench| ::futures_util::FutureExt::boxed($name(bench)))),*]
    };
}
use checks;

fn suite(backend: &Arc<dyn Backend>) {
    let all = [
        lifecycle::CHECKS,
        upkeep::CHECKS,
        streams::CHECKS,
        images::CHECKS,
        observe::CHECKS,
        archive::CHECKS,
        objects::CHECKS,
        data::CHECKS,
    ]
    .concat();
    suite_of(backend, &all, false);
}

fn suite_of(backend: &Arc<dyn Backend>, checks: &[(&str, Check)], is_far: bool) {
    let only = std::env::var("WHARF_CHECK").unwrap_or_default();
    let mut failed = Vec::new();
    for (name, check) in checks {
        if !name.contains(&only) {
            continue;
        }
        let bench = Bench { backend: Arc::clone(backend), is_far };
        let runtime = runtime();
        let work = async {
            let checked = AssertUnwindSafe(tokio::time::timeout(*PATIENCE, check(&bench)));
            let verdict = match checked.catch_unwind().await {
                Ok(Ok(())) => None,
                Ok(Err(_)) => Some("took too long".to_owned()),
                Err(_) => Some(harness::last_panic()),
            };
            (verdict, bench.clean().await)
        };
        let (verdict, left) = runtime.block_on(work);
        if let Some(what) = verdict.or(left) {
            failed.push(format!("{name}: {what}"));
        }
        runtime.shutdown_background();
    }
    assert!(failed.is_empty(), "{}: {}", backend.name(), failed.join("\n"));
}

/// The output of a session that ran to its end.
#[derive(Debug, Default)]
struct Output {
    stdout: String,
    stderr: String,
    code: i32,
}

impl Bench {
    /// Returns the options of a container that runs a shell line without a network.
    fn options(line: &str) -> CreateOptions {
        CreateOptions {
            image: IMAGE.to_owned(),
            command: ["sh", "-c", line].map(str::to_owned).to_vec(),
            host: HostConfig { network_mode: NetworkMode::None, ..Default::default() },
            ..Default::default()
        }
    }

    async fn create(&self, options: CreateOptions) -> Result<String, Error> {
        match self.backend.execute(Command::Create(Box::new(options))).await? {
            Outcome::Created(created) => Ok(created.id.to_string()),
            other => panic!("create answered {other:?}"),
        }
    }

    /// Creates and starts a container that runs a shell line.
    async fn run(&self, line: &str) -> String {
        let id = self.create(Self::options(line)).await.unwrap();
        assert_eq!(self.start(&id).await, Ok(Outcome::Done));
        id
    }

    async fn start(&self, container: &str) -> Result<Outcome, Error> {
        self.backend.execute(Command::Start { container: container.to_owned() }).await
    }

    async fn stop(&self, container: &str, timeout: i64) -> Result<Outcome, Error> {
        let container = container.to_owned();
        self.backend
            .execute(Command::Stop { container, timeout: Some(timeout), signal: None })
            .await
    }

    async fn kill(&self, container: &str, signal: Option<&str>) -> Result<Outcome, Error> {
        let (container, signal) = (container.to_owned(), signal.map(str::to_owned));
        self.backend.execute(Command::Kill { container, signal }).await
    }

    async fn pause(&self, container: &str) -> Result<Outcome, Error> {
        self.backend.execute(Command::Pause { container: container.to_owned() }).await
    }

    async fn unpause(&self, container: &str) -> Result<Outcome, Error> {
        self.backend.execute(Command::Unpause { container: container.to_owned() }).await
    }

    async fn remove(&self, container: &str, force: bool) -> Result<Outcome, Error> {
        let options = RemoveOptions { force, volumes: true };
        self.backend.execute(Command::Remove { container: container.to_owned(), options }).await
    }

    async fn detail(&self, container: &str) -> ContainerDetail {
        self.backend.container(container).await.unwrap()
    }

    /// Waits until a container's log holds this.
    async fn wait_for_log(&self, container: &str, text: &str) {
        let options = wharf_model::LogOptions { follow: true, ..Default::default() };
        let mut records = self.backend.logs(container, options).await.unwrap();
        let mut seen = String::new();
        while !seen.contains(text) {
            let record = records.next().await.unwrap_or_else(|| panic!("log ends: {seen:?}"));
            seen.push_str(&String::from_utf8_lossy(&record.unwrap().message));
        }
    }

    /// Removes all containers; returns what stood in the way.
    async fn clean(&self) -> Option<String> {
        let mut failed = Vec::new();
        for container in self.backend.containers(true).await.unwrap() {
            match self.remove(container.id.as_str(), true).await {
                Ok(_) => {}
                Err(error) if error.kind == ErrorKind::NotFound => {}
                Err(error) => failed.push(format!("remove {}: {error}", container.name)),
            }
        }
        (!failed.is_empty()).then(|| failed.join(", "))
    }
}

/// Reads a session to its end.
async fn drain(mut session: Session) -> Output {
    let mut output = Output::default();
    drop(session.input.take());
    while let Some(chunk) = session.output.next().await {
        let chunk = chunk.unwrap();
        let text = String::from_utf8_lossy(&chunk.data);
        match chunk.stream {
            LogStream::Stdout => output.stdout.push_str(&text),
            LogStream::Stderr => output.stderr.push_str(&text),
        }
    }
    output.code = tokio::time::timeout(*PATIENCE, session.exit)
        .await
        .expect("an exit code soon after the end of the output")
        .unwrap();
    output
}

/// Returns the kind of a failure.
#[track_caller]
fn kind<T: std::fmt::Debug>(answer: Result<T, Error>) -> ErrorKind {
    let error = answer.expect_err("a failure");
    assert!(!error.message.is_empty());
    error.kind
}
