//! Panes, groups, columns, settings, the palette, command lines, and what can be taken back.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use wharf_backend::fake::{Fake, container};
use wharf_model::{
    Command, EngineInfo, FileEntry, FileKind, FolderList, Outcome, RestartKind, RestartPolicy,
    Status, UpdateOptions,
};
use wharf_ui::app::{Column, Focus, Overlay, Screen, Tab};
use wharf_ui::config::{Config, read};
use wharf_ui::keymap::Keymap;
use wharf_ui::{Effect, Msg, Options, ShellOutput};

use super::support::{Desk, key};
use super::{event, plain};

fn with(config: &str, size: (u16, u16)) -> Desk {
    let (config, problems) = read(config);
    assert_eq!(problems, []);
    Desk::new(plain().with(config), size)
}

fn executed(effects: &[Effect]) -> Vec<Command> {
    let command = |effect: &Effect| match effect {
        Effect::Execute { command, .. } => Some(command.clone()),
        _ => None,
    };
    effects.iter().filter_map(command).collect()
}

/// Answers all commands that were given.
fn answer(desk: &mut Desk, effects: &[Effect], outcome: &Outcome) {
    for effect in effects {
        if let Effect::Execute { operation, .. } = effect {
            desk.send(Msg::Done { operation: *operation, result: Ok(outcome.clone()) });
        }
    }
}

#[test]
fn screens_at_three_sizes() {
    for (columns, rows) in [(80, 24), (120, 40), (200, 60)] {
        let shot = |name: &str, desk: &Desk| {
            insta::assert_snapshot!(format!("{name}-{columns}x{rows}"), desk.screen());
        };
        let mut desk = Desk::new(plain(), (columns, rows));
        for action in ["create", "start", "die"] {
            desk.raw(event(action));
        }
        shot("panes", &desk);
        desk.keys("gz");
        shot("group", &desk);
        desk.keys("zd");
        shot("group-remove", &desk);
        desk.keys("\x1b\n");
        shot("group-menu", &desk);
        desk.keys("\x1bC");
        shot("columns", &desk);
        desk.keys("\x1b:sh");
        shot("palette", &desk);
        desk.keys("\x1b5");
        shot("events", &desk);
        desk.keys("6");
        shot("system", &desk);
    }
}

#[test]
fn several_panes_are_seen_where_there_is_room_and_take_the_keys_in_turn() {
    let mut desk = Desk::new(plain(), (120, 40));
    assert!(desk.screen().contains("Memory") && desk.screen().contains("following"));
    // A tab in sight gets the keys, another takes the place of the one that has them.
    desk.keys("l");
    assert_eq!((desk.app.tab(), desk.app.focus), (Tab::Logs, Focus::Detail));
    desk.keys("i");
    assert_eq!(desk.app.panes().tabs(), [Tab::Stats, Tab::Inspect]);
    desk.press("Ctrl-w".parse().unwrap());
    assert_eq!(desk.app.focus, Focus::List);
    desk.press("Ctrl-w".parse().unwrap());
    assert_eq!((desk.app.tab(), desk.app.focus), (Tab::Stats, Focus::Detail));
    desk.keys("+");
    assert!(!desk.screen().contains("─ Inspect ─"), "zoomed, it is alone");
    desk.keys("c");
    assert_eq!(desk.app.focus, Focus::Detail, "the list is out of sight");
    desk.keys("_|");
    assert_eq!(desk.app.panes().tabs(), [Tab::Inspect]);
    desk.keys("\\");
    assert_eq!(desk.app.panes().tabs(), [Tab::Inspect, Tab::Health]);
    // At 80 columns one at a time.
    desk.send(Msg::Resize(80, 24));
    let screen = desk.screen();
    assert!(screen.contains("[Health]") && !screen.contains("─[Health]"), "{screen}");
}

