//! Another name, other limits, and taking things back.

use chrono::TimeDelta;
use wharf_backend::Error;
use wharf_model::{Command, ContainerDetail, ContainerId, UpdateOptions};

use crate::app::{
    App, Input, Overlay, Pending, Prompt, PromptFor, Redraw, Target, Undo, cpus_of, memory_word,
    policy_word,
};
use crate::keymap::Action;
use crate::message::Effect;

use super::commands;

/// How long a change of limits or of a name can be taken back.
const CHANGE: TimeDelta = TimeDelta::minutes(10);

/// What the engine is called that isn't somebody else's.
const OWN: &str = "wharf";

/// Most changes that are remembered.
const MOST: usize = 100;

/// Takes an action.
pub(super) fn act(app: &mut App, action: Action) -> Vec<Effect> {
    match action {
        Action::Rename => {
            let Some(row) = app.selected() else { return Vec::new() };
            let name = row.summary.name.clone();
            app.overlays.push(Overlay::Prompt(Prompt {
                title: format!("Another name for {name}"),
                purpose: PromptFor::Rename { container: row.summary.id.clone() },
                input: Input::new(name),
                error: None,
            }));
            Vec::new()
        }
        Action::Limits => {
            let Some(row) = app.selected() else { return Vec::new() };
            let (id, name) = (row.summary.id.clone(), row.summary.name.clone());
            // It opens before the answer is there: what is typed meanwhile is meant for it, and would
            // stop and restart containers in the list.
            let title = "--cpus --memory --memory-swap --pids-limit --restart";
            app.overlays.push(Overlay::Prompt(Prompt {
                title: format!("Limits of {name}: {title}"),
                purpose: PromptFor::Limits {
                    container: id.clone(),
                    name,
                    before: None,
                    lasting: None,
                    accepted: false,
                },
                input: Input::new(""),
                error: None,
            }));
            vec![Effect::FetchDetail(id)]
        }
        Action::Undo => undo(app),
        _ => Vec::new(),
    }
}

/// Returns why a container can't be called that, if that is known without asking its engine.
pub(super) fn unfit_name(app: &App, id: &ContainerId, name: &str) -> Option<String> {
    let row = app.containers.row(id)?;
    let mut letters = name.chars();
    let begins = letters.next().is_some_and(|c| c.is_ascii_alphanumeric());
    let goes_on = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if name.is_empty() {
        return Some("a container needs a name".to_owned());
    }
    if !begins || name.len() < 2 || !letters.all(goes_on) {
        let rule = "a name is letters of ASCII, digits, _ . and -, two at least, the first a letter or digit";
        return Some(rule.to_owned());
    }
    let other = app
        .containers
        .rows
        .iter()
        .find(|other| other.host == row.host && other.summary.name == name)?;
    Some(if other.summary.id == *id {
        "that is its name already".to_owned()
    } else {
        format!("{name} is another container's name")
    })
}

/// Gives a container another name.
pub(super) fn rename(app: &mut App, id: &ContainerId, name: &str) -> Vec<Effect> {
    let before = app.containers.row(id).map_or(id.short(), |row| row.summary.name.as_str());
    let before = before.to_owned();
    let pending = |what: String, undoable| Pending {
        on: Target::Container(id.clone()),
        doing: "renaming",
        what,
        undoable,
    };
    let command =
        |name: &str| Command::Rename { container: id.as_str().to_owned(), name: name.to_owned() };
    remember(
        app,
        Undo {
            what: format!("rename {before}"),
            pending: pending(format!("rename {name} back to {before}"), false),
            command: command(&before),
            until: app.now + CHANGE,
            // The command that follows.
            by: app.next_number + 1,
            together: app.next_number + 1,
        },
    );
    commands::give(app, vec![(pending(format!("rename {before} to {name}"), true), command(name))])
}

/// Tells the dialog which limits there are; what was typed before that stays, and is done now if Enter was
/// pressed already.
pub(super) fn take_detail(
    app: &mut App,
    id: &ContainerId,
    result: Result<Box<ContainerDetail>, Error>,
) -> Vec<Effect> {
    let before = result.map(|detail| {
        let before = as_it_is(app, &detail);
        (limits_of(&detail), lasting(app, &detail, &before), Box::new(before))
    });
    let Some(Overlay::Prompt(prompt)) = app.overlays.last_mut() else { return Vec::new() };
    let PromptFor::Limits { container, before: now @ None, lasting: lost, accepted, .. } =
        &mut prompt.purpose
    else {
        return Vec::new();
    };
    if container != id {
        return Vec::new();
    }
    let accepted = std::mem::take(accepted) && before.is_ok();
    match before {
        Ok((text, lasting, before)) => {
            (*now, *lost) = (Some(before), lasting);
            prompt.error = None;
            if !prompt.input.is_edited() {
                prompt.input = Input::new(text);
            }
        }
        Err(error) => prompt.error = Some(wharf_logs::sanitize_line(&error.message).into_owned()),
    }
    app.draw(Redraw::Now);
    if accepted { take_limits(app) } else { Vec::new() }
}

