//! Standard input, read on a thread of its own: it may be a file or a terminal, neither of which can
//! be waited for with other things, and its flags must not be changed under other programs.

use std::io;
use std::os::fd::AsFd;

use tokio::sync::mpsc;

/// Bytes read at once.
const CHUNK: usize = 32 * 1024;

/// Returns what standard input gives; the channel ends with it. One chunk waits at most, so input
/// is read no faster than it is taken.
pub(crate) fn read_stdin() -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel(1);
    let spawned = std::thread::Builder::new().name("stdin".to_owned()).spawn(move || {
        let stdin = io::stdin();
        let mut buffer = vec![0; CHUNK];
        loop {
            match rustix::io::read(stdin.as_fd(), &mut buffer) {
                Ok(0) => return,
                Ok(count) => {
                    if sender.blocking_send(buffer[..count].to_vec()).is_err() {
                        return;
                    }
                }
                Err(rustix::io::Errno::INTR) => {}
                // Someone else has made it non-blocking.
                Err(rustix::io::Errno::AGAIN) => {
                    let mut wait =
                        [rustix::event::PollFd::new(&stdin, rustix::event::PollFlags::IN)];
                    let _ = rustix::event::poll(&mut wait, None);
                }
                // A closed standard input is an empty one.
                Err(_) => return,
            }
        }
    });
    // Without the thread the channel is closed, which reads as the end of input.
    drop(spawned);
    receiver
}