#[test]
fn what_is_not_in_sight_is_not_asked_for() {
    let mut desk = Desk::new(plain(), (80, 24));
    assert!(!desk.app.logs.is_open(), "no log is open while the charts alone are seen");
    desk.send(Msg::Resize(120, 40));
    assert!(desk.app.logs.is_open());
    let effects = desk.send(Msg::Resize(80, 24));
    assert!(effects.contains(&Effect::CloseLog), "{effects:?}");
}

#[test]
fn a_group_is_told_with_its_sum_and_steered_as_a_whole() {
    let mut desk = Desk::new(plain(), (120, 40));
    desk.keys("g");
    let screen = desk.screen();
    let row = screen.lines().find(|line| line.contains("▾ shop")).unwrap();
    assert!(row.contains("3 of 3") && row.contains('%'), "{row}");
    assert!(executed(&desk.keys("r")).is_empty(), "it asks first");
    assert_eq!(executed(&desk.keys("y")).len(), 3);
    let mut desk = Desk::new(plain(), (120, 40));
    desk.keys("gd");
    let screen = desk.screen();
    assert!(screen.contains("Remove 3 containers of shop?"), "{screen}");
    for name in ["api-1", "db-1", "web-1"] {
        assert!(screen.contains(&format!("  {name}, running")), "{name}\n{screen}");
    }
    assert!(desk.keys("\n").is_empty(), "the default is to cancel");
    desk.keys("d");
    let commands = executed(&desk.keys("y"));
    assert_eq!(commands.len(), 3);
    assert!(commands.iter().all(|c| matches!(c, Command::Remove { .. })));
}

#[test]
fn a_folded_group_hides_its_containers() {
    let mut desk = Desk::new(plain(), (80, 24));
    desk.keys("z");
    let list = |desk: &Desk| desk.screen().lines().skip(3).take(9).collect::<String>();
    assert!(!list(&desk).contains("api-1") && list(&desk).contains("▸ shop"), "{}", desk.screen());
    assert_eq!(desk.app.about(), Some("group shop".to_owned()));
    desk.keys("\x1b[C\x1b[C");
    assert_eq!(desk.app.selected().unwrap().summary.name, "api-1");
    desk.keys("\x1b[D\x1b[D");
    assert!(desk.screen().contains("▸ shop"));
    desk.keys("B");
    assert!(!list(&desk).contains(" shop ") && list(&desk).contains("api-1"), "{}", desk.screen());
}

#[test]
fn a_filter_selects_the_first_container_that_it_leaves() {
    let mut desk = Desk::new(plain(), (80, 24));
    let selected = |desk: &Desk| desk.app.selected().map(|row| row.summary.name.clone());
    desk.keys("/web-1\n");
    assert_eq!(selected(&desk).as_deref(), Some("web-1"));
    // Of the same group, which is still there, but it is no longer.
    desk.keys("\x1b/db-1\n");
    assert_eq!(selected(&desk).as_deref(), Some("db-1"), "{}", desk.screen());
    desk.keys("\x1bG/shop\n");
    assert_eq!(selected(&desk).as_deref(), Some("api-1"), "{}", desk.screen());
}

#[test]
fn a_toolbox_is_called_after_the_container_it_is_beside() {
    let fake = Fake::new();
    let web = container(1, "web", "nginx", Status::Running);
    let mut beside = container(2, "brave_euler", "busybox", Status::Running);
    beside.labels.insert(wharf_model::TOOLBOX.to_owned(), web.id.to_string());
    fake.put(web);
    fake.put(beside);
    let desk = Desk::with(fake, plain(), (80, 24));
    let screen = desk.screen();
    let named =
        |name: &str| screen.lines().any(|line| line.contains("running") && line.contains(name));
    assert!(named("toolbox of web") && !named("brave_euler"), "{screen}");
}

