//! The plain settings, one row each.

use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::{Config, Preset};
use crate::app::Column;
use crate::options::Colors;

/// A setting.
pub(super) struct Setting {
    /// Its name, with that of its table.
    pub(super) path: &'static str,
    /// What it may be, to follow "is".
    pub(super) values: &'static str,
    /// What it is when nothing is said, as it would be written.
    pub(super) default: &'static str,
    /// What it does.
    pub(super) text: &'static str,
    /// Takes a value, or tells where it is wrong.
    pub(super) set: fn(&mut Config, &Spanned<DeValue<'_>>) -> Result<(), usize>,
}

/// All of them, in the order of the reference.
pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        path: "preset",
        values: "\"wharf\", \"lazydocker\", \"k9s\" or \"ctop\"",
        default: "\"wharf\"",
        text: "whose keys to begin with; [keys] changes single ones",
        set: |config, value| {
            config.preset = word(value, &Preset::ALL.map(|p| (p.word(), p)))?;
            Ok(())
        },
    },
    Setting {
        path: "mouse",
        values: "true or false",
        default: "true",
        text: "whether the mouse is the dashboard's; false leaves the terminal's own selection",
        set: |config, value| {
            config.mouse = Some(boolean(value)?);
            Ok(())
        },
    },
    Setting {
        path: "interval",
        values: "a number of seconds from 1 to 60",
        default: "1",
        text: "seconds between two samples",
        set: |config, value| {
            config.interval = Some(Duration::from_secs(number(value, 1, 60)?));
            Ok(())
        },
    },
    Setting {
        path: "byte-budget",
        values: "a number of bytes from 200 to 1000000",
        default: "2000",
        text: "bytes a second that may go to the terminal while only numbers change",
        set: |config, value| {
            config.byte_budget = u32::try_from(number(value, 200, 1_000_000)?).ok();
            Ok(())
        },
    },
    Setting {
        path: "columns",
        values: "a list of columns: state, health, host, name, image, cpu, memory, network, disk, \
                 pids, uptime, restarts, ports, ip",
        default: "[\"state\", \"health\", \"host\", \"name\", \"image\", \"cpu\", \"memory\", \"network\", \
                  \"disk\", \"pids\", \"uptime\", \"restarts\", \"ports\", \"ip\"]",
        text: "the columns of the container list, from left to right, as far as there is room;\n\
               left out, those that are worth most are shown",
        set: |config, value| {
            let DeValue::Array(list) = value.get_ref() else { return Err(value.span().start) };
            let mut columns = Vec::new();
            for value in list {
                let column = word(value, &Column::ALL.map(|column| (column.word(), column)))?;
                if columns.contains(&column) {
                    return Err(value.span().start);
                }
                columns.push(column);
            }
            if columns.is_empty() {
                return Err(value.span().start);
            }
            config.columns = Some(columns);
            Ok(())
        },
    },
    Setting {
        path: "group",
        values: "true or false",
        default: "true",
        text: "whether containers of a compose project stand together",
        set: |config, value| {
            config.group = Some(boolean(value)?);
            Ok(())
        },
    },
    Setting {
        path: "toolbox-image",
        values: "the name of an image, such as \"busybox\"",
        default: "\"busybox\"",
        text: "the image whose tools a shell has in a container whose image has no shell",
        set: |config, value| {
            let wrong = value.span().start;
            let DeValue::String(text) = value.get_ref() else { return Err(wrong) };
            text.parse::<wharf_model::ImageName>().map_err(|_| wrong)?;
            config.toolbox_image = Some(text.to_string());
            Ok(())
        },
    },
    Setting {
        path: "theme.background",
        values: "\"auto\", \"dark\" or \"light\"",
        default: "\"auto\"",
        text: "what the terminal's background is; auto believes COLORFGBG, and has 16 colours for both",
        set: |config, value| {
            let values = [("auto", None), ("dark", Some(false)), ("light", Some(true))];
            config.light = word(value, &values)?;
            Ok(())
        },
    },
    Setting {
        path: "theme.colors",
        values: "\"auto\", \"none\", \"16\", \"256\" or \"true\"",
        default: "\"auto\"",
        text: "how many colours; auto believes TERM, COLORTERM and NO_COLOR",
        set: |config, value| {
            let values = [
                ("auto", None),
                ("none", Some(Colors::None)),
                ("16", Some(Colors::Ansi16)),
                ("256", Some(Colors::Ansi256)),
                ("true", Some(Colors::True)),
            ];
            config.colors = word(value, &values)?;
            Ok(())
        },
    },
    Setting {
        path: "theme.letters",
        values: "\"auto\", \"ascii\" or \"unicode\"",
        default: "\"auto\"",
        text: "what to draw with; auto believes LC_ALL, LC_CTYPE and LANG",
        set: |config, value| {
            let values = [("auto", None), ("ascii", Some(false)), ("unicode", Some(true))];
            config.unicode = word(value, &values)?;
            Ok(())
        },
    },
];

fn boolean(value: &Spanned<DeValue<'_>>) -> Result<bool, usize> {
    match value.get_ref() {
        DeValue::Boolean(value) => Ok(*value),
        _ => Err(value.span().start),
    }
}

fn number(value: &Spanned<DeValue<'_>>, least: u64, most: u64) -> Result<u64, usize> {
    let wrong = value.span().start;
    let DeValue::Integer(number) = value.get_ref() else { return Err(wrong) };
    let number = u64::from_str_radix(number.as_str(), number.radix()).map_err(|_| wrong)?;
    if (least..=most).contains(&number) { Ok(number) } else { Err(wrong) }
}

fn word<T: Copy>(value: &Spanned<DeValue<'_>>, words: &[(&str, T)]) -> Result<T, usize> {
    let DeValue::String(text) = value.get_ref() else { return Err(value.span().start) };
    let found = words.iter().find(|(word, _)| word == text);
    found.map(|(_, value)| *value).ok_or(value.span().start)
}
