//! The records: little-endian, with a checksum. All of a file have the same length, which is that of a
//! sample with the use of as many CPUs as its host has.
//!
//! ```text
//! 0    4  CRC-32 of all that follows
//! 4    4  number within its ring
//! 8    1  kind: 1 a sample, 2 an event, 3 probes, 4 the host, 5 what happened in a step
//! 9    …  see the kinds
//! ```
//!
//! Missing values are the greatest number of their width, "no limit" is the one below it. Memory
//! beside the usage and the limit is in KiB: the kernel counts it in pages.

use std::time::Duration;

use chrono::{DateTime, Utc};
use wharf_model::{
    BlockCounters, CORE_UNIT, CpuCounters, Happening, HealthStatus, HostSample, Limit,
    MemoryCounters, NetCounters, PidCounters, Pressure, PressureLine, Probes, Sample, What,
};

mod step;

use super::thinned::Thinned;

/// The least length of a record: that of a sample.
pub(super) const LEAST: usize = 160;

/// Where the use of each CPU begins in a sample.
const CORES_AT: usize = 156;

/// Where a sample's time is.
const SAMPLED_AT: usize = 16;

const SAMPLE: u8 = 1;
const EVENT: u8 = 2;
const PROBES: u8 = 3;
const HOST: u8 = 4;
const STEP: u8 = 5;

/// Returns the length of records with samples of so many CPUs.
pub(super) fn length(cores: usize) -> usize {
    (CORES_AT + cores * 4).next_multiple_of(8)
}

/// Returns of how many CPUs the use fits into a record of this length.
pub(super) fn cores_in(length: usize) -> usize {
    length.saturating_sub(CORES_AT) / 4
}

/// Returns when a sample was taken, without proving that the record is whole; none for other records.
pub(super) fn sampled_at(bytes: &[u8]) -> Option<Duration> {
    let millis = bytes.get(SAMPLED_AT..SAMPLED_AT + 8)?.try_into().ok()?;
    let millis = u64::try_from(i64::from_le_bytes(millis)).ok()?;
    (bytes[8] == SAMPLE).then_some(Duration::from_millis(millis))
}

/// Returns a time in tenths of a second.
pub(super) fn tenths(time: Duration) -> u32 {
    u32::try_from(time.as_millis() / 100).unwrap_or(u32::MAX)
}

/// Where the text of an event or of probes begins; it goes to the record's end.
const EVENT_TEXT: usize = 22;
const PROBES_TEXT: usize = 50;

/// A container's counters.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stored {
    pub(super) sample: Sample,
    /// What was used of each CPU, in units of [`CORE_UNIT`], as far as the width goes.
    pub(super) cores: Vec<u32>,
    /// Tenths of a second since the boot.
    pub(super) up: u32,
}

impl Stored {
    pub(super) fn new(sample: Sample, cores: &[u64], up: Duration) -> Self {
        let unit = u64::try_from(CORE_UNIT.as_nanos()).unwrap_or(1);
        #[expect(clippy::cast_possible_truncation, reason = "differences count, modulo the width")]
        let cores = cores.iter().map(|ns| (ns / unit) as u32).collect();
        Self { sample, cores, up: tenths(up) }
    }
}

/// A record.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "one at a time, on its way to or from its bytes")]
pub(super) enum Record {
    Sample(Stored),
    Happening(Happening),
    /// The host's counters, and tenths of a second since the boot.
    Host(HostSample, u32),
    Thinned(Thinned),
}

impl Record {
    /// Returns when it was measured, since 1970; none for what happened.
    pub(super) fn at(&self) -> Option<Duration> {
        match self {
            Self::Sample(stored) => Some(stored.sample.at),
            Self::Host(sample, _) => Some(sample.at),
            Self::Happening(_) | Self::Thinned(_) => None,
        }
    }
}

/// Returns a record's bytes, so many.
pub(super) fn encode(number: u32, record: &Record, length: usize) -> Vec<u8> {
    let mut out = Out { bytes: vec![0; length], at: 4 };
    out.put(&number.to_le_bytes());
    match record {
        Record::Sample(stored) => encode_sample(stored, &mut out),
        Record::Happening(happening) => encode_happening(happening, &mut out),
        Record::Host(sample, up) => encode_host(sample, *up, &mut out),
        Record::Thinned(thinned) => step::encode(thinned, &mut out),
    }
    let sum = crc32fast::hash(&out.bytes[4..]);
    out.bytes[..4].copy_from_slice(&sum.to_le_bytes());
    out.bytes
}