#[test]
fn columns_are_chosen_ordered_and_sorted_by() {
    let mut desk = Desk::new(plain(), (120, 40));
    // No health, and the name first.
    desk.keys("Cj jKK\n");
    let chosen = desk.app.columns.clone().unwrap();
    assert_eq!(chosen[..2], [Column::Name, Column::State]);
    assert!(!chosen.contains(&Column::Health));
    let screen = desk.screen();
    let head = screen.lines().nth(2).unwrap();
    assert!(head.trim_start().starts_with("NAME") && !head.contains("HEALTH"), "{head}");
    desk.keys("C");
    while !matches!(desk.app.overlays.last(), Some(Overlay::Columns(c))
        if c.list[c.at].0 == Column::Memory)
    {
        desk.keys("j");
    }
    desk.keys("o\x1b");
    assert_eq!((desk.app.containers.sort, desk.app.containers.reversed), (Column::Memory, false));
    let screen = with("columns = [\"name\", \"restarts\"]", (80, 24)).screen();
    assert!(screen.lines().nth(2).unwrap().trim().starts_with("NAME"), "{screen}");
    assert!(screen.contains("RESTARTS"));
}

#[test]
fn other_keys_are_in_force_and_told_everywhere() {
    let mut desk = with("preset = \"k9s\"\n[keys.containers]\nstop = \"F9\"\n", (100, 60));
    assert!(desk.screen().contains("F9 stop"), "{}", desk.screen());
    assert!(executed(&desk.keys("p")).is_empty());
    assert_eq!(executed(&desk.press("F9".parse().unwrap())).len(), 1);
    desk.keys("?");
    let screen = desk.screen();
    assert!(screen.contains("F9") && screen.contains("Ctrl-k"), "{screen}");
}

#[test]
fn the_palette_finds_objects_and_goes_there() {
    let mut desk = Desk::new(plain(), (80, 24));
    desk.keys("z3:db-1\n");
    assert_eq!(desk.app.screen, Screen::Containers);
    assert_eq!(desk.app.selected().unwrap().summary.name, "db-1", "its group is unfolded");
    desk.keys(":postgres\n");
    assert_eq!(desk.app.screen, Screen::Images);
    assert!(desk.app.about().unwrap().contains("postgres"));
    desk.keys(":events\n");
    assert_eq!(desk.app.screen, Screen::Events);
    desk.keys(":system\n");
    assert_eq!(desk.app.screen, Screen::System);
}

#[test]
fn every_action_tells_its_command_line() {
    let mut desk = Desk::new(plain(), (100, 40));
    desk.keys("\n");
    assert!(desk.screen().contains("$ wharf stop api-1"), "{}", desk.screen());
    let effects = desk.press("Ctrl-y".parse().unwrap());
    assert_eq!(effects, [Effect::Copy("wharf stop api-1".to_owned())]);
    desk.keys("\x1bd");
    assert!(desk.screen().contains("$ wharf rm -f api-1"), "{}", desk.screen());
    desk.keys("\x1bK");
    assert!(desk.screen().contains("$ wharf kill --signal TERM api-1"), "{}", desk.screen());
    desk.keys("\x1b");
    let effects = desk.keys("r");
    answer(&mut desk, &effects, &Outcome::Done);
    assert!(desk.screen().contains("restart api-1: done   wharf restart api-1"));
    let effects = desk.press("Ctrl-y".parse().unwrap());
    assert_eq!(effects, [Effect::Copy("wharf restart api-1".to_owned())]);
}

#[test]
fn a_command_of_ones_own_asks_runs_and_shows_what_it_wrote() {
    let config = "[[command]]\nname = \"probe\"\nkey = \"Ctrl-n\"\nrun = \"echo {name} {id}\"\n";
    let mut desk = with(config, (80, 24));
    let id = desk.app.selected().unwrap().summary.id.clone();
    desk.press("Ctrl-n".parse().unwrap());
    let screen = desk.screen();
    assert!(screen.contains("Run probe (api-1)?") && screen.contains("$ echo api-1"), "{screen}");
    let effects = desk.keys("y");
    let [Effect::Shell { operation, line, .. }] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(*line, format!("echo api-1 {}", id.as_str()));
    let text = "one\x1b[2J\ntwo\n".to_owned();
    let output = ShellOutput { code: Some(3), text, cut: false };
    desk.send(Msg::ShellEnded { operation: *operation, result: Ok(output) });
    let screen = desk.screen();
    assert!(screen.contains("exit code 3") && screen.contains("one\u{fffd}[2J"), "{screen}");
}

