//! The palette: any action and any object by a few letters of its name.

use crate::app::{App, Chosen, Column, Goal, ImageRow, Item, Link, Overlay, Palette, Screen};
use crate::app::{Choice, topology::Node};
use crate::keymap::Action;
use crate::message::Effect;

use super::{act, arrange, columns, enter, networks};

/// Most entries that are shown.
const MOST: usize = 200;

/// Opens the palette. Networks and volumes can be named though nobody has looked at their screens yet.
pub(super) fn open(app: &mut App) -> Vec<Effect> {
    app.overlays.push(Overlay::Palette(Palette::default()));
    search(app);
    let mut effects = Vec::new();
    if app.hosts.get(app.hosts.current).link == Link::Up {
        let networks = app.networks.listing.due();
        effects.extend(networks.then_some(Effect::FetchNetworks));
        let volumes = app.volumes.listing.due();
        effects.extend(volumes.then_some(Effect::FetchVolumes { sizes: false }));
    }
    effects
}

/// Finds what matches among objects that have come meanwhile, if the palette is open; what was chosen stays so.
pub(super) fn search_again(app: &mut App) {
    let chosen = |app: &App| match app.overlays.last() {
        Some(Overlay::Palette(palette)) => Some(palette.found.get(palette.at)?.choice.clone()),
        _ => None,
    };
    let before = chosen(app);
    search(app);
    if let Some(Overlay::Palette(palette)) = app.overlays.last_mut() {
        let same = palette.found.iter().position(|item| Some(&item.choice) == before.as_ref());
        palette.at = same.unwrap_or(0);
    }
}

/// Finds what matches what is typed.
pub(super) fn search(app: &mut App) {
    let Some(Overlay::Palette(palette)) = app.overlays.last() else { return };
    let typed = palette.input.text().to_lowercase();
    let whole = palette.input.text();
    let mut entries = actions(app);
    // With nothing typed, what can be done here; objects are looked for by their names.
    if !typed.is_empty() {
        objects(app, &mut entries);
    }
    let mut found: Vec<(i32, usize, Item)> = Vec::new();
    let can = entries.len();
    if !typed.is_empty() {
        // Who names what can't be done now learns why, and doesn't do what is called almost so.
        found.extend(
            impossible(app, &typed)
                .into_iter()
                .enumerate()
                .map(|(n, (score, item))| (-score, can + n, item)),
        );
    }
    let mut called = !found.is_empty();
    for (n, item) in entries.into_iter().enumerate() {
        // `:q` is in many fingers: a whole key name wins. With nothing typed, the order is the
        // keymap's.
        let by_key = match whole {
            "" => Some(0),
            text => (item.key == text).then_some(1000),
        };
        let names = [Some(item.text.to_lowercase()), tab_name(&item.choice)];
        // A screen comes before a tab of its name.
        let by_name = (0..).zip(names.iter().flatten());
        let by_name = by_name.filter_map(|(n, name)| Some(score(&typed, name)? - n)).max();
        if let Some(score) = by_key.or(by_name) {
            called |= names.iter().flatten().any(|name| name.contains(&typed));
            found.push((-score, n, item));
        }
    }
    // Where something is called so, what has the letters only here and there isn't meant.
    if called {
        found.retain(|(_, _, item)| {
            let name = item.text.to_lowercase();
            name.contains(&typed)
                || item.key == whole
                || tab_name(&item.choice).is_some_and(|tab| tab.contains(&typed))
        });
    }
    found.sort_by_key(|(score, n, _)| (*score, *n));
    found.truncate(MOST);
    if let Some(Overlay::Palette(palette)) = app.overlays.last_mut() {
        palette.found = found.into_iter().map(|(_, _, item)| item).collect();
        palette.at = 0;
    }
}

/// Returns what the tab is called that an action shows: `:logs` is in many fingers.
fn tab_name(choice: &Choice) -> Option<String> {
    let Choice::Action(action) = choice else { return None };
    Some(act::tab_of(*action)?.title().to_lowercase())
}

