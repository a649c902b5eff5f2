//! HTTP over the way to the engine, one connection a request as docker's own client does.
//!
//! Bollard builds most requests and reads most answers; it is given this transport, so that all of
//! them leave by one door. What bollard can't carry goes through here directly: documents byte for
//! byte, streams that must be known to be open before the caller goes on, and connections that turn
//! into the streams of a process.

use std::io;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt, TryStreamExt};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, BodyStream, Empty, Full, StreamBody};
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderValue, UPGRADE};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::io::AsyncRead;
use tokio::task::JoinHandle;
use tokio_util::io::StreamReader;
use wharf_model::ErrorKind;

use super::error;
use super::way::{Stream, Way};
use crate::{ByteStream, Error, Reader, Result};

/// How long a question may stay without the beginning of an answer. Changes (a `stop` with a long
/// grace period) have no limit.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(60);

/// A line of JSON longer than this is not an event or a sample.
const LONGEST_LINE: usize = 4 << 20;

/// The buffer of a stream of small documents. The head of an answer has to fit in.
const SMALL: usize = 4096;

/// The body of a request of ours.
pub(super) type RequestBody = UnsyncBoxBody<Bytes, io::Error>;

/// The way to one engine.
#[derive(Clone, Debug)]
pub(super) struct Transport {
    way: Way,
    /// Whether nothing may be asked for that changes something.
    looks_only: bool,
}

/// Ends a connection's task when the last user of its answer is gone.
struct Connection(Option<JoinHandle<()>>);

impl Connection {
    /// Lets the connection end by itself.
    fn detach(mut self) {
        self.0.take();
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

/// The answer to a request, its head read.
pub(super) struct Reply {
    response: Response<Incoming>,
    connection: Connection,
}

impl Transport {
    /// Returns the requests' way.
    pub(super) fn new(way: Way) -> Self {
        Self { way, looks_only: false }
    }

    /// Returns the same way for questions alone.
    pub(super) fn looking_only(&self) -> Self {
        Self { looks_only: true, ..self.clone() }
    }

    /// Returns whether the engine may be on this host.
    pub(super) fn is_near(&self) -> bool {
        self.way.is_near()
    }

    /// Returns an error if it is known at once that nobody listens.
    pub(super) fn check(&self) -> Result<()> {
        self.way.check()
    }

    /// Sends one request on a connection of its own and returns the head of the answer.
    /// What comes is read into a buffer of so many bytes, or one that grows with it.
    async fn exchange<B>(
        &self,
        mut request: Request<B>,
        buffer: Option<usize>,
    ) -> Result<(Response<Incoming>, Connection)>
    where
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let operation = format!("{} {}", request.method(), request.uri().path());
        if self.looks_only && !is_question(request.method(), request.uri()) {
            let text =
                format!("read-only: the engine would have to be asked for a change ({operation})");
            return Err(Error::new(ErrorKind::Denied, text));
        }
        // The client of hyper wants only the path, and HTTP/1.1 wants a host.
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
        *request.uri_mut() = path.parse().map_err(|cause| {
            Error::new(ErrorKind::Invalid, format!("{operation}: not a request path: {cause}"))
        })?;
        request.headers_mut().insert(HOST, HeaderValue::from_static("docker"));

        let stream = self.way.open().await?;
        let (mut sender, connection) = http1::Builder::new()
            .read_buf_exact_size(buffer)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|cause| error::broken(&operation, cause))?;
        let connection = Connection(Some(tokio::spawn(async move {
            // A failure of the connection shows as one of the answer.
            let _ = connection.with_upgrades().await;
        })));
        let question = request.method() == Method::GET;
        let answer = sender.send_request(request);
        let response = if question {
            tokio::time::timeout(QUESTION_TIMEOUT, answer).await.map_err(|_| {
                Error::new(
                    ErrorKind::Unavailable,
                    format!("{operation}: the Docker engine took too long to answer"),
                )
            })?
        } else {
            answer.await
        };
        Ok((response.map_err(|cause| error::broken(&operation, cause))?, connection))
    }

    /// Sends a request of bollard's. An answer of 304 becomes an error, since bollard takes it for
    /// a success and then nobody could tell.
    pub(super) async fn send_for_bollard(
        &self,
        request: bollard::BollardRequest,
    ) -> std::result::Result<Response<Incoming>, bollard::errors::Error> {
        let (response, connection) =
            self.exchange(request, None).await.map_err(error::into_bollard)?;
        // Bollard reads whole answers only, so the connection ends by itself.
        connection.detach();
        if response.status() == StatusCode::NOT_MODIFIED {
            return Err(bollard::errors::Error::DockerResponseServerError {
                status_code: StatusCode::NOT_MODIFIED.as_u16(),
                message: String::new(),
            });
        }
        Ok(response)
    }

