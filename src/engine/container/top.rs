//! `top`: the processes of a container, in the columns of `ps`.
//!
//! Read from /proc of those the cgroup lists, so that no `ps` is needed on the host; the formats
//! that people type are understood (`-ef`, `aux`, `-o LIST`), others are refused by name.

use std::collections::HashMap;

use chrono::{DateTime, Local, TimeZone, Utc};
use wharf_cgroup::{Group, Layout};
use wharf_model::{ErrorKind, Status, TopTable};

use super::signal::not_running;
use crate::engine::Engine;
use crate::supervisor::cgroup_name;
use crate::supervisor::restart::is_restarting;
use crate::{Error, Result};

/// Ticks of the counters in /proc/PID/stat per second, fixed by Linux for programs.
const TICKS: u64 = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    User,
    Pid,
    Parent,
    CpuWhole,
    Cpu,
    Memory,
    Virtual,
    Resident,
    Terminal,
    State,
    Started,
    Elapsed,
    Time,
    Name,
    Command,
}

/// What `ps -o` calls the columns, and their titles.
const COLUMNS: [(&[&str], &str, Column); 15] = [
    (&["user", "uid", "euser", "uname"], "USER", Column::User),
    (&["pid", "tgid"], "PID", Column::Pid),
    (&["ppid"], "PPID", Column::Parent),
    (&["c"], "C", Column::CpuWhole),
    (&["pcpu", "%cpu"], "%CPU", Column::Cpu),
    (&["pmem", "%mem"], "%MEM", Column::Memory),
    (&["vsz", "vsize"], "VSZ", Column::Virtual),
    (&["rss", "rssize"], "RSS", Column::Resident),
    (&["tty", "tt", "tname"], "TTY", Column::Terminal),
    (&["stat", "state", "s"], "STAT", Column::State),
    (&["start", "stime", "start_time"], "START", Column::Started),
    (&["etime"], "ELAPSED", Column::Elapsed),
    (&["time", "cputime"], "TIME", Column::Time),
    (&["comm", "ucmd", "ucomm"], "COMMAND", Column::Name),
    (&["args", "cmd", "command"], "COMMAND", Column::Command),
];

