//! The container's log: how it is opened, who writes it, and who compresses what was rotated.
//!
//! A copy of the supervisor compresses, beside it: neither the container nor those who talk to the
//! supervisor wait for it. Should the container write faster than that for long, its output is not
//! read for a while.
//!
//! With `mode=non-blocking` the container waits for nothing: a copy of the supervisor writes the log
//! (and compresses, while it is at it), and what it hasn't taken yet is queued up to a limit.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use chrono::Utc;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, Shutdown, SocketFlags, SocketType};
use rustix::process::Signal;
use rustix::time::Timespec;
use wharf_logs::{About, Queue, Writer};
use wharf_model::{LogDriver, LogStream};
use wharf_sys::clone::{Child, Flags, clone};

use super::run::{LOG, PACKER, Supervisor, reap};
use crate::Paths;
use crate::channel::CHUNK;
use crate::init::program::tie;
use crate::state::Record;

/// How far the compression stands back behind all else.
const NICE: i32 = 10;

/// How long a writer that has ended, which it never should, isn't replaced.
const PAUSE: Duration = Duration::from_secs(1);

/// A container's log.
pub(super) enum Log {
    /// The supervisor writes it, and the container waits when that takes long.
    Direct(Box<Writer>),
    /// The container doesn't wait.
    Queued(Box<Queued>),
}

/// Opens a container's log; none when it is to have none. One whose log can't be written runs
/// without it rather than not at all.
pub(super) fn open(paths: &Paths, record: &Record) -> Option<Log> {
    let config = &record.spec.host.log_config;
    if config.driver == LogDriver::None {
        return None;
    }
    // Checked when the container was made.
    let rotation = wharf_logs::rotation(config).unwrap_or_default();
    let attributes = wharf_logs::attributes(config, &about(record)).unwrap_or_default();
    let open = move |path: &Path| {
        let mut writer = Writer::open(path, rotation).ok()?;
        writer.set_attributes(&attributes);
        Some(writer)
    };
    let path = paths.log(&record.id);
    // Even where another process writes it: whoever asks finds a log from the start on.
    let writer = open(&path)?;
    Some(match wharf_logs::buffer(config).unwrap_or_default() {
        None => Log::Direct(Box::new(writer)),
        Some(limit) => Log::Queued(Box::new(Queued {
            queue: Queue::new(limit),
            open: Box::new(move || open(&path)),
            writing: None,
            failed: None,
            watched: false,
        })),
    })
}

/// A log that another process writes.
pub(super) struct Queued {
    queue: Queue,
    open: Box<dyn Fn() -> Option<Writer>>,
    /// The process, and the connection to it; it is started when there is something to write.
    writing: Option<(Child, OwnedFd)>,
    /// When one has ended by itself.
    failed: Option<Instant>,
    /// Whether room in the connection is waited for.
    watched: bool,
}

impl Queued {
    fn write(&mut self, stream: LogStream, data: &[u8]) {
        self.queue.push(stream, Utc::now(), data);
        self.send(SendFlags::DONTWAIT);
    }

    /// Hands over what waits, as far as it is taken.
    fn send(&mut self, flags: SendFlags) {
        let mut message = Vec::new();
        while let Some(piece) = self.queue.front() {
            message.clear();
            piece.encode(&mut message);
            let Some((_, connection)) = self.writer() else { return };
            match retry_on_intr(|| {
                rustix::net::send(connection, &message, flags | SendFlags::NOSIGNAL)
            }) {
                Ok(_) => self.queue.pop(),
                Err(Errno::AGAIN | Errno::NOBUFS | Errno::NOMEM) => return,
                Err(_) => {
                    // Somebody has killed it.
                    self.failed = Some(Instant::now());
                    self.end();
                }
            }
        }
    }

    /// Returns the process that writes, started if there is none.
    fn writer(&mut self) -> Option<&(Child, OwnedFd)> {
        if self.writing.is_none() {
            if self.failed.is_some_and(|at| at.elapsed() < PAUSE) {
                return None;
            }
            self.writing = self.begin();
            if self.writing.is_none() {
                self.failed = Some(Instant::now());
            }
        }
        self.writing.as_ref()
    }

    fn begin(&self) -> Option<(Child, OwnedFd)> {
        let (ours, theirs) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )
        .ok()?;
        let child = clone(Flags::NONE, None, || {
            // Nothing of the supervisor's may stay open in it: a lock, say.
            let closed = wharf_sys::descriptors::close_all_but(&[theirs.as_fd()]);
            if closed.is_err() || tie().is_err() {
                return 1;
            }
            let _ = rustix::thread::set_name(c"wharf-log");
            (self.open)().map_or(1, |writer| take_down(writer, &theirs))
        });
        Some((child.ok()?, ours))
    }

    /// Waits until all is written. The next output starts a new process.
    fn settle(&mut self) {
        self.queue.note();
        self.send(SendFlags::empty());
        self.end();
    }

    /// Lets the process write what it has, and end.
    fn end(&mut self) {
        if let Some((child, connection)) = self.writing.take() {
            // A program that is being started may have a copy of it.
            let _ = rustix::net::shutdown(&connection, Shutdown::Write);
            drop(connection);
            let _ = reap(&child);
        }
        self.watched = false;
    }
}