#[test]
fn reading_only_lets_no_effect_through_and_no_command_of_ones_own() {
    let config = "[[command]]\nname = \"probe\"\nkey = \"Ctrl-n\"\nrun = \"x\"\nconfirm = false\n";
    let (config, _) = read(config);
    let mut desk = Desk::new(Options { read_only: true, ..plain().with(config) }, (100, 60));
    assert!(desk.press("Ctrl-n".parse().unwrap()).is_empty());
    for keys in ["R", "L", "u", "\n", "?", ":probe"] {
        let effects = desk.keys(keys);
        assert!(!effects.iter().any(Effect::changes), "{keys} {effects:?}");
        desk.keys("\x1b\x1b");
    }
    // Even what slipped through the keymap would be stopped.
    desk.app.keymap = Keymap::new(false, &Config::default());
    desk.app.options.read_only = false;
    desk.keys("1d");
    desk.app.options.read_only = true;
    let effects = desk.keys("y");
    assert!(effects.is_empty(), "{effects:?}");
    assert!(desk.app.pending.is_empty() && desk.screen().contains("is read-only"));
}

fn undoable(desk: &mut Desk) {
    let info = EngineInfo { undo_seconds: Some(600), ..EngineInfo::default() };
    desk.send(Msg::Info(Ok(Box::new(info))));
}

#[test]
fn a_removal_is_taken_back() {
    let mut desk = Desk::new(plain(), (80, 24));
    undoable(&mut desk);
    let id = desk.app.selected().unwrap().summary.id.as_str().to_owned();
    desk.keys("d");
    assert!(desk.screen().contains("u takes it back for 10 minutes"), "{}", desk.screen());
    let effects = desk.keys("y");
    assert_eq!(executed(&effects), [Command::Discard { container: id.clone() }]);
    answer(&mut desk, &effects, &Outcome::Done);
    assert!(desk.screen().contains("u takes it back"), "{}", desk.screen());
    let removal = desk.app.last_line.clone();
    assert_eq!(executed(&desk.keys("u")), [Command::Restore { container: id }]);
    assert_eq!(desk.app.last_line, removal, "the shell has no verb for it");
}

/// What was removed at once comes back at once, wherever the cursor is meanwhile.
#[test]
fn a_group_is_removed_and_taken_back_as_one() {
    let restored = |effects: &[Effect]| {
        let restore = |command| matches!(command, Command::Restore { .. });
        executed(effects).into_iter().filter(|command| restore(command.clone())).count()
    };
    for keys in ["g", "gjjjjj"] {
        let mut desk = Desk::new(plain(), (100, 30));
        undoable(&mut desk);
        desk.keys("gd");
        let effects = desk.keys("y");
        assert_eq!(executed(&effects).len(), 3);
        answer(&mut desk, &effects, &Outcome::Done);
        // The engine has put them aside, under other names.
        let mut list = desk.list();
        for one in list.iter_mut().filter(|one| ["api-1", "db-1", "web-1"].contains(&&*one.name)) {
            one.name = format!("{}.removed-{}", one.name, one.id.short());
            one.status = Status::Removing;
        }
        desk.send(Msg::Containers(Ok(list)));
        let screen = desk.screen();
        assert!(screen.contains("removing") && !screen.contains(".removed-"), "{screen}");
        desk.keys(keys);
        assert_eq!(desk.app.selects_discarded(), keys != "g");
        assert_eq!(restored(&desk.keys("u")), 3, "{keys}: {}", desk.screen());
        assert!(desk.app.undo.is_empty());
    }
}

