//! Limits of processes: resource limits, and how readily the kernel kills them for want of memory.

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use wharf_model::{ErrorKind, Ulimit};

use crate::{Error, Result};

/// What a supervisor asks for itself, so that the kernel ends containers before it: with it, its
/// container would end too.
const SUPERVISOR_SCORE: i32 = -999;

/// Returns the kernel's resource of a `--ulimit` name.
///
/// # Errors
/// Docker's sentence when there is none.
pub(crate) fn resource(name: &str) -> Result<Resource> {
    // Docker has no flag for this one; the OCI runtime specification has it.
    known(name).filter(|found| *found != Resource::As).ok_or_else(|| unknown(name))
}

fn unknown(name: &str) -> Error {
    Error::new(ErrorKind::Invalid, format!("invalid ulimit type: {name}"))
}

/// Returns the kernel's resource of a name in small letters.
pub(crate) fn known(name: &str) -> Option<Resource> {
    Some(match name {
        "as" => Resource::As,
        "core" => Resource::Core,
        "cpu" => Resource::Cpu,
        "data" => Resource::Data,
        "fsize" => Resource::Fsize,
        "locks" => Resource::Locks,
        "memlock" => Resource::Memlock,
        "msgqueue" => Resource::Msgqueue,
        "nice" => Resource::Nice,
        "nofile" => Resource::Nofile,
        "nproc" => Resource::Nproc,
        "rss" => Resource::Rss,
        "rtprio" => Resource::Rtprio,
        "rttime" => Resource::Rttime,
        "sigpending" => Resource::Sigpending,
        "stack" => Resource::Stack,
        _ => return None,
    })
}

/// Sets the resource limits of this process, which the program it becomes inherits.
pub(crate) fn apply(limits: &[Ulimit]) -> Result<()> {
    // Negative is no limit.
    let bound = |value: i64| u64::try_from(value).ok();
    for limit in limits {
        let Some(resource) = known(&limit.name) else { return Err(unknown(&limit.name)) };
        let wanted = Rlimit { current: bound(limit.soft), maximum: bound(limit.hard) };
        setrlimit(resource, wanted).map_err(|cause| refused(limit, resource, cause))?;
    }
    Ok(())
}

fn refused(limit: &Ulimit, resource: Resource, cause: Errno) -> Error {
    let Ulimit { name, soft, hard } = limit;
    let host = getrlimit(resource).maximum;
    let host = host.map_or_else(|| "unlimited".to_owned(), |most| most.to_string());
    let why = match cause {
        Errno::PERM => {
            format!(": the host's hard limit is {host}, and raising it takes CAP_SYS_RESOURCE")
        }
        _ => String::new(),
    };
    let kind = if cause == Errno::PERM { ErrorKind::Denied } else { ErrorKind::Invalid };
    Error::new(kind, format!("error setting ulimit {name}={soft}:{hard}: {cause}{why}"))
}

/// Gives this process, and the programs it starts, what docker's service has, whatever the process
/// that asked for the start had set for itself: as many open files as the host's limit allows, at
/// most docker's 1,048,576, and as many processes and as large core files as may be.
pub(crate) fn host_defaults() {
    const MOST_FILES: u64 = 1 << 20;
    let maximum = getrlimit(Resource::Nofile).maximum;
    let most = Some(maximum.map_or(MOST_FILES, |hard| hard.min(MOST_FILES)));
    // The limit that stays is one that the host set.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: most, maximum });
    for resource in [Resource::Nproc, Resource::Core] {
        let unlimited = Rlimit { current: None, maximum: None };
        let maximum = getrlimit(resource).maximum;
        let _ = setrlimit(resource, unlimited)
            .or_else(|_| setrlimit(resource, Rlimit { current: maximum, maximum }));
    }
}

/// Makes the kernel end others before this supervisor, where that is allowed.
pub(crate) fn protect_supervisor() {
    // Lowering takes CAP_SYS_RESOURCE, which root need not have.
    let _ = write_score(SUPERVISOR_SCORE);
}

/// Sets how readily the kernel kills this process, and the program it becomes, for want of memory.
/// Must be called with the host's `/proc` in place, which no container can change.
pub(crate) fn set_oom_score(wanted: Option<i32>) -> Result<()> {
    match (write_score(wanted.unwrap_or(0)), wanted) {
        (Ok(()), _) => Ok(()),
        // The caller's own score is higher, and may not be lowered.
        (Err(_), None) => Ok(()),
        (Err(cause), Some(score)) => {
            let why = match cause {
                Errno::ACCESS => ": lowering it takes CAP_SYS_RESOURCE",
                _ => "",
            };
            let kind = if cause == Errno::ACCESS { ErrorKind::Denied } else { ErrorKind::Internal };
            Err(Error::new(kind, format!("error setting oom-score-adj {score}: {cause}{why}")))
        }
    }
}

/// Returns how readily the kernel kills this process for want of memory.
pub(crate) fn own_oom_score() -> Result<i32> {
    let text = std::fs::read_to_string("/proc/self/oom_score_adj")
        .map_err(|cause| Error::failed("read oom_score_adj", cause))?;
    text.trim().parse().map_err(|cause| Error::failed("read oom_score_adj", cause))
}

fn write_score(score: i32) -> rustix::io::Result<()> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::open("/proc/self/oom_score_adj", flags, Mode::empty())?;
    rustix::io::write(&file, score.to_string().as_bytes()).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hard_limit_above_the_host_s_is_one_sentence() {
        // Lowered for this process alone, and no lower than anything here needs.
        let before = getrlimit(Resource::Msgqueue);
        let limit = |soft, hard| Ulimit { name: "msgqueue".to_owned(), soft, hard };
        apply(&[limit(1000, 2000)]).unwrap();
        let after = getrlimit(Resource::Msgqueue);
        assert_eq!((after.current, after.maximum), (Some(1000), Some(2000)));
        let text = refused(&limit(1, 3000), Resource::Msgqueue, Errno::PERM).to_string();
        let says = "error setting ulimit msgqueue=1:3000: Operation not permitted (os error 1): \
                    the host's hard limit is 2000, and raising it takes CAP_SYS_RESOURCE";
        assert_eq!(text, says);
        let _ = setrlimit(Resource::Msgqueue, before);
        assert_eq!(resource("as").unwrap_err().to_string(), "invalid ulimit type: as");
    }
}
