//! `http`: a web server that says who it is.
//!
//! One thread waits; each connection gets a short-lived one with a small stack. Settings: `PORT`
//! (80), `UNHEALTHY` (see [`Schedule`]), `NAME` (the host's name).

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::health::Schedule;
use crate::signals::{Signals, Woken};
use crate::{complain, setting};

const MAX_CONNECTIONS: usize = 64;
const MAX_HEAD: usize = 8192;
const STACK: usize = 64 * 1024;

/// What a server is like.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) name: String,
    pub(crate) started: Instant,
    pub(crate) schedule: Schedule,
}

/// How serving ended.
pub(crate) enum Ended {
    /// By a signal; the exit code is 0, since it was asked to.
    Asked,
    /// The time is up.
    Timeout,
    /// By an error.
    Failed,
}

pub(crate) fn main(_args: &[String]) -> i32 {
    let schedule = Schedule::parse(&setting("UNHEALTHY", String::new()));
    match serve("http", schedule, None) {
        Ended::Failed => 1,
        _ => 0,
    }
}

/// Serves until a signal or the end of the time.
pub(crate) fn serve(program: &str, schedule: Schedule, time: Option<Duration>) -> Ended {
    let started = Instant::now();
    let server = Arc::new(Server { name: setting("NAME", hostname()), started, schedule });
    let port: u16 = setting("PORT", 80);
    let (signals, listener) = match Signals::take().and_then(|s| Ok((s, listen(port)?))) {
        Ok(both) => both,
        Err(e) => {
            complain(program, format_args!("port {port}: {e}"));
            return Ended::Failed;
        }
    };
    log(format_args!("{} listens on port {port}", server.name));
    let connections = Arc::new(AtomicUsize::new(0));
    loop {
        let left = time.map(|time| time.saturating_sub(started.elapsed()));
        match signals.wait_for(Some(listener.as_fd()), left) {
            Woken::Timeout => return Ended::Timeout,
            Woken::Signal(signal) => {
                log(format_args!("signal {signal}, goodbye"));
                return Ended::Asked;
            }
            Woken::Ready => {}
        }
        let Ok((stream, _)) = listener.accept() else { continue };
        if connections.fetch_add(1, Ordering::Relaxed) >= MAX_CONNECTIONS {
            connections.fetch_sub(1, Ordering::Relaxed);
            let _ = respond(&stream, 503, "too many connections\n");
            continue;
        }
        let (server, count) = (Arc::clone(&server), Arc::clone(&connections));
        let thread = std::thread::Builder::new().stack_size(STACK).spawn(move || {
            // Who hangs up early is no news.
            let _ = server.answer(&stream);
            count.fetch_sub(1, Ordering::Relaxed);
        });
        if thread.is_err() {
            connections.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Listens on all addresses, of both families where the kernel has both.
fn listen(port: u16) -> io::Result<TcpListener> {
    let listener =
        TcpListener::bind(("::", port)).or_else(|_| TcpListener::bind(("0.0.0.0", port)))?;
    // Somebody may hang up between the wait and the accept.
    listener.set_nonblocking(true)?;
    Ok(listener)
}

impl Server {
    fn answer(&self, mut stream: &TcpStream) -> io::Result<()> {
        let begun = Instant::now();
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.set_write_timeout(Some(Duration::from_secs(5)))?;
        let mut head = Vec::with_capacity(1024);
        let mut buffer = [0; 1024];
        while !head.windows(4).any(|w| w == b"\r\n\r\n") {
            match stream.read(&mut buffer)? {
                0 => return Ok(()),
                n => head.extend_from_slice(&buffer[..n]),
            }
            if head.len() > MAX_HEAD {
                return respond(stream, 431, "the request's head is too long\n");
            }
        }
        let head = String::from_utf8_lossy(&head);
        let mut words = head.lines().next().unwrap_or_default().split(' ');
        let method = words.next().unwrap_or_default().to_owned();
        let target = words.next().unwrap_or_default().to_owned();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let (status, body) = match (method.as_str(), path) {
            ("GET" | "HEAD", "/healthz") => self.health(),
            ("GET" | "HEAD", "/slow") => {
                let millis = parameter(query, "ms").unwrap_or(2000).min(60_000);
                std::thread::sleep(Duration::from_millis(millis));
                (200, format!("{} took {millis} ms\n", self.name))
            }
            ("GET", "/bytes") => {
                let n = usize::try_from(parameter(query, "n").unwrap_or(1024)).unwrap_or(0);
                (200, ".".repeat(n.min(16 << 20)))
            }
            ("GET" | "HEAD", _) => (200, self.page(path, stream)),
            _ => (405, "only GET\n".to_owned()),
        };
        let shown = if method == "HEAD" { "" } else { &body };
        respond(stream, status, shown)?;
        let peer = stream.peer_addr().map(|a| a.ip().to_canonical().to_string());
        log(format_args!(
            "{} {method:?} {target:?} {status} {} {:.1}ms",
            peer.unwrap_or_else(|_| "-".to_owned()),
            shown.len(),
            begun.elapsed().as_secs_f64() * 1000.0
        ));
        Ok(())
    }

    fn health(&self) -> (u16, String) {
        if self.schedule.is_healthy(self.started.elapsed()) {
            (200, "ok\n".to_owned())
        } else {
            (503, "unwell, as scheduled\n".to_owned())
        }
    }

    fn page(&self, path: &str, stream: &TcpStream) -> String {
        let address = |a: io::Result<std::net::SocketAddr>| {
            a.map_or_else(|_| "unknown".to_owned(), |a| a.ip().to_canonical().to_string())
        };
        format!(
            "hello from {}\npath {path}\naddress {}\nclient {}\nup {} s\n",
            self.name,
            address(stream.local_addr()),
            address(stream.peer_addr()),
            self.started.elapsed().as_secs()
        )
    }
}

fn respond(mut stream: &TcpStream, status: u16, body: &str) -> io::Result<()> {
    let reason = match status {
        200 => "OK",
        405 => "Method Not Allowed",
        431 => "Request Header Fields Too Large",
        _ => "Service Unavailable",
    };
    write!(
        stream,
        "HTTP/1.1 {status} {reason}\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn parameter(query: &str, name: &str) -> Option<u64> {
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        (key == name).then(|| value.parse().ok()).flatten()
    })
}

pub(crate) fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "localhost".to_owned(), |name| name.trim().to_owned())
}

fn log(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(server: &Server, request: &str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.write_all(request.as_bytes()).unwrap();
        let (stream, _) = listener.accept().unwrap();
        server.answer(&stream).unwrap();
        drop(stream);
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn pages_health_and_refusals() {
        let mut server =
            Server { name: "box".to_owned(), started: Instant::now(), schedule: Schedule::Healthy };
        let page = ask(&server, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
        assert!(page.contains("\r\n\r\nhello from box\npath /x\naddress 127.0.0.1\n"), "{page}");
        assert!(ask(&server, "GET /healthz HTTP/1.1\r\n\r\n").ends_with("\r\n\r\nok\n"));
        assert!(ask(&server, "GET /slow?ms=1 HTTP/1.1\r\n\r\n").contains("took 1 ms"));
        assert!(ask(&server, "GET /bytes?n=3 HTTP/1.1\r\n\r\n").ends_with("\r\n\r\n..."));
        assert!(ask(&server, "PUT / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405 "));
        let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(MAX_HEAD));
        assert!(ask(&server, &long).starts_with("HTTP/1.1 431 "));
        server.schedule = Schedule::Until(0);
        assert!(ask(&server, "GET /healthz HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 503 "));
    }
}