/// Has a rotated log compressed by a further copy of this process.
fn begin_packing(path: &Path) -> Option<Child> {
    let packer = clone(Flags::NONE, None, || {
        // Nothing of this process's may stay open in it: a lock, say.
        let closed = wharf_sys::descriptors::close_all_but(&[]);
        if closed.is_err() || tie().is_err() {
            return 1;
        }
        let _ = rustix::process::nice(NICE);
        i32::from(wharf_logs::pack(path).is_err())
    });
    packer.ok()
}

fn kill(child: &Child) {
    // One that has ended needs no signal.
    let _ = rustix::process::pidfd_send_signal(&child.pidfd, Signal::KILL);
    let _ = reap(child);
}

fn has_ended(child: &Child) -> bool {
    let mut fds = [PollFd::new(&child.pidfd, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}

/// Writes what comes until there is no more; returns an exit code.
fn take_down(mut writer: Writer, connection: &OwnedFd) -> i32 {
    let mut buffer = vec![0; CHUNK + 64];
    let mut packer: Option<Child> = None;
    loop {
        if let Some(running) = packer.take_if(|child| writer.is_behind() || has_ended(child)) {
            let _ = reap(&running);
            writer.packed();
        }
        if let Some(path) = writer.take_unpacked() {
            packer = begin_packing(&path);
            if packer.is_none() {
                // It stays as it is.
                writer.packed();
            }
        }
        let mut receive =
            |flags| retry_on_intr(|| rustix::net::recv(connection, &mut *buffer, flags));
        let received = match receive(RecvFlags::DONTWAIT) {
            Err(Errno::AGAIN) => {
                writer.relax();
                receive(RecvFlags::empty())
            }
            received => received,
        };
        match received {
            // What a full disk loses is counted by the writer.
            Ok((length, _)) if length > 0 => {
                let _ = wharf_logs::write_encoded(&mut writer, &buffer[..length]);
            }
            _ => break,
        }
    }
    for stream in [LogStream::Stdout, LogStream::Stderr] {
        let _ = writer.finish(stream, Utc::now());
    }
    // Nothing may write in a folder that is about to be removed: the next run does it anew.
    if let Some(packer) = packer {
        kill(&packer);
    }
    0
}

impl Log {
    /// Takes in output.
    pub(super) fn write(&mut self, stream: LogStream, data: &[u8]) {
        match self {
            // What a full disk loses is counted by the writer; the container goes on.
            Self::Direct(writer) => drop(writer.write(stream, Utc::now(), data)),
            Self::Queued(queued) => queued.write(stream, data),
        }
    }

    /// Writes a stream's unfinished line, at its end.
    pub(super) fn finish(&mut self, stream: LogStream) {
        if let Self::Direct(writer) = self {
            let _ = writer.finish(stream, Utc::now());
        }
    }

    /// Waits until all that has come is written, at the end of a run.
    pub(super) fn settle(&mut self) {
        if let Self::Queued(queued) = self {
            queued.settle();
        }
    }

    /// Gives back the memory that only busy times need.
    pub(super) fn relax(&mut self) {
        if let Self::Direct(writer) = self {
            writer.relax();
        }
    }

    /// Returns whether the container had better wait.
    pub(super) fn is_behind(&self) -> bool {
        matches!(self, Self::Direct(writer) if writer.is_behind())
    }
}

fn about(record: &Record) -> About<'_> {
    About {
        id: record.id.as_str(),
        name: &record.name,
        image: &record.spec.config.image,
        image_id: record.image.as_str(),
        labels: &record.spec.config.labels,
        env: &record.spec.config.env,
    }
}

impl Supervisor {
    /// Hands over what waits to be written, now that there is room.
    pub(super) fn feed_log(&mut self) {
        if let Some(Log::Queued(queued)) = &mut self.log {
            queued.send(SendFlags::DONTWAIT);
        }
    }

    /// Waits for room in the connection to who writes the log, as long as something is to be written.
    pub(super) fn watch_log(&mut self) {
        let Self { log: Some(Log::Queued(queued)), epoll, .. } = self else { return };
        let wanted = !queued.queue.is_empty();
        let Some((_, connection)) = &queued.writing else { return };
        if wanted && !queued.watched {
            let _ = epoll::add(&*epoll, connection, EventData::new_u64(LOG), EventFlags::OUT);
        } else if !wanted && queued.watched {
            let _ = epoll::delete(&*epoll, connection);
        }
        queued.watched = wanted;
    }

    /// Has the newest rotated file compressed.
    pub(super) fn pack_log(&mut self) {
        let Some(Log::Direct(log)) = &mut self.log else { return };
        let Some(path) = log.take_unpacked() else { return };
        match begin_packing(&path) {
            Some(packer) => {
                self.watch(packer.pidfd.as_fd(), PACKER, EventFlags::IN);
                self.packer = Some(packer);
            }
            // It stays as it is.
            None => log.packed(),
        }
    }

    /// Takes note of the end of a compression.
    pub(super) fn packed(&mut self) {
        let Some(packer) = self.packer.take() else { return };
        let _ = epoll::delete(&self.epoll, &packer.pidfd);
        let _ = reap(&packer);
        if let Some(Log::Direct(log)) = &mut self.log {
            log.packed();
        }
        // What was rotated meanwhile.
        self.pack_log();
    }

    /// Ends a compression that is still under way: nothing may write in a folder that is about to be
    /// removed. The next run of the container does it anew.
    pub(super) fn end_packing(&mut self) {
        if let Some(packer) = self.packer.take() {
            let _ = epoll::delete(&self.epoll, &packer.pidfd);
            kill(&packer);
        }
    }
}
