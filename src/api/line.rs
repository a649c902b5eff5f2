//! Request lines as people write them: docker takes `filters={"status":["running"]}` as it stands, where
//! HTTP wants its quotes escaped. They are escaped here, before HTTP's own reader sees them.
//!
//! Where a line begins, the connection's first byte says, and then the end of each answer: what comes
//! next is the next request's. One that was sent before the answer was there is left as it is.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What an answer carries: with its end a request may begin.
pub(crate) struct Next(pub(crate) Arc<AtomicBool>);

impl Drop for Next {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// A connection whose request lines are escaped.
pub(crate) struct Lines<S> {
    inner: S,
    /// Whether what comes next is a request.
    begins: Arc<AtomicBool>,
    /// Whether its line isn't over.
    within: bool,
    /// What was read and not asked for yet: escapes are longer.
    ready: BytesMut,
}

impl<S> Lines<S> {
    /// Returns the connection, and what its answers carry.
    pub(crate) fn new(inner: S) -> (Self, Arc<AtomicBool>) {
        let begins = Arc::new(AtomicBool::new(true));
        let next = Arc::clone(&begins);
        (Self { inner, begins, within: false, ready: BytesMut::new() }, next)
    }

    /// Returns the connection itself, and what was read of it already.
    pub(crate) fn into_inner(self) -> (S, Bytes) {
        (self.inner, self.ready.freeze())
    }

    fn give(&mut self, buffer: &mut ReadBuf<'_>) {
        let length = self.ready.len().min(buffer.remaining());
        buffer.put_slice(&self.ready[..length]);
        self.ready.advance(length);
    }
}

/// What docker takes in an address, and HTTP's reader doesn't.
fn is_bare(byte: u8) -> bool {
    matches!(byte, b'"' | b'<' | b'>')
}

impl<S: AsyncRead + Unpin> AsyncRead for Lines<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.ready.is_empty() {
            self.give(buffer);
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        let read = &buffer.filled()[before..];
        if read.is_empty() {
            return Poll::Ready(Ok(()));
        }
        self.within |= self.begins.swap(false, Ordering::AcqRel);
        if !self.within {
            return Poll::Ready(Ok(()));
        }
        let end = read.iter().position(|byte| *byte == b'\n');
        self.within = end.is_none();
        let (line, rest) = read.split_at(end.unwrap_or(read.len()));
        if line.iter().copied().any(is_bare) {
            let mut text = BytesMut::with_capacity(2 * read.len());
            for &byte in line {
                match is_bare(byte) {
                    true => text.put_slice(format!("%{byte:02X}").as_bytes()),
                    false => text.put_u8(byte),
                }
            }
            text.put_slice(rest);
            self.ready = text;
            buffer.set_filled(before);
            self.give(buffer);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Lines<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, data)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::io::AsyncReadExt;

    use super::*;

    /// Reads all there is, so many bytes at a time.
    fn read(text: &[u8], at_once: usize) -> String {
        let (mut lines, _) = Lines::new(text);
        let mut all = Vec::new();
        let mut buffer = vec![0; at_once];
        loop {
            let length = lines.read(&mut buffer).now_or_never().unwrap().unwrap();
            if length == 0 {
                return String::from_utf8(all).unwrap();
            }
            all.extend_from_slice(&buffer[..length]);
        }
    }

    #[test]
    fn a_request_s_line_is_escaped_and_nothing_else() {
        let text = b"GET /x?f={\"a\":[\"<b>\"]} HTTP/1.1\r\nX: \"y\"\r\n\r\n{\"Image\":\"i\"}\n\"";
        let wanted =
            "GET /x?f={%22a%22:[%22%3Cb%3E%22]} HTTP/1.1\r\nX: \"y\"\r\n\r\n{\"Image\":\"i\"}\n\"";
        for at_once in [1, 2, 7, 1000] {
            assert_eq!(read(text, at_once), wanted, "{at_once}");
        }
    }

    #[test]
    fn the_next_line_begins_with_the_end_of_an_answer() {
        let (mut lines, next) = Lines::new(&b"GET /\"\n\"a\"\nGET /\"\n\"b\"\n"[..]);
        let mut piece = |length: usize| {
            let mut buffer = vec![0; length];
            lines.read_exact(&mut buffer).now_or_never().unwrap().unwrap();
            String::from_utf8(buffer).unwrap()
        };
        assert_eq!(piece(9), "GET /%22\n");
        assert_eq!(piece(4), "\"a\"\n");
        drop(Next(next));
        assert_eq!(piece(13), "GET /%22\n\"b\"\n");
    }
}
