//! `events`: what a container uses, and that it ran out of memory.

use std::time::{Duration, Instant};

use rustix::event::epoll::EventFlags;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::{Map, Value, json};
use wharf_cgroup::{CoreCounters, Counters, Group, OomWatch};
use wharf_model::{ErrorKind, Limit};

use super::life::{no_group, not_running};
use super::store::{self, Record, Runtime, Status, group};
use crate::{Error, Result};

impl Runtime {
    /// Returns one document of what a container uses: type `stats`, and in `data` the counters of its
    /// control group under the names that other runtimes give them.
    ///
    /// # Errors
    /// When it doesn't run.
    pub fn stats(&self, id: &str) -> Result<Value> {
        let (record, group) = self.counted(id)?;
        stats(&record, &group)
    }

    /// Tells what a container uses at once and after each `interval`, and when it runs out of memory
    /// (type `oom`), until it has ended or nobody wants to know: `tell` returns false.
    ///
    /// # Errors
    /// When it doesn't run.
    pub fn watch(
        &self,
        id: &str,
        interval: Duration,
        mut tell: impl FnMut(&Value) -> bool,
    ) -> Result<()> {
        let (record, group) = self.counted(id)?;
        let Some(process) = store::process(&record) else { return Err(not_running()) };
        let failed = |cause: &dyn std::fmt::Display| {
            Error::failed(format_args!("events of container {id}"), cause.to_string())
        };
        let watch = OomWatch::open(&group).map_err(|cause| failed(&cause))?;
        let mut kills = watch.as_ref().and_then(|watch| watch.oom_kills().ok()).unwrap_or(0);
        let mut next = Instant::now();
        loop {
            if next <= Instant::now() {
                let document = match stats(&record, &group) {
                    Ok(document) => document,
                    // It has ended between two looks.
                    Err(_) if store::process(&record).is_none() => return Ok(()),
                    Err(error) => return Err(error),
                };
                if !tell(&document) {
                    return Ok(());
                }
                next = Instant::now() + interval;
            }
            let wanted = match &watch {
                Some(watch) if watch.interest() == EventFlags::IN => PollFlags::IN,
                _ => PollFlags::PRI,
            };
            let mut fds = vec![PollFd::new(&process, PollFlags::IN)];
            fds.extend(watch.iter().map(|watch| PollFd::from_borrowed_fd(watch.fd(), wanted)));
            let left = next.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left).map_err(|cause| failed(&cause))?;
            rustix::io::retry_on_intr(|| poll(&mut fds, Some(&left)))
                .map_err(|cause| failed(&cause))?;
            let ended = !fds[0].revents().is_empty();
            if let Some(watch) = &watch {
                // The group goes with the container.
                let now = watch.oom_kills().unwrap_or(kills);
                if now > kills && !tell(&json!({ "type": "oom", "id": record.id })) {
                    return Ok(());
                }
                kills = now;
            }
            if ended {
                return Ok(());
            }
        }
    }

    fn counted(&self, id: &str) -> Result<(Record, Group)> {
        let record = self.record(id)?;
        if matches!(self.status(&record)?, Status::Stopped | Status::Creating) {
            return Err(not_running());
        }
        let group = group(&record)?.ok_or_else(|| no_group("events"))?;
        Ok((record, group))
    }
}

fn stats(record: &Record, group: &Group) -> Result<Value> {
    let counters = Counters::of(group).read().map_err(|cause| {
        let kind = match cause {
            wharf_cgroup::Error::NotFound(_) => ErrorKind::Conflict,
            _ => ErrorKind::Internal,
        };
        Error::new(kind, format!("counters of container {}: {cause}", record.id))
    })?;
    let mut data = Map::new();
    if let Some(cpu) = counters.cpu {
        data.insert(
            "cpu".to_owned(),
            json!({
                "usage": {
                    "total": cpu.usage_ns,
                    "percpu": CoreCounters::of(group).and_then(|cores| cores.read()),
                    "kernel": cpu.system_ns.unwrap_or_default(),
                    "user": cpu.user_ns.unwrap_or_default(),
                },
                "throttling": {
                    "periods": cpu.periods.unwrap_or_default(),
                    "throttledPeriods": cpu.throttled_periods.unwrap_or_default(),
                    "throttledTime": cpu.throttled_ns.unwrap_or_default(),
                },
            }),
        );
    }
    if let Some(memory) = counters.memory {
        let limit = match memory.limit {
            Some(Limit::At(bytes)) => bytes,
            // As version 2 says it to Go.
            _ => u64::MAX,
        };
        data.insert(
            "memory".to_owned(),
            json!({
                "cache": memory.file.unwrap_or_default(),
                "usage": {
                    "limit": limit,
                    "usage": memory.usage,
                    "failcnt": memory.oom_kills.unwrap_or_default(),
                },
                "kernel": { "usage": memory.kernel.unwrap_or_default() },
                "raw": group.memory_statistics(),
            }),
        );
    }
    if let Some(pids) = counters.pids {
        let mut document = json!({ "current": pids.current });
        if let Some(Limit::At(most)) = pids.limit {
            document["limit"] = most.into();
        }
        data.insert("pids".to_owned(), document);
    }
    let devices = group.details().devices.unwrap_or_default();
    let list = |both: &dyn Fn(&wharf_model::BlockCounters) -> [u64; 2]| -> Vec<Value> {
        let entry = |device: &wharf_model::DeviceCounters| {
            let values = both(&device.counters);
            ["Read", "Write"].into_iter().zip(values).map(|(op, value)| {
                json!({ "major": device.major, "minor": device.minor, "op": op, "value": value })
            }).collect::<Vec<_>>()
        };
        devices.iter().flat_map(entry).collect()
    };
    data.insert(
        "blkio".to_owned(),
        json!({
            "ioServiceBytesRecursive": list(&|c| [c.read_bytes, c.write_bytes]),
            "ioServicedRecursive":
                list(&|c| [c.read_ops.unwrap_or_default(), c.write_ops.unwrap_or_default()]),
        }),
    );
    Ok(json!({ "type": "stats", "id": record.id, "data": data }))
}
