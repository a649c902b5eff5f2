//! A stream of bytes from one thread to another: a few buffers that go round, so that neither waits
//! for a copy, and what is under way is bounded.

use std::io::{self, Read, Write};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

/// How much goes over at once. Smaller ones cost switches between threads, greater ones the cache.
const CHUNK: usize = 1 << 17;

/// How many buffers may be full at once.
const DEPTH: usize = 4;

/// The end that is written to. To be [finished](Inlet::finish): else the reader is told of a failure.
pub(super) struct Inlet {
    full: SyncSender<Vec<u8>>,
    empty: Receiver<Vec<u8>>,
    buffer: Vec<u8>,
}

/// The end that is read from.
pub(super) struct Outlet {
    full: Receiver<Vec<u8>>,
    empty: Sender<Vec<u8>>,
    buffer: Vec<u8>,
    at: usize,
    ended: bool,
}

/// Returns both ends of a new stream.
pub(super) fn conduit() -> (Inlet, Outlet) {
    let (full, outlet) = sync_channel(DEPTH);
    let (empty, inlet) = channel();
    (
        Inlet { full, empty: inlet, buffer: Vec::new() },
        Outlet { full: outlet, empty, buffer: Vec::new(), at: 0, ended: false },
    )
}

impl Inlet {
    fn send(&mut self) -> io::Result<()> {
        let mut next = self.empty.try_recv().unwrap_or_default();
        next.clear();
        let full = std::mem::replace(&mut self.buffer, next);
        self.full.send(full).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// Reads once from `from`, straight into the buffer that goes over next, and returns the bytes;
    /// none at the end.
    pub(super) fn fill(&mut self, from: &mut (impl Read + ?Sized)) -> io::Result<&[u8]> {
        self.buffer.resize(CHUNK, 0);
        let read = loop {
            match from.read(&mut self.buffer) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.buffer.truncate(*read.as_ref().unwrap_or(&0));
        read?;
        Ok(&self.buffer)
    }

    /// Sends all that can be read.
    pub(super) fn send_all(mut self, from: &mut (impl Read + ?Sized)) -> io::Result<()> {
        while !self.fill(from)?.is_empty() {
            self.flush()?;
        }
        self.finish()
    }

    /// Sends what is left, and that it was all.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        // An empty buffer is the end.
        self.send()
    }
}

impl Write for Inlet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() == CHUNK {
            self.send()?;
        }
        let n = bytes.len().min(CHUNK - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() { Ok(()) } else { self.send() }
    }
}

impl Read for Outlet {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if self.at == self.buffer.len() && !self.ended {
            // The other side has failed, and tells why itself.
            let next = self.full.recv().map_err(|_| io::ErrorKind::UnexpectedEof)?;
            let used = std::mem::replace(&mut self.buffer, next);
            // Nobody wants it back at the end.
            let _ = self.empty.send(used);
            self.at = 0;
            self.ended = self.buffer.is_empty();
        }
        let n = to.len().min(self.buffer.len() - self.at);
        to[..n].copy_from_slice(&self.buffer[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_in_order_and_the_end_is_told() {
        let (mut inlet, mut outlet) = conduit();
        let wanted: Vec<u8> = (0..CHUNK * 11 + 17).map(|n| (n % 251) as u8).collect();
        let given = wanted.clone();
        let writer = std::thread::spawn(move || {
            let (head, mut rest) = given.split_at(CHUNK * 3 + 5);
            inlet.write_all(head).unwrap();
            inlet.flush().unwrap();
            inlet.send_all(&mut rest).unwrap();
        });
        let mut found = Vec::new();
        outlet.read_to_end(&mut found).unwrap();
        assert!(found == wanted);
        assert_eq!(outlet.read(&mut [0; 8]).unwrap(), 0);
        writer.join().unwrap();
    }

    #[test]
    fn each_end_hears_of_the_other_s_failure() {
        let (mut inlet, mut outlet) = conduit();
        inlet.write_all(b"half").unwrap();
        inlet.flush().unwrap();
        drop(inlet);
        let mut found = Vec::new();
        let error = outlet.read_to_end(&mut found).unwrap_err();
        assert_eq!((error.kind(), found.as_slice()), (io::ErrorKind::UnexpectedEof, &b"half"[..]));
        let (mut inlet, outlet) = conduit();
        drop(outlet);
        let error = inlet.write_all(&vec![0; CHUNK * 2]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
