//! What the dashboard does, as the command line that does the same: for dialogs, menus and messages,
//! and for the audit file.

use wharf_logs::sanitize_line;
use wharf_model::{Command, Filters, ImageName, RestartPolicy, UpdateOptions};

use super::hosts::{host_for, host_of_command};
use super::run_form::quoted;
use super::terminals::Want;
use super::{App, Prompt, PromptFor, Screen};
use crate::keymap::Action;
use crate::message::{Effect, TerminalAsk};

/// A change that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed {
    /// The verb: `stop`.
    pub verb: String,
    /// What it is done to, as people call it.
    pub object: String,
    /// The command line that does the same; empty where there is none.
    pub line: String,
    /// The engine; none where there is but one.
    pub host: Option<String>,
}

/// Returns what an effect does outside of the dashboard; none for one that only looks.
pub(crate) fn deed(app: &App, effect: &Effect) -> Option<Deed> {
    let host = host_for(app, effect).unwrap_or(app.hosts.current);
    let effect = if let Effect::At { effect, .. } = effect { effect } else { effect };
    let name = app.hosts.several().then(|| app.hosts.get(host).name().to_owned());
    let words = match effect {
        // The shell has no verb for it.
        Effect::Execute { operation, command: Command::Restore { container } } => {
            let what = app.pending.get(operation).and_then(|p| p.what.rsplit(' ').next());
            let (verb, object) = ("restore".to_owned(), what.unwrap_or(container).to_owned());
            return Some(Deed { verb, object, line: String::new(), host: name });
        }
        Effect::Execute { command, .. } => words(app, command),
        Effect::Run { words, .. } => {
            let (image, flags) = (words.last().cloned().unwrap_or_default(), words.clone());
            let verb = vec!["run".to_owned()];
            let line = line(app, host, &[verb, flags].concat());
            return Some(Deed { verb: "run".to_owned(), object: image, line, host: name });
        }
        Effect::Pull { options, .. } => strings(&["pull", &options.reference.to_string()]),
        Effect::Push { options, .. } => {
            let tag = options.tag.as_ref().map(|tag| format!(":{tag}")).unwrap_or_default();
            strings(&["push", &format!("{}{tag}", options.repository)])
        }
        Effect::SaveImages { images, path, .. } => {
            let mut words = strings(&["save", "-o", &path.display().to_string()]);
            words.extend(images.iter().cloned());
            words
        }
        Effect::SaveVolume { volume, path, .. } => {
            strings(&["volume", "export", "-o", &path.display().to_string(), volume])
        }
        Effect::CopyFiles { request, .. } => {
            let row = app.containers.row_of(&request.container);
            let whose = row.map_or(request.container.as_str(), |row| &row.summary.name);
            let inside = format!("{whose}:{}", request.inside);
            match request.out {
                true => strings(&["cp", &inside, &request.outside]),
                false => strings(&["cp", &request.outside, &inside]),
            }
        }
        Effect::OpenTerminal { container, want, .. } => {
            let row = app.containers.row(container);
            let object = row.map_or(container.as_str(), |row| &row.summary.name).to_owned();
            let words: &[&str] = match want {
                Want::Shell { .. } => &["exec", "-it", &object, "sh"],
                Want::Toolbox { image } => &["debug", "--image", image, &object],
                Want::Attach { input: true } => &["attach", &object],
                Want::Attach { input: false } => &["attach", "--no-stdin", &object],
            };
            let line = line(app, host, &strings(words));
            return Some(Deed { verb: words[0].to_owned(), object, line, host: name });
        }
        Effect::Shell { name: object, line, .. } => {
            let (verb, object) = ("command".to_owned(), object.clone());
            return Some(Deed { verb, object, line: line.clone(), host: name });
        }
        _ => return None,
    };
    let nouns = ["network", "volume", "image", "container", "system"];
    let count = if words.first().is_some_and(|w| nouns.contains(&w.as_str())) { 2 } else { 1 };
    let verb = words.iter().take(count).cloned().collect::<Vec<_>>().join(" ");
    let object = words.iter().skip(count).next_back().cloned().unwrap_or_default();
    Some(Deed { verb, object, line: line(app, host, &words), host: name })
}

impl Effect {
    /// Returns the number that comes back with the result of what is written to the audit file.
    pub(crate) fn operation(&self) -> Option<u64> {
        match self {
            Self::At { effect, .. } => effect.operation(),
            Self::Execute { operation, .. }
            | Self::Run { operation, .. }
            | Self::Pull { operation, .. }
            | Self::Push { operation, .. }
            | Self::SaveImages { operation, .. }
            | Self::SaveVolume { operation, .. }
            | Self::CopyFiles { operation, .. }
            | Self::OpenTerminal { number: operation, .. }
            | Self::Shell { operation, .. } => Some(*operation),
            _ => None,
        }
    }