    /// Sends a request and returns the answer if its status is a success.
    async fn send(&self, request: Request<RequestBody>) -> Result<Reply> {
        self.send_with(request, None).await
    }

    async fn send_with(
        &self,
        request: Request<RequestBody>,
        buffer: Option<usize>,
    ) -> Result<Reply> {
        let (response, connection) = self.exchange(request, buffer).await?;
        let reply = Reply { response, connection };
        let status = reply.response.status();
        if status.is_success() || status == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(reply);
        }
        let body = reply.bytes().await?;
        let text = String::from_utf8_lossy(&body);
        let message = serde_json::from_slice::<serde_json::Value>(&body)
            .ok()
            .and_then(|value| value.get("message")?.as_str().map(str::to_owned))
            .unwrap_or_else(|| text.into_owned());
        Err(error::from_status(status, &message))
    }

    /// Asks for a document or a stream.
    pub(super) async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Reply> {
        self.send(self.request(Method::GET, path, query, empty(), "application/json")?).await
    }

    /// Asks for a stream of small documents, of which a thousand may be open at once.
    pub(super) async fn trickle(&self, path: &str, query: &[(&str, &str)]) -> Result<Reply> {
        let request = self.request(Method::GET, path, query, empty(), "application/json")?;
        self.send_with(request, Some(SMALL)).await
    }

    /// Asks for the head of an answer.
    pub(super) async fn head(&self, path: &str, query: &[(&str, &str)]) -> Result<Reply> {
        self.send(self.request(Method::HEAD, path, query, empty(), "application/json")?).await
    }

    /// Puts a body, perhaps a long one.
    pub(super) async fn put(
        &self,
        path: &str,
        query: &[(&str, &str)],
        body: RequestBody,
        content_type: &'static str,
    ) -> Result<Reply> {
        self.send(self.request(Method::PUT, path, query, body, content_type)?).await
    }

    /// Posts a body, perhaps a long one.
    pub(super) async fn post(
        &self,
        path: &str,
        query: &[(&str, &str)],
        body: RequestBody,
        content_type: &'static str,
    ) -> Result<Reply> {
        self.send(self.request(Method::POST, path, query, body, content_type)?).await
    }

    /// Posts a request whose answer is a stream of progress, with what the engine needs to log in at
    /// a registry.
    pub(super) async fn post_for_registry(
        &self,
        path: &str,
        query: &[(&str, &str)],
        authorization: &str,
    ) -> Result<Reply> {
        let mut request = self.request(Method::POST, path, query, empty(), "text/plain")?;
        let value = HeaderValue::from_str(authorization).map_err(|_| {
            Error::new(ErrorKind::Invalid, "the registry's credentials are no text")
        })?;
        request.headers_mut().insert("X-Registry-Auth", value);
        self.send(request).await
    }

    /// Posts a request after whose answer the connection is a process's streams. Returns it with
    /// the bytes that came along with the answer's head.
    pub(super) async fn hijack(
        &self,
        path: &str,
        query: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<(Stream, Bytes)> {
        let mut request =
            self.request(Method::POST, path, query, full(body), "application/json")?;
        let headers = request.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("tcp"));
        let reply = self.send(request).await?;
        let connection = reply.connection;
        let upgraded =
            hyper::upgrade::on(reply.response).await.map_err(|cause| error::broken(path, cause))?;
        connection.detach();
        match upgraded.downcast::<TokioIo<Stream>>() {
            Ok(parts) => Ok((parts.io.into_inner(), parts.read_buf)),
            Err(_) => Err(error::malformed(path, "the connection is of another kind")),
        }
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: RequestBody,
        content_type: &'static str,
    ) -> Result<Request<RequestBody>> {
        let mut uri = path.to_owned();
        if !query.is_empty() {
            uri.push('?');
            uri.push_str(
                &form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish(),
            );
        }
        Request::builder()
            .method(method)
            .uri(uri)
            .header(CONTENT_TYPE, content_type)
            .body(body)
            .map_err(|cause| Error::new(ErrorKind::Invalid, format!("{path}: {cause}")))
    }
}

