//! The records: 160 bytes each, little-endian, with a checksum.
//!
//! ```text
//! 0    4  CRC-32 of the other 156 bytes
//! 4    4  number within its ring
//! 8    1  kind: 1 a sample, 2 an event, 3 probes
//! 9    …  see the kinds
//! ```
//!
//! Missing values are the greatest number of their width, "no limit" is the one below it. Memory
//! beside the usage and the limit is in KiB: the kernel counts it in pages.

use std::time::Duration;

use chrono::{DateTime, Utc};
use wharf_model::{
    BlockCounters, CpuCounters, Happening, HealthStatus, Limit, MemoryCounters, NetCounters,
    PidCounters, PressureLine, Probes, Sample, What,
};

/// The length of a record.
pub(super) const LENGTH: usize = 160;

const SAMPLE: u8 = 1;
const EVENT: u8 = 2;
const PROBES: u8 = 3;

/// Where the text of an event or of probes begins; it goes to the record's end.
const EVENT_TEXT: usize = 22;
const PROBES_TEXT: usize = 50;

/// A record.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "one at a time, on its way to or from its bytes")]
pub(super) enum Record {
    Sample(Sample),
    Happening(Happening),
}

type Bytes = [u8; LENGTH];

/// Returns a record's bytes.
pub(super) fn encode(number: u32, record: &Record) -> Bytes {
    let mut out = Out { bytes: [0; LENGTH], at: 4 };
    out.put(&number.to_le_bytes());
    match record {
        Record::Sample(sample) => encode_sample(sample, &mut out),
        Record::Happening(happening) => encode_happening(happening, &mut out),
    }
    let sum = crc32fast::hash(&out.bytes[4..]);
    out.bytes[..4].copy_from_slice(&sum.to_le_bytes());
    out.bytes
}

/// Returns the number and the record that these bytes are; none when they are torn or were never
/// written.
pub(super) fn decode(bytes: &[u8]) -> Option<(u32, Record)> {
    let sum = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?);
    if bytes.len() != LENGTH || sum != crc32fast::hash(&bytes[4..]) {
        return None;
    }
    let mut from = In { bytes, at: 4 };
    let number = from.u32()?;
    let record = match from.u8()? {
        SAMPLE => Record::Sample(decode_sample(&mut from)?),
        EVENT => Record::Happening(decode_event(&mut from)?),
        PROBES => Record::Happening(decode_probes(&mut from)?),
        _ => return None,
    };
    Some((number, record))
}

struct Out {
    bytes: Bytes,
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
        let room = LENGTH - at - 1;
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
        Some(String::from_utf8_lossy(text).into_owned())
    }
}

fn encode_sample(sample: &Sample, out: &mut Out) {
    out.put(&[SAMPLE, 0, 0, 0]);
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
    let pressure = &sample.pressure;
    for line in [pressure.cpu, pressure.memory, pressure.io] {
        out.wide(line.map(|line| line.total_us));
    }
}

fn decode_sample(from: &mut In<'_>) -> Option<Sample> {
    from.at += 3;
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
    let mut line = || from.wide().map(|total_us| PressureLine { avg10: 0.0, avg60: 0.0, total_us });
    let pressure = wharf_model::Pressure { cpu: line(), memory: line(), io: line() };
    Some(Sample { at, started_ms, cpu, memory, network, block, pids, pressure })
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
            let status = match probes.status {
                HealthStatus::Starting => 0,
                HealthStatus::Healthy => 1,
                HealthStatus::Unhealthy => 2,
            };
            let short = |d: Duration| u32::try_from(d.as_millis()).unwrap_or(u32::MAX);
            out.put(&[PROBES]);
            out.put(&at);
            out.put(&probes.until.timestamp_millis().to_le_bytes());
            out.put(&[status]);
            out.put(&probes.count.to_le_bytes());
            out.put(&probes.exit_code.to_le_bytes());
            out.put(&probes.streak.to_le_bytes());
            out.put(&short(probes.last).to_le_bytes());
            out.put(&short(probes.longest).to_le_bytes());
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
    let status = match from.u8()? {
        0 => HealthStatus::Starting,
        1 => HealthStatus::Healthy,
        _ => HealthStatus::Unhealthy,
    };
    let (count, exit_code, streak) = (from.u32()?, from.i32()?, from.u32()?);
    let last = Duration::from_millis(from.u32()?.into());
    let longest = Duration::from_millis(from.u32()?.into());
    let output = from.text(PROBES_TEXT)?;
    let probes = Probes { until, count, exit_code, status, streak, last, longest, output };
    Some(Happening { at, what: What::Probes(probes) })
}

/// Returns the milliseconds since 1970 of a sample.
fn millis(at: Duration) -> i64 {
    i64::try_from(at.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "slot_tests.rs"]
mod tests;