    /// Returns whether it may change anything but files of the user's that are made anew.
    pub fn changes(&self) -> bool {
        match self {
            Self::Execute { .. }
            | Self::Run { .. }
            | Self::Pull { .. }
            | Self::Push { .. }
            | Self::Shell { .. } => true,
            Self::OpenTerminal { want, .. } => want.changes(),
            Self::Terminal { ask, .. } => matches!(ask, TerminalAsk::Input(_)),
            Self::CopyFiles { request, .. } => !request.out,
            Self::At { effect, .. } => effect.changes(),
            Self::Quit
            | Self::Watch(_)
            | Self::Suspend
            | Self::Repaint
            | Self::Mouse(_)
            | Self::Copy(_)
            | Self::FetchContainers
            | Self::FetchImages
            | Self::FetchInfo
            | Self::FetchDocument(_)
            | Self::FetchTop(_)
            | Self::FetchHistory(_)
            | Self::FetchImageLayers
            | Self::FetchLayerChanges { .. }
            | Self::FetchImage(_)
            | Self::SaveImages { .. }
            | Self::Abort(_)
            | Self::FetchNetworks
            | Self::FetchLinks
            | Self::TryReach(_)
            | Self::FetchVolumes { .. }
            | Self::FetchFiles { .. }
            | Self::FetchFile { .. }
            | Self::SaveVolume { .. }
            | Self::OpenLog { .. }
            | Self::FetchDetail(_)
            | Self::FetchUsage
            | Self::FetchRecording { .. }
            | Self::FetchThen(_)
            | Self::FetchHealth { .. }
            | Self::FetchEvents
            | Self::FetchDetails(_)
            | Self::MeasureFolders { .. }
            | Self::Compare(..)
            | Self::CloseLog
            | Self::Log(_) => false,
        }
    }
}

/// Returns the command lines of several commands; those that differ only in their object become one.
pub(crate) fn lines<'c>(app: &App, commands: impl Iterator<Item = &'c Command>) -> Vec<String> {
    let mut list: Vec<Vec<String>> = Vec::new();
    let mut heads: Vec<(usize, usize)> = Vec::new();
    for command in commands {
        let host = host_of_command(app, command);
        let words = words(app, command);
        let head = words.len().saturating_sub(1);
        let same = |(list, n): &(&mut Vec<String>, &(usize, usize))| {
            head > 0 && **n == (host, head) && list[..head] == words[..head]
        };
        match list.iter_mut().zip(&heads).find(same) {
            Some((list, _)) => list.extend(words.last().cloned()),
            None => {
                list.push(words);
                heads.push((host, head));
            }
        }
    }
    list.iter().zip(heads).map(|(words, (host, _))| line(app, host, words)).collect()
}

/// Returns a command line of the current engine.
pub(crate) fn line_here(app: &App, words: &[&str]) -> String {
    line(app, app.hosts.current, &strings(words))
}

/// Returns the command line that shows what an action shows of the selected object, or that opens what
/// it opens; none for what has none.
pub(crate) fn line_of_look(app: &App, action: Action) -> Option<String> {
    let object = app.object()?;
    let name = object.name.as_str();
    let filter = format!("container={name}");
    let words: &[&str] = match (app.screen, action) {
        (Screen::Containers, Action::ShowLogs) => &["logs", name],
        (Screen::Containers, Action::ShowInspect) => &["inspect", name],
        (Screen::Containers, Action::ShowTop) => &["top", name],
        (Screen::Containers, Action::ShowStats) => &["stats", name],
        (Screen::Containers, Action::ShowFiles) => &["diff", name],
        (Screen::Containers, Action::ShowEvents) => &["events", "--filter", &filter],
        (Screen::Containers, Action::OpenShell) => &["exec", "-it", name, "sh"],
        (Screen::Containers, Action::OpenToolbox) => {
            &["debug", "--image", app.options.config.toolbox_image(), name]
        }
        (Screen::Containers, Action::Attach) => &["attach", name],
        (Screen::Images, Action::ShowInspect) => &["image", "inspect", name],
        (Screen::Images, Action::ShowLayers) => &["history", name],
        (Screen::Images, Action::RemoveImage) => &["rmi", name],
        (Screen::Volumes, Action::ShowInspect) => &["volume", "inspect", name],
        (Screen::Volumes, Action::RemoveVolume) => &["volume", "rm", name],
        (Screen::Networks, Action::ShowInspect) => &["network", "inspect", name],
        (Screen::Networks, Action::RemoveNetwork) => &["network", "rm", name],
        (Screen::Networks, Action::PruneNetworks) => &["network", "prune", "-f"],
        _ => return None,
    };
    Some(line(app, app.here(), &strings(words)))
}

