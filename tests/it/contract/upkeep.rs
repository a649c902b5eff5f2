//! Health probes, restart policies and log settings: the same words and numbers from every engine.

use std::time::Duration;

use futures_util::StreamExt;
use wharf_model::{
    Health, HealthCheck, HealthStatus, LogConfig, LogDriver, LogOptions, RestartKind,
    RestartPolicy, Status,
};

use super::{Bench, Check, checks};

pub(super) const CHECKS: &[(&str, Check)] = checks![
    upkeep_is_kept,
    policies_start_again,
    a_stop_ends_a_policy,
    probes_decide,
    records_have_attributes,
    no_log_no_reading,
];

fn probe(line: &str) -> HealthCheck {
    HealthCheck {
        test: vec!["CMD-SHELL".to_owned(), line.to_owned()],
        interval: Some(Duration::from_millis(100)),
        timeout: Some(Duration::from_secs(5)),
        start_period: None,
        start_interval: None,
        retries: Some(2),
    }
}

fn policy(kind: RestartKind, maximum_retries: u32) -> RestartPolicy {
    RestartPolicy { kind, maximum_retries }
}

/// Asks again until the answer is yes.
macro_rules! until {
    ($question:expr) => {
        while !$question {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
}

async fn health(bench: &Bench, id: &str) -> Health {
    bench.detail(id).await.state.health.unwrap()
}

async fn upkeep_is_kept(bench: &Bench) {
    let mut options = Bench::options("exit 0");
    options.healthcheck = Some(probe("true"));
    options.host.restart_policy = policy(RestartKind::OnFailure, 4);
    let log = [("max-size", "10m"), ("max-file", "3")];
    options.host.log_config = LogConfig {
        driver: LogDriver::JsonFile,
        options: log.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
    };
    let expected = options.host.clone();
    let id = bench.create(options).await.unwrap();
    let detail = bench.detail(&id).await;
    assert_eq!(detail.config.healthcheck, Some(probe("true")));
    assert_eq!(detail.host_config.restart_policy, expected.restart_policy);
    assert_eq!(detail.host_config.log_config, expected.log_config);
}

async fn policies_start_again(bench: &Bench) {
    let mut options = Bench::options("echo run; exit 3");
    options.host.restart_policy = policy(RestartKind::OnFailure, 2);
    let id = bench.create(options).await.unwrap();
    bench.start(&id).await.unwrap();
    until!(bench.detail(&id).await.state.status == Status::Exited);
    let state = bench.detail(&id).await.state;
    assert_eq!((state.restart_count, state.exit_code), (2, 3));
    let records = bench.backend.logs(&id, LogOptions::default()).await.unwrap();
    assert_eq!(records.count().await, 3);
}

async fn a_stop_ends_a_policy(bench: &Bench) {
    let mut options = Bench::options("exit 3");
    options.host.restart_policy = policy(RestartKind::Always, 0);
    let id = bench.create(options).await.unwrap();
    bench.start(&id).await.unwrap();
    // By now it waits for most of the time.
    until!({
        let state = bench.detail(&id).await.state;
        state.restart_count >= 5 && state.status == Status::Restarting
    });
    let listed = bench.backend.containers(false).await.unwrap();
    let row = listed.into_iter().find(|row| row.id.as_str() == id).unwrap();
    assert!(row.status_text.starts_with("Restarting (3) "), "{}", row.status_text);
    bench.stop(&id, 5).await.unwrap();
    assert_eq!(bench.detail(&id).await.state.status, Status::Exited);
    assert_eq!(bench.backend.wait(&id).await, Ok(3));
}

async fn probes_decide(bench: &Bench) {
    let mut options = Bench::options("sleep 1000");
    options.healthcheck = Some(probe("echo looked; test -e /tmp/well"));
    let id = bench.create(options).await.unwrap();
    assert_eq!(bench.detail(&id).await.state.health, None);
    bench.start(&id).await.unwrap();
    until!(health(bench, &id).await.status == HealthStatus::Unhealthy);
    let seen = health(bench, &id).await;
    assert!(seen.failing_streak >= 2);
    let last = seen.log.last().unwrap();
    assert_eq!((last.exit_code, last.output.as_str()), (1, "looked\n"));
    let listed = bench.backend.containers(false).await.unwrap();
    let row = listed.into_iter().find(|row| row.id.as_str() == id).unwrap();
    assert_eq!(row.health, Some(HealthStatus::Unhealthy));
    assert!(row.status_text.ends_with("(unhealthy)"), "{}", row.status_text);
    bench.kill(&id, None).await.unwrap();
    until!(bench.detail(&id).await.state.status == Status::Exited);
    assert_eq!(health(bench, &id).await.status, HealthStatus::Unhealthy);
}

async fn records_have_attributes(bench: &Bench) {
    let mut options = Bench::options("echo one");
    options.labels.insert("tier".to_owned(), "front end".to_owned());
    options.env.push("REGION=eu,west".to_owned());
    let log = [("labels", "tier,nope"), ("env", "REGION"), ("tag", "x={{.FullID}}")];
    options.host.log_config.options = log.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    let id = bench.create(options).await.unwrap();
    bench.start(&id).await.unwrap();
    bench.backend.wait(&id).await.unwrap();
    let options = LogOptions { details: true, ..LogOptions::default() };
    let mut records = bench.backend.logs(&id, options).await.unwrap();
    let record = records.next().await.unwrap().unwrap();
    assert_eq!(record.message, b"one\n");
    let tag = format!("x={id}");
    let expected = [("REGION", "eu,west"), ("tag", tag.as_str()), ("tier", "front end")];
    let found: Vec<_> = record.attributes.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(found, expected);
}

async fn no_log_no_reading(bench: &Bench) {
    let mut options = Bench::options("echo one");
    options.host.log_config.driver = LogDriver::None;
    let id = bench.create(options).await.unwrap();
    bench.start(&id).await.unwrap();
    bench.backend.wait(&id).await.unwrap();
    let error = match bench.backend.logs(&id, LogOptions::default()).await {
        Err(error) => error,
        Ok(mut records) => records.next().await.unwrap().unwrap_err(),
    };
    let says = "configured logging driver does not support reading";
    assert!(error.message.contains(says), "{error}");
}