impl Reply {
    /// Returns a header that is text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// Returns the whole body.
    pub(super) async fn bytes(self) -> Result<Bytes> {
        let path = "the engine's answer";
        let body = self.response.into_body().collect().await;
        Ok(body.map_err(|cause| error::broken(path, cause))?.to_bytes())
    }

    /// Returns the body read as one JSON document.
    pub(super) async fn json<T: DeserializeOwned>(self) -> Result<T> {
        let bytes = self.bytes().await?;
        serde_json::from_slice(&bytes).map_err(|cause| error::malformed("JSON document", cause))
    }

    /// Returns the body in pieces; dropping it closes the connection.
    pub(super) fn into_bytes(self, operation: &'static str) -> ByteStream {
        let connection = self.connection;
        let frames = BodyStream::new(self.response.into_body());
        TryStreamExt::map_err(frames, move |cause| error::broken(operation, cause))
            .try_filter_map(move |frame| {
                // Held so that it ends with the stream.
                let _ = &connection;
                std::future::ready(Ok(frame.into_data().ok()))
            })
            .boxed()
    }

    /// Returns the body as a stream of bytes; dropping it closes the connection.
    pub(super) fn into_reader(self) -> Pin<Box<dyn AsyncRead + Send>> {
        let connection = self.connection;
        let frames = BodyStream::new(self.response.into_body());
        let chunks = TryStreamExt::map_err(frames, io::Error::other).try_filter_map(move |frame| {
            // Held so that it ends with the stream.
            let _ = &connection;
            std::future::ready(Ok(frame.into_data().ok()))
        });
        Box::pin(StreamReader::new(Box::pin(chunks)))
    }