#[test]
fn a_removal_that_failed_or_is_long_past_is_not_taken_back() {
    let mut desk = Desk::new(plain(), (80, 24));
    undoable(&mut desk);
    for works in [false, true] {
        desk.keys("d");
        for effect in desk.keys("y") {
            if let Effect::Execute { operation, .. } = effect {
                let error = wharf_backend::Error::new(wharf_model::ErrorKind::Internal, "no");
                let result = if works { Ok(Outcome::Done) } else { Err(error) };
                desk.send(Msg::Done { operation, result });
            }
        }
        assert_eq!(desk.app.undo.len(), usize::from(works));
    }
    desk.send(Msg::Tick(wharf_backend::fake::time(40 + 601)));
    assert!(desk.app.undo.is_empty());
}

#[test]
fn limits_are_edited_and_taken_back() {
    fn parser(words: &[String]) -> Result<UpdateOptions, String> {
        let [flag, cpus] = words else { return Err("what?".to_owned()) };
        if flag != "--cpus" {
            return Err("what?".to_owned());
        }
        let mut options = UpdateOptions::default();
        options.resources.nano_cpus = cpus.parse::<u64>().ok().map(|cpus| cpus * 1_000_000_000);
        Ok(options)
    }
    let mut desk = Desk::new(Options { update: Some(parser), ..plain() }, (100, 30));
    let info = EngineInfo { engine: "wharf".to_owned(), cpus: 8, ..EngineInfo::default() };
    desk.send(Msg::Info(Ok(Box::new(info))));
    desk.keys("L");
    assert!(desk.screen().contains("Limits of api-1"), "{}", desk.screen());
    desk.press("Ctrl-u".parse().unwrap());
    desk.keys("what then\n");
    assert!(desk.screen().contains("what?"), "{}", desk.screen());
    desk.press("Ctrl-u".parse().unwrap());
    let effects = desk.keys("--cpus 2\n");
    let [Command::Update { options, .. }] = &executed(&effects)[..] else { panic!("{effects:?}") };
    assert_eq!(options.resources.nano_cpus, Some(2_000_000_000));
    answer(&mut desk, &effects, &Outcome::Updated { warnings: Vec::new() });
    let effects = desk.keys("u");
    let [Command::Update { options, .. }] = &executed(&effects)[..] else { panic!("{effects:?}") };
    // It had no limit, and has none again.
    assert_eq!((options.resources.nano_cpus, options.resources.cpu_quota), (None, Some(-1)));
    assert_eq!((options.resources.memory, options.unlimited_pids), (None, false));
    assert_eq!(options.restart_policy, None, "it was left alone");
}

/// What is limits already is no change, and nothing to take back.
#[test]
fn limits_that_stay_as_they_are_change_nothing() {
    fn parser(_: &[String]) -> Result<UpdateOptions, String> {
        let restart_policy = Some(RestartPolicy::default());
        Ok(UpdateOptions { restart_policy, ..UpdateOptions::default() })
    }
    let mut desk = Desk::new(Options { update: Some(parser), ..plain() }, (100, 30));
    assert!(executed(&desk.keys("L\n")).is_empty());
    assert!(desk.screen().contains("are these already"), "{}", desk.screen());
    assert!(desk.app.undo.is_empty() && desk.app.overlays.is_empty());
}

