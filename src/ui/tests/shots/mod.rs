//! A picture of every screen with every tab, at three sizes: without colours, then what differs without
//! letters beyond ASCII, then where which style begins with all colours. A tab that isn't in the table
//! fails the test.

use std::collections::BTreeSet;

use wharf_ui::app::Screen;
use wharf_ui::{Colors, Msg};

use super::support::Desk;
use super::{event, options};

/// What is pictured, and the keys that lead there.
const SHOTS: [(&str, &str); 20] = [
    ("stats", "c"),
    ("logs", "l"),
    ("inspect", "i"),
    ("health", "H"),
    ("top", "t"),
    ("files", "f"),
    ("happened", "v"),
    ("shell", "e"),
    ("image-layers", "2l"),
    ("image-files", "2fj\n"),
    ("image-users", "2u"),
    ("image-inspect", "2i"),
    ("volume-users", "3u"),
    ("volume-files", "3f"),
    ("volume-inspect", "3i"),
    ("network-details", "4t"),
    ("network-inspect", "4i"),
    ("events", "5"),
    ("system", "6"),
    ("help", "?"),
];

fn desk(colors: Colors, unicode: bool, size: (u16, u16), keys: &str) -> Desk {
    let mut desk = Desk::new(options(colors, unicode), size);
    for action in ["create", "start", "health_status: unhealthy", "die"] {
        desk.raw(event(action));
    }
    desk.keys(keys);
    let number = desk.app.terminals.list.first().map(|terminal| terminal.number);
    if let Some(number) = number {
        for reply in [
            wharf_ui::TerminalReply::Opened {
                program: "sh".to_owned(),
                instead: None,
                tty: true,
                input: true,
            },
            wharf_ui::TerminalReply::Output(
                b"\x1b[32m/ #\x1b[m echo hello\r\nhello\r\n/ # ".to_vec(),
            ),
        ] {
            desk.send(Msg::Terminal { number, reply });
        }
    }
    desk
}

#[test]
fn every_screen_and_tab_at_three_sizes_in_all_looks() {
    let mut seen = BTreeSet::new();
    for (name, keys) in SHOTS {
        let [mut plain, mut ascii, mut coloured] =
            [(Colors::None, true), (Colors::None, false), (Colors::True, true)]
                .map(|(colors, unicode)| desk(colors, unicode, (80, 24), keys));
        seen.insert(format!("{:?} {:?}", plain.app.screen, plain.app.tab()));
        for size in [(80, 24), (120, 40), (200, 60)] {
            for desk in [&mut plain, &mut ascii, &mut coloured] {
                desk.send(Msg::Resize(size.0, size.1));
            }
            let (screen, ascii) = (plain.screen(), ascii.screen());
            let mut picture = screen.clone();
            picture.push_str("\nIn ASCII:\n");
            for (n, (plain, ascii)) in screen.lines().zip(ascii.lines()).enumerate() {
                // Other letters are the containers' own.
                let ours = |c: char| matches!(c, '\u{2000}'..='\u{2bff}' | '·' | '×');
                assert!(!ascii.contains(ours), "{name} {size:?}: {ascii}");
                if plain != ascii {
                    picture.push_str(&format!("{n:>2} {ascii}\n"));
                }
            }
            // Colours change no letter.
            let letters = |text: &str| text.replace(['[', ']'], " ");
            assert_eq!(letters(&coloured.screen()), letters(&screen), "{name} {size:?}");
            picture.push_str("\nStyles:\n");
            picture.push_str(&coloured.styled()[coloured.screen().len() + 1..]);
            let (columns, rows) = size;
            insta::assert_snapshot!(format!("{name}-{columns}x{rows}"), picture);
        }
    }
    for screen in Screen::ALL {
        for tab in screen.tabs() {
            let place = format!("{screen:?} {tab:?}");
            assert!(seen.contains(&place), "there is no picture of {place}: {seen:?}");
        }
    }
}

#[test]
fn every_list_at_40_by_12() {
    for (n, screen) in Screen::ALL.into_iter().enumerate() {
        let desk = desk(Colors::None, true, (40, 12), &format!("{}", n + 1));
        assert_eq!(desk.app.screen, screen);
        insta::assert_snapshot!(format!("{screen:?}-40x12").to_lowercase(), desk.screen());
    }
}
