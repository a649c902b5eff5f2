//! `events`: what happens to containers and images, as it happens.

use chrono::Utc;
use futures_util::StreamExt;
use wharf_inspect::template::{Options, Template, TemplateError};
use wharf_model::{Event, EventKind, EventOptions};

use crate::args::values::filters;
use crate::args::{Arity, Flag, Group, Verb};
use crate::call::{Call, Failure, print};
use crate::format::events::{line, record};

pub(crate) static VERB: Verb = Verb {
    name: "events",
    paths: &["system events"],
    usage: "[OPTIONS]",
    about: "Show what happens to containers and images, live",
    group: Group::System,
    arity: Arity::None,
    interspersed: true,
    flags: &[&[
        Flag::list("filter", "filter", "Only those for which this holds: event=die").short('f'),
        Flag::value("format", "string", "Print by a template: json or TEMPLATE"),
        Flag::value("since", "string", "From this time on (2013-01-02T13:23:37Z, or 42m ago)"),
        Flag::value("until", "string", "Up to this time, and end then"),
    ]],
    missing: &[],
    run,
};

fn run(call: &Call) -> anyhow::Result<i32> {
    let parsed = &call.parsed;
    let now = Utc::now();
    let time = |flag: &str| {
        let text = parsed.last(flag).filter(|text| !text.is_empty());
        text.map(|text| wharf_inspect::instant(text, now)).transpose().map_err(|_| {
            let text = parsed.last(flag).unwrap_or_default();
            Failure::new(1, format!("failed to parse value as time or duration: {text:?}"))
        })
    };
    let options =
        EventOptions { since: time("since")?, until: time("until")?, filters: filters(parsed)? };
    let template = template(parsed.last("format").unwrap_or_default())?;
    call.over_engine(async |backend| {
        let mut events = backend.list_events(options).await?;
        while let Some(event) = events.next().await {
            let event = event?;
            print(&match &template {
                None => line(&event),
                Some(template) => {
                    let text = template.execute(&record(&event), Options::default());
                    format!("{}\n", text.map_err(wrong)?)
                }
            })?;
        }
        Ok(0)
    })
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err gives it")]
fn wrong(cause: TemplateError) -> Failure {
    Failure::new(64, format!("Error parsing format: {cause}"))
}

/// Returns the template, tried out on an event, so that a wrong one is refused before the first one
/// comes.
fn template(text: &str) -> Result<Option<Template>, Failure> {
    let text = match text {
        "" => return Ok(None),
        "json" => "{{json .}}",
        text => text,
    };
    let template = Template::parse("", text).map_err(wrong)?;
    let event = Event {
        time: Utc::now(),
        kind: EventKind::Container,
        action: String::new(),
        id: String::new(),
        attributes: Default::default(),
    };
    template.execute(&record(&event), Options::default()).map_err(wrong)?;
    Ok(Some(template))
}
