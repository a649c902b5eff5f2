//! Clients that leave by their keys, and what they leave behind.

use std::os::fd::{AsFd, OwnedFd};

use rustix::event::epoll::{self, EventFlags};

use super::clients::Role;
use super::run::Supervisor;

impl Supervisor {
    /// Takes in that a client leaves. A further program's terminal was the client's alone: from here on
    /// nobody sees it, but it stays open, or the program would be told of a hang-up.
    pub(super) fn leave(&mut self, client: u64, terminal: Option<OwnedFd>) {
        match self.clients.get(&client).map(|client| client.role) {
            Some(Role::Attached { .. }) => self.store_observed("detach", &[]),
            Some(Role::Exec) => {
                if let Some(terminal) = terminal {
                    self.keep(terminal);
                }
                let program = self.programs.iter().find(|(_, (_, asker))| *asker == client);
                if let Some(id) = program.and_then(|(token, _)| self.told.get(token)).cloned() {
                    self.store_observed("exec_detach", &[("execID", id)]);
                }
            }
            _ => {}
        }
    }

    fn keep(&mut self, terminal: OwnedFd) {
        // It is read whenever it has something; whatever it is, that must not wait.
        if rustix::io::ioctl_fionbio(&terminal, true).is_ok() {
            let number = self.number();
            self.watch(terminal.as_fd(), number, EventFlags::IN);
            self.left.insert(number, terminal);
        }
    }

    /// Throws away what a program has written to a terminal that nobody sees: one that is full would hold
    /// the program up.
    pub(super) fn empty(&mut self, number: u64) {
        let Some(terminal) = self.left.get(&number) else { return };
        match rustix::io::read(terminal, &mut [0; 4096]) {
            Ok(1..) | Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
            // Nobody has it open any more.
            Ok(0) | Err(_) => {
                let _ = epoll::delete(&self.epoll, terminal);
                self.left.remove(&number);
                self.make_room();
            }
        }
    }
}