type Format = Vec<(&'static str, Column)>;

fn full_format() -> Format {
    vec![
        ("UID", Column::User),
        ("PID", Column::Pid),
        ("PPID", Column::Parent),
        ("C", Column::CpuWhole),
        ("STIME", Column::Started),
        ("TTY", Column::Terminal),
        ("TIME", Column::Time),
        ("CMD", Column::Command),
    ]
}

fn user_format() -> Format {
    let columns =
        ["user", "pid", "pcpu", "pmem", "vsz", "rss", "tty", "stat", "start", "time", "args"];
    columns.iter().filter_map(|name| column(name)).collect()
}

fn column(name: &str) -> Option<(&'static str, Column)> {
    let lower = name.to_ascii_lowercase();
    let found = COLUMNS.iter().find(|(names, ..)| names.contains(&lower.as_str()));
    found.map(|(_, title, column)| (*title, *column))
}

fn format(arguments: &[String]) -> Result<Format> {
    let refused = |what: &str| {
        Error::new(
            ErrorKind::Unsupported,
            format!("ps option {what:?} is not supported: use -ef, aux or -o COLUMN,…"),
        )
    };
    let mut arguments = arguments.iter().flat_map(|a| a.split_whitespace());
    let mut format = full_format();
    while let Some(argument) = arguments.next() {
        let (bare, dashed) = match argument.strip_prefix('-') {
            Some(bare) => (bare, true),
            None => (argument, false),
        };
        if let Some(list) = bare.strip_prefix('o') {
            let list = match list {
                "" => arguments.next().ok_or_else(|| refused("-o"))?,
                list => list,
            };
            format = list
                .split(',')
                .map(|name| column(name).ok_or_else(|| refused(name)))
                .collect::<Result<_>>()?;
        } else if bare.is_empty() || !bare.bytes().all(|b| b"eafxuAww".contains(&b)) {
            return Err(refused(argument));
        } else if bare.contains('u') && !dashed {
            format = user_format();
        }
    }
    Ok(format)
}

/// One process, as /proc has it.
#[derive(Debug, Default)]
struct Process {
    pid: i32,
    uid: u32,
    name: String,
    command: String,
    state: String,
    parent: i32,
    terminal: u32,
    cpu_ticks: u64,
    start_ticks: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

/// Parses /proc/PID/stat (proc_pid_stat(5)); the name is in parentheses and may hold anything.
fn parse_stat(text: &str) -> Option<Process> {
    let (before, after) = (text.find('(')?, text.rfind(')')?);
    let fields: Vec<&str> = text[after + 1..].split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Process {
        pid: text[..before].trim().parse().ok()?,
        name: text[before + 1..after].to_owned(),
        state: fields.first()?.chars().take(1).collect(),
        parent: fields.get(1)?.parse().ok()?,
        terminal: fields.get(4)?.parse().unwrap_or(0),
        cpu_ticks: number(11)? + number(12)?,
        start_ticks: number(19)?,
        virtual_bytes: number(20)?,
        resident_pages: number(21)?,
        ..Process::default()
    })
}

fn read_process(pid: i32) -> Option<Process> {
    let folder = std::path::PathBuf::from(format!("/proc/{pid}"));
    let read = |name: &str| std::fs::read(folder.join(name)).ok();
    let mut process = parse_stat(&String::from_utf8_lossy(&read("stat")?))?;
    process.uid = rustix::fs::stat(&folder).ok()?.st_uid;
    let arguments = read("cmdline").unwrap_or_default();
    let arguments: Vec<_> = arguments
        .split(|byte| *byte == 0)
        .filter(|part| !part.is_empty())
        .map(String::from_utf8_lossy)
        .collect();
    process.command = match arguments.is_empty() {
        true => format!("[{}]", process.name),
        false => arguments.join(" "),
    };
    Some(process)
}

/// What the cells need to know of the host.
struct Host {
    now: DateTime<Utc>,
    boot_seconds: i64,
    uptime_ticks: u64,
    memory: u64,
    users: HashMap<u32, String>,
}

fn read_host() -> Host {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let boot_seconds = read("/proc/stat")
        .lines()
        .find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok())
        .unwrap_or(0);
    let uptime: f64 =
        read("/proc/uptime").split_whitespace().next().and_then(|t| t.parse().ok()).unwrap_or(0.0);
    let users = read("/etc/passwd")
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?.to_owned();
            Some((fields.nth(1)?.parse().ok()?, name))
        })
        .collect();
    let info = rustix::system::sysinfo();
    Host {
        now: Utc::now(),
        boot_seconds,
        uptime_ticks: std::time::Duration::from_secs_f64(uptime.max(0.0)).as_millis() as u64
            * TICKS
            / 1000,
        memory: info.totalram * u64::from(info.mem_unit),
        users,
    }
}

