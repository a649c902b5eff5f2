use super::*;
use crate::keymap::{KEYMAP, Keymap};

fn problems(text: &str) -> Vec<String> {
    let (_, problems) = read(text);
    problems.into_iter().map(|p| format!("{}:{}: {}", p.line, p.column, p.text)).collect()
}

#[test]
fn what_is_said_holds() {
    let text = r##"
preset = "ctop"
mouse = false
interval = 2
byte-budget = 1_000
columns = ["name", "cpu"]
theme.background = "light"

[theme]
colors = "16"
"##;
    // A table can't be opened twice; the rest of this is another file's.
    assert_eq!(problems(text).len(), 1, "{:?}", problems(text));
    let text = text.replace("theme.background = \"light\"\n", "");
    let (config, problems) = read(&text);
    assert_eq!(problems, []);
    assert_eq!(config.preset, Preset::Ctop);
    assert_eq!((config.mouse, config.byte_budget), (Some(false), Some(1000)));
    assert_eq!(config.interval, Some(Duration::from_secs(2)));
    assert_eq!(config.columns, Some(vec![Column::Name, Column::Cpu]));
    assert_eq!(config.colors, Some(Colors::Ansi16));
}

#[test]
fn every_mistake_is_told_with_its_place_and_the_rest_holds() {
    let text = "mouse = 1\nmuose = true\ngroup = false\ncolumns = [\"name\", \"cqu\"]\n\
                [keys.containers]\nstop = \"Ctrl-\"\nstopp = \"x\"\nkill = \"x\"\nremove = [\"x\"]\n\
                [[command]]\nname = \"ä\"\nrun = \"echo {nmae}\"\n";
    let (config, _) = read(text);
    assert_eq!(config.group, Some(false));
    let found = problems(text);
    let wanted = [
        "1:9: mouse is true or false",
        "2:1: there is no setting muose: did you mean mouse?",
        "4:20: columns is a list of columns",
        "6:8: \"Ctrl-\" is no key",
        "7:1: there is no action in containers: stopp: did you mean stop?",
        "12:7: {nmae} is nothing",
    ];
    for (found, wanted) in found.iter().filter(|f| !f.contains("has this key")).zip(wanted) {
        assert!(found.starts_with(wanted), "{found} is not {wanted}");
    }
    assert_eq!(found.len(), wanted.len() + 1, "{found:?}");
    assert!(problems("mouse = \n")[0].starts_with("1:"), "{:?}", problems("mouse = \n"));
    assert!(problems("a\n[[[")[0].contains(": "));
}

#[test]
fn the_reference_is_what_the_docs_say_and_holds_when_it_is_uncommented() {
    let reference = reference();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/config.toml");
    if std::env::var_os("WHARF_WRITE_DOCS").is_some() {
        std::fs::write(path, &reference).unwrap();
    }
    let docs = std::fs::read_to_string(path);
    assert_eq!(docs.unwrap(), reference, "docs/config.toml is `wharf config reference`");
    assert_eq!(read(&reference), (Config::default(), Vec::new()));
    let settings: String = reference
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if !rest.starts_with(' ') => format!("{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let (config, problems) = read(&settings);
    assert_eq!(problems, [], "{settings}");
    assert_eq!(config.keys.len(), KEYMAP.iter().filter(|b| b.context != Context::Always).count());
    assert_eq!(config.commands.len(), 1);
}

#[test]
fn keys_are_read_as_they_are_shown() {
    for binding in KEYMAP {
        for key in binding.keys {
            assert_eq!(key.name().parse::<Key>(), Ok(*key), "{}", key.name());
        }
    }
    for name in ["F5", "Alt-x", "Ctrl-Alt-x", "Alt-Left", "-", "Ctrl--"] {
        assert_eq!(name.parse::<Key>().unwrap().name(), name);
    }
    for wrong in ["", "xx", "F99", "Ctrl-", "Shift-x", "\u{1b}"] {
        assert!(wrong.parse::<Key>().is_err(), "{wrong}");
    }
}

#[test]
fn a_key_that_is_given_to_an_action_is_taken_from_the_other() {
    let (config, _) = read("[keys.containers]\nkill = [\"s\", \"F9\"]\n");
    let keymap = Keymap::new(false, &config);
    let find = |key: &str| keymap.lookup(&[Context::Containers], key.parse().unwrap());
    assert_eq!((find("s"), find("F9"), find("K")), (Some(Action::Kill), Some(Action::Kill), None));
    // It has no key any more, but is still to be found.
    let bindings = keymap.effective(&[Context::Containers]);
    assert!(bindings.iter().any(|(b, keys)| b.action == Action::Stop && keys.is_empty()));
}

#[test]
fn presets_leave_every_action_and_every_way_out() {
    for preset in Preset::ALL {
        let config = Config { preset, ..Config::default() };
        let keymap = Keymap::new(false, &config);
        assert_eq!(keymap.bindings().count(), KEYMAP.len());
        for (context, action, keys) in preset.rows() {
            for key in *keys {
                assert_eq!(keymap.lookup(&[*context], *key), Some(*action), "{preset:?} {key:?}");
            }
        }
        for context in [Context::Menu, Context::Confirm, Context::Prompt, Context::Palette] {
            let key = "Esc".parse().unwrap();
            assert_eq!(keymap.lookup(&[context], key), Some(Action::Cancel), "{preset:?}");
        }
    }
}

#[test]
fn a_template_is_filled_and_what_is_no_placeholder_stays() {
    let value = |word: &str| Some(format!("<{word}>"));
    assert_eq!(fill("a {name} {id}{x} ${HOME} {", value), "a <name> <id>{x} ${HOME} {");
}

#[test]
fn what_could_not_be_used_is_told_before_it_is_tried() {
    let told = |text: &str| read(text).1.into_iter().map(|p| p.text).collect::<Vec<_>>().join("; ");
    let host = |url: &str| format!("[[hosts]]\nname = \"x\"\nurl = \"{url}\"\n");
    assert!(told(&host("ftp://x")).contains("ftp is no scheme"));
    for url in ["wharf://", "wharf:///root", "unix:///x.sock", "ssh://me@h", "tcp://h:1"] {
        assert_eq!(told(&host(url)), "", "{url}");
    }
    let command = |name: &str, key: &str| {
        format!("[[command]]\nname = \"{name}\"\nrun = \"x\"\nkey = \"{key}\"\n")
    };
    let twice = format!("{}{}", command("a", "Ctrl-n"), command("b", "Ctrl-n"));
    assert!(told(&twice).contains("the command \"a\" has this key already"));
    assert!(told(&command("a", "Ctrl-c")).contains("the way out"));
    assert!(told("[keys.containers]\nstop = [\"F9\", \"Ctrl-c\"]\n").contains("the way out"));
}

#[test]
fn a_command_of_ones_own_is_in_force_in_the_tabs_of_a_container_too() {
    let (config, _) = read("[[command]]\nname = \"a\"\nrun = \"x\"\nkey = \"Ctrl-n\"\n");
    let keymap = Keymap::new(false, &config);
    let key = "Ctrl-n".parse().unwrap();
    for context in [Context::Containers, Context::Tabs] {
        assert_eq!(keymap.lookup(&[context], key), Some(Action::Custom(0)), "{context:?}");
    }
    assert_eq!(keymap.lookup(&[Context::Images], key), None);
}