/// Returns the number and the record that these bytes are; none when they are torn or were never
/// written.
pub(super) fn decode(bytes: &[u8]) -> Option<(u32, Record)> {
    let sum = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?);
    if bytes.len() < LEAST || sum != crc32fast::hash(&bytes[4..]) {
        return None;
    }
    let mut from = In { bytes, at: 4 };
    let number = from.u32()?;
    let record = match from.u8()? {
        SAMPLE => Record::Sample(decode_sample(&mut from)?),
        EVENT => Record::Happening(decode_event(&mut from)?),
        PROBES => Record::Happening(decode_probes(&mut from)?),
        HOST => decode_host(&mut from)?,
        STEP => Record::Thinned(step::decode(&mut from)?),
        _ => return None,
    };
    Some((number, record))
}

struct Out {
    bytes: Vec<u8>,
    at: usize,
}

impl Out {
    /// Writes as much as there is room for.
    fn put(&mut self, data: &[u8]) {
        let room = &mut self.bytes[self.at..];
        let length = data.len().min(room.len());
        room[..length].copy_from_slice(&data[..length]);
        self.at += length;
    }

    fn wide(&mut self, value: Option<u64>) {
        self.put(&value.map_or(u64::MAX, |value| value.min(u64::MAX - 2)).to_le_bytes());
    }

    fn narrow(&mut self, value: Option<u64>) {
        let most = u32::MAX - 2;
        let value = value.map_or(u32::MAX, |v| u32::try_from(v).unwrap_or(most).min(most));
        self.put(&value.to_le_bytes());
    }

    fn wide_limit(&mut self, limit: Option<Limit>) {
        match limit {
            Some(Limit::Unlimited) => self.put(&(u64::MAX - 1).to_le_bytes()),
            Some(Limit::At(limit)) => self.wide(Some(limit)),
            None => self.wide(None),
        }
    }

    fn narrow_limit(&mut self, limit: Option<Limit>) {
        match limit {
            Some(Limit::Unlimited) => self.put(&(u32::MAX - 1).to_le_bytes()),
            Some(Limit::At(limit)) => self.narrow(Some(limit)),
            None => self.narrow(None),
        }
    }

    /// Writes a text, cut at a letter's boundary, with its length before it.
    fn text(&mut self, at: usize, text: &str) {
        self.at = at;
        // Its length is a byte.
        let room = (self.bytes.len() - at - 1).min(255);
        let mut end = text.len().min(room);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.put(&[u8::try_from(end).unwrap_or(0)]);
        self.put(&text.as_bytes()[..end]);
    }
}

