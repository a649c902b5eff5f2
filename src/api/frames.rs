//! Docker's framing of two outputs on one connection.

use bytes::{BufMut, Bytes, BytesMut};
use wharf_model::LogStream;

/// How outputs lie on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// A terminal's: the bytes themselves.
    Raw,
    /// Frames with a header of eight bytes: the stream, three zeros, the length in big endian
    /// (Engine API, "Attach to a container", "Stream format").
    Multiplexed,
}

impl Framing {
    /// Returns that of a program with a terminal, or without.
    pub(crate) fn of(terminal: bool) -> Self {
        if terminal { Self::Raw } else { Self::Multiplexed }
    }

    /// Returns the content type that a version of the API has for it: up to 1.41 there is one.
    pub(crate) fn content_type(self, version: crate::version::Version) -> &'static str {
        match self {
            Self::Multiplexed if version.0 >= 42 => "application/vnd.docker.multiplexed-stream",
            _ => "application/vnd.docker.raw-stream",
        }
    }

    /// Adds some output to what is to be sent.
    pub(crate) fn put(self, stream: LogStream, data: &[u8], out: &mut BytesMut) {
        if self == Self::Multiplexed {
            out.put_slice(&header(stream, data.len()));
        }
        out.put_slice(data);
    }

    /// Returns some output as it is sent.
    pub(crate) fn frame(self, stream: LogStream, data: &[u8]) -> Bytes {
        let mut out = BytesMut::with_capacity(data.len() + 8);
        self.put(stream, data, &mut out);
        out.freeze()
    }
}

fn header(stream: LogStream, length: usize) -> [u8; 8] {
    let mut header = [0; 8];
    header[0] = match stream {
        LogStream::Stdout => 1,
        LogStream::Stderr => 2,
    };
    // No chunk is longer than a message of the engine's or a record of a log.
    header[4..].copy_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_dockers() {
        let frame = Framing::Multiplexed.frame(LogStream::Stderr, b"abc");
        assert_eq!(&frame[..], b"\x02\0\0\0\0\0\0\x03abc");
        assert_eq!(&Framing::Raw.frame(LogStream::Stdout, b"abc")[..], b"abc");
    }
}
