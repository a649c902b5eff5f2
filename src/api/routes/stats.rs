//! `stats`: what a container uses, once or every second.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use serde_json::{Value, json};
use wharf_backend::{Backend, Error};
use wharf_model::{
    BlockCounters, ContainerId, DeviceCounters, ErrorKind, Limit, NetCounters, Sample,
};

use crate::answer::{self, Answered};
use crate::body;
use crate::request::Ask;
use crate::sampling::{Measured, Samples, Tick};
use crate::server::Server;

/// A container, as its statistics name it.
struct Subject {
    id: ContainerId,
    name: String,
}

pub(crate) async fn stats(server: &Arc<Server>, name: &str, ask: &Ask) -> Answered {
    let detail = server.engine.container(name).await?;
    let streams = ask.query.on_unless_told("stream");
    let alive = detail.state.status.is_alive();
    let subject = Subject { id: detail.id, name: detail.name };
    if !streams && !alive {
        return answer::document(&document(&subject, None, None));
    }
    let mut samples = server.sampling.listen(subject.id.clone());
    if !streams {
        let first = samples.next().await?;
        if ask.query.on("one-shot") {
            return answer::document(&document(&subject, Some(&first), None));
        }
        let second = samples.next().await?;
        return answer::document(&document(&subject, Some(&second), Some(&first)));
    }
    let told = Told { server: Arc::clone(server), subject, samples, before: None, over: false };
    let documents = stream::unfold(told, Told::next);
    Ok(answer::of_type("application/json", body::stream(documents)))
}

/// What a client is told, a document each second.
struct Told {
    server: Arc<Server>,
    subject: Subject,
    samples: Samples,
    before: Option<Arc<Tick>>,
    over: bool,
}

impl Told {
    async fn next(mut self) -> Option<(Result<Bytes, Error>, Self)> {
        if self.over {
            return None;
        }
        let now = match self.samples.next().await {
            Ok(now) => now,
            Err(error) => return Some((Err(error), Self { over: true, ..self })),
        };
        let id = &self.subject.id;
        if sample(Some((id, &*now))).is_none() {
            // Docker goes on as long as there is the container.
            match self.server.engine.container(id.as_str()).await {
                Ok(_) => {}
                Err(error) if error.kind == ErrorKind::NotFound => return None,
                Err(error) => return Some((Err(error), Self { over: true, ..self })),
            }
        }
        let mut text = document(&self.subject, Some(&now), self.before.as_deref()).to_string();
        text.push('\n');
        self.before = Some(now);
        Some((Ok(Bytes::from(text)), self))
    }
}

/// A container at a tick.
type Seen<'a> = Option<(&'a ContainerId, &'a Tick)>;

fn measured(seen: Seen<'_>) -> Option<&Measured> {
    seen.and_then(|(id, tick)| tick.containers.get(id))
}

fn sample(seen: Seen<'_>) -> Option<&Sample> {
    measured(seen).and_then(|measured| measured.sample.as_ref())
}

/// Returns docker's document: what is now, and what was a second ago.
fn document(subject: &Subject, now: Option<&Tick>, before: Option<&Tick>) -> Value {
    let never = "0001-01-01T00:00:00Z";
    let (now, before) =
        (now.map(|tick| (&subject.id, tick)), before.map(|tick| (&subject.id, tick)));
    let time = |seen: Seen<'_>| match (seen, sample(seen)) {
        (Some((_, tick)), Some(_)) => tick.time.to_rfc3339_opts(chrono::SecondsFormat::Nanos, true),
        _ => never.to_owned(),
    };
    let mut document = json!({
        "name": format!("/{}", subject.name),
        "id": subject.id.as_str(),
        "read": time(now),
        "preread": time(before),
        "pids_stats": sample(now).map_or_else(|| json!({}), pids),
        "blkio_stats": blocks(measured(now).and_then(|now| now.details.devices.as_deref())),
        "num_procs": 0,
        "storage_stats": {},
        "cpu_stats": cpu(now),
        "precpu_stats": cpu(before),
        "memory_stats": memory(now),
    });
    let interfaces = measured(now).and_then(|now| now.details.interfaces.as_ref());
    if let Some(interfaces) = interfaces.filter(|interfaces| !interfaces.is_empty()) {
        let each = interfaces.iter().map(|(name, counters)| (name.clone(), traffic(counters)));
        document["networks"] = Value::Object(each.collect());
    }
    document
}

