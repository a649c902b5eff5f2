//! The reference: a config file with everything in it at its default, as comments.

use std::fmt::Write;

use super::keys::{LISTS, contexts};
use super::settings::SETTINGS;
use super::{PLACEHOLDERS, Preset};
use crate::keymap::{Context, KEYMAP};

/// Returns a config file that says nothing: every setting stands in it as a comment, with what it
/// does and its default.
pub fn reference() -> String {
    let mut text = String::from(
        "# Settings of wharf's dashboard: $XDG_CONFIG_HOME/wharf/config.toml, else\n\
         # ~/.config/wharf/config.toml. `wharf config reference` prints this page,\n\
         # `wharf config check` says what is wrong with a file.\n",
    );
    let mut table = "";
    for setting in SETTINGS {
        let (of, name) = setting.path.split_once('.').unwrap_or(("", setting.path));
        if of != table {
            add(&mut text, format_args!("\n[{of}]\n"));
            table = of;
        }
        text.push('\n');
        for line in setting.text.lines() {
            add(&mut text, format_args!("# {line}\n"));
        }
        add(&mut text, format_args!("# {}\n", setting.values));
        add(&mut text, format_args!("#{name} = {}\n", setting.default));
    }
    let lists = LISTS.map(Context::word).join(", ");
    let places = PLACEHOLDERS.map(|name| format!("{{{name}}}")).join(" ");
    add(
        &mut text,
        format_args!(
            "\n# A command of your own, any number of them. run is a line for /bin/sh, in which\n\
             # {places} stand for the selected object's (wharf: the words that lead to\n\
             # this engine), each quoted as one word. on is one of {lists};\n\
             # key can be left out: the menu and the palette have it in any case.\n\
             #[[command]]\n\
             #name = \"its newest files\"\n\
             #key = \"Ctrl-n\"\n\
             #on = \"containers\"\n\
             #run = \"{{wharf}} diff {{name}} | tail -n 20\"\n\
             #confirm = false\n"
        ),
    );
    text.push_str(
        "\n# The engines to show when neither the command line nor the environment names one; these\n\
         # and no others. url is wharf:// (this program's own engine), unix:///path, ssh://user@host\n\
         # or tcp://host:port; context is a name of docker's instead. cert-path is a folder with\n\
         # ca.pem, cert.pem and key.pem, for TLS.\n\
         #[[hosts]]\n\
         #name = \"here\"\n\
         #url = \"wharf://\"\n\
         #[[hosts]]\n\
         #name = \"far\"\n\
         #url = \"ssh://admin@far.example\"\n\
         #[[hosts]]\n\
         #name = \"build\"\n\
         #url = \"tcp://build.example:2376\"\n\
         #cert-path = \"/home/me/.docker/build\"\n\
         #tls-verify = true\n",
    );
    let presets = Preset::ALL.map(Preset::word).join(", ");
    add(
        &mut text,
        format_args!(
            "\n# Keys, by where they are in force; these are the defaults before a preset ({presets}).\n\
             # A key is x, Ctrl-x, Alt-x, F5, Enter, Esc, Space, Tab, Shift-Tab, Backspace, Del, Up,\n\
             # Down, Left, Right, Home, End, PgUp or PgDn; several are a list, none is []. A key that\n\
             # is given to an action is taken from the one that had it.\n"
        ),
    );
    for context in contexts() {
        add(&mut text, format_args!("\n[keys.{}]\n", context.word()));
        for binding in KEYMAP.iter().filter(|binding| binding.context == context) {
            let keys: Vec<String> =
                binding.keys.iter().map(|key| format!("{:?}", key.name())).collect();
            let keys = match keys.as_slice() {
                [key] => key.clone(),
                keys => format!("[{}]", keys.join(", ")),
            };
            let line = format!("#{} = {keys}", binding.action.word());
            add(&mut text, format_args!("{line:<44} # {}\n", binding.text));
        }
    }
    text
}

fn add(text: &mut String, more: std::fmt::Arguments<'_>) {
    // Writing to a text can't fail.
    let _ = text.write_fmt(more);
}
