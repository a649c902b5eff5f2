//! The engine's settings: three tables of `config.toml`, read by whoever opens an engine on this host,
//! the command line as well as `serve`. [`ROWS`] is the only list of them: the reading, the messages
//! and the [reference](reference()) are made from it.

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use wharf_engine::EngineOptions;
use wharf_model::{LogConfig, LogDriver};
use wharf_registry::Hosts;
use wharf_ui::config::{Problem, nearest, parse, problem_at};

/// What the file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct EngineSettings {
    /// Of registries.
    pub(crate) hosts: Hosts,
    /// Of the engine itself.
    pub(crate) engine: EngineOptions,
    log: LogConfig,
}

/// The name of docker's own registry.
const HUB: &str = "docker.io";

/// A value, where it is.
type Value<'v, 'i> = &'v Spanned<DeValue<'i>>;

/// Something wrong at a place of the file.
type Wrong = (usize, String);

/// A setting.
struct Row {
    table: &'static str,
    key: &'static str,
    /// What it may be, to follow "is".
    values: &'static str,
    /// An example of it.
    example: &'static str,
    /// What it does.
    text: &'static str,
    /// Takes a value, or tells where it is wrong and why; without a reason it is none of `values`.
    set: fn(&mut EngineSettings, Value<'_, '_>) -> Result<(), Wrong>,
}

/// All of them, in the order of the reference.
const ROWS: &[Row] = &[
    Row {
        table: "registry",
        key: "insecure",
        values: "a list of hosts and blocks of addresses",
        example: "[\"registry.lan:5000\", \"10.0.0.0/8\"]",
        text: "registries that may be talked to without TLS, or whatever certificate they show",
        set: |settings, value| {
            for value in list(value)? {
                let added = settings.hosts.add_insecure(text(value)?);
                added.map_err(|why| (value.span().start, why))?;
            }
            Ok(())
        },
    },
    Row {
        table: "registry",
        key: "mirrors",
        values: "a list of addresses (of docker.io), or a table of them by registry",
        example: "{ \"docker.io\" = [\"https://mirror.lan\"], \"ghcr.io\" = [\"https://mirror.lan/ghcr\"] }",
        text: "who is asked before a registry, in this order; a plain list is of docker.io",
        set: |settings, value| {
            let mut add = |registry: &str, value: Value<'_, '_>| {
                for value in list(value)? {
                    let added = settings.hosts.add_mirror(registry, text(value)?);
                    added.map_err(|why| (value.span().start, why))?;
                }
                Ok(())
            };
            match value.get_ref() {
                DeValue::Table(table) => {
                    table.iter().try_for_each(|(name, value)| add(name.get_ref(), value))
                }
                _ => add(HUB, value),
            }
        },
    },
    Row {
        table: "network",
        key: "address-pools",
        values: "a list of blocks: { base = \"10.66.0.0/16\", size = 24 }",
        example: "[{ base = \"10.66.0.0/16\", size = 24 }]",
        text: "the blocks that subnets of new networks are cut from, and the subnets' prefix length",
        set: |settings, value| {
            for value in list(value)? {
                let wrong = || (value.span().start, String::new());
                let DeValue::Table(pool) = value.get_ref() else { return Err(wrong()) };
                let (mut base, mut size) = (None, None);
                for (name, value) in pool {
                    match (name.get_ref().as_ref(), value.get_ref()) {
                        ("base", DeValue::String(text)) => base = text.parse().ok(),
                        ("size", DeValue::Integer(number)) => size = number.as_str().parse().ok(),
                        _ => return Err(wrong()),
                    }
                }
                let (Some(base), Some(size)) = (base, size) else { return Err(wrong()) };
                let added = settings.engine.network.add_pool(base, size);
                added.map_err(|why| (value.span().start, why))?;
            }
            Ok(())
        },
    },
    Row {
        table: "network",
        key: "bip",
        values: "an address with its prefix length, such as \"192.168.5.1/24\"",
        example: "\"192.168.5.1/24\"",
        text: "the address of the default bridge; left out, the engine chooses one",
        set: |settings, value| {
            let at = value.span().start;
            let bip = text(value)?.parse().map_err(|_| (at, String::new()))?;
            settings.engine.network.set_bip(bip).map_err(|why| (at, why))
        },
    },
    Row {
        table: "network",
        key: "icc",
        values: "true or false",
        example: "true",
        text: "whether containers of the default bridge reach each other",
        set: |settings, value| {
            let DeValue::Boolean(talks) = value.get_ref() else {
                return Err((value.span().start, String::new()));
            };
            settings.engine.network.icc = Some(*talks);
            Ok(())
        },
    },
    Row {
        table: "log",
        key: "driver",
        values: "\"json-file\", \"local\" or \"none\"",
        example: "\"json-file\"",
        text: "where containers write that were made without --log-driver",
        set: |settings, value| {
            let driver = LogDriver::from_word(text(value)?);
            let known = driver.filter(|driver| *driver != LogDriver::Default);
            settings.log.driver = known.ok_or_else(|| (value.span().start, String::new()))?;
            Ok(())
        },
    },
    Row {
        table: "log",
        key: "options",
        values: "a table of texts, such as { max-size = \"10m\" }",
        example: "{ max-size = \"10m\", max-file = \"3\" }",
        text: "options of that driver that a container has unless its own --log-opt says otherwise",
        set: |settings, value| {
            let DeValue::Table(table) = value.get_ref() else {
                return Err((value.span().start, String::new()));
            };
            for (name, value) in table {
                let option = text(value)?.to_owned();
                settings.log.options.insert(name.get_ref().to_string(), option);
            }
            Ok(())
        },
    },
];