/// Returns all that can be done here.
fn actions(app: &App) -> Vec<Item> {
    let mut list: Vec<Item> = Vec::new();
    let has = |list: &[Item], action: Action| {
        list.iter().any(|item| item.choice == Choice::Action(action))
    };
    for (binding, keys) in app.keymap.effective(app.main_contexts()) {
        let moves = binding.context == crate::keymap::Context::Move;
        let idle = matches!(binding.action, Action::Palette | Action::Back | Action::Menu);
        let known = has(&list, binding.action);
        if moves || idle || known || app.can(binding.action).is_err() {
            continue;
        }
        let key = keys.first().map(|k| k.name()).unwrap_or_default();
        let text = act::words(app, binding.action, &binding.text);
        list.push(Item { key, text, choice: Choice::Action(binding.action) });
    }
    // The tabs can be named from anywhere on their screen.
    if app.screen == Screen::Containers {
        for (name, action) in [
            ("show its charts", Action::ShowStats),
            ("show its log", Action::ShowLogs),
            ("inspect it", Action::ShowInspect),
            ("show what its probes say", Action::ShowHealth),
            ("show its processes", Action::ShowTop),
            ("look into its files", Action::ShowFiles),
            ("show what happened to it", Action::ShowEvents),
        ] {
            if !has(&list, action) {
                let choice = Choice::Action(action);
                list.push(Item { key: String::new(), text: name.to_owned(), choice });
            }
        }
        let columns = Column::ALL.into_iter();
        for column in columns.filter(|c| *c != Column::Host || app.hosts.several()) {
            let text = format!("sort by {}", column.word());
            let choice = Choice::Go(Goal::Sort(column));
            list.push(Item { key: String::new(), text, choice });
        }
    }
    list
}

/// Returns what is called so and can't be done now, with the reason.
fn impossible(app: &App, typed: &str) -> Vec<(i32, Item)> {
    let mut list: Vec<(i32, Item)> = Vec::new();
    for (binding, keys) in app.keymap.effective(app.main_contexts()) {
        let choice = Choice::Action(binding.action);
        let Err(reason) = app.can(binding.action) else { continue };
        let text = act::words(app, binding.action, &binding.text);
        let name = text.to_lowercase();
        if !name.contains(typed) || list.iter().any(|(_, item)| item.choice == choice) {
            continue;
        }
        let Some(score) = score(typed, &name) else { continue };
        let key = keys.first().map(|k| k.name()).unwrap_or_default();
        list.push((score - 150, Item { key, text: format!("{text}  ({reason})"), choice }));
    }
    list
}

/// Adds all objects that are known.
fn objects(app: &App, list: &mut Vec<Item>) {
    let mut add = |kind: &str, name: &str, goal: Goal| {
        let (key, text) = (String::new(), format!("{name}  {kind}"));
        list.push(Item { key, text, choice: Choice::Go(goal) });
    };
    for row in &app.containers.rows {
        add("container", &app.called(row), Goal::Container(row.summary.id.clone()));
    }
    for group in &app.containers.groups {
        add("group", &group.name, Goal::Group(group.name.clone()));
    }
    for row in app.images.rows.iter().filter(|row| row.name.is_some()) {
        add("image", &ImageRow::label(row), Goal::Image(ImageRow::reference(row)));
    }
    for row in &app.volumes.rows {
        add("volume", &row.label, Goal::Volume(row.info.name.clone()));
    }
    let drawn = &app.networks.topology;
    for bus in &drawn.buses {
        add("network", &bus.name, Goal::Network(bus.key.clone()));
    }
    // The drawing is made when it is looked at.
    for network in app.networks.list().iter().filter(|network| drawn.bus(&network.id).is_none()) {
        add("network", &network.name, Goal::Network(network.id.clone()));
    }
}