fn clock(seconds: u64) -> String {
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

fn terminal_name(number: u32) -> String {
    let (major, minor) = ((number >> 8) & 0xfff, (number & 0xff) | ((number >> 12) & 0xfff00));
    match major {
        136..=143 => format!("pts/{}", (major - 136) * 256 + minor),
        4 => format!("tty{minor}"),
        _ => "?".to_owned(),
    }
}

fn cell(process: &Process, column: Column, host: &Host) -> String {
    let alive_ticks = host.uptime_ticks.saturating_sub(process.start_ticks).max(1);
    let share = 100.0 * process.cpu_ticks as f64 / alive_ticks as f64;
    let page = u64::try_from(rustix::param::page_size()).unwrap_or(4096);
    let resident = process.resident_pages * page;
    match column {
        Column::User => {
            host.users.get(&process.uid).cloned().unwrap_or_else(|| process.uid.to_string())
        }
        Column::Pid => process.pid.to_string(),
        Column::Parent => process.parent.to_string(),
        Column::CpuWhole => format!("{share:.0}"),
        Column::Cpu => format!("{share:.1}"),
        Column::Memory => {
            format!("{:.1}", 100.0 * resident as f64 / host.memory.max(1) as f64)
        }
        Column::Virtual => (process.virtual_bytes / 1024).to_string(),
        Column::Resident => (resident / 1024).to_string(),
        Column::Terminal => terminal_name(process.terminal),
        Column::State => process.state.clone(),
        Column::Started => {
            let seconds = i64::try_from(process.start_ticks / TICKS).unwrap_or(0);
            let at = Utc.timestamp_opt(host.boot_seconds + seconds, 0).single();
            at.map_or_else(String::new, |at| {
                let recent = host.now - at < chrono::TimeDelta::hours(24);
                let format = if recent { "%H:%M" } else { "%b%d" };
                at.with_timezone(&Local).format(format).to_string()
            })
        }
        Column::Elapsed => clock(alive_ticks / TICKS),
        Column::Time => clock(process.cpu_ticks / TICKS),
        Column::Name => process.name.clone(),
        Column::Command => process.command.clone(),
    }
}

/// Returns the processes of the PID namespace that this one is in.
fn same_pid_namespace(pid: i32) -> Vec<i32> {
    let namespace = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let Some(wanted) = namespace(&pid.to_string()) else { return Vec::new() };
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names
        .filter_map(|name| Some((name.parse().ok()?, namespace(&name)?)))
        .filter_map(|(pid, found)| (found == wanted).then_some(pid))
        .collect()
}

impl Engine {
    /// Returns the processes of a running container; `arguments` are those of `ps`, `-ef` when
    /// there are none.
    ///
    /// # Errors
    /// When it doesn't run, or an argument isn't known.
    pub fn top(&self, reference: &str, arguments: &[String]) -> Result<TopTable> {
        // Before anything is looked for.
        format(arguments)?;
        let record = self.with_store(|store| {
            let record = store.container(reference)?;
            self.refreshed(store, record)
        })?;
        match record.observed.state.status {
            Status::Restarting => return Err(is_restarting(&record)),
            status if status.is_alive() => {}
            _ => return Err(not_running(&record)),
        }
        let failed = |cause| Error::failed(format_args!("processes of {}", record.name), cause);
        let layout = Layout::detect().map_err(failed)?;
        let pids = match Group::open(&layout, &cgroup_name(&record)) {
            // An ordinary user's container may have no group of its own.
            Err(wharf_cgroup::Error::NotFound(_)) if crate::userns::is_nested() => {
                record.observed.state.pid.map(same_pid_namespace).unwrap_or_default()
            }
            // It ended since.
            Err(wharf_cgroup::Error::NotFound(_)) => return Err(not_running(&record)),
            group => match group.and_then(|group| group.processes()) {
                Err(wharf_cgroup::Error::NotFound(_)) => return Err(not_running(&record)),
                pids => pids.map_err(failed)?,
            },
        };
        table(pids, arguments)
    }
}

/// Returns these processes in the columns that the arguments of `ps` ask for.
///
/// # Errors
/// When an argument isn't known.
pub(crate) fn table(mut pids: Vec<i32>, arguments: &[String]) -> Result<TopTable> {
    let format = format(arguments)?;
    pids.sort_unstable();
    let host = read_host();
    let row = |process: &Process| {
        format.iter().map(|(_, column)| cell(process, *column, &host)).collect()
    };
    Ok(TopTable {
        titles: format.iter().map(|(title, _)| (*title).to_owned()).collect(),
        // A process that ended meanwhile is none.
        processes: pids.into_iter().filter_map(read_process).map(|p| row(&p)).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_parentheses() {
        let line = "4242 (a) b (c) S 1 4242 4242 34817 4242 4194304 112 0 0 0 150 50 0 0 20 0 1 0 \
                    12345 2523136 200 18446744073709551615";
        let process = parse_stat(line).unwrap();
        assert_eq!((process.pid, process.name.as_str()), (4242, "a) b (c"));
        assert_eq!((process.parent, process.cpu_ticks, process.start_ticks), (1, 200, 12345));
        assert_eq!((process.virtual_bytes, process.resident_pages), (2_523_136, 200));
        assert_eq!(terminal_name(process.terminal), "pts/1");
        assert!(parse_stat("1 (x) S").is_none());
    }

    #[test]
    fn known_formats_are_understood_and_others_named() {
        let titles = |arguments: &[&str]| -> Vec<&str> {
            let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
            format(&arguments).unwrap().iter().map(|(title, _)| *title).collect()
        };
        assert_eq!(titles(&[])[0], "UID");
        assert_eq!(titles(&["-e", "-f"])[3], "C");
        assert_eq!(titles(&["aux"])[2], "%CPU");
        assert_eq!(titles(&["-o", "pid,comm"]), ["PID", "COMMAND"]);
        assert_eq!(titles(&["-opid"]), ["PID"]);
        let refused = format(&["-Z".to_owned()]).unwrap_err();
        assert!(refused.to_string().contains("-Z"));
        assert!(format(&["-o".to_owned(), "nope".to_owned()]).is_err());
    }
}
