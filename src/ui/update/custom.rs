//! Commands of the user's own.

use crate::app::run_form::quoted;
use crate::app::{App, Confirm, Consent, Overlay, Page, Pending, Target};
use crate::config::fill;
use crate::message::{Effect, ShellOutput};

use super::commands::with_line;

/// Runs a command for the selected object, or asks first.
pub(super) fn ask(app: &mut App, number: usize) -> Vec<Effect> {
    let Some(custom) = app.options.config.commands.get(number).cloned() else { return Vec::new() };
    let Some(object) = app.object() else { return Vec::new() };
    let program: Vec<String> = app.program(app.here()).iter().map(|word| quoted(word)).collect();
    // What comes from a container is one word each, whatever is in it.
    let line = fill(&custom.run, |word| match word {
        "name" => Some(quoted(&object.name)),
        "id" => Some(quoted(&object.id)),
        "image" => Some(quoted(&object.image)),
        "wharf" => Some(program.join(" ")),
        _ => None,
    });
    let name = format!("{} ({})", custom.name, object.name);
    if !custom.confirm {
        return run(app, name, line);
    }
    app.overlays.push(Overlay::Confirm(Confirm {
        title: format!("Run {name}?"),
        body: vec!["What it does is the config file's own affair.".to_owned()],
        verb: "Run",
        consent: Consent::Cancel,
        scroll: 0,
        custom: Some((name, line)),
        effects: Vec::new(),
        lines: Vec::new(),
        commands: Vec::new(),
    }));
    Vec::new()
}

/// Runs it.
pub(super) fn run(app: &mut App, name: String, line: String) -> Vec<Effect> {
    let operation = app.number();
    let on = match app.object().and_then(|object| object.container) {
        Some(id) => Target::Container(id),
        None => Target::Other,
    };
    let what = wharf_logs::sanitize_line(&name).into_owned();
    app.pending.insert(operation, Pending { on, doing: "running", what, undoable: false });
    vec![Effect::Shell { operation, name, line }]
}

/// Shows what it wrote.
pub(super) fn ended(app: &mut App, operation: u64, result: Result<ShellOutput, String>) {
    let Some(pending) = app.pending.remove(&operation) else { return };
    let line = app.lines.remove(&operation).unwrap_or_default();
    let output = match result {
        Ok(output) => output,
        Err(why) => return app.fail(pending.what, why),
    };
    let good = output.code == Some(0);
    if output.text.trim().is_empty() {
        return match good {
            true => app.tell(with_line(format!("{}: done", pending.what), &line)),
            false => app.fail(pending.what, output.verdict()),
        };
    }
    let mut body: Vec<String> =
        output.text.lines().map(|line| wharf_logs::sanitize_line(line).into_owned()).collect();
    if output.cut {
        body.push("There is more: it isn't kept.".to_owned());
    }
    let verdict = if good { None } else { Some((output.verdict(), false)) };
    app.overlays.push(Overlay::Page(Page { title: pending.what, verdict, body, scroll: 0 }));
    app.draw(crate::app::Redraw::Now);
}
