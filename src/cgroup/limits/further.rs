//! Limits that the OCI runtime specification knows and docker doesn't.

use std::collections::BTreeMap;

use rustix::io::Errno;

use super::{home, missing, set};
use crate::create::hand_down;
use crate::error::{Error, Result};
use crate::group::{Group, Member};
use crate::io;
use crate::layout::Controller;

/// Limits that docker has no flags for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Further {
    /// Files of the version 2 group, and what is written into them.
    pub unified: BTreeMap<String, String>,
    /// Whether it gets CPU time only when nobody else wants any.
    pub cpu_idle: Option<bool>,
    /// CPU time in microseconds that may be saved up for later.
    pub cpu_burst: Option<u64>,
    /// The greatest use of huge pages in bytes, by their size in the kernel's words: `2MB`.
    pub huge_pages: BTreeMap<String, u64>,
    /// The class that its packets are marked with.
    pub packet_class: Option<u32>,
    /// The priority of its packets, by network links of the caller's.
    pub packet_priorities: BTreeMap<String, u32>,
    /// The greatest use of memory for what is on its way through TCP, in bytes (version 1 alone).
    pub kernel_tcp: Option<u64>,
    /// What it may hold of devices for remote direct memory access, by their names.
    pub rdma: BTreeMap<String, Handles>,
}

/// What may be held of one device for remote direct memory access.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Handles {
    /// Handles at most.
    pub handles: Option<u32>,
    /// Objects at most.
    pub objects: Option<u32>,
}

impl Group {
    /// Writes limits that docker has no flags for, as far as they are set.
    ///
    /// # Errors
    /// When this host has no controller for one of them, or the kernel refuses. Those before it hold.
    pub fn limit_further(&self, further: &Further) -> Result<()> {
        let Further { unified, cpu_idle, cpu_burst, huge_pages, .. } = further;
        if let Some(idle) = cpu_idle {
            self.put(Controller::Cpu, "cpu.idle", ["cpu.idle"; 2], &u8::from(*idle).to_string())?;
        }
        if let Some(burst) = cpu_burst {
            let files = ["cpu.cfs_burst_us", "cpu.max.burst"];
            self.put(Controller::Cpu, "cpu.burst", files, &burst.to_string())?;
        }
        for (size, bytes) in huge_pages {
            self.limit_huge_pages(size, &bytes.to_string())?;
        }
        if let Some(class) = further.packet_class {
            let files = ["net_cls.classid"; 2];
            self.put(Controller::NetCls, "network.classID", files, &class.to_string())?;
        }
        for (link, priority) in &further.packet_priorities {
            let files = ["net_prio.ifpriomap"; 2];
            let line = format!("{link} {priority}");
            self.put(Controller::NetPrio, "network.priorities", files, &line)?;
        }
        if let Some(bytes) = further.kernel_tcp {
            let flag = "memory.kernelTCP";
            let member = home(self, flag, Controller::Memory)?;
            if member.hierarchy.unified {
                let why = "has no such limit in version 2";
                return Err(Error::Unsupported { flag, controller: "memory", why });
            }
            set(member, flag, "memory.kmem.tcp.limit_in_bytes", &bytes.to_string())?;
        }
        for (device, Handles { handles, objects }) in &further.rdma {
            let mut line = device.clone();
            for (word, limit) in [("hca_handle", handles), ("hca_object", objects)] {
                line.extend(limit.map(|limit| format!(" {word}={limit}")));
            }
            self.put(Controller::Rdma, "rdma", ["rdma.max"; 2], &line)?;
        }
        unified.iter().try_for_each(|(file, value)| self.put_unified("unified", file, value))
    }

    /// Limits huge pages of one size: those in use, and where the kernel counts them those that are set
    /// aside, so that a program is refused instead of killed.
    fn limit_huge_pages(&self, size: &str, bytes: &str) -> Result<()> {
        const FLAG: &str = "hugepageLimits";
        let member = self.furnished(FLAG, Controller::Hugetlb)?;
        let (in_use, set_aside) = match member.hierarchy.unified {
            true => ("max", "rsvd.max"),
            false => ("limit_in_bytes", "rsvd.limit_in_bytes"),
        };
        let no_such_size = |error| match error {
            Error::Limit { cause: Errno::NOENT, .. } => Error::NoPages { size: size.to_owned() },
            error => error,
        };
        if size.contains('/') {
            return Err(Error::NoPages { size: size.to_owned() });
        }
        set(member, FLAG, &format!("hugetlb.{size}.{in_use}"), bytes).map_err(no_such_size)?;
        match set(member, FLAG, &format!("hugetlb.{size}.{set_aside}"), bytes) {
            Err(Error::Limit { cause: Errno::NOENT, .. }) => Ok(()),
            written => written,
        }
    }

    /// Returns the group's folder in this controller's hierarchy, with the controller handed down to it.
    fn furnished(&self, flag: &'static str, controller: Controller) -> Result<&Member> {
        let member = home(self, flag, controller)?;
        if member.hierarchy.unified {
            hand_down(member, &[controller])?;
        }
        Ok(member)
    }

    /// Writes one of two files, that of version 1 or of version 2.
    fn put(
        &self,
        controller: Controller,
        flag: &'static str,
        [legacy, unified]: [&str; 2],
        value: &str,
    ) -> Result<()> {
        let member = self.furnished(flag, controller)?;
        let file = if member.hierarchy.unified { unified } else { legacy };
        set(member, flag, file, value).map_err(|error| match error {
            Error::Limit { cause: Errno::NOENT, .. } => missing(flag, controller),
            error => error,
        })
    }

    /// Writes a file of the version 2 group.
    fn put_unified(&self, flag: &'static str, file: &str, value: &str) -> Result<()> {
        let unsupported = |why| Error::Unsupported { flag, controller: "version 2", why };
        if file.contains('/') || file.is_empty() {
            return Err(Error::Name(file.to_owned()));
        }
        let member =
            self.unified().ok_or_else(|| unsupported("this host has not mounted as cgroup2"))?;
        let path = member.path.join(file);
        io::write(&path, value.as_bytes()).map_err(|cause| Error::io("write", path, cause))
    }
}