/// Does what is typed into the dialog of limits, or says what is wrong with it.
pub(super) fn take_limits(app: &mut App) -> Vec<Effect> {
    let Some(Overlay::Prompt(prompt)) = app.overlays.last_mut() else { return Vec::new() };
    let typed = prompt.input.text().to_owned();
    let PromptFor::Limits { container, name, before, accepted, .. } = &mut prompt.purpose else {
        return Vec::new();
    };
    let (id, name, before) = (container.clone(), name.clone(), before.clone());
    // What they are is needed to undo this.
    *accepted = before.is_none();
    match limit(app, &id, &name, before.as_deref(), &typed) {
        Ok(Some(effects)) => {
            app.overlays.pop();
            effects
        }
        Ok(None) => Vec::new(),
        Err(why) => {
            if let Some(Overlay::Prompt(prompt)) = app.overlays.last_mut() {
                prompt.error = Some(why);
            }
            Vec::new()
        }
    }
}

/// Returns a container's limits and restart policy as flags of `update`.
fn limits_of(detail: &ContainerDetail) -> String {
    let resources = &detail.host_config.resources;
    let mut text = Vec::new();
    let mut say = |flag: &str, value: String| text.push(format!("{flag} {value}"));
    if let Some(cpus) = resources.nano_cpus {
        say("--cpus", cpus_of(cpus));
    }
    if let Some(memory) = resources.memory {
        say("--memory", memory_word(memory));
    }
    if let Some(swap) = resources.memory_swap {
        say("--memory-swap", u64::try_from(swap).map_or_else(|_| swap.to_string(), memory_word));
    }
    if let Some(pids) = resources.pids_limit {
        say("--pids-limit", pids.to_string());
    }
    say("--restart", policy_word(detail.host_config.restart_policy));
    text.join(" ")
}

/// Returns the change that brings a container back to where it is. `update` has no word for "no limit of
/// memory": that is more than any host has. This engine takes the quota's "none" for one of CPUs, too; a
/// Docker engine forgets the quota then, but not the CPUs, and ignores what is set of these later when it
/// starts the container again: there it is all CPUs of the host, since more than those is refused.
fn as_it_is(app: &App, detail: &ContainerDetail) -> UpdateOptions {
    let now = &detail.host_config.resources;
    let mut resources = wharf_model::Resources {
        nano_cpus: now.nano_cpus,
        memory: now.memory,
        memory_swap: now.memory_swap,
        pids_limit: now.pids_limit,
        ..wharf_model::Resources::default()
    };
    let host = app.host_of(detail.id.as_str());
    if let Some(info) = &app.hosts.get(host).info {
        let by_quota = now.cpu_quota.is_some_and(|quota| quota > 0) || now.cpu_period.is_some();
        if now.nano_cpus.is_none() && !by_quota {
            if info.engine == OWN {
                resources.cpu_quota = Some(-1);
            } else if info.cpus > 0 {
                resources.nano_cpus = Some(u64::from(info.cpus) * 1_000_000_000);
            }
        }
    }
    if now.memory.is_none() {
        resources.lift_memory();
        resources.memory_swap = now.memory_swap.or(resources.memory_swap);
    }
    UpdateOptions {
        unlimited_pids: now.pids_limit.is_none(),
        resources,
        restart_policy: Some(detail.host_config.restart_policy),
    }
}

/// Returns what an undo can't bring back at this container's engine.
fn lasting(app: &App, detail: &ContainerDetail, before: &UpdateOptions) -> Option<String> {
    let info = app.hosts.get(app.host_of(detail.id.as_str())).info.as_ref()?;
    let (now, back) = (&detail.host_config.resources, &before.resources);
    let cpus = back.nano_cpus.filter(|_| now.nano_cpus.is_none());
    let cpus = cpus.map(|cpus| format!("--cpus {} (all)", cpus_of(cpus)));
    let memory = back.memory.filter(|_| now.memory.is_none());
    let memory = memory.map(|memory| format!("--memory {memory} (endless)"));
    let left: Vec<String> = cpus.into_iter().chain(memory).collect();
    if info.engine == OWN || left.is_empty() {
        return None;
    }
    let engine = wharf_logs::sanitize_line(&info.engine);
    Some(format!("{engine} can't lift these again: undo leaves {}", left.join(", ")))
}

