//! `replay`: the dashboard as it would have been at another time.

use std::io::IsTerminal;
use std::sync::Arc;

use chrono::{TimeDelta, Utc};

use crate::args::{Arity, Flag, Group, Verb};
use crate::call::{Call, Failure};
use crate::connect;

/// How far back it begins when nobody says: far enough for something to have happened.
const BACK: TimeDelta = TimeDelta::minutes(5);

pub(crate) static VERB: Verb = Verb {
    name: "replay",
    paths: &[],
    usage: "[OPTIONS]",
    about: "Open the dashboard at an instant of the past",
    group: Group::Dashboard,
    arity: Arity::None,
    interspersed: true,
    flags: &[&[Flag::value(
        "at",
        "string",
        "Begin at this time (12:31, 2026-01-31T12:31:05Z), or so long ago (15m; default 5m)",
    )]],
    missing: &[],
    run,
};

fn run(call: &Call) -> anyhow::Result<i32> {
    let now = Utc::now();
    let at = match call.parsed.last("at") {
        Some(text) => wharf_ui::app::instant(text, now)
            .map_err(|reason| Failure::usage(format!("replay --at: {reason}")))?,
        None => now - BACK,
    };
    if at > now {
        return Err(Failure::usage("replay --at: that time hasn't come").into());
    }
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        return Err(Failure::new(1, "the dashboard needs a terminal").into());
    }
    call.over_engine(async |backend| {
        let environment = |name: &str| std::env::var(name).ok();
        let backend = Arc::clone(backend);
        let hosts = vec![(call.target.names().0, call.target.clone())];
        connect::dashboard(hosts, vec![backend], false, Some(at), &environment).await?;
        Ok(0)
    })
}
