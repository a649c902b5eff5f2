//! The container's log: how it is opened, and who compresses what was rotated.
//!
//! A copy of the supervisor compresses, beside it: neither the container nor those who talk to the
//! supervisor wait for it. Should the container write faster than that for long, its output is not
//! read for a while.

use std::os::fd::AsFd;

use rustix::event::epoll::{self, EventFlags};
use rustix::process::Signal;
use wharf_logs::{About, Writer};
use wharf_model::LogDriver;
use wharf_sys::clone::{Flags, clone};

use super::run::{PACKER, Supervisor, reap};
use crate::Paths;
use crate::init::program::tie;
use crate::state::Record;

/// How far the compression stands back behind all else.
const NICE: i32 = 10;

/// Opens a container's log; none when it is to have none. One whose log can't be written runs
/// without it rather than not at all.
pub(super) fn open(paths: &Paths, record: &Record) -> Option<Writer> {
    let config = &record.spec.host.log_config;
    if config.driver == LogDriver::None {
        return None;
    }
    // Checked when the container was made.
    let rotation = wharf_logs::rotation(config).unwrap_or_default();
    let mut writer = Writer::open(paths.log(&record.id), rotation).ok()?;
    writer.set_attributes(&wharf_logs::attributes(config, &about(record)).unwrap_or_default());
    Some(writer)
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
    /// Has the newest rotated file compressed.
    pub(super) fn pack_log(&mut self) {
        let Some(log) = &mut self.log else { return };
        let Some(path) = log.take_unpacked() else { return };
        let packer = clone(Flags::NONE, None, || {
            // Nothing of the supervisor's may stay open in it: a lock, say.
            let closed = wharf_sys::descriptors::close_all_but(&[]);
            if closed.is_err() || tie().is_err() {
                return 1;
            }
            let _ = rustix::process::nice(NICE);
            i32::from(wharf_logs::pack(&path).is_err())
        });
        match packer {
            Ok(packer) => {
                self.watch(packer.pidfd.as_fd(), PACKER, EventFlags::IN);
                self.packer = Some(packer);
            }
            // It stays as it is.
            Err(_) => log.packed(),
        }
    }

    /// Takes note of the end of a compression.
    pub(super) fn packed(&mut self) {
        let Some(packer) = self.packer.take() else { return };
        let _ = epoll::delete(&self.epoll, &packer.pidfd);
        let _ = reap(&packer);
        if let Some(log) = &mut self.log {
            log.packed();
        }
        // What was rotated meanwhile.
        self.pack_log();
    }

    /// Ends a compression that is still under way: nothing may write in a folder that is about to be
    /// removed. The next run of the container does it anew.
    pub(super) fn end_packing(&mut self) {
        if let Some(packer) = self.packer.take() {
            let _ = rustix::process::pidfd_send_signal(&packer.pidfd, Signal::KILL);
            let _ = epoll::delete(&self.epoll, &packer.pidfd);
            let _ = reap(&packer);
        }
    }
}
