//! Keys while something is typed, or while a dialog lies over the screen.

use std::path::PathBuf;

use wharf_model::{Command, ImageName};

use crate::app::{
    App, Choice, Confirm, Consent, LineFor, Overlay, Page, Pending, PromptFor, Target,
};
use crate::keymap::{Action, Key};
use crate::message::{Effect, LogAsk};

use super::{
    act, arrange, charts, columns, commands, custom, detail, edits, files, hosts, images, input,
    logs, networks, palette, terminals, volumes,
};

/// Takes an action while a line is typed in the footer.
pub(super) fn act_line(app: &mut App, action: Action) -> Vec<Effect> {
    match action {
        Action::EraseLine | Action::EraseWord => erase(app, action),
        Action::Cancel => {
            let Some(line) = app.line.take() else { return Vec::new() };
            if line.purpose == LineFor::Filter {
                set_filter(app, line.before);
            }
            Vec::new()
        }
        Action::Accept => {
            let Some(line) = app.line.take() else { return Vec::new() };
            let text = line.input.text().to_owned();
            match line.purpose {
                LineFor::Filter => {
                    set_filter(app, text);
                    Vec::new()
                }
                LineFor::LogSearch => match logs::search(app, &text) {
                    Ok(effects) => effects,
                    Err(reason) => {
                        app.line = Some(line);
                        app.tell(reason);
                        Vec::new()
                    }
                },
                LineFor::TreeSearch => {
                    detail::search(app, &text);
                    Vec::new()
                }
            }
        }
        _ => Vec::new(),
    }
}

fn erase(app: &mut App, action: Action) -> Vec<Effect> {
    if let Some(input) = input(app) {
        match action {
            Action::EraseLine => input.erase_line(),
            _ => input.erase_word(),
        }
    }
    super::typed(app)
}

/// Shows at once what a filter leaves.
pub(super) fn line_changed(app: &mut App) -> Vec<Effect> {
    let filter = app
        .line
        .as_ref()
        .filter(|l| l.purpose == LineFor::Filter)
        .map(|l| l.input.text().to_owned());
    if let Some(filter) = filter {
        set_filter(app, filter);
    }
    Vec::new()
}

fn set_filter(app: &mut App, filter: String) {
    app.set_filter(filter);
    arrange(app);
}

/// Takes an action in the topmost dialog.
pub(super) fn act_overlay(app: &mut App, action: Action) -> Vec<Effect> {
    if matches!(action, Action::EraseLine | Action::EraseWord) {
        return erase(app, action);
    }
    let (limit, page) = crate::view::overlay_scroll(app);
    if matches!(app.overlays.last(), Some(Overlay::Transfer { .. })) {
        return images::act_transfer(app, action, limit);
    }
    if matches!(action, Action::Cancel | Action::AnswerNo) {
        app.overlays.pop();
        return Vec::new();
    }
    if action == Action::CopyCommand && !matches!(app.overlays.last(), Some(Overlay::Run(_))) {
        let line = match app.overlays.last() {
            Some(Overlay::Confirm(confirm)) => confirm.lines.join("\n"),
            Some(Overlay::Menu(menu)) => menu.lines.get(menu.at).cloned().unwrap_or_default(),
            _ => String::new(),
        };
        if line.is_empty() {
            app.tell("this has no command line");
            return Vec::new();
        }
        return act::copied(app, line);
    }
    match app.overlays.last_mut() {
        Some(
            Overlay::Help { scroll }
            | Overlay::Errors { scroll }
            | Overlay::Page(Page { scroll, .. }),
        ) => {
            read(scroll, action, limit, page);
            Vec::new()
        }
        Some(Overlay::Menu(menu)) => {
            let last = menu.items.len().saturating_sub(1);
            match action {
                Action::NextChoice => menu.at = if menu.at < last { menu.at + 1 } else { 0 },
                Action::PreviousChoice => menu.at = menu.at.checked_sub(1).unwrap_or(last),
                Action::PageDown => menu.at = (menu.at + page).min(last),
                Action::PageUp => menu.at = menu.at.saturating_sub(page),
                Action::First => menu.at = 0,
                Action::Last => menu.at = last,
                Action::Accept => return choose(app),
                _ => {}
            }
            Vec::new()
        }
        Some(Overlay::Confirm(confirm)) => {
            match action {
                Action::NextChoice | Action::PreviousChoice => {
                    confirm.consent = match confirm.consent {
                        Consent::Cancel => Consent::Yes,
                        Consent::Yes => Consent::Cancel,
                    };
                }
                Action::Down => confirm.scroll = (confirm.scroll + 1).min(limit),
                Action::Up => confirm.scroll = confirm.scroll.saturating_sub(1),
                Action::AnswerYes => return consent(app),
                Action::Accept if confirm.consent == Consent::Yes => return consent(app),
                Action::Accept => {
                    app.overlays.pop();
                }
                _ => {}
            }
            Vec::new()
        }
        Some(Overlay::Prompt(_)) if action == Action::Accept => answer(app),
        Some(Overlay::Palette(_)) => palette::act(app, action),
        Some(Overlay::Run(_)) => images::act_form(app, action),
        Some(Overlay::Columns(_)) => columns::act(app, action),
        _ => Vec::new(),
    }
}