/// Over a slow line it isn't the list that takes what is typed before the answer is there.
#[test]
fn the_dialog_of_limits_is_there_before_the_answer() {
    fn parser(words: &[String]) -> Result<UpdateOptions, String> {
        let restart_policy = Some(RestartPolicy { kind: RestartKind::Always, maximum_retries: 0 });
        match words {
            [] => Err("what?".to_owned()),
            _ => Ok(UpdateOptions { restart_policy, ..UpdateOptions::default() }),
        }
    }
    let mut desk = Desk::new(Options { update: Some(parser), ..plain() }, (100, 30));
    let typed = |letter| KeyEvent::new(KeyCode::Char(letter), KeyModifiers::NONE);
    let effects = desk.raw(Msg::Key(typed('L')));
    let [Effect::FetchDetail(id)] = &effects[..] else { panic!("{effects:?}") };
    assert!(desk.screen().contains("asking what they are now"), "{}", desk.screen());
    let enter = || Msg::Key(KeyEvent::new(KeyCode::Enter, KeyModifiers::NONE));
    desk.raw(enter());
    assert!(desk.screen().contains("what?"), "what is wrong is told at once");
    for letter in "--restart alway".chars() {
        assert!(desk.raw(Msg::Key(typed(letter))).is_empty(), "{letter}");
    }
    // The answer is for undoing it: until then Enter is remembered, unless more is typed.
    assert!(desk.raw(enter()).is_empty());
    assert!(desk.screen().contains("done as soon as"), "{}", desk.screen());
    desk.raw(Msg::Key(typed('s')));
    assert!(desk.screen().contains("asking what they are now"), "{}", desk.screen());
    desk.answer(&Effect::FetchDetail(id.clone()));
    assert!(desk.screen().contains("│ --restart always  "), "{}", desk.screen());
    assert!(matches!(&executed(&desk.keys("\n"))[..], [Command::Update { .. }]));
    let mut desk = Desk::new(Options { update: Some(parser), ..plain() }, (100, 30));
    let effects = desk.raw(Msg::Key(typed('L')));
    desk.raw(Msg::Key(typed('x')));
    assert!(desk.raw(enter()).is_empty());
    desk.answer(&effects[0]);
    assert!(desk.app.overlays.is_empty(), "{}", desk.screen());
    assert_eq!(desk.app.pending.len(), 1, "it is done with the answer");
    // So does that what is there to be changed isn't wanted.
    let mut desk = Desk::new(Options { update: Some(parser), ..plain() }, (100, 30));
    let effects = desk.raw(Msg::Key(typed('L')));
    desk.raw(Msg::Key(KeyEvent::new(KeyCode::Char('u'), KeyModifiers::CONTROL)));
    desk.answer(&effects[0]);
    for letter in "--memory 1g".chars() {
        desk.raw(Msg::Key(typed(letter)));
    }
    assert!(desk.screen().contains("│ --memory 1g  "), "{}", desk.screen());
}

/// A Docker engine can't lift a limit of CPUs or memory: all that its host has comes next to none, and
/// that is said before.
#[test]
fn what_an_undo_cannot_bring_back_is_said_before() {
    fn parser(_: &[String]) -> Result<UpdateOptions, String> {
        let mut options = UpdateOptions::default();
        options.resources.nano_cpus = Some(2_000_000_000);
        Ok(options)
    }
    let mut desk = Desk::new(Options { update: Some(parser), ..plain() }, (80, 24));
    let info = EngineInfo { engine: "wharf".to_owned(), cpus: 8, ..EngineInfo::default() };
    desk.send(Msg::Info(Ok(Box::new(info))));
    desk.keys("L");
    assert!(!desk.screen().contains("can't lift"), "{}", desk.screen());
    desk.keys("\x1b");
    let info = EngineInfo { engine: "docker".to_owned(), cpus: 8, ..EngineInfo::default() };
    desk.send(Msg::Info(Ok(Box::new(info))));
    desk.keys("L");
    let said = "docker can't lift these again: undo leaves --cpus 8 (all)";
    assert!(desk.screen().contains(said), "{}", desk.screen());
    let effects = desk.keys("\n");
    answer(&mut desk, &effects, &Outcome::Updated { warnings: Vec::new() });
    let effects = desk.keys("u");
    let [Command::Update { options, .. }] = &executed(&effects)[..] else { panic!("{effects:?}") };
    assert_eq!(
        (options.resources.nano_cpus, options.resources.cpu_quota),
        (Some(8_000_000_000), None)
    );
}