struct In<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl In<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let taken = self.bytes.get(self.at..self.at + N)?.try_into().ok()?;
        self.at += N;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn i32(&mut self) -> Option<i32> {
        self.take().map(i32::from_le_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.take().map(i64::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn wide(&mut self) -> Option<u64> {
        self.u64().filter(|value| *value < u64::MAX - 1)
    }

    fn narrow(&mut self) -> Option<u64> {
        self.u32().filter(|value| *value < u32::MAX - 1).map(u64::from)
    }

    fn wide_limit(&mut self) -> Option<Limit> {
        match self.u64()? {
            u64::MAX => None,
            n if n == u64::MAX - 1 => Some(Limit::Unlimited),
            limit => Some(Limit::At(limit)),
        }
    }

    fn narrow_limit(&mut self) -> Option<Limit> {
        match self.u32()? {
            u32::MAX => None,
            n if n == u32::MAX - 1 => Some(Limit::Unlimited),
            limit => Some(Limit::At(limit.into())),
        }
    }

    fn time(&mut self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp_millis(self.i64()?)
    }

    fn text(&mut self, at: usize) -> Option<String> {
        self.at = at;
        let length = usize::from(self.u8()?);
        let text = self.bytes.get(self.at..self.at + length)?;
        self.at += length;
        Some(String::from_utf8_lossy(text).into_owned())
    }
}

fn encode_pressure(pressure: &Pressure, out: &mut Out) {
    for line in [pressure.cpu, pressure.memory, pressure.io] {
        out.wide(line.map(|line| line.total_us));
    }
}

fn decode_pressure(from: &mut In<'_>) -> Pressure {
    let mut line = || from.wide().map(|total_us| PressureLine { avg10: 0.0, avg60: 0.0, total_us });
    Pressure { cpu: line(), memory: line(), io: line() }
}

fn encode_sample(stored: &Stored, out: &mut Out) {
    let sample = &stored.sample;
    let cores = stored.cores.len().min(cores_in(out.bytes.len()));
    out.put(&[SAMPLE, u8::try_from(cores).unwrap_or(0), 0, 0]);
    let (cpu, memory) = (sample.cpu, sample.memory);
    let (network, block, pids) = (sample.network, sample.block, sample.pids);
    let kib = |bytes: Option<u64>| bytes.map(|bytes| bytes.div_ceil(1024));
    out.narrow(memory.and_then(|m| m.oom_kills));
    out.put(&millis(sample.at).to_le_bytes());
    out.put(&sample.started_ms.to_le_bytes());
    out.wide(cpu.map(|c| c.usage_ns));
    out.narrow(cpu.and_then(|c| c.periods));
    out.narrow(cpu.and_then(|c| c.throttled_periods));
    out.wide_limit(cpu.and_then(|c| c.limit));
    out.wide(memory.map(|m| m.usage));
    out.narrow(kib(memory.and_then(|m| m.inactive_file)));
    out.narrow(kib(memory.and_then(|m| m.anon)));
    out.narrow(kib(memory.and_then(|m| m.file)));
    out.narrow(kib(memory.and_then(|m| m.kernel)));
    out.wide_limit(memory.and_then(|m| m.limit));
    out.wide(network.map(|n| n.rx_bytes));
    out.wide(network.map(|n| n.tx_bytes));
    out.wide(block.map(|b| b.read_bytes));
    out.wide(block.map(|b| b.write_bytes));
    out.narrow(pids.map(|p| p.current));
    out.narrow_limit(pids.and_then(|p| p.limit));
    encode_pressure(&sample.pressure, out);
    out.put(&stored.up.to_le_bytes());
    for core in &stored.cores[..cores] {
        out.put(&core.to_le_bytes());
    }
}

fn decode_sample(from: &mut In<'_>) -> Option<Stored> {
    let cores = from.u8()?;
    from.at += 2;
    let bytes = |kib: Option<u64>| kib.map(|kib| kib * 1024);
    let oom_kills = from.narrow();
    let at = Duration::from_millis(u64::try_from(from.i64()?).ok()?);
    let started_ms = from.i64()?;
    let usage_ns = from.wide();
    let (periods, throttled_periods) = (from.narrow(), from.narrow());
    let limit = from.wide_limit();
    let cpu = usage_ns.map(|usage_ns| CpuCounters {
        usage_ns,
        periods,
        throttled_periods,
        limit,
        ..CpuCounters::default()
    });
    let usage = from.wide();
    let (inactive_file, anon) = (bytes(from.narrow()), bytes(from.narrow()));
    let (file, kernel) = (bytes(from.narrow()), bytes(from.narrow()));
    let limit = from.wide_limit();
    let memory = usage.map(|usage| MemoryCounters {
        usage,
        inactive_file,
        anon,
        file,
        kernel,
        limit,
        oom_kills,
    });
    let (rx, tx) = (from.wide(), from.wide());
    let network = rx.zip(tx).map(|(rx_bytes, tx_bytes)| NetCounters {
        rx_bytes,
        tx_bytes,
        ..NetCounters::default()
    });
    let (read, written) = (from.wide(), from.wide());
    let block = read.zip(written).map(|(read_bytes, write_bytes)| BlockCounters {
        read_bytes,
        write_bytes,
        ..BlockCounters::default()
    });
    let (current, limit) = (from.narrow(), from.narrow_limit());
    let pids = current.map(|current| PidCounters { current, limit });
    let pressure = decode_pressure(from);
    let sample = Sample { at, started_ms, cpu, memory, network, block, pids, pressure };
    let up = from.u32()?;
    let cores = (0..cores).map(|_| from.u32()).collect::<Option<Vec<u32>>>()?;
    Some(Stored { sample, cores, up })
}

fn encode_host(sample: &HostSample, up: u32, out: &mut Out) {
    out.put(&[HOST, 0, 0, 0]);
    out.put(&millis(sample.at).to_le_bytes());
    out.put(&up.to_le_bytes());
    out.narrow(sample.cpus.map(u64::from));
    // What isn't known is no number.
    out.put(&sample.load1.unwrap_or(f32::NAN).to_le_bytes());
    for value in [
        sample.busy_ns,
        sample.memory_total,
        sample.memory_available,
        sample.disk_total,
        sample.disk_free,
    ] {
        out.wide(value);
    }
    encode_pressure(&sample.pressure, out);
}

fn decode_host(from: &mut In<'_>) -> Option<Record> {
    from.at += 3;
    let at = Duration::from_millis(u64::try_from(from.i64()?).ok()?);
    let up = from.u32()?;
    let cpus = from.narrow().and_then(|cpus| u32::try_from(cpus).ok());
    let load1 = from.take().map(f32::from_le_bytes).filter(|load| load.is_finite());
    let (busy_ns, memory_total, memory_available) = (from.wide(), from.wide(), from.wide());
    let (disk_total, disk_free) = (from.wide(), from.wide());
    let pressure = decode_pressure(from);
    let sample = HostSample {
        at,
        cpus,
        load1,
        busy_ns,
        memory_total,
        memory_available,
        pressure,
        disk_total,
        disk_free,
    };
    Some(Record::Host(sample, up))
}

fn encode_happening(happening: &Happening, out: &mut Out) {
    let at = happening.at.timestamp_millis().to_le_bytes();
    match &happening.what {
        What::Event { action, exit_code } => {
            out.put(&[EVENT]);
            out.put(&at);
            out.put(&[u8::from(exit_code.is_some())]);
            out.put(&exit_code.unwrap_or(0).to_le_bytes());
            out.text(EVENT_TEXT, action);
        }
        What::Probes(probes) => {
            out.put(&[PROBES]);
            out.put(&at);
            out.put(&probes.until.timestamp_millis().to_le_bytes());
            encode_probes(probes, out);
            out.text(PROBES_TEXT, &probes.output);
        }
    }
}

fn decode_event(from: &mut In<'_>) -> Option<Happening> {
    let at = from.time()?;
    let ended = from.u8()? == 1;
    let code = from.i32()?;
    let action = from.text(EVENT_TEXT)?;
    let what = What::Event { action, exit_code: ended.then_some(code) };
    Some(Happening { at, what })
}

fn decode_probes(from: &mut In<'_>) -> Option<Happening> {
    let (at, until) = (from.time()?, from.time()?);
    let mut probes = probes(until, from)?;
    probes.output = from.text(PROBES_TEXT)?;
    Some(Happening { at, what: What::Probes(probes) })
}

/// Writes all of probes but their time and their output.
fn encode_probes(probes: &Probes, out: &mut Out) {
    let status = match probes.status {
        HealthStatus::Starting => 0,
        HealthStatus::Healthy => 1,
        HealthStatus::Unhealthy => 2,
    };
    let short = |d: Duration| u32::try_from(d.as_millis()).unwrap_or(u32::MAX);
    out.put(&[status]);
    out.put(&probes.count.to_le_bytes());
    out.put(&probes.exit_code.to_le_bytes());
    out.put(&probes.streak.to_le_bytes());
    out.put(&short(probes.last).to_le_bytes());
    out.put(&short(probes.longest).to_le_bytes());
}

/// Reads what [`encode_probes`] has written.
fn probes(until: DateTime<Utc>, from: &mut In<'_>) -> Option<Probes> {
    let status = match from.u8()? {
        0 => HealthStatus::Starting,
        1 => HealthStatus::Healthy,
        _ => HealthStatus::Unhealthy,
    };
    let (count, exit_code, streak) = (from.u32()?, from.i32()?, from.u32()?);
    let last = Duration::from_millis(from.u32()?.into());
    let longest = Duration::from_millis(from.u32()?.into());
    let output = String::new();
    Some(Probes { until, count, exit_code, status, streak, last, longest, output })
}

/// Returns the milliseconds since 1970 of a sample.
fn millis(at: Duration) -> i64 {
    i64::try_from(at.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "slot_tests.rs"]
mod tests;
