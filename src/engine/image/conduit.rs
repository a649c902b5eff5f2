//! A stream of bytes from one thread to another: a few buffers that go round, so that neither waits
//! for a copy, and what is under way is bounded.

use std::io::{self, BufRead, Read, Write};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

/// How much goes over at once. Smaller ones cost switches between threads, greater ones the cache.
const CHUNK: usize = 1 << 17;

/// How many buffers may be full at once.
const DEPTH: usize = 4;

/// A buffer that goes round. Its room is made once, so that nobody has to clear it again.
#[derive(Default)]
struct Chunk {
    room: Box<[u8]>,
    filled: usize,
}

impl Chunk {
    fn bytes(&self) -> &[u8] {
        &self.room[..self.filled]
    }

    /// Returns the part that nothing is in yet.
    fn free(&mut self) -> &mut [u8] {
        if self.room.is_empty() {
            self.room = vec![0; CHUNK].into();
        }
        &mut self.room[self.filled..]
    }
}

/// The end that is written to. To be [finished](Inlet::finish): else the reader is told of a failure.
pub(super) struct Inlet {
    full: SyncSender<Chunk>,
    empty: Receiver<Chunk>,
    chunk: Chunk,
}

/// The end that is read from.
pub(super) struct Outlet {
    full: Receiver<Chunk>,
    empty: Sender<Chunk>,
    chunk: Chunk,
    at: usize,
    ended: bool,
}

/// Returns both ends of a new stream.
pub(super) fn conduit() -> (Inlet, Outlet) {
    let (full, outlet) = sync_channel(DEPTH);
    let (empty, inlet) = channel();
    (
        Inlet { full, empty: inlet, chunk: Chunk::default() },
        Outlet { full: outlet, empty, chunk: Chunk::default(), at: 0, ended: false },
    )
}

impl Inlet {
    fn send(&mut self) -> io::Result<()> {
        let mut next = self.empty.try_recv().unwrap_or_default();
        next.filled = 0;
        let full = std::mem::replace(&mut self.chunk, next);
        self.full.send(full).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// Reads once from `from`, straight into the buffer that goes over next, and returns the bytes;
    /// none at the end.
    pub(super) fn fill(&mut self, from: &mut (impl Read + ?Sized)) -> io::Result<&[u8]> {
        self.chunk.filled = 0;
        let room = self.chunk.free();
        let read = loop {
            match from.read(room) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.chunk.filled = read;
        Ok(self.chunk.bytes())
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
        if self.chunk.filled == CHUNK {
            self.send()?;
        }
        let free = self.chunk.free();
        let n = bytes.len().min(free.len());
        free[..n].copy_from_slice(&bytes[..n]);
        self.chunk.filled += n;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.chunk.filled == 0 { Ok(()) } else { self.send() }
    }
}

impl BufRead for Outlet {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.chunk.filled && !self.ended {
            // The other side has failed, and tells why itself.
            let next = self.full.recv().map_err(|_| io::ErrorKind::UnexpectedEof)?;
            let used = std::mem::replace(&mut self.chunk, next);
            // Nobody wants it back at the end.
            let _ = self.empty.send(used);
            self.at = 0;
            self.ended = self.chunk.filled == 0;
        }
        Ok(&self.chunk.bytes()[self.at..])
    }

    fn consume(&mut self, amount: usize) {
        self.at = self.chunk.filled.min(self.at + amount);
    }
}

impl Read for Outlet {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(to)?;
        self.consume(n);
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