/// A limit of memory where there was none is no limit again, not the memory of the host.
#[test]
fn a_limit_of_memory_is_taken_back_to_none() {
    fn parser(_: &[String]) -> Result<UpdateOptions, String> {
        let mut options = UpdateOptions::default();
        options.resources.memory = Some(64 << 20);
        options.resources.memory_swap = Some(128 << 20);
        Ok(options)
    }
    let mut desk = Desk::new(Options { update: Some(parser), ..plain() }, (100, 30));
    desk.keys("/cache\n");
    let effects = desk.keys("L\n");
    answer(&mut desk, &effects, &Outcome::Updated { warnings: Vec::new() });
    let effects = desk.keys("u");
    let [Command::Update { options, .. }] = &executed(&effects)[..] else { panic!("{effects:?}") };
    let mut limits = options.resources.clone();
    assert!(limits.memory.is_some() && limits.memory_swap.is_some(), "{limits:?}");
    limits.drop_lifted();
    assert_eq!((limits.memory, limits.memory_swap), (None, None));
}

#[test]
fn another_name_is_asked_for_and_given() {
    let mut desk = Desk::new(plain(), (80, 24));
    desk.keys("R");
    let effects = desk.keys("x\n");
    let [Command::Rename { name, .. }] = &executed(&effects)[..] else { panic!("{effects:?}") };
    assert_eq!(name, "api-1x");
    assert!(desk.press(key("s")).is_empty(), "it is being renamed");
    answer(&mut desk, &effects, &Outcome::Done);
    let effects = desk.keys("u");
    let [Command::Rename { name, .. }] = &executed(&effects)[..] else { panic!("{effects:?}") };
    assert_eq!(name, "api-1");
    answer(&mut desk, &effects, &Outcome::Done);
    // One without a name is none.
    desk.keys("R");
    desk.press("Ctrl-u".parse().unwrap());
    assert!(desk.keys("\n").is_empty());
    assert!(desk.screen().contains("a container needs a name"), "{}", desk.screen());
    // What no engine takes is said in the dialog: what is typed next would stop containers in the list.
    let wrong = [
        ("a b", "a name is letters"),
        ("-ab", "a name is letters"),
        ("frönt", "a name is letters"),
        ("api-1", "its name already"),
        ("db-1", "another container's name"),
    ];
    for (name, why) in wrong {
        assert!(executed(&desk.keys(&format!("{name}\n"))).is_empty(), "{name}");
        assert!(desk.screen().contains(why), "{name}: {}", desk.screen());
        desk.press("Ctrl-u".parse().unwrap());
    }
    assert_eq!(executed(&desk.keys("front\n")).len(), 1);
}

/// Returns where a text stands in the first line of the screen.
fn column(desk: &Desk, text: &str) -> Option<usize> {
    let screen = desk.screen();
    let line = screen.lines().next()?;
    Some(line[..line.find(text)?].chars().count())
}

/// What comes and goes in the line on top moves nothing else, nor do the host's numbers.
#[test]
fn what_stands_on_top_stays_in_its_place() {
    for columns in [80, 120, 200] {
        let fake = Fake::many(4);
        fake.put(container(9, "web", "box", Status::Exited));
        let mut desk = Desk::with(fake, plain(), (columns, 40));
        desk.send(Msg::Info(Ok(Box::new(EngineInfo {
            engine: "docker".to_owned(),
            name: "vm".to_owned(),
            ..EngineInfo::default()
        }))));
        let places = |desk: &Desk| {
            let up = if columns == 200 { " running" } else { " up" };
            ["docker on vm", up, " stopped"].map(|text| {
                column(desk, text).unwrap_or_else(|| panic!("{text}\n{}", desk.screen()))
            })
        };
        let before = places(&desk);
        desk.keys(" ");
        assert_eq!(places(&desk), before, "{}", desk.screen());
        desk.keys("k ");
        let mut rows = desk.list();
        for row in rows.iter_mut().filter(|row| row.name == "worker-001") {
            row.health = Some(wharf_model::HealthStatus::Unhealthy);
        }
        desk.send(Msg::Containers(Ok(rows)));
        assert!(desk.screen().contains("1 unhealthy"), "{}", desk.screen());
        assert_eq!(places(&desk), before, "{}", desk.screen());
        // The line below has a place for each value, too.
        let at = |desk: &Desk| {
            let screen = desk.screen();
            let line = screen.lines().nth(1).unwrap().to_owned();
            ["cpu", "load", "mem", "disk"].map(|word| line.find(word).expect(word))
        };
        let here = at(&desk);
        let mut batch = desk.fake.batch(50);
        let host = batch.host.as_mut().unwrap();
        host.load1 = Some(17.25);
        host.memory_available = host.memory_total.map(|total| total / 50);
        desk.send(Msg::Samples(batch));
        assert_eq!(at(&desk), here, "{}", desk.screen());
    }
}

