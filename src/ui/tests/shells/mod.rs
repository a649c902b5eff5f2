//! Terminals in containers: whose keys are whose, what is drawn, and what ends what.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use wharf_ui::app::terminals::Want;
use wharf_ui::app::{Focus, Overlay, Screen, Tab, Zoom};
use wharf_ui::keymap::{Context, Key};
use wharf_ui::{Colors, Effect, Msg, Options, TerminalAsk, TerminalReply};

use crate::support::{Desk, key};
use crate::{options, plain};

fn ctrl(letter: char) -> Key {
    Key { code: KeyCode::Char(letter), modifiers: KeyModifiers::CONTROL }
}

/// Returns the number of the terminal that an effect opens.
fn opened(effect: &Effect) -> Option<u64> {
    match effect {
        Effect::OpenTerminal { number, .. } => Some(*number),
        _ => None,
    }
}

/// Opens a shell in the container that is selected; returns its number.
fn open(desk: &mut Desk, letter: &str, program: &str) -> u64 {
    let effects = desk.keys(letter);
    let number = effects.iter().find_map(opened).unwrap_or_else(|| panic!("{effects:?}"));
    reply(
        desk,
        number,
        TerminalReply::Opened { program: program.into(), instead: None, tty: true, input: true },
    );
    number
}

fn reply(desk: &mut Desk, number: u64, reply: TerminalReply) -> Vec<Effect> {
    desk.send(Msg::Terminal { number, reply })
}

fn writes(desk: &mut Desk, number: u64, text: &str) -> Vec<Effect> {
    reply(desk, number, TerminalReply::Output(text.as_bytes().to_vec()))
}

/// Returns what effects type.
fn typed(effects: &[Effect]) -> String {
    let bytes = effects.iter().filter_map(|effect| match effect {
        Effect::Terminal { ask: TerminalAsk::Input(bytes), .. } => Some(bytes.as_slice()),
        _ => None,
    });
    String::from_utf8(bytes.collect::<Vec<_>>().concat()).unwrap()
}

/// Returns a dashboard whose selected container runs.
fn desk(options: Options, size: (u16, u16)) -> Desk {
    let mut desk = Desk::new(options, size);
    while desk.app.selected().is_none_or(|row| row.summary.status != wharf_model::Status::Running) {
        desk.keys("j");
    }
    desk
}

#[test]
fn a_shell_s_screen_is_drawn_in_its_pane() {
    let mut desk = desk(options(Colors::True, true), (80, 24));
    let number = open(&mut desk, "e", "bash");
    let text = "\x1b[1;32mroot@web\x1b[0m:\x1b[38;5;33m/\x1b[0m# ls \x1b[38;2;200;100;0m日本\x1b[0m\r\n\
                \x1b(0lqqk\x1b(B \x1b[7mreversed\x1b[0m \x1b[3mitalic\x1b[0m e\u{301}\r\n";
    writes(&mut desk, number, text);
    insta::assert_snapshot!("shell-80x24", desk.styled());
    desk.press(ctrl(']'));
    insta::assert_snapshot!("shell-prefix-80x24", desk.screen());
    desk.keys("d");
    insta::assert_snapshot!("shell-left-80x24", desk.screen());
    let mut wide = self::desk(plain(), (200, 50));
    let number = open(&mut wide, "e", "bash");
    writes(&mut wide, number, "$ beside other things");
    insta::assert_snapshot!("shell-200x50", wide.screen());
    let mut ascii = self::desk(options(Colors::None, false), (80, 24));
    let number = open(&mut ascii, "e", "bash");
    writes(&mut ascii, number, "日本 \x1b(0lqx\x1b(B ü é");
    let screen = ascii.screen();
    assert!(screen.contains("? ?  +-| ? ?"), "{screen}");
}

