//! What stands between a client and a registry, and does to it what networks and servers do: it
//! demands tokens, is slow, breaks off, lies, or has had enough.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    headers: Vec<(String, String)>,
    /// As far as it is a form's.
    body: String,
}

impl Asked {
    pub(crate) fn body(&self) -> &str {
        &self.body
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn is(&self, method: &str, part: &str) -> bool {
        self.method == method && self.path.contains(part)
    }
}

/// What is done about a request.
#[derive(Clone)]
pub(crate) enum Action {
    /// It goes on to the registry.
    Pass,
    /// It is answered here: a status, headers, and a body.
    Answer(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// The answer's body breaks off after so many bytes.
    Cut(usize),
    /// The answer's body stands still after so many bytes, until the gate is open.
    Hold(usize, Gate),
    /// A byte of the answer's body is another.
    Corrupt,
    /// The answer's body is longer, and its head says so.
    Longer,
    /// The request's body is read to here, and then the connection breaks.
    Drop(usize),
}

/// Something that waits to be opened.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<(bool, bool)>, Condvar)>);

impl Gate {
    /// Waits until somebody stands before it.
    pub(crate) fn wait_for_visitor(&self) {
        let (state, changed) = &*self.0;
        let state = state.lock().unwrap();
        drop(changed.wait_while(state, |(visited, _)| !*visited).unwrap());
    }

    pub(crate) fn open(&self) {
        let (state, changed) = &*self.0;
        state.lock().unwrap().1 = true;
        changed.notify_all();
    }

    fn pass(&self) {
        let (state, changed) = &*self.0;
        let mut state = state.lock().unwrap();
        state.0 = true;
        changed.notify_all();
        drop(changed.wait_while(state, |(_, open)| !*open).unwrap());
    }
}

/// What decides about a request; none leaves it to the next.
pub(crate) type Rule = Box<dyn FnMut(&Asked) -> Option<Action> + Send>;

#[derive(Default)]
struct State {
    rules: Mutex<Vec<Rule>>,
    asked: Mutex<Vec<Asked>>,
    ended: AtomicBool,
}

/// A proxy before a registry, or alone. Dropping it ends it; what is held has to be let go before.
pub(crate) struct Proxy {
    pub(crate) address: String,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Starts one before the server at this address.
    pub(crate) fn before(upstream: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::new(State::default());
        let (shared, upstream) = (Arc::clone(&state), upstream.to_owned());
        let thread = std::thread::spawn(move || {
            let mut workers = Vec::new();
            for stream in listener.incoming().flatten() {
                if shared.ended.load(Ordering::SeqCst) {
                    break;
                }
                let (shared, upstream) = (Arc::clone(&shared), upstream.clone());
                workers.push(std::thread::spawn(move || {
                    // A client that goes away is what some of the tests want.
                    let _ = serve(&shared, stream, &upstream);
                }));
            }
            for worker in workers {
                let _ = worker.join();
            }
        });
        Self { address, state, thread: Some(thread) }
    }

    /// Adds a rule, which goes before those that are there.
    pub(crate) fn rule(&self, rule: impl FnMut(&Asked) -> Option<Action> + Send + 'static) {
        locked(&self.state.rules).insert(0, Box::new(rule));
    }

    /// Does this to the first so many requests of a method for a path with this in it.
    pub(crate) fn first(&self, mut count: usize, method: &'static str, part: &str, action: Action) {
        let part = part.to_owned();
        self.rule(move |asked| {
            if count == 0 || !asked.is(method, &part) {
                return None;
            }
            count -= 1;
            Some(action.clone())
        });
    }

    /// Takes all rules away.
    pub(crate) fn behave(&self) {
        locked(&self.state.rules).clear();
    }