/// A menu that is higher than the terminal says how much of it is in sight, and follows its cursor.
#[test]
fn a_menu_tells_its_extent() {
    let mut desk = Desk::new(plain(), (80, 16));
    desk.keys("\n");
    let count = match desk.app.overlays.last() {
        Some(Overlay::Menu(menu)) => menu.items.len(),
        other => panic!("{other:?}"),
    };
    let rows = |desk: &Desk| {
        let screen = desk.screen();
        let (before, _) = screen.split_once(&format!(" of {count} ")).expect(&screen);
        let (first, last) = before.rsplit(' ').next().unwrap().split_once('-').unwrap();
        (first.parse::<usize>().unwrap(), last.parse::<usize>().unwrap())
    };
    let (first, last) = rows(&desk);
    assert!(first == 1 && last < count, "{}", desk.screen());
    let height = last;
    desk.keys(&"j".repeat(last));
    assert_eq!(rows(&desk), (2, height + 1), "{}", desk.screen());
    desk.keys(&"j".repeat(count - last - 1));
    assert_eq!(rows(&desk), (count - height + 1, count), "{}", desk.screen());
    assert!(desk.screen().contains("copy its id"), "{}", desk.screen());
    // One that fits says nothing of the kind.
    desk.send(Msg::Resize(80, 40));
    assert!(!desk.screen().contains(&format!(" of {count} ")), "{}", desk.screen());
}

/// What a prune would free is measured anew after a change, and told as what it was until then.
#[test]
fn what_a_prune_frees_is_not_of_before_a_change() {
    let mut desk = Desk::new(plain(), (120, 40));
    desk.keys("6");
    let containers = wharf_model::Space { reclaimable: 5 << 20, ..Default::default() };
    let usage = wharf_model::DiskUsage { containers, ..Default::default() };
    desk.raw(Msg::Usage(Ok(Box::new(usage))));
    desk.keys("d");
    let dialog = |desk: &Desk| {
        let screen = desk.screen();
        screen.lines().find(|line| line.contains("It free")).unwrap_or_default().to_owned()
    };
    assert!(dialog(&desk).contains("It frees 5.0M."), "{}", desk.screen());
    desk.keys("\x1b");
    // Its answer is yet to come.
    let effects = desk.raw(event("die"));
    assert!(effects.contains(&Effect::FetchUsage), "{effects:?}");
    let letter = key("d");
    desk.raw(Msg::Key(crossterm::event::KeyEvent::new(letter.code, letter.modifiers)));
    assert!(dialog(&desk).contains("It freed 5.0M when it was last measured"), "{}", desk.screen());
}

/// What an engine can't tell of files is said where it is seen, in half of a terminal too.
#[test]
fn what_is_not_known_of_files_is_not_cut() {
    let mut desk = Desk::new(plain(), (120, 40));
    desk.keys("f");
    let of = desk.app.files().of.clone().unwrap();
    let entry = |name: &str| FileEntry {
        name: name.into(),
        kind: FileKind::Folder,
        size: 0,
        mode: 0o755,
        uid: 0,
        gid: 0,
        modified: None,
        target: None,
        change: None,
        layer: None,
    };
    let why = "too much below it: not all was read";
    let entries = ["bin", "etc"].map(entry).to_vec();
    let (path, unknown) = ("".into(), Some(why.to_owned()));
    let list = FolderList { path, entries, unknown, layers: None };
    desk.send(Msg::Folder { of, path: "".into(), result: Ok(list) });
    assert!(desk.screen().contains(why), "{}", desk.screen());
}