#[test]
fn keys_are_the_program_s_but_for_one() {
    let mut desk = desk(plain(), (80, 24));
    let number = open(&mut desk, "e", "sh");
    assert_eq!(typed(&desk.keys("qd?1:\t\n")), "qd?1:\t\r", "no key of the dashboard's");
    assert_eq!(typed(&desk.press(ctrl('c'))), "\x03", "not even the one that quits");
    assert_eq!(typed(&desk.press(key("\x1b"))), "\x1b");
    assert_eq!(typed(&desk.send(Msg::Paste("a\nb".into()))), "a\rb");
    writes(&mut desk, number, "\x1b[?1h\x1b[?2004h");
    let up = Key { code: KeyCode::Up, modifiers: KeyModifiers::NONE };
    assert_eq!(typed(&desk.press(up)), "\x1bOA");
    assert_eq!(typed(&desk.send(Msg::Paste("a\nb".into()))), "\x1b[200~a\rb\x1b[201~");
    // What a terminal sends for Ctrl-] comes as another key.
    let five = KeyEvent::new(KeyCode::Char('5'), KeyModifiers::CONTROL);
    assert_eq!(typed(&desk.send(Msg::Key(five))), "");
    assert_eq!(desk.app.contexts(), [Context::ShellKeys]);
    assert_eq!(typed(&desk.press(ctrl(']'))), "\x1d", "twice is the key itself");
    assert_eq!(desk.app.contexts(), [Context::Shell]);
    desk.press(ctrl(']'));
    assert_eq!(typed(&desk.keys("w")), "", "an unknown key is nobody's");
    assert_eq!(desk.app.contexts(), [Context::Shell]);
    desk.press(ctrl(']'));
    desk.keys("d");
    assert_eq!(desk.app.focus, Focus::List);
    assert_eq!(typed(&desk.keys("jk")), "");
    desk.keys("e");
    assert_eq!(desk.app.terminals.list.len(), 1, "it is the same one");
    assert_eq!(typed(&desk.keys("x")), "x");
}

#[test]
fn escape_ends_looking_back_before_it_leaves() {
    let mut desk = desk(plain(), (80, 24));
    let number = open(&mut desk, "e", "sh");
    writes(&mut desk, number, &"line\r\n".repeat(100));
    desk.press(ctrl(']'));
    desk.keys("[");
    assert!(desk.screen().contains("lines back"), "{}", desk.screen());
    desk.press(key("\x1b"));
    assert!(!desk.screen().contains("lines back"), "{}", desk.screen());
    assert_eq!(typed(&desk.keys("rs")), "rs", "the keys are the program's again");
    desk.press(ctrl(']'));
    desk.press(key("\x1b"));
    assert_eq!(desk.app.focus, Focus::List);
}

#[test]
fn it_has_the_size_of_its_pane_and_answers_the_program() {
    let mut desk = desk(plain(), (80, 24));
    let effects = desk.keys("e");
    let Some(Effect::OpenTerminal { number, size, want, .. }) = effects.first() else {
        panic!("{effects:?}")
    };
    assert_eq!(((size.columns, size.rows), *number > 0), ((80, 19), true));
    assert_eq!(*want, Want::Shell { toolbox: "busybox".into() });
    let number = *number;
    let reply_of =
        TerminalReply::Opened { program: "sh".into(), instead: None, tty: true, input: true };
    reply(&mut desk, number, reply_of);
    assert_eq!(typed(&writes(&mut desk, number, "ab\x1b[6n")), "\x1b[1;3R");
    let effects = desk.send(Msg::Resize(100, 30));
    let resize = |effect: &Effect| match effect {
        Effect::Terminal { ask: TerminalAsk::Resize(size), .. } => Some((size.columns, size.rows)),
        _ => None,
    };
    assert_eq!(effects.iter().find_map(resize), Some((100, 25)));
    desk.press(ctrl(']'));
    let effects = desk.keys("z");
    assert!(effects.iter().find_map(resize).is_some_and(|(_, rows)| rows < 25), "{effects:?}");
    // In sight with another container selected it keeps the size that it has.
    assert_eq!(desk.send(Msg::Resize(100, 30)).iter().find_map(resize), None);
}

