//! `stats`: resource use, once or live.

use std::collections::HashMap;
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use wharf_backend::Backend;
use wharf_model::{ContainerId, ContainerSummary, Sample, TermSize};

use crate::args::{Arity, Flag, Group, Verb};
use crate::call::{Call, Failure, print};
use crate::format::rows::{Rows, template_failed};
use crate::format::stats::{Row, TABLE, TITLES, row};
use crate::session;

pub(crate) static VERB: Verb = Verb {
    name: "stats",
    paths: &["container stats"],
    usage: "[OPTIONS] [CONTAINER...]",
    about: "Show the resource use of containers, live",
    group: Group::Observe,
    arity: Arity::Any,
    interspersed: true,
    flags: &[&[
        Flag::switch("all", "Those that don't run too").short('a'),
        Flag::value("format", "string", "Print by a template: table, json or TEMPLATE"),
        Flag::switch("no-stream", "Show it once"),
        Flag::switch("no-trunc", "Shorten nothing"),
    ]],
    missing: &[],
    run,
};

/// Time between two samples, as docker has it.
const INTERVAL: Duration = Duration::from_secs(1);

/// Batches waited for by `--no-stream`, until every container has two samples to make rates of.
const PATIENCE: usize = 4;

fn run(call: &Call) -> anyhow::Result<i32> {
    let parsed = &call.parsed;
    let once = parsed.on("no-stream");
    let view = View {
        all: parsed.on("all"),
        truncate: !parsed.on("no-trunc"),
        names: parsed.arguments.clone(),
        rows: match parsed.last("format") {
            None | Some("" | "table") => Rows::new(TABLE),
            Some(format) => Rows::new(format),
        }
        .map_err(template_failed)?,
    };
    call.over_engine(async |backend| {
        let mut wanted = view.wanted(backend).await?;
        let info = backend.info().await.ok();
        if let Some(why) = info.as_ref().and_then(|info| info.no_statistics.as_ref()) {
            eprintln!("WARNING: {why}");
        }
        // The limit of containers without one is the host's memory.
        let mut host_memory = None;
        let mut batches = backend.samples(INTERVAL).await?;
        let live = !once && io::stdout().is_terminal();
        let mut known = Known::default();
        let mut count = 0;
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            count += 1;
            if count == 1 {
                host_memory = match batch.host.as_ref().and_then(|host| host.memory_total) {
                    Some(total) => Some(total),
                    None => info.as_ref().map(|info| info.memory_total),
                };
            }
            known.take(batch.containers);
            if once && count < PATIENCE && !known.has_rates(&wanted) {
                continue;
            }
            if view.names.is_empty() && count > 1 {
                wanted = view.wanted(backend).await?;
            }
            let text = draw(&view, &wanted, &known, host_memory)?;
            if live {
                let clear = if count == 1 { "\x1b[2J" } else { "" };
                // Each line is cleared behind its end, and what is below the last one, so that
                // nothing flickers.
                let text = fit(&text, session::size(true)).replace('\n', "\x1b[K\n");
                print(&format!("{clear}\x1b[H{text}\x1b[J"))?;
            } else {
                print(&text)?;
            }
            if once {
                break;
            }
        }
        Ok(0)
    })
}

/// The newest sample of each container and the one before it.
#[derive(Default)]
struct Known(HashMap<ContainerId, (Sample, Option<Sample>)>);

impl Known {
    /// Takes in a batch. What isn't in it has stopped; what hasn't been read again since the last
    /// batch stays as it is.
    fn take(&mut self, batch: Vec<(ContainerId, Sample)>) {
        let mut old = std::mem::take(&mut self.0);
        for (id, sample) in batch {
            let pair = match old.remove(&id) {
                Some((last, before)) if last.at == sample.at => (last, before),
                Some((last, _)) => (sample, Some(last)),
                None => (sample, None),
            };
            self.0.insert(id, pair);
        }
    }

    fn has_rates(&self, wanted: &[Wanted]) -> bool {
        let pairs = wanted.iter().filter_map(|container| self.0.get(&container.id));
        pairs.into_iter().all(|(_, before)| before.is_some())
    }
}

/// A container that is shown.
#[derive(Clone, Debug)]
struct Wanted {
    id: ContainerId,
    name: String,
    /// What the user called it.
    asked: Option<String>,
    running: bool,
}

struct View {
    all: bool,
    truncate: bool,
    names: Vec<String>,
    rows: Rows,
}

impl View {
    /// Returns the containers to show.
    async fn wanted(&self, backend: &Arc<dyn Backend>) -> anyhow::Result<Vec<Wanted>> {
        if self.names.is_empty() {
            let containers = backend.containers(self.all).await?;
            let wanted = |c: ContainerSummary| Wanted {
                running: c.status.is_alive(),
                id: c.id,
                name: c.name,
                asked: None,
            };
            return Ok(containers.into_iter().map(wanted).collect());
        }
        let mut wanted = Vec::new();
        for name in &self.names {
            let container = backend.container(name).await?;
            wanted.push(Wanted {
                running: container.state.status.is_alive(),
                id: container.id,
                name: container.name,
                asked: Some(name.clone()),
            });
        }
        Ok(wanted)
    }
}

/// Returns what fits on the terminal: lines that wrap or scroll would spoil the next drawing.
fn fit(text: &str, size: Option<TermSize>) -> String {
    let Some(size) = size else { return text.to_owned() };
    let rows = usize::from(size.rows.saturating_sub(1)).max(2);
    text.lines()
        .take(rows)
        .map(|line| line.chars().take(usize::from(size.columns)).chain(['\n']).collect::<String>())
        .collect()
}

fn draw(
    view: &View,
    wanted: &[Wanted],
    known: &Known,
    host_memory: Option<u64>,
) -> Result<String, Failure> {
    let rows = wanted.iter().map(|container| {
        let pair = known.0.get(&container.id);
        let id = &container.id;
        let id = if view.truncate { id.short() } else { id.as_str() };
        let shown = Row {
            asked: container.asked.as_deref().unwrap_or(id),
            id,
            name: &container.name,
            running: container.running || pair.is_some(),
            now: pair.map(|(now, _)| now),
            before: pair.and_then(|(_, before)| before.as_ref()),
        };
        row(&shown, host_memory)
    });
    view.rows.print(rows, TITLES).map_err(template_failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_that_is_not_new_makes_no_rate() {
        let id = ContainerId::from_bytes([1; 32]);
        let sample = |at| Sample { at: Duration::from_secs(at), ..Sample::default() };
        let name = "a".to_owned();
        let wanted = [Wanted { id: id.clone(), name, asked: None, running: true }];
        let mut known = Known::default();
        known.take(vec![(id.clone(), sample(1))]);
        assert!(!known.has_rates(&wanted));
        known.take(vec![(id.clone(), sample(1))]);
        assert!(!known.has_rates(&wanted));
        known.take(vec![(id.clone(), sample(2))]);
        assert!(known.has_rates(&wanted));
        known.take(Vec::new());
        assert!(known.0.is_empty() && known.has_rates(&wanted));
    }

    #[test]
    fn only_what_fits_is_drawn() {
        let size = |columns, rows| Some(TermSize { columns, rows });
        assert_eq!(fit("abc\nde\nf\n", size(2, 3)), "ab\nde\n");
        assert_eq!(fit("abc\nde\nf\n", size(80, 24)), "abc\nde\nf\n");
        assert_eq!(fit("abc\n", None), "abc\n");
    }
}