/// Goes to an object.
pub(super) fn go(app: &mut App, goal: Goal) -> Vec<Effect> {
    let chosen = match goal {
        Goal::Sort(column) => {
            columns::sort_by(app, column);
            return Vec::new();
        }
        Goal::Container(id) => Chosen::Container(id),
        Goal::Group(name) => Chosen::Group(name),
        Goal::Image(reference) => {
            enter(app, Screen::Images);
            app.images.filter.clear();
            app.images.selected = Some(reference);
            arrange(app);
            return Vec::new();
        }
        Goal::Volume(name) => {
            enter(app, Screen::Volumes);
            app.volumes.filter.clear();
            app.volumes.selected = Some(name);
            arrange(app);
            return Vec::new();
        }
        Goal::Network(id) => {
            enter(app, Screen::Networks);
            app.networks.filter.clear();
            arrange(app);
            networks::select(app, Node::Bus(id));
            return Vec::new();
        }
    };
    enter(app, Screen::Containers);
    let list = &mut app.containers;
    list.filter.clear();
    if let Chosen::Container(id) = &chosen {
        let row = list.rows.iter().find(|row| row.summary.id == *id);
        let project = row.and_then(|row| row.project.clone());
        // What is looked for is to be seen.
        list.all |= row.is_some_and(|row| !row.summary.status.is_alive());
        list.only = list.only.filter(|host| row.is_none_or(|row| row.host == *host));
        if let Some(project) = project {
            list.folded.remove(&project);
        }
    }
    list.selected = Some(chosen);
    arrange(app);
    Vec::new()
}

/// Returns how well a name has the typed letters in their order; greater is better.
fn score(typed: &str, name: &str) -> Option<i32> {
    let mut letters = typed.chars().filter(|c| !c.is_whitespace()).peekable();
    let mut score = 0;
    let mut run = 0;
    let mut before = ' ';
    for letter in name.chars() {
        if letters.peek() == Some(&letter) {
            letters.next();
            run += 1;
            score += run * 2 + if before.is_alphanumeric() { 0 } else { 8 };
        } else {
            run = 0;
        }
        before = letter;
    }
    // What has all that is typed as it stands is meant, at the beginning above all.
    let before = |at: usize| name[..at].chars().next_back();
    let whole = match name.find(typed) {
        Some(0) => 400,
        Some(at) if before(at).is_some_and(|c| !c.is_alphanumeric()) => 300,
        _ => 0,
    };
    let length = i32::try_from(name.len()).unwrap_or(i32::MAX);
    letters.peek().is_none().then(|| score * 4 + whole - length / 4)
}

/// Takes an action in the palette.
pub(super) fn act(app: &mut App, action: Action) -> Vec<Effect> {
    let Some(Overlay::Palette(palette)) = app.overlays.last_mut() else { return Vec::new() };
    let last = palette.found.len().saturating_sub(1);
    match action {
        Action::NextChoice => palette.at = if palette.at < last { palette.at + 1 } else { 0 },
        Action::PreviousChoice => palette.at = palette.at.checked_sub(1).unwrap_or(last),
        Action::Complete => {
            if let Some(item) = palette.found.get(palette.at) {
                let text = item.text.split("  ").next().unwrap_or_default().to_owned();
                palette.input = crate::app::Input::new(text);
                search(app);
            }
        }
        // That nothing is called so stands there.
        Action::Accept if palette.found.is_empty() => {}
        Action::Accept => {
            let chosen = palette.found.get(palette.at).map(|item| item.choice.clone());
            app.overlays.pop();
            return match chosen {
                Some(Choice::Action(action)) => act::main(app, action),
                Some(Choice::Go(goal)) => go(app, goal),
                _ => Vec::new(),
            };
        }
        _ => {}
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::score;

    #[test]
    fn letters_count_in_order_and_word_starts_most() {
        assert!(score("rst", "restart the container").is_some());
        assert!(score("xyz", "restart the container").is_none());
        assert!(score("quit", "quit") > score("quit", "quit at once"));
        assert!(score("rm", "remove") > score("rm", "charm"));
        assert!(score("shop", "shop  group") > score("shop", "show its processes"));
        assert!(score("", "anything").is_some());
        assert!(score("sto", "stop the container") > score("sto", "reverse the order"));
        assert!(score("order", "reverse the order") > score("order", "to the order of read"));
    }
}