#[test]
fn what_has_gone_by_can_be_looked_at() {
    let mut desk = desk(plain(), (80, 24));
    let number = open(&mut desk, "e", "sh");
    for n in 0..200 {
        writes(&mut desk, number, &format!("line {n}\r\n"));
    }
    assert!(desk.screen().contains("line 199"));
    desk.press(ctrl(']'));
    desk.keys("[[");
    let screen = desk.screen();
    assert!(screen.contains("36 lines back") && !screen.contains("line 199"), "{screen}");
    desk.keys("{{");
    assert!(desk.screen().contains("line 199"));
    desk.keys("\x1b");
    let wheel = |kind| {
        let modifiers = KeyModifiers::NONE;
        Msg::Mouse(MouseEvent { kind, column: 10, row: 10, modifiers })
    };
    desk.press(key("\x1b"));
    desk.keys("e");
    assert_eq!(typed(&desk.send(wheel(MouseEventKind::ScrollUp))), "");
    assert!(desk.screen().contains("3 lines back"));
    assert_eq!(typed(&desk.keys("x")), "x", "typing goes to the end");
    assert!(!desk.screen().contains("lines back"));
    // A program that fills the screen is scrolled by its keys, or told of the mouse if it asks.
    writes(&mut desk, number, "\x1b[?1049h");
    assert_eq!(typed(&desk.send(wheel(MouseEventKind::ScrollDown))), "\x1b[B\x1b[B\x1b[B");
    writes(&mut desk, number, "\x1b[?1000h\x1b[?1006h");
    assert_eq!(typed(&desk.send(wheel(MouseEventKind::ScrollDown))), "\x1b[<65;11;7M");
    let down = MouseEventKind::Down(MouseButton::Left);
    assert_eq!(typed(&desk.send(wheel(down))), "\x1b[<0;11;7M");
}

#[test]
fn several_run_at_once_and_are_found_again() {
    let mut desk = desk(plain(), (100, 30));
    let first = desk.app.selected().unwrap().summary.clone();
    let one = open(&mut desk, "e", "bash");
    desk.press(ctrl(']'));
    let two = open(&mut desk, "c", "bash");
    assert_ne!(one, two);
    desk.press(ctrl(']'));
    desk.keys("d");
    let before = desk.app.selected().unwrap().summary.id.clone();
    desk.keys("j");
    while desk.app.selected().is_none_or(|row| {
        row.summary.status != wharf_model::Status::Running || row.summary.id == before
    }) {
        desk.keys("j");
    }
    open(&mut desk, "e", "ash");
    writes(&mut desk, one, "said behind the scenes");
    // Another screen, and the list of them from there.
    desk.press(ctrl(']'));
    desk.keys("d2$");
    let screen = desk.screen();
    assert!(screen.contains(&format!("bash in {}", first.name)), "{screen}");
    assert!(screen.contains("ash in "), "{screen}");
    desk.keys("\n");
    assert_eq!((desk.app.screen, desk.app.tab()), (Screen::Containers, Tab::Shell));
    assert!(desk.screen().contains("said behind the scenes"));
    desk.press(ctrl(']'));
    desk.keys("n");
    assert_eq!(desk.app.typed_to().unwrap().number, two);
    desk.press(ctrl(']'));
    desk.keys("p");
    assert_eq!(desk.app.typed_to().unwrap().number, one);
    desk.press(ctrl(']'));
    desk.keys("d");
    let marks = desk.screen().lines().filter(|line| line.contains(" running $")).count();
    assert_eq!(marks, 2);
}