/// Does what the topmost menu shows a key for; none if it shows none.
pub(super) fn key_of_menu(app: &mut App, key: Key) -> Option<Vec<Effect>> {
    if app.line.is_some() {
        return None;
    }
    let Some(Overlay::Menu(menu)) = app.overlays.last_mut() else { return None };
    let name = key.name();
    menu.at = menu.items.iter().position(|item| item.key == name)?;
    Some(choose(app))
}

fn read(scroll: &mut usize, action: Action, limit: usize, page: usize) {
    *scroll = match action {
        Action::Down => *scroll + 1,
        Action::Up => scroll.saturating_sub(1),
        Action::PageDown => *scroll + page,
        Action::PageUp => scroll.saturating_sub(page),
        Action::First => 0,
        Action::Last => limit,
        _ => *scroll,
    }
    .min(limit);
}

/// Does what the menu has selected.
pub(super) fn choose(app: &mut App) -> Vec<Effect> {
    let Some(Overlay::Menu(menu)) = app.overlays.pop() else { return Vec::new() };
    match menu.items.get(menu.at).map(|item| item.choice.clone()) {
        Some(Choice::Action(action)) => act::main(app, action),
        Some(Choice::Signal(signal)) => commands::signal(app, signal),
        Some(Choice::Bulk(action)) => commands::bulk(app, action),
        Some(Choice::Connect { container, network }) => {
            networks::connect(app, &container, &network)
        }
        Some(Choice::Disconnect { container, network }) => {
            networks::ask_to_disconnect(app, &container, &network);
            Vec::new()
        }
        Some(Choice::Reach { from, to }) => {
            networks::ask_port(app, from, to);
            Vec::new()
        }
        Some(Choice::PruneImages { all }) => {
            images::ask_to_prune(app, all);
            Vec::new()
        }
        Some(Choice::Push { name }) => images::push(app, &name),
        Some(Choice::Transfer(operation)) => {
            if app.transfers.iter().any(|transfer| transfer.operation == operation) {
                app.overlays.push(Overlay::Transfer { operation, scroll: 0 });
            }
            Vec::new()
        }
        Some(Choice::Go(goal)) => palette::go(app, goal),
        Some(Choice::Host(host)) => {
            hosts::chosen(app, Some(host));
            Vec::new()
        }
        Some(Choice::AllHosts) => {
            hosts::chosen(app, None);
            Vec::new()
        }
        Some(Choice::Shell(number)) => {
            terminals::go_to(app, number);
            Vec::new()
        }
        Some(Choice::PruneVolumes { all }) => {
            volumes::ask_to_prune(app, all);
            Vec::new()
        }
        None => Vec::new(),
    }
}

/// Does what was asked about.
pub(super) fn consent(app: &mut App) -> Vec<Effect> {
    match app.overlays.pop() {
        Some(Overlay::Confirm(Confirm { custom: Some((name, line)), .. })) => {
            custom::run(app, name, line)
        }
        Some(Overlay::Confirm(confirm)) => {
            let mut effects = commands::give(app, confirm.commands);
            effects.extend(confirm.effects);
            effects
        }
        _ => Vec::new(),
    }
}

