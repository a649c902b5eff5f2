//! Manual pages, made from the tables that the parser reads.

use crate::args::{Flag, Takes, Verb};
use crate::help::{self, GROUPS};
use crate::{GLOBAL, VERSION, verbs};

/// Returns all pages: file names and texts.
pub(crate) fn pages() -> Vec<(String, String)> {
    let mut pages = vec![("wharf.1".to_owned(), main_page())];
    pages.extend(verbs::all().map(|verb| (format!("{}.1", page_name(verb)), page(verb))));
    pages
}

/// Returns the page of the program.
pub(crate) fn main_page() -> String {
    let mut out = head("wharf", "runs containers and shows them");
    out.push_str(".SH SYNOPSIS\n.B wharf\n[\\fIOPTIONS\\fR] [\\fICOMMAND\\fR]\n");
    out.push_str(
        ".SH DESCRIPTION\nRuns containers on this host, without a daemon, with docker's command \
         line. Without a command it opens a dashboard in the terminal.\n",
    );
    out.push_str(".SH OPTIONS\n");
    for flag in GLOBAL.iter().flat_map(|part| part.iter()) {
        out.push_str(&option(flag));
    }
    out.push_str(".SH COMMANDS\n");
    for (group, title) in GROUPS {
        out.push_str(&format!(".SS {}\n", escaped(title)));
        for verb in verbs::top_level().filter(|verb| verb.group == group) {
            out.push_str(&entry(&format!("\\fB{}\\fR(1)", escaped(&page_name(verb))), verb.about));
        }
    }
    for section in &verbs::SECTIONS {
        out.push_str(&format!(".SS {}\n", escaped(&format!("wharf {}", section.name))));
        for (name, verb) in help::members(section) {
            out.push_str(&entry(&format!("\\fB{}\\fR", escaped(name)), verb.about));
        }
    }
    out.push_str(ENVIRONMENT);
    out.push_str(EXIT_STATUS);
    out
}

const ENVIRONMENT: &str = ".SH ENVIRONMENT
.TP
.B WHARF_ROOT
Where wharf keeps its data, instead of /var/lib/wharf and /run/wharf.
.TP
.BR WHARF_HOST , \" DOCKER_HOST\"
The socket of a Docker Engine API to talk to instead.
";

const EXIT_STATUS: &str = ".SH EXIT STATUS
.TP
.B 125
wharf itself failed.
.TP
.B 126
The command of a container can't be run.
.TP
.B 127
The command of a container was not found.
.TP
.B 128+n
Signal n ended it.
.PP
Otherwise it is that of the container's command, 0, or 1 after an error.
";

fn page_name(verb: &Verb) -> String {
    let path = match verb.paths {
        [only] if !verbs::top_level().any(|top| top.name == verb.name) => only,
        _ => verb.name,
    };
    format!("wharf-{}", path.replace(' ', "-"))
}

fn page(verb: &Verb) -> String {
    let name = page_name(verb);
    let called = name.replacen('-', " ", 1);
    let called = verb
        .paths
        .iter()
        .find(|path| format!("wharf-{}", path.replace(' ', "-")) == name)
        .map_or(called, |path| format!("wharf {path}"));
    let mut out = head(&name, verb.about);
    out.push_str(&format!(
        ".SH SYNOPSIS\n\\fB{}\\fR {}\n.SH DESCRIPTION\n{}.\n",
        escaped(&called),
        escaped(verb.usage),
        escaped(verb.about)
    ));
    let others: Vec<String> = verb
        .paths
        .iter()
        .map(|path| format!("wharf {path}"))
        .filter(|path| *path != called)
        .map(|path| format!("\\fB{}\\fR", escaped(&path)))
        .collect();
    if !others.is_empty() {
        out.push_str(&format!(".PP\nAlso: {}.\n", others.join(", ")));
    }
    for (index, (title, flags)) in help::sections(verb).into_iter().enumerate() {
        if index == 0 {
            out.push_str(".SH OPTIONS\n");
        }
        if title != "Options" {
            out.push_str(&format!(".SS {}\n", escaped(&title)));
        }
        flags.iter().for_each(|flag| out.push_str(&option(flag)));
    }
    out.push_str(EXIT_STATUS);
    out.push_str(".SH SEE ALSO\n.BR wharf (1)\n");
    out
}

fn head(name: &str, about: &str) -> String {
    format!(
        ".TH {} 1 \"\" \"wharf {VERSION}\" \"wharf manual\"\n.SH NAME\n{} \\- {}\n",
        escaped(&name.to_uppercase()),
        escaped(name),
        escaped(about)
    )
}

fn option(flag: &Flag) -> String {
    let letter = flag.short.map(|letter| format!("\\fB\\-{letter}\\fR, ")).unwrap_or_default();
    let what = match flag.takes {
        Takes::Switch => String::new(),
        Takes::Value(what) | Takes::List(what) => format!(" \\fI{}\\fR", escaped(what)),
    };
    entry(&format!("{letter}\\fB\\-\\-{}\\fR{what}", escaped(flag.long)), flag.help)
}

fn entry(tag: &str, text: &str) -> String {
    format!(".TP\n{tag}\n{}\n", escaped(text))
}

/// Returns text in which nothing means anything to troff.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    if text.starts_with(['.', '\'']) {
        out.push_str("\\&");
    }
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\e"),
            '-' => out.push_str("\\-"),
            '\n' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_and_flag_has_its_place() {
        let pages = pages();
        assert_eq!(pages.len(), verbs::all().count() + 1);
        let mut names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), pages.len());
        assert!(names.contains(&"wharf-container-prune.1") && names.contains(&"wharf-run.1"));
        assert!(names.contains(&"wharf-system-reset.1"), "{names:?}");
        for verb in verbs::all() {
            let text = page(verb);
            for flag in verb.all_flags() {
                assert!(text.contains(&format!("\\-\\-{}", escaped(flag.long))), "{}", flag.long);
            }
        }
        assert!(page(&crate::verbs::run::VERB).contains(".SS Resource options\n"));
        assert_eq!(escaped(".a-b\\c"), "\\&.a\\-b\\ec");
    }
}