#[test]
fn its_end_puts_everything_back() {
    let mut desk = desk(plain(), (120, 40));
    let before = (desk.app.panes().clone(), desk.app.zoom);
    let number = open(&mut desk, "e", "sh");
    assert_eq!(desk.app.zoom, Zoom::Detail, "60 columns are too few for a shell");
    desk.keys("x");
    reply(&mut desk, number, TerminalReply::Ended(Ok(3)));
    assert_eq!((desk.app.panes().clone(), desk.app.zoom), before);
    assert_eq!(desk.app.focus, Focus::List);
    assert!(desk.screen().contains("has ended: exit code 3"));
    // What ended before anything was typed may have said why.
    let number = open(&mut desk, "e", "sh");
    writes(&mut desk, number, "sh: bad interpreter");
    reply(&mut desk, number, TerminalReply::Ended(Ok(127)));
    let screen = desk.screen();
    assert!(screen.contains("bad interpreter") && screen.contains("has ended: exit code 127"));
    desk.keys("\x1b");
    assert_eq!((desk.app.panes().clone(), desk.app.zoom), before);
    // A failure to open is one sentence.
    let number = desk.keys("e").iter().find_map(opened).unwrap();
    reply(&mut desk, number, TerminalReply::Ended(Err("no toolbox".into())));
    assert!(desk.screen().contains("no toolbox"));
    assert!(desk.app.terminals.list.is_empty());
}

#[test]
fn an_end_is_asked_for_and_so_is_leaving() {
    let mut desk = desk(plain(), (80, 24));
    let number = open(&mut desk, "e", "sh");
    desk.press(ctrl(']'));
    desk.keys("x");
    insta::assert_snapshot!("shell-end-80x24", desk.screen());
    assert!(!desk.keys("\n").iter().any(|e| matches!(e, Effect::Terminal { .. })), "Cancel");
    desk.press(ctrl(']'));
    desk.keys("x");
    let end = Effect::Terminal { number, ask: TerminalAsk::End };
    assert!(desk.keys("y").contains(&end));
    desk.press(ctrl(']'));
    desk.keys("d");
    assert!(!desk.keys("q").contains(&Effect::Quit));
    assert!(desk.screen().contains("End the shell?"), "{}", desk.screen());
    desk.keys("\n");
    assert!(desk.app.overlays.is_empty(), "the default is to stay");
    desk.keys("q");
    assert!(desk.keys("y").contains(&Effect::Quit));
    desk.keys("q");
    assert!(desk.press(ctrl('c')).contains(&Effect::Quit), "asked twice");
    reply(&mut desk, number, TerminalReply::Ended(Ok(0)));
    desk.app.overlays.clear();
    assert!(desk.keys("q").contains(&Effect::Quit), "there is nothing to lose");
}

#[test]
fn what_is_attached_to_is_not_ended_by_accident() {
    let mut desk = desk(plain(), (80, 24));
    let number = open(&mut desk, "A", "");
    assert_eq!(typed(&desk.keys("ls\n")), "ls\r");
    for letter in ['c', '\\', 'd', 'z'] {
        assert_eq!(typed(&desk.press(ctrl(letter))), "", "{letter}");
        assert!(desk.screen().contains(&format!("may stop the container: Ctrl-] Ctrl-{letter} ")));
    }
    desk.press(ctrl(']'));
    assert_eq!(typed(&desk.press(ctrl('c'))), "\x03", "but on purpose");
    assert!(desk.keys("q").iter().all(|e| *e != Effect::Quit), "typed");
    desk.press(ctrl(']'));
    let effects = desk.keys("x");
    assert!(desk.app.overlays.is_empty(), "letting go ends nothing");
    assert!(effects.contains(&Effect::Terminal { number, ask: TerminalAsk::End }));
    assert!(desk.app.terminals.list.is_empty());
    assert!(!desk.app.panes().tabs().contains(&Tab::Shell));
    // Without a terminal a line is typed here and sent as a whole.
    let number = desk.keys("A").iter().find_map(opened).unwrap();
    let reply_of =
        TerminalReply::Opened { program: String::new(), instead: None, tty: false, input: true };
    reply(&mut desk, number, reply_of);
    writes(&mut desk, number, "one\ntwo\n");
    assert_eq!(typed(&desk.keys("hellx")), "");
    desk.press(Key { code: KeyCode::Backspace, modifiers: KeyModifiers::NONE });
    assert_eq!(typed(&desk.keys("o\n")), "hello\n");
    let screen = desk.screen();
    let lines: Vec<&str> = screen.lines().map(str::trim_end).collect();
    assert!(lines.windows(3).any(|three| three == ["one", "two", "hello"]), "{screen}");
}

