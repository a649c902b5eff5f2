//! `replay`: the dashboard as it would have been at another time.

use std::io::IsTerminal;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use wharf_ui::Replay;

use crate::args::{Arity, Flag, Group, Verb};
use crate::call::{Call, Failure};
use crate::connect;

/// How far back it begins when nobody says: far enough for something to have happened.
const BACK: TimeDelta = TimeDelta::minutes(5);

pub(crate) static VERB: Verb = Verb {
    name: "replay",
    paths: &[],
    usage: "[OPTIONS] [CONTAINER]",
    about: "Open the dashboard at an instant of the past",
    group: Group::Dashboard,
    arity: Arity::Between(0, 1),
    interspersed: true,
    flags: &[&[
        Flag::value(
            "at",
            "string",
            "Begin at this time (12:31, 2026-01-31T12:31:05Z), or so long ago (15m; default 5m)",
        ),
        Flag::value("since", "string", "Show the charts from this time on, as --at says it"),
        Flag::value(
            "until",
            "string",
            "Show the charts up to this time (default now), and begin there",
        ),
    ]],
    missing: &[],
    run,
};

fn run(call: &Call) -> anyhow::Result<i32> {
    let replay = replay(call, Utc::now())?;
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        return Err(Failure::new(1, "the dashboard needs a terminal").into());
    }
    call.over_engine(async |backend| {
        if let Some(container) = &replay.container {
            // A name that isn't there is an error before there is a screen.
            backend.container(container).await?;
        }
        let environment = |name: &str| std::env::var(name).ok();
        let backend = Arc::clone(backend);
        let hosts = vec![(call.target.names().0, call.target.clone())];
        connect::dashboard(hosts, vec![backend], false, Some(replay), &environment).await?;
        Ok(0)
    })
}

/// Returns what is to be shown.
fn replay(call: &Call, now: DateTime<Utc>) -> Result<Replay, Failure> {
    let time = |flag: &str| -> Result<Option<DateTime<Utc>>, Failure> {
        let Some(text) = call.parsed.last(flag) else { return Ok(None) };
        let at = wharf_ui::app::instant(text, now)
            .map_err(|reason| Failure::usage(format!("replay --{flag}: {reason}")))?;
        if at > now {
            return Err(Failure::usage(format!("replay --{flag}: that time hasn't come")));
        }
        Ok(Some(at))
    };
    let (at, since, until) = (time("at")?, time("since")?, time("until")?);
    if at.is_some() && (since.is_some() || until.is_some()) {
        let text =
            "replay: --at is one instant, --since and --until are a time: choose one of both";
        return Err(Failure::usage(text.to_owned()));
    }
    let at = at.or(until).unwrap_or(if since.is_some() { now } else { now - BACK });
    if since.is_some_and(|since| since >= at) {
        return Err(Failure::usage("replay --since: that is after --until".to_owned()));
    }
    let container = call.parsed.argument(0).map(str::to_owned);
    Ok(Replay { at, length: since.map(|since| at - since), container })
}