fn list<'v, 'i>(value: Value<'v, 'i>) -> Result<&'v [Spanned<DeValue<'i>>], Wrong> {
    match value.get_ref() {
        DeValue::Array(list) => Ok(list),
        _ => Err((value.span().start, String::new())),
    }
}

fn text<'v>(value: Value<'v, '_>) -> Result<&'v str, Wrong> {
    match value.get_ref() {
        DeValue::String(text) => Ok(text),
        _ => Err((value.span().start, String::new())),
    }
}

/// Returns what a file says of the engine, and all that is wrong with that. Tables of others are left
/// alone.
pub(crate) fn read(file: &str) -> (EngineSettings, Vec<Problem>) {
    let mut settings = EngineSettings::default();
    let table = match parse(file) {
        Ok(table) => table,
        Err(problem) => return (settings, vec![problem]),
    };
    let mut problems = Vec::new();
    for (name, value) in table.get_ref() {
        let name = name.get_ref().as_ref();
        if !ROWS.iter().any(|row| row.table == name) {
            continue;
        }
        match value.get_ref() {
            DeValue::Table(table) => of_table(&mut settings, file, name, table, &mut problems),
            _ => {
                let why = format!("{name} is a table: [{name}]");
                problems.push(problem_at(file, value.span().start, why));
            }
        }
        // An option is right or wrong with its driver.
        if name == "log"
            && problems.is_empty()
            && let Err(why) = settings.engine.set_log(settings.log.clone())
        {
            problems.push(problem_at(file, value.span().start, why));
        }
    }
    problems.sort_by_key(|problem| (problem.line, problem.column));
    (settings, problems)
}

fn of_table(
    settings: &mut EngineSettings,
    file: &str,
    name: &str,
    table: &DeTable<'_>,
    problems: &mut Vec<Problem>,
) {
    for (key, value) in table {
        let word = key.get_ref().as_ref();
        let mut rows = ROWS.iter().filter(|row| row.table == name);
        let Some(row) = rows.clone().find(|row| row.key == word) else {
            let known: Vec<String> = rows.by_ref().map(|row| row.key.to_owned()).collect();
            let hint = match nearest(word, &known) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("there are {}", known.join(", ")),
            };
            let why = format!("there is no setting {name}.{word}: {hint}");
            problems.push(problem_at(file, key.span().start, why));
            continue;
        };
        if let Err((at, why)) = (row.set)(settings, value) {
            let why = match why.as_str() {
                "" => format!("{name}.{word} is {}", row.values),
                why => format!("{name}.{word}: {why}"),
            };
            problems.push(problem_at(file, at, why));
        }
    }
}