    /// Returns the body as one value a line.
    pub(super) fn into_lines<T>(self, operation: &'static str) -> BoxStream<'static, Result<T>>
    where
        T: DeserializeOwned + Send + 'static,
    {
        futures_util::stream::unfold(self.lines(operation), move |mut lines| async move {
            let line = lines.next().await?;
            Some((line.and_then(|line| parse(&line, operation)), lines))
        })
        .boxed()
    }

    /// Returns the lines of the body.
    pub(super) fn lines(self, operation: &'static str) -> Lines {
        let body = self.into_bytes(operation);
        Lines { body, operation, chunk: Bytes::new(), begun: Vec::new() }
    }
}

/// Reads a line of an answer.
pub(super) fn parse<'a, T: serde::Deserialize<'a>>(
    line: &'a [u8],
    operation: &'static str,
) -> Result<T> {
    serde_json::from_slice(line).map_err(|cause| error::malformed(operation, cause))
}

/// The lines of a body. There may be a thousand of these at once that wait for their next line, so nothing is
/// kept between two lines, and what comes in one piece isn't copied.
pub(super) struct Lines {
    body: ByteStream,
    operation: &'static str,
    /// What has come and isn't read yet.
    chunk: Bytes,
    /// The beginning of a line whose end has yet to come.
    begun: Vec<u8>,
}

impl Lines {
    /// Returns the next line that isn't blank.
    pub(super) async fn next(&mut self) -> Option<Result<Bytes>> {
        loop {
            let line = match self.chunk.iter().position(|byte| *byte == b'\n') {
                Some(end) => self.chunk.split_to(end + 1),
                None => std::mem::take(&mut self.chunk),
            };
            let is_whole = line.ends_with(b"\n");
            if self.chunk.is_empty() {
                // Even of no length it would keep the connection's buffer.
                self.chunk = Bytes::new();
            }
            let line = if self.begun.is_empty() && is_whole {
                line
            } else {
                self.begun.extend_from_slice(&line);
                if self.begun.len() > LONGEST_LINE {
                    return Some(Err(error::broken(self.operation, "a line without an end")));
                }
                if is_whole { std::mem::take(&mut self.begun).into() } else { Bytes::new() }
            };
            if !line.trim_ascii().is_empty() {
                return Some(Ok(line));
            }
            if is_whole {
                continue;
            }
            match self.body.next().await {
                Some(Ok(chunk)) => self.chunk = chunk,
                Some(Err(error)) => return Some(Err(error)),
                None => {
                    let last = std::mem::take(&mut self.begun);
                    return (!last.trim_ascii().is_empty()).then(|| Ok(last.into()));
                }
            }
        }
    }
}

/// Returns whether a request changes nothing. Streams of a container are posted for, too, with what
/// is typed to it or without.
fn is_question(method: &Method, uri: &hyper::Uri) -> bool {
    if method == Method::GET || method == Method::HEAD {
        return true;
    }
    let types = |query: &str| {
        form_urlencoded::parse(query.as_bytes())
            .any(|(name, value)| name == "stdin" && !matches!(&*value, "0" | "false"))
    };
    let last = uri.path().rsplit('/').next();
    method == Method::POST
        && (last == Some("wait") || last == Some("attach") && !uri.query().is_some_and(types))
}

/// Returns the body of a request that has none.
pub(super) fn empty() -> RequestBody {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// Returns a body that is at hand.
pub(super) fn full(bytes: Vec<u8>) -> RequestBody {
    Full::from(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// Returns a body that is read from a blocking reader on a thread of its own, as fast as the engine
/// takes it.
pub(super) fn upload(mut reader: Reader) -> RequestBody {
    const CHUNK: usize = 256 << 10;
    let (sender, receiver) = tokio::sync::mpsc::channel::<io::Result<Bytes>>(4);
    tokio::task::spawn_blocking(move || {
        loop {
            let mut chunk = vec![0; CHUNK];
            let (item, last) = match reader.read(&mut chunk) {
                Ok(0) => return,
                Ok(length) => {
                    chunk.truncate(length);
                    (Ok(Bytes::from(chunk)), false)
                }
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => continue,
                Err(cause) => (Err(cause), true),
            };
            // The engine may have given up reading; its answer says why.
            if sender.blocking_send(item).is_err() || last {
                return;
            }
        }
    });
    let frames = futures_util::stream::unfold(receiver, |mut receiver| async move {
        let item = receiver.recv().await?;
        Some((item.map(Frame::data), receiver))
    });
    BodyExt::boxed_unsync(StreamBody::new(frames.boxed()))
}

/// Returns one path segment with every byte escaped that could end it.
pub(super) fn segment(text: &str) -> String {
    escape(text, b"")
}

/// Returns an image's name as a path: its slashes, colons and at-signs stay.
pub(super) fn image_path(text: &str) -> String {
    escape(text, b"/:@")
}

fn escape(text: &str, also_kept: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut path = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || also_kept.contains(&byte) {
            path.push(char::from(byte));
        } else {
            // Writing to a string can't fail.
            let _ = write!(path, "%{byte:02X}");
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_questions_change_nothing() {
        let is = |method: Method, uri: &str| is_question(&method, &uri.parse().unwrap());
        assert!(is(Method::GET, "/containers/json") && is(Method::HEAD, "/containers/x/archive"));
        assert!(is(Method::POST, "/v1.44/containers/x/attach?stream=1&stdout=1&stdin=0"));
        assert!(is(Method::POST, "/containers/x/wait?condition=next-exit"));
        for (method, uri) in [
            (Method::POST, "/containers/x/attach?stream=1&stdin=1"),
            (Method::POST, "/containers/x/attach?stdin=true"),
            (Method::POST, "/containers/x/stop"),
            (Method::POST, "/containers/attach/stop"),
            (Method::POST, "/containers/x/exec"),
            (Method::POST, "/containers/x/resize?h=1&w=1"),
            (Method::PUT, "/containers/x/archive?path=/"),
            (Method::DELETE, "/volumes/x"),
        ] {
            assert!(!is(method, uri), "{uri}");
        }
    }

    #[tokio::test]
    async fn lines_come_however_they_are_cut() {
        let text = b"{\"a\":1}\n\r\n{\"b\":2}\r\n \n[3]";
        for size in 1..=text.len() {
            let pieces: Vec<_> =
                text.chunks(size).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
            let body = futures_util::stream::iter(pieces).boxed();
            let mut lines =
                Lines { body, operation: "test", chunk: Bytes::new(), begun: Vec::new() };
            let mut found = Vec::new();
            while let Some(line) = lines.next().await {
                found.push(String::from_utf8_lossy(line.unwrap().trim_ascii()).into_owned());
            }
            assert_eq!(found, [r#"{"a":1}"#, r#"{"b":2}"#, "[3]"], "in pieces of {size}");
        }
    }

    #[tokio::test]
    async fn a_line_without_an_end_is_refused() {
        let pieces = std::iter::repeat_with(|| Ok(Bytes::from_static(&[b'x'; 1 << 16])));
        let body = futures_util::stream::iter(pieces).boxed();
        let mut lines = Lines { body, operation: "test", chunk: Bytes::new(), begun: Vec::new() };
        let error = lines.next().await.unwrap().unwrap_err();
        assert!(error.to_string().contains("without an end"), "{error}");
        assert!(lines.begun.len() <= LONGEST_LINE + (1 << 16));
    }
}