/// What went wrong on an interface isn't counted.
fn traffic(counters: &NetCounters) -> Value {
    json!({
        "rx_bytes": counters.rx_bytes,
        "rx_packets": counters.rx_packets,
        "rx_errors": 0,
        "rx_dropped": 0,
        "tx_bytes": counters.tx_bytes,
        "tx_packets": counters.tx_packets,
        "tx_errors": 0,
        "tx_dropped": 0,
    })
}

fn pids(sample: &Sample) -> Value {
    let Some(pids) = &sample.pids else { return json!({}) };
    // No limit is the greatest number, as docker has it.
    let limit = match pids.limit {
        Some(Limit::At(limit)) => limit,
        Some(Limit::Unlimited) | None => u64::MAX,
    };
    json!({"current": pids.current, "limit": limit})
}

fn cpu(seen: Seen<'_>) -> Value {
    let throttling = |periods, throttled, time| json!({"periods": periods, "throttled_periods": throttled, "throttled_time": time});
    let counters = sample(seen).and_then(|sample| sample.cpu.as_ref());
    let (Some((_, tick)), Some(cpu)) = (seen, counters) else {
        return json!({
            "cpu_usage": {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0},
            "throttling_data": throttling(0, 0, 0),
        });
    };
    let mut document = json!({
        "cpu_usage": {
            "total_usage": cpu.usage_ns,
            "usage_in_kernelmode": cpu.system_ns.unwrap_or(0),
            "usage_in_usermode": cpu.user_ns.unwrap_or(0),
        },
        "throttling_data": throttling(
            cpu.periods.unwrap_or(0),
            cpu.throttled_periods.unwrap_or(0),
            cpu.throttled_ns.unwrap_or(0),
        ),
    });
    if let Some(cores) = measured(seen).and_then(|measured| measured.details.cores.as_ref()) {
        document["cpu_usage"]["percpu_usage"] = json!(cores);
    }
    if let Some(system) = tick.system_ns {
        document["system_cpu_usage"] = system.into();
    }
    if let Some(cpus) = tick.host.as_ref().and_then(|host| host.cpus) {
        document["online_cpus"] = cpus.into();
    }
    document
}

fn memory(seen: Seen<'_>) -> Value {
    let counters = sample(seen).and_then(|sample| sample.memory.as_ref());
    let (Some((_, tick)), Some(memory)) = (seen, counters) else { return json!({}) };
    let mut stats = serde_json::Map::new();
    for (name, value) in [
        ("anon", memory.anon),
        ("file", memory.file),
        ("inactive_file", memory.inactive_file),
        ("kernel", memory.kernel),
    ] {
        stats.extend(value.map(|value| (name.to_owned(), value.into())));
    }
    let host = tick.host.as_ref().and_then(|host| host.memory_total);
    // Where there is none, the host's memory is the limit.
    let limit = match memory.limit {
        Some(Limit::At(limit)) => Some(host.map_or(limit, |host| limit.min(host))),
        Some(Limit::Unlimited) | None => host,
    };
    json!({"usage": memory.usage, "stats": stats, "limit": limit.unwrap_or(0)})
}

fn blocks(devices: Option<&[DeviceCounters]>) -> Value {
    let entries = |read: fn(&BlockCounters) -> (Option<u64>, Option<u64>)| {
        let Some(devices) = devices else { return Value::Null };
        let mut rows = Vec::new();
        for device in devices {
            let (reads, writes) = read(&device.counters);
            for (op, value) in [("read", reads), ("write", writes)] {
                rows.extend(value.map(|value| {
                    json!({"major": device.major, "minor": device.minor, "op": op, "value": value})
                }));
            }
        }
        if rows.is_empty() { Value::Null } else { rows.into() }
    };
    json!({
        "io_service_bytes_recursive":
            entries(|counters| (Some(counters.read_bytes), Some(counters.write_bytes))),
        "io_serviced_recursive": entries(|counters| (counters.read_ops, counters.write_ops)),
        "io_queue_recursive": null,
        "io_service_time_recursive": null,
        "io_wait_time_recursive": null,
        "io_merged_recursive": null,
        "io_time_recursive": null,
        "sectors_recursive": null,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_device_is_told_by_its_numbers() {
        let counters = BlockCounters { read_bytes: 1, write_bytes: 2, ..BlockCounters::default() };
        let devices = [DeviceCounters { major: 8, minor: 16, counters }];
        let document = blocks(Some(&devices));
        assert_eq!(
            document["io_service_bytes_recursive"],
            json!([
                {"major": 8, "minor": 16, "op": "read", "value": 1},
                {"major": 8, "minor": 16, "op": "write", "value": 2},
            ])
        );
        assert!(document["io_serviced_recursive"].is_null());
    }
}