/// Returns a file that says nothing: every setting of the engine stands in it as a comment.
pub(crate) fn reference() -> String {
    let mut text = String::from(
        "# Settings of wharf's engine on this host: /etc/wharf/config.toml, an ordinary user's\n\
         # ~/.config/wharf/config.toml, or config.toml in the folder that WHARF_CONFIG names.\n\
         # `wharf config reference --engine` prints this page, `wharf config check` says what is\n\
         # wrong with a file. Each command reads it; a server reads it when it starts.\n",
    );
    let mut table = "";
    for row in ROWS {
        if row.table != table {
            table = row.table;
            text.push_str(&format!("\n[{table}]\n"));
        }
        let Row { key, values, example, text: does, .. } = row;
        text.push_str(&format!("\n# {does}\n# {values}\n#{key} = {example}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let (_, problems) = read(text);
        problems.into_iter().map(|p| format!("{}:{}: {}", p.line, p.column, p.text)).collect()
    }

    #[test]
    fn what_is_said_holds() {
        let text = "mouse = false\n[registry]\ninsecure = [\"10.0.0.0/8\"]\n\
                    mirrors = [\"https://m.example/\"]\n[network]\n\
                    address-pools = [{base = \"10.66.0.0/16\", size = 24}]\nicc = false\n\
                    bip = \"192.168.5.1/24\"\n[log]\ndriver = \"local\"\n\
                    options = {max-size = \"5m\"}\n";
        let (settings, problems) = read(text);
        assert_eq!(problems, []);
        let mut hosts = Hosts::default();
        hosts.add_insecure("10.0.0.0/8").unwrap();
        hosts.add_mirror("docker.io", "https://m.example").unwrap();
        assert_eq!(settings.hosts, hosts);
        let network = &settings.engine.network;
        assert_eq!((network.icc, network.default_address_pools.len()), (Some(false), 1));
        assert_eq!(network.bip, Some("192.168.5.1/24".parse().unwrap()));
        let mut log = LogConfig::default();
        log.settle(&settings.engine.log);
        assert_eq!((log.driver, log.options["max-size"].as_str()), (LogDriver::Local, "5m"));
        assert_eq!(read("").0, EngineSettings::default());
    }

    #[test]
    fn every_mistake_is_told_with_its_place() {
        let text = "network = 1\n[registry]\ninsecure = [\"http://a\", 5]\nmirors = []\n\
                    mirrors = {\"a.example\" = [\"m.example\"]}\n[log]\ndriver = \"syslog\"\n";
        let wanted = [
            "1:11: network is a table",
            "3:13: registry.insecure: insecure registry \"http://a\": give a host",
            "4:1: there is no setting registry.mirors: did you mean mirrors?",
            "5:27: registry.mirrors: mirror \"m.example\": give https://",
            "7:10: log.driver is \"json-file\", \"local\" or \"none\"",
        ];
        let found = problems(text);
        assert_eq!(found.len(), wanted.len(), "{found:?}");
        for (found, wanted) in found.iter().zip(wanted) {
            assert!(found.starts_with(wanted), "{found} is not {wanted}");
        }
        for (text, why) in [
            ("address-pools = [{base = \"10.66.1.0/16\", size = 24}]", "10.66.0.0/16 is meant"),
            ("address-pools = [{base = \"10.66.0.0/16\", size = 8}]", "size 8"),
            ("address-pools = [{base = \"10.66.0.0/16\"}]", "address-pools is a list of blocks"),
            ("address-pools = [{bse = \"10.66.0.0/16\", size = 24}]", "is a list of blocks"),
            ("bip = \"192.168.5.0/24\"", "own address"),
            ("bip = \"x\"", "bip is an address"),
            ("icc = 1", "icc is true or false"),
        ] {
            let found = problems(&format!("[network]\n{text}\n"));
            assert!(found.len() == 1 && found[0].contains(why), "{text}: {found:?}");
        }
        let found = problems("[log]\ndriver = \"local\"\noptions = {labels = \"x\"}\n");
        assert!(found.len() == 1 && found[0].contains("labels"), "{found:?}");
        assert!(problems("[log\n")[0].starts_with("1:"));
    }

    #[test]
    fn the_reference_is_what_the_docs_say_and_holds_when_it_is_uncommented() {
        let reference = reference();
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/engine.toml");
        if std::env::var_os("WHARF_WRITE_DOCS").is_some() {
            std::fs::write(path, &reference).unwrap();
        }
        let docs = std::fs::read_to_string(path).unwrap();
        assert_eq!(docs, reference, "docs/engine.toml is `wharf config reference --engine`");
        assert_eq!(read(&reference), (EngineSettings::default(), Vec::new()));
        let said: String = reference
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(rest) if !rest.starts_with(' ') => format!("{rest}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        let (settings, problems) = read(&said);
        assert_eq!(problems, [], "{said}");
        assert_ne!(settings, EngineSettings::default());
    }
}