    /// Returns what was asked since this was asked last.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut locked(&self.state.asked))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::SeqCst);
        // To get out of its wait.
        let _ = TcpStream::connect(&self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The first byte of a connection with TLS, which isn't spoken here.
const TLS: u8 = 0x16;

/// Reads up to the empty line; returns it with what came after it.
fn head(stream: &mut TcpStream) -> std::io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            return Ok((String::from_utf8_lossy(&bytes).into_owned(), rest));
        }
        let length = stream.read(&mut chunk)?;
        if length == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(&chunk[..length]);
        if bytes[0] == TLS {
            return Err(std::io::ErrorKind::InvalidData.into());
        }
    }
}

fn headers(head: &str) -> Vec<(String, String)> {
    let pairs = head.lines().skip(1).filter_map(|line| line.split_once(": "));
    pairs.map(|(name, value)| (name.to_lowercase(), value.trim().to_owned())).collect()
}

fn length_of(headers: &[(String, String)]) -> usize {
    let found = headers.iter().find(|(name, _)| name == "content-length");
    found.map_or(0, |(_, value)| value.parse().unwrap())
}

/// Answers one request, and closes.
fn serve(state: &State, mut client: TcpStream, upstream: &str) -> std::io::Result<()> {
    let (request, mut body) = head(&mut client)?;
    let Some((line, _)) = request.split_once("\r\n") else { return Ok(()) };
    let mut words = line.split(' ');
    let mut asked = Asked {
        method: words.next().unwrap_or_default().to_owned(),
        path: words.next().unwrap_or_default().to_owned(),
        headers: headers(&request),
        body: String::new(),
    };
    let length = length_of(&asked.headers);
    if asked.header("content-type") == Some("application/x-www-form-urlencoded") {
        while body.len() < length {
            let mut chunk = [0; 4096];
            let count = client.read(&mut chunk)?;
            if count == 0 {
                return Ok(());
            }
            body.extend_from_slice(&chunk[..count]);
        }
        asked.body = String::from_utf8_lossy(&body).into_owned();
    }
    let action = {
        let mut rules = locked(&state.rules);
        rules.iter_mut().find_map(|rule| rule(&asked)).unwrap_or(Action::Pass)
    };
    locked(&state.asked).push(asked.clone());
    if let Action::Drop(most) = action {
        let mut left = most.min(length).saturating_sub(body.len());
        let mut chunk = [0; 4096];
        while left > 0 {
            left = left.saturating_sub(client.read(&mut chunk)?);
        }
        return client.shutdown(Shutdown::Both);
    }
    while body.len() < length {
        let mut chunk = vec![0; (length - body.len()).min(1 << 20)];
        let count = client.read(&mut chunk)?;
        if count == 0 {
            return Ok(());
        }
        body.extend_from_slice(&chunk[..count]);
    }
    if let Action::Answer(status, headers, body) = action {
        let mut text = format!(
            "HTTP/1.1 {status} As told\r\nConnection: close\r\nContent-Length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        client.write_all(format!("{text}\r\n").as_bytes())?;
        if asked.method != "HEAD" {
            client.write_all(&body)?;
        }
        return client.shutdown(Shutdown::Write);
    }
    let mut server = TcpStream::connect(upstream)?;
    // One request a connection: what comes next would be somebody else's.
    let request = request.replacen("\r\n", "\r\nConnection: close\r\n", 1);
    server.write_all(request.as_bytes())?;
    server.write_all(&body)?;
    let (answer, mut body) = head(&mut server)?;
    server.read_to_end(&mut body)?;
    let answer = match action {
        Action::Longer => {
            let before = body.len();
            body.extend_from_slice(&[0; 512]);
            let (old, new) = (format!("Length: {before}"), format!("Length: {}", body.len()));
            answer.replacen(&old, &new, 1)
        }
        _ => answer,
    };
    if matches!(action, Action::Corrupt) {
        let middle = body.len() / 2;
        body[middle] ^= 0x20;
    }
    let end = match action {
        Action::Cut(most) | Action::Hold(most, _) => most.min(body.len()),
        _ => body.len(),
    };
    client.write_all(answer.as_bytes())?;
    client.write_all(&body[..end])?;
    client.flush()?;
    if let Action::Hold(_, gate) = action {
        gate.pass();
        client.write_all(&body[end..])?;
    }
    client.shutdown(Shutdown::Write)
}