#[test]
fn a_dashboard_that_only_looks_types_nothing() {
    let mut desk = desk(Options { read_only: true, ..plain() }, (80, 24));
    for letter in ["e", "x"] {
        assert!(desk.keys(letter).iter().all(|e| opened(e).is_none()), "{letter}");
    }
    let effects = desk.keys("A");
    let want = effects.iter().find_map(|effect| match effect {
        Effect::OpenTerminal { want, number, .. } => Some((want.clone(), *number)),
        _ => None,
    });
    let (want, number) = want.unwrap();
    assert_eq!(want, Want::Attach { input: false });
    let reply_of =
        TerminalReply::Opened { program: String::new(), instead: None, tty: true, input: true };
    reply(&mut desk, number, reply_of);
    let effects = writes(&mut desk, number, "seen\x1b[6n");
    assert_eq!(typed(&effects), "", "not even an answer");
    assert!(desk.screen().contains("seen"));
    assert_eq!(typed(&desk.keys("x\n")), "");
    assert_eq!(typed(&desk.send(Msg::Paste("x".into()))), "");
    let effects = desk.send(Msg::Resize(90, 30));
    assert!(!effects.iter().any(|e| matches!(e, Effect::Terminal { .. })), "{effects:?}");
    assert!(desk.screen().contains("read-only"));
}

#[test]
fn the_command_line_that_does_the_same_is_told() {
    let mut desk = desk(plain(), (80, 24));
    let name = desk.app.selected().unwrap().summary.name.clone();
    let number = open(&mut desk, "e", "sh");
    assert_eq!(desk.app.last_line, Some(format!("wharf exec -it {name} sh")));
    reply(&mut desk, number, TerminalReply::Ended(Ok(0)));
    let number = open(&mut desk, "x", "sh");
    assert_eq!(desk.app.last_line, Some(format!("wharf debug --image busybox {name}")));
    reply(&mut desk, number, TerminalReply::Ended(Ok(0)));
    // An image without a shell: what was told would fail.
    let effects = desk.keys("e");
    let number = effects.iter().find_map(opened).unwrap();
    let instead = Some(Want::Toolbox { image: "busybox".into() });
    let program = "the shell of busybox".into();
    reply(&mut desk, number, TerminalReply::Opened { program, instead, tty: true, input: true });
    assert_eq!(desk.app.last_line, Some(format!("wharf debug --image busybox {name}")));
    assert!(desk.screen().contains("$ wharf debug --image busybox"), "{}", desk.screen());
    reply(&mut desk, number, TerminalReply::Ended(Ok(0)));
    open(&mut desk, "A", "");
    assert_eq!(desk.app.last_line, Some(format!("wharf attach {name}")));
    let mut off = Desk::new(plain(), (80, 24));
    while off.app.selected().is_none_or(|row| row.summary.status.is_alive()) {
        off.keys("j");
    }
    assert!(off.keys("e").is_empty());
    assert!(off.screen().contains("S starts it"), "{}", off.screen());
}

#[test]
fn nothing_of_it_but_letters_is_drawn() {
    let mut desk = desk(options(Colors::True, true), (80, 24));
    let number = open(&mut desk, "e", "sh\x1b]0;x\x07\u{202e}");
    let hostile = "\x1b]0;title\x07\x1b]52;c;ZXZpbA==\x07a\u{202e}b\u{200b}c\u{9b}31md\u{7}\x1bPq#0\x1b\\\
                   \x1b_Gf=24;AAAA\x1b\\e\u{ad}f\u{feff}g❤\u{fe0f}h\u{1f468}\u{200d}\u{1f469}i\u{2066}";
    writes(&mut desk, number, hostile);
    let screen = desk.screen();
    let bad = |c: &char| c.is_control() && *c != '\n' || ('\u{202a}'..='\u{202e}').contains(c);
    assert_eq!(screen.chars().find(bad), None, "{screen}");
    assert!(!screen.contains("title") && !screen.contains("ZXZp"), "{screen}");
    assert!(desk.app.overlays.last().is_none_or(|o| !matches!(o, Overlay::Page(_))));
}
