//! Connections that go on as a websocket (RFC 6455): messages carry what else would be bytes.

use std::future::{Future, ready};
use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt, TryStreamExt};
use hyper::StatusCode;
use hyper::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_util::io::{CopyToBytes, SinkWriter, StreamReader};

use crate::answer::{Answer, Refusal};
use crate::hijack::{self, Connection};

/// What is put behind a client's key (RFC 6455, section 1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The longest message that a client may send.
const LONGEST: usize = 1 << 20;

/// What messages of ours are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    /// As before version 1.28: what isn't UTF-8 is lost.
    Text,
    Binary,
}

/// Returns what a client wants to hear before it goes on as a websocket.
///
/// # Errors
/// When it asks for something else.
pub(crate) fn accept(headers: &HeaderMap) -> Result<HeaderValue, Refusal> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let upgrade = text(UPGRADE).unwrap_or_default();
    let is_key = |key: &&str| STANDARD.decode(key).is_ok_and(|bytes| bytes.len() == 16);
    let key = text(SEC_WEBSOCKET_KEY).map(str::trim).filter(is_key);
    let is_wanted = upgrade.split(',').any(|one| one.trim().eq_ignore_ascii_case("websocket"))
        && text(SEC_WEBSOCKET_VERSION).is_some_and(|version| version.trim() == "13");
    let (true, Some(key)) = (is_wanted, key) else {
        return Err(Refusal::invalid(
            "this is for websockets: send Upgrade: websocket, Sec-WebSocket-Version: 13 and a \
             Sec-WebSocket-Key",
        ));
    };
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{GUID}").as_bytes());
    HeaderValue::from_str(&STANDARD.encode(hash))
        .map_err(|cause| Refusal::invalid(format!("Sec-WebSocket-Key: {cause}")))
}

/// Returns the answer with which a connection becomes a websocket; `then` goes on with it.
pub(crate) fn leaving<F: Future<Output = ()> + Send + 'static>(
    accepted: HeaderValue,
    payload: Payload,
    then: impl FnOnce(Connection) -> F + Send + 'static,
) -> Answer {
    let mut answer = hijack::leaving(true, "", async move |connection| {
        then(joined(connection, payload).await).await;
    });
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = answer.headers_mut();
    headers.clear();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accepted);
    answer
}

/// Returns a connection whose bytes are what messages carry.
async fn joined(connection: Connection, payload: Payload) -> Connection {
    let Connection { reader, writer, socket, .. } = connection;
    let config = WebSocketConfig::default()
        .read_buffer_size(16 << 10)
        .write_buffer_size(0)
        .max_write_buffer_size(LONGEST)
        .max_message_size(Some(LONGEST))
        .max_frame_size(Some(LONGEST));
    let io = tokio::io::join(reader, writer);
    let stream = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
    let (sink, stream) = stream.split();
    let pieces = stream.map_err(io::Error::other).try_filter_map(|message| {
        ready(Ok(match message {
            Message::Binary(bytes) => Some(bytes),
            Message::Text(text) => Some(Bytes::from(text)),
            // Pings are answered, and an end is the stream's.
            _ => None,
        }))
    });
    let sink = sink.sink_map_err(io::Error::other).with(move |bytes: Bytes| {
        ready(Ok::<_, io::Error>(match payload {
            Payload::Binary => Message::Binary(bytes),
            Payload::Text => Message::text(String::from_utf8_lossy(&bytes).into_owned()),
        }))
    });
    Connection {
        reader: Box::new(StreamReader::new(Box::pin(pieces))),
        writer: Box::new(Box::pin(SinkWriter::new(CopyToBytes::new(sink)))),
        socket,
        // Whoever has said that it ends reads no more.
        has_halves: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_hears_what_it_expects() {
        // The example of RFC 6455, section 1.3.
        let mut headers = HeaderMap::new();
        headers.insert(UPGRADE, HeaderValue::from_static("WebSocket"));
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        let key = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
        headers.insert(SEC_WEBSOCKET_KEY, key);
        assert_eq!(accept(&headers).unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        headers.insert(SEC_WEBSOCKET_KEY, HeaderValue::from_static("short"));
        assert!(accept(&headers).is_err());
        assert!(accept(&HeaderMap::new()).is_err());
    }
}
