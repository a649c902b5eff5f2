//! `stats`: what a container uses, once or every second.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use hyper::Response;
use serde_json::{Value, json};
use wharf_backend::{Backend, Error};
use wharf_model::{
    BlockCounters, ContainerDetail, DetailSample, ErrorKind, Limit, NetCounters, Sample,
};

use crate::answer::{self, Answered};
use crate::body;
use crate::request::Ask;
use crate::sampling::{Samples, Tick};
use crate::server::Server;

/// What is known of a container at a tick.
struct Seen {
    tick: Arc<Tick>,
    /// Its part of the tick; none when it doesn't run.
    sample: Option<Sample>,
    /// What only this container's clients pay for.
    details: DetailSample,
}

pub(crate) async fn stats(server: &Arc<Server>, name: &str, ask: &Ask) -> Answered {
    let detail = server.engine.container(name).await?;
    let streams = ask.query.on_unless_told("stream");
    if !streams && !detail.state.status.is_alive() {
        return answer::document(&document(&detail, None, None));
    }
    let mut samples = server.sampling.listen();
    if !streams {
        let first = seen(server, &mut samples, &detail).await?;
        if ask.query.on("one-shot") {
            return answer::document(&document(&detail, Some(&first), None));
        }
        let second = seen(server, &mut samples, &detail).await?;
        return answer::document(&document(&detail, Some(&second), Some(&first)));
    }
    let server = Arc::clone(server);
    let state = (samples, detail, None::<Seen>, server, false);
    let documents = stream::unfold(state, async |(mut samples, detail, before, server, over)| {
        if over {
            return None;
        }
        let now = match seen(&server, &mut samples, &detail).await {
            Ok(now) => now,
            Err(error) => return Some((Err(error), (samples, detail, before, server, true))),
        };
        if now.sample.is_none() {
            // Docker goes on as long as there is the container.
            match server.engine.container(detail.id.as_str()).await {
                Ok(_) => {}
                Err(error) if error.kind == ErrorKind::NotFound => return None,
                Err(error) => return Some((Err(error), (samples, detail, None, server, true))),
            }
        }
        let mut text = document(&detail, Some(&now), before.as_ref()).to_string();
        text.push('\n');
        Some((Ok(Bytes::from(text)), (samples, detail, Some(now), server, false)))
    });
    let mut answer = Response::new(body::stream(documents.boxed()));
    let json = hyper::header::HeaderValue::from_static("application/json");
    answer.headers_mut().insert(hyper::header::CONTENT_TYPE, json);
    Ok(answer)
}

async fn seen(
    server: &Server,
    samples: &mut Samples,
    detail: &ContainerDetail,
) -> Result<Seen, Error> {
    let tick = samples.next().await?;
    let found = tick.batch.containers.iter().find(|(id, _)| *id == detail.id);
    let sample = found.map(|(_, sample)| sample.clone());
    let details = match sample {
        // One that has just ended has none.
        Some(_) => server.engine.details(detail.id.as_str()).await.unwrap_or_default(),
        None => DetailSample::default(),
    };
    Ok(Seen { tick, sample, details })
}

/// Returns docker's document: what is now, and what was a second ago.
fn document(detail: &ContainerDetail, now: Option<&Seen>, before: Option<&Seen>) -> Value {
    let never = "0001-01-01T00:00:00Z";
    let time = |seen: Option<&Seen>| match seen {
        Some(Seen { tick, sample: Some(_), .. }) => {
            tick.time.to_rfc3339_opts(chrono::SecondsFormat::Nanos, true)
        }
        _ => never.to_owned(),
    };
    let sample = now.and_then(|seen| seen.sample.as_ref());
    let mut document = json!({
        "name": format!("/{}", detail.name),
        "id": detail.id.as_str(),
        "read": time(now),
        "preread": time(before),
        "pids_stats": sample.map_or_else(|| json!({}), pids),
        "blkio_stats": blocks(now),
        "num_procs": 0,
        "storage_stats": {},
        "cpu_stats": cpu(now),
        "precpu_stats": cpu(before),
        "memory_stats": now.map_or_else(|| json!({}), memory),
    });
    let interfaces = now.and_then(|seen| seen.details.interfaces.as_ref());
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

fn cpu(seen: Option<&Seen>) -> Value {
    let throttling = |periods, throttled, time| json!({"periods": periods, "throttled_periods": throttled, "throttled_time": time});
    let counters = seen.and_then(|seen| Some((seen, seen.sample.as_ref()?.cpu.as_ref()?)));
    let Some((Seen { tick, details, .. }, cpu)) = counters else {
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
    if let Some(cores) = &details.cores {
        document["cpu_usage"]["percpu_usage"] = json!(cores);
    }
    if let Some(system) = tick.system_ns {
        document["system_cpu_usage"] = system.into();
    }
    if let Some(cpus) = tick.batch.host.as_ref().and_then(|host| host.cpus) {
        document["online_cpus"] = cpus.into();
    }
    document
}

fn memory(Seen { tick, sample, .. }: &Seen) -> Value {
    let counters = sample.as_ref().and_then(|sample| sample.memory.as_ref());
    let Some(memory) = counters else { return json!({}) };
    let mut stats = serde_json::Map::new();
    for (name, value) in [
        ("anon", memory.anon),
        ("file", memory.file),
        ("inactive_file", memory.inactive_file),
        ("kernel", memory.kernel),
    ] {
        stats.extend(value.map(|value| (name.to_owned(), value.into())));
    }
    let host = tick.batch.host.as_ref().and_then(|host| host.memory_total);
    // Where there is none, the host's memory is the limit.
    let limit = match memory.limit {
        Some(Limit::At(limit)) => Some(host.map_or(limit, |host| limit.min(host))),
        Some(Limit::Unlimited) | None => host,
    };
    json!({"usage": memory.usage, "stats": stats, "limit": limit.unwrap_or(0)})
}

fn blocks(seen: Option<&Seen>) -> Value {
    let devices = seen.and_then(|seen| seen.details.devices.as_deref());
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
    use wharf_model::DeviceCounters;

    #[test]
    fn each_device_is_told_by_its_numbers() {
        let counters = BlockCounters { read_bytes: 1, write_bytes: 2, ..BlockCounters::default() };
        let details = DetailSample {
            devices: Some(vec![DeviceCounters { major: 8, minor: 16, counters }]),
            ..DetailSample::default()
        };
        let tick = Arc::new(Tick {
            time: chrono::Utc::now(),
            system_ns: None,
            batch: wharf_backend::SampleBatch { host: None, containers: Vec::new() },
        });
        let seen = Seen { tick, sample: None, details };
        let document = blocks(Some(&seen));
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