/// Changes the limits of a container, unless what is typed is wrong; none while it isn't known what they are.
///
/// # Errors
/// What is wrong, for people.
fn limit(
    app: &mut App,
    id: &ContainerId,
    name: &str,
    before: Option<&UpdateOptions>,
    typed: &str,
) -> Result<Option<Vec<Effect>>, String> {
    let parser = app.options.update.ok_or("limits can't be changed here")?;
    let words = shlex::split(typed).ok_or("a quote isn't closed")?;
    let mut options = parser(&words)?;
    if options.unlimited_pids {
        options.resources.pids_limit = None;
    }
    let Some(before) = before else { return Ok(None) };
    // What stays as it is needn't be undone.
    let mut back = before.clone();
    let (to, from) = (&options.resources, &mut back.resources);
    from.nano_cpus = from.nano_cpus.filter(|was| to.nano_cpus.is_some_and(|is| is != *was));
    from.pids_limit = from.pids_limit.filter(|was| to.pids_limit.is_some_and(|is| is != *was));
    from.cpu_quota = from.cpu_quota.filter(|_| to.nano_cpus.is_some());
    back.unlimited_pids &= to.pids_limit.is_some();
    let same = to.memory == from.memory && to.memory_swap == from.memory_swap;
    if same || (to.memory.is_none() && to.memory_swap.is_none()) {
        (from.memory, from.memory_swap) = (None, None);
    }
    back.restart_policy =
        back.restart_policy.filter(|was| options.restart_policy.is_some_and(|is| is != *was));
    if back == UpdateOptions::default() && is_undoable(&options) {
        app.tell(format!("the limits of {name} are these already"));
        return Ok(Some(Vec::new()));
    }
    let container = id.as_str().to_owned();
    let pending = |doing, what: String| Pending {
        on: Target::Container(id.clone()),
        doing,
        what,
        undoable: false,
    };
    remember(
        app,
        Undo {
            what: format!("the limits of {name}"),
            pending: pending("updating", format!("undo the limits of {name}")),
            command: Command::Update { container: container.clone(), options: Box::new(back) },
            until: app.now + CHANGE,
            // The command that follows.
            by: app.next_number + 1,
            together: app.next_number + 1,
        },
    );
    let command = Command::Update { container, options: Box::new(options) };
    let pending = Pending { undoable: true, ..pending("updating", format!("limit {name}")) };
    Ok(Some(commands::give(app, vec![(pending, command)])))
}

/// Returns whether all that is to be changed is what an undo knows.
fn is_undoable(options: &UpdateOptions) -> bool {
    let mut others = options.resources.clone();
    (others.nano_cpus, others.memory) = (None, None);
    (others.memory_swap, others.pids_limit) = (None, None);
    others == wharf_model::Resources::default()
}

/// Remembers a removal that can be taken back.
pub(super) fn removed(app: &mut App, (by, together): (u64, u64), id: &ContainerId, name: &str) {
    let host = app.hosts.get(app.host_of(id.as_str()));
    let Some(seconds) = host.undo_seconds() else { return };
    let (pending, command) = restoration(id, name);
    let until = app.now + TimeDelta::seconds(i64::from(seconds));
    remember(app, Undo { what: format!("remove {name}"), pending, command, until, by, together });
}

/// Remembers what can be taken back.
pub(super) fn remember(app: &mut App, undo: Undo) {
    if app.undo.len() == MOST {
        app.undo.remove(0);
    }
    app.undo.push(undo);
}

/// Takes back the last change, with all that was done at once with it; where another container is selected
/// that is put aside, its removal.
fn undo(app: &mut App) -> Vec<Effect> {
    let last = app.undo.last().map(|undo| undo.together);
    if app.selects_discarded()
        && let Some(row) = app.selected()
    {
        let id = row.summary.id.clone();
        let on = Target::Container(id.clone());
        if !app.undo.iter().any(|undo| undo.pending.on == on && Some(undo.together) == last) {
            let (pending, command) = restoration(&id, &row.summary.name);
            app.undo.retain(|undo| undo.pending.on != on);
            return commands::give(app, vec![(pending, command)]);
        }
    }
    let undone = app.undo.extract_if(.., |undo| Some(undo.together) == last);
    let undone: Vec<_> = undone.map(|undo| (undo.pending, undo.command)).collect();
    if undone.is_empty() { Vec::new() } else { commands::give(app, undone) }
}

/// Returns what brings back a container that is put aside.
pub(super) fn restoration(id: &ContainerId, name: &str) -> (Pending, Command) {
    // While it is put aside, its id is part of its name.
    let name = name.split(".removed-").next().unwrap_or(name);
    let pending = Pending {
        on: Target::Container(id.clone()),
        doing: "restoring",
        what: format!("bring back {name}"),
        undoable: false,
    };
    (pending, Command::Restore { container: id.as_str().to_owned() })
}