/// Takes the text that was asked for, or says what is wrong with it.
fn answer(app: &mut App) -> Vec<Effect> {
    let Some(Overlay::Prompt(prompt)) = app.overlays.last_mut() else { return Vec::new() };
    let text = prompt.input.text().trim().to_owned();
    match prompt.purpose.clone() {
        PromptFor::Tag { image } => match text.parse::<ImageName>() {
            Err(e) => {
                prompt.error = Some(e.to_string());
                Vec::new()
            }
            Ok(name) => {
                app.overlays.pop();
                let pending = Pending {
                    on: Target::Image(image.clone()),
                    doing: "tagging",
                    what: format!("tag {image} as {name}"),
                    undoable: false,
                };
                commands::give(app, vec![(pending, Command::Tag { image, name })])
            }
        },
        PromptFor::LogsAt => match crate::app::instant(&text, app.now) {
            Err(e) => {
                prompt.error = Some(e);
                Vec::new()
            }
            Ok(time) => {
                app.overlays.pop();
                logs::go_to(app, time)
            }
        },
        PromptFor::CreateNetwork => match networks::parse(&text) {
            Err(e) => {
                prompt.error = Some(e);
                Vec::new()
            }
            Ok(options) => {
                app.overlays.pop();
                networks::create(app, options)
            }
        },
        PromptFor::Rename { container } => match edits::unfit_name(app, &container, &text) {
            // The dialog stays: what is typed next would be keys of the list.
            Some(why) => {
                if let Some(Overlay::Prompt(prompt)) = app.overlays.last_mut() {
                    prompt.error = Some(why);
                }
                Vec::new()
            }
            None => {
                app.overlays.pop();
                edits::rename(app, &container, &text)
            }
        },
        PromptFor::Limits { .. } => edits::take_limits(app),
        PromptFor::Instant => match charts::jump(app, &text) {
            Ok(()) => {
                app.overlays.pop();
                Vec::new()
            }
            Err(reason) => {
                if let Some(Overlay::Prompt(prompt)) = app.overlays.last_mut() {
                    prompt.error = Some(reason);
                }
                Vec::new()
            }
        },
        PromptFor::CreateVolume => {
            app.overlays.pop();
            volumes::create(app, &text)
        }
        PromptFor::Reach { from, name, to } => {
            match networks::question(&from, to.as_ref(), &text) {
                Err(e) => {
                    prompt.error = Some(e);
                    Vec::new()
                }
                Ok(question) => {
                    app.overlays.pop();
                    app.tell(format!("{name} tries to connect"));
                    vec![Effect::TryReach(question)]
                }
            }
        }
        PromptFor::PullImage => match images::pull(app, &text) {
            Err(why) => {
                if let Some(Overlay::Prompt(prompt)) = app.overlays.last_mut() {
                    prompt.error = Some(why);
                }
                Vec::new()
            }
            Ok(effects) => effects,
        },
        PromptFor::SaveImages { images, what, bytes } if !text.is_empty() => {
            app.overlays.pop();
            images::save(app, images, what, bytes, &text)
        }
        PromptFor::CopyFiles { container, name, inside, out } if !text.is_empty() => {
            app.overlays.pop();
            files::copy(app, &container, &name, (inside, out), &text)
        }
        PromptFor::CopyFiles { .. } => {
            prompt.error = Some("a path is needed".to_owned());
            Vec::new()
        }
        PromptFor::SaveVolume { volume } if !text.is_empty() => {
            app.overlays.pop();
            volumes::save(app, volume, &text)
        }
        PromptFor::SaveLog | PromptFor::SaveVolume { .. } | PromptFor::SaveImages { .. }
            if text.is_empty() =>
        {
            prompt.error = Some("a file needs a name".to_owned());
            Vec::new()
        }
        PromptFor::SaveLog | PromptFor::SaveVolume { .. } | PromptFor::SaveImages { .. } => {
            app.overlays.pop();
            app.tell(format!("saving to {text}"));
            vec![Effect::Log(LogAsk::Save { path: PathBuf::from(text), times: app.logs.times })]
        }
    }
}