/// Returns the command line of what is being typed, as far as it is known; none for what has none.
pub(crate) fn line_of_prompt(app: &App, prompt: &Prompt) -> Option<String> {
    let typed = prompt.input.text().trim();
    if typed.is_empty() {
        return None;
    }
    let of = |command: Command| lines(app, std::iter::once(&command)).pop();
    let here = |words: &[&str]| Some(line(app, app.hosts.current, &strings(words)));
    match &prompt.purpose {
        PromptFor::Rename { container } => {
            of(Command::Rename { container: container.as_str().to_owned(), name: typed.to_owned() })
        }
        PromptFor::Limits { container, name, .. } => {
            let mut all = strings(&["update"]);
            all.extend(shlex::split(typed)?);
            all.push(name.clone());
            Some(line(app, app.host_of(container.as_str()), &all))
        }
        PromptFor::Tag { image } => here(&["tag", image, typed]),
        PromptFor::PullImage => here(&["pull", typed]),
        PromptFor::SaveImages { images, .. } => {
            let mut all = vec!["save", "-o", typed];
            all.extend(images.iter().map(String::as_str));
            here(&all)
        }
        PromptFor::SaveVolume { volume } => here(&["volume", "export", "-o", typed, volume]),
        PromptFor::CreateVolume => here(&["volume", "create", typed]),
        PromptFor::CreateNetwork => {
            let options = crate::update::network_of(typed).ok()?;
            of(Command::CreateNetwork(Box::new(options)))
        }
        PromptFor::CopyFiles { container, name, inside, out } => {
            let inside = format!("{name}:{inside}");
            let words = if *out { ["cp", &inside, typed] } else { ["cp", typed, &inside] };
            Some(line(app, app.host_of(container.as_str()), &strings(&words)))
        }
        PromptFor::SaveLog | PromptFor::Instant | PromptFor::LogsAt | PromptFor::Reach { .. } => {
            None
        }
    }
}

fn line(app: &App, host: usize, words: &[String]) -> String {
    let words: Vec<String> =
        app.program(host).iter().chain(words).map(|word| quoted(word)).collect();
    sanitize_line(&words.join(" ")).into_owned()
}

/// Adds words to a command line.
fn add(line: &mut Vec<String>, words: &[&str]) {
    line.extend(words.iter().map(|word| (*word).to_owned()));
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Returns the words of a command. A container that is known is called by its name.
fn words(app: &App, command: &Command) -> Vec<String> {
    let named = |container: &String| -> String {
        let row = app.containers.row_of(container);
        row.map_or_else(|| container.clone(), |row| row.summary.name.clone())
    };
    let network = |id: &String| -> String {
        let topology = &app.networks.topology;
        topology.bus(id).map_or_else(|| id.clone(), |(_, bus)| bus.name.clone())
    };
    let mut words: Vec<String> = Vec::new();
    let filtered = |filters: &Filters| -> Vec<String> {
        let one = |name| filters.values(name).iter().map(move |value| format!("{name}={value}"));
        filters.keys().flat_map(one).flat_map(|f| ["--filter".to_owned(), f]).collect()
    };
    match command {
        Command::Start { container } => add(&mut words, &["start", &named(container)]),
        Command::Stop { container, timeout, signal }
        | Command::Restart { container, timeout, signal } => {
            let is_stop = matches!(command, Command::Stop { .. });
            add(&mut words, &[if is_stop { "stop" } else { "restart" }]);
            if let Some(timeout) = timeout {
                add(&mut words, &["--timeout", &timeout.to_string()]);
            }
            if let Some(signal) = signal {
                add(&mut words, &["--signal", signal]);
            }
            add(&mut words, &[&named(container)]);
        }
        Command::Kill { container, signal } => {
            add(&mut words, &["kill"]);
            if let Some(signal) = signal {
                add(&mut words, &["--signal", signal]);
            }
            add(&mut words, &[&named(container)]);
        }
        Command::Pause { container } => add(&mut words, &["pause", &named(container)]),
        Command::Unpause { container } => add(&mut words, &["unpause", &named(container)]),
        Command::Update { container, options } => {
            add(&mut words, &["update"]);
            for (flag, value) in update_flags(options) {
                add(&mut words, &[flag, &value]);
            }
            add(&mut words, &[&named(container)]);
        }
        Command::Remove { container, options } => {
            add(&mut words, &["rm"]);
            add(&mut words, if options.force { &["-f"] } else { &[] });
            add(&mut words, if options.volumes { &["-v"] } else { &[] });
            add(&mut words, &[&named(container)]);
        }
        Command::Rename { container, name } => {
            add(&mut words, &["rename", &named(container), name]);
        }
        Command::Prune { filters } => {
            add(&mut words, &["container", "prune", "-f"]);
            words.extend(filtered(filters));
        }
        Command::Tag { image, name } => {
            add(&mut words, &["tag", image, &ImageName::to_string(name)]);
        }
        Command::PruneImages { all, filters } => {
            add(&mut words, &["image", "prune", "-f"]);
            add(&mut words, if *all { &["-a"] } else { &[] });
            words.extend(filtered(filters));
        }
        Command::RemoveImage { image, force } => {
            add(&mut words, &["rmi"]);
            add(&mut words, if *force { &["-f"] } else { &[] });
            add(&mut words, &[image]);
        }
        Command::CreateNetwork(options) => {
            add(&mut words, &["network", "create"]);
            if options.driver != "bridge" && !options.driver.is_empty() {
                add(&mut words, &["-d", &options.driver]);
            }
            add(&mut words, if options.internal { &["--internal"] } else { &[] });
            for pool in &options.pools {
                let flags = [
                    ("--subnet", pool.subnet.map(|subnet| subnet.to_string())),
                    ("--gateway", pool.gateway.map(|gateway| gateway.to_string())),
                    ("--ip-range", pool.ip_range.map(|range| range.to_string())),
                ];
                for (flag, value) in flags {
                    add(
                        &mut words,
                        value.as_deref().map(|v| [flag, v]).as_ref().map_or(&[], |w| w),
                    );
                }
            }
            add(&mut words, &[&options.name]);
        }
        Command::RemoveNetwork { network: id, .. } => {
            add(&mut words, &["network", "rm", &network(id)]);
        }
        Command::Connect { container, endpoint } => {
            add(
                &mut words,
                &["network", "connect", &network(&endpoint.network), &named(container)],
            );
        }
        Command::Disconnect { container, network: id, force } => {
            add(&mut words, &["network", "disconnect"]);
            add(&mut words, if *force { &["-f"] } else { &[] });
            add(&mut words, &[&network(id), &named(container)]);
        }
        Command::PruneNetworks { filters } => {
            add(&mut words, &["network", "prune", "-f"]);
            words.extend(filtered(filters));
        }
        Command::CreateVolume(options) => {
            add(&mut words, &["volume", "create"]);
            add(&mut words, options.name.as_deref().as_slice());
        }
        // The command line has no way back: what the dashboard puts aside, it removes at once.
        Command::Discard { container } => add(&mut words, &["rm", "-f", &named(container)]),
        Command::CloneVolume { from, to } => add(&mut words, &["volume", "clone", from, to]),
        Command::RemoveVolume { volume, force } => {
            add(&mut words, &["volume", "rm"]);
            add(&mut words, if *force { &["-f"] } else { &[] });
            add(&mut words, &[volume]);
        }
        Command::PruneVolumes { all, filters } => {
            add(&mut words, &["volume", "prune", "-f"]);
            add(&mut words, if *all { &["-a"] } else { &[] });
            words.extend(filtered(filters));
        }
        // The dashboard asks for nothing else.
        _ => {}
    }
    words
}

/// Returns the flags of `update` that say what these options do.
pub(crate) fn update_flags(options: &UpdateOptions) -> Vec<(&'static str, String)> {
    let mut flags = Vec::new();
    let resources = &options.resources;
    if let Some(cpus) = resources.nano_cpus {
        flags.push(("--cpus", cpus_of(cpus)));
    }
    if let Some(quota) = resources.cpu_quota {
        flags.push(("--cpu-quota", quota.to_string()));
    }
    if let Some(memory) = resources.memory {
        flags.push(("--memory", memory_word(memory)));
    }
    if let Some(swap) = resources.memory_swap {
        let word = u64::try_from(swap).map_or_else(|_| swap.to_string(), memory_word);
        flags.push(("--memory-swap", word));
    }
    if options.unlimited_pids {
        flags.push(("--pids-limit", "-1".to_owned()));
    } else if let Some(pids) = resources.pids_limit {
        flags.push(("--pids-limit", pids.to_string()));
    }
    if let Some(policy) = options.restart_policy {
        flags.push(("--restart", policy_word(policy)));
    }
    flags
}

/// Returns bytes as `--memory` takes them: in the largest unit that leaves none over.
pub(crate) fn memory_word(bytes: u64) -> String {
    for (shift, unit) in [(30, "g"), (20, "m"), (10, "k")] {
        if bytes > 0 && bytes.trailing_zeros() >= shift {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    bytes.to_string()
}

/// Returns billionths of CPUs as people write them.
pub(crate) fn cpus_of(nano: u64) -> String {
    let text = format!("{}.{:09}", nano / 1_000_000_000, nano % 1_000_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Returns a restart policy as `--restart` takes it.
pub(crate) fn policy_word(policy: RestartPolicy) -> String {
    match policy.maximum_retries {
        0 => policy.kind.as_str().to_owned(),
        most => format!("{}:{most}", policy.kind.as_str()),
    }
}
