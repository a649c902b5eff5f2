//! The arrows between the crates, and where `unsafe` may stand.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::harness::Test;

/// What each crate may use of the workspace and of the world: ARCHITECTURE.md's table. What isn't
/// listed here for a crate is forbidden to it.
const MAY_USE: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("sys", &["model"]),
    ("cgroup", &["model", "sys"]),
    ("logs", &["model"]),
    ("stats", &["model", "cgroup"]),
    ("inspect", &["model"]),
    ("demo", &["model"]),
    ("engine", &["model", "sys", "cgroup", "logs", "stats", "inspect"]),
    ("registry", &["model"]),
    ("build", &["model", "engine"]),
    ("backend", &["model", "sys", "cgroup", "logs", "stats", "inspect", "engine", "registry"]),
    ("compose", &["model", "backend"]),
    ("api", &["model", "inspect", "registry", "backend"]),
    ("ui", &["model", "stats", "logs", "inspect", "backend"]),
    (
        "cli",
        &[
            "model", "sys", "engine", "inspect", "logs", "stats", "backend", "compose", "build",
            "ui", "api", "demo", "registry",
        ],
    ),
];

/// Outside crates that only these may use.
const KEPT_TO: &[(&str, &[&str])] = &[
    ("bollard", &["backend"]),
    ("bollard-stubs", &["api"]),
    ("hyper", &["backend", "api"]),
    ("cgroups-rs", &["cgroup"]),
    ("rusqlite", &["engine"]),
    ("seccompiler", &["engine", "sys"]),
    ("ratatui", &["ui"]),
    ("crossterm", &["ui", "cli"]),
    ("clap", &["cli"]),
    ("anyhow", &["cli"]),
    ("reqwest", &["registry"]),
    ("rustls", &["registry", "api"]),
    ("tokio-rustls", &["backend", "api"]),
    ("tokio-tungstenite", &["api"]),
    ("tokio", &["registry", "backend", "ui", "cli", "api"]),
    ("libc", &["sys", "cgroup", "engine"]),
];

pub(crate) fn tests() -> Vec<Test> {
    let lacks = (!root().join("Cargo.toml").exists()).then(|| "the sources aren't here".to_owned());
    [
        Test::new("crates_use_only_what_the_design_allows", arrows),
        Test::new("outside_crates_stay_where_they_belong", kept),
        Test::new("unsafe_stands_only_in_sys", unsafe_code),
        Test::new("every_crate_takes_the_workspace_lints", lints),
        Test::new("no_file_is_too_long", lengths),
    ]
    .into_iter()
    .map(|test| test.needing(lacks.clone()))
    .collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the crates: folder name to manifest text.
fn manifests() -> BTreeMap<String, String> {
    let mut manifests = BTreeMap::new();
    for folder in std::fs::read_dir(root().join("src")).unwrap().flatten() {
        if let Ok(text) = std::fs::read_to_string(folder.path().join("Cargo.toml")) {
            manifests.insert(folder.file_name().into_string().unwrap(), text);
        }
    }
    assert!(manifests.len() >= 9, "{manifests:?}");
    manifests
}

/// Returns the names in a manifest's `[dependencies]`, target-specific ones included; what only
/// tests or build scripts use doesn't count.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut counts = false;
    for line in manifest.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[') {
            let section = section.trim_end_matches(']');
            counts = section == "dependencies" || section.ends_with(".dependencies");
            let table = section.strip_prefix("dependencies.");
            names.extend(table.map(str::to_owned));
        } else if counts && !line.starts_with('#') {
            let name = line.split(['.', '=', ' ']).next().unwrap_or_default();
            if !name.is_empty() {
                names.insert(name.to_owned());
            }
        }
    }
    names
}

fn arrows() {
    let mut wrong = Vec::new();
    for (name, manifest) in manifests() {
        let allowed = MAY_USE.iter().find(|(crate_name, _)| *crate_name == name);
        let Some((_, allowed)) = allowed else {
            wrong.push(format!("src/{name} isn't in the table"));
            continue;
        };
        for used in dependencies(&manifest) {
            if let Some(used) = used.strip_prefix("wharf-")
                && !allowed.contains(&used)
            {
                wrong.push(format!("{name} may not use {used}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn kept() {
    let mut wrong = Vec::new();
    for (name, manifest) in manifests() {
        let used = dependencies(&manifest);
        for (outside, crates) in KEPT_TO {
            if used.contains(*outside) && !crates.contains(&name.as_str()) {
                wrong.push(format!("{name} may not use {outside}, only {}", crates.join(", ")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Returns every Rust file below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// Returns Rust source with comments, strings and characters blanked out, lines kept.
fn code_only(source: &str) -> String {
    let bytes: Vec<char> = source.chars().collect();
    let mut code = String::with_capacity(source.len());
    let mut at = 0;
    let at_is = |at: usize, text: &str| {
        text.chars().enumerate().all(|(offset, c)| bytes.get(at + offset) == Some(&c))
    };
    while at < bytes.len() {
        let start = at;
        if at_is(at, "//") {
            while at < bytes.len() && bytes[at] != '\n' {
                at += 1;
            }
        } else if at_is(at, "/*") {
            let mut depth = 0;
            while at < bytes.len() {
                if at_is(at, "/*") {
                    depth += 1;
                    at += 2;
                } else if at_is(at, "*/") {
                    depth -= 1;
                    at += 2;
                    if depth == 0 {
                        break;
                    }
                } else {
                    at += 1;
                }
            }
        } else if bytes[at] == 'r'
            && (at_is(at, "r\"") || at_is(at, "r#"))
            && !word_before(&bytes, at)
        {
            let hashes = bytes[at + 1..].iter().take_while(|c| **c == '#').count();
            if bytes.get(at + 1 + hashes) != Some(&'"') {
                // A raw identifier.
                code.push('r');
                at += 1;
                continue;
            }
            let close: String =
                std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
            at += 2 + hashes;
            while at < bytes.len() && !at_is(at, &close) {
                at += 1;
            }
            at += close.chars().count();
        } else if bytes[at] == '"' {
            at += 1;
            while at < bytes.len() && bytes[at] != '"' {
                at += if bytes[at] == '\\' { 2 } else { 1 };
            }
            at += 1;
        } else if bytes[at] == '\'' && (bytes.get(at + 2) == Some(&'\'') || at_is(at + 1, "\\")) {
            // A character, not a lifetime.
            at += if bytes[at + 1] == '\\' { 3 } else { 2 };
            while at < bytes.len() && bytes[at] != '\'' {
                at += 1;
            }
            at += 1;
        } else {
            code.push(bytes[at]);
            at += 1;
            continue;
        }
        let end = at.min(bytes.len());
        code.extend(bytes[start..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
    }
    code
}

fn word_before(text: &[char], at: usize) -> bool {
    at > 0 && (text[at - 1].is_alphanumeric() || text[at - 1] == '_')
}

fn unsafe_code() {
    // The scanner itself, first.
    let sample =
        "a // unsafe\n\"unsafe \\\" unsafe\" r#\"unsafe\"# '\\'' '\"' /* unsafe /* */ unsafe */ b";
    let code = code_only(sample);
    assert!(!code.contains("unsafe") && code.contains('a') && code.contains('b'), "{code}");
    assert!(code_only("let c = '\"'; unsafe {}").contains("unsafe"));
    assert!(code_only("fn f<'a>(x: &'a str) { unsafe {} }").contains("unsafe"));

    let mut wrong = Vec::new();
    for folder in ["src", "tests", "benches"] {
        for path in sources(&root().join(folder)) {
            let short = path.strip_prefix(root()).unwrap();
            if short.starts_with("src/sys") {
                continue;
            }
            let code = code_only(&std::fs::read_to_string(&path).unwrap());
            for (number, line) in code.lines().enumerate() {
                let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
                if words.any(|word| word == "unsafe") {
                    wrong.push(format!("{}:{}", short.display(), number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "unsafe outside src/sys:\n{}", wrong.join("\n"));
}

fn lints() {
    for (name, manifest) in manifests() {
        let lines: Vec<&str> = manifest.lines().map(str::trim).collect();
        let section = lines.iter().position(|line| *line == "[lints]");
        let taken = section.is_some_and(|at| lines.get(at + 1) == Some(&"workspace = true"));
        // src/sys opens one lint and repeats the others.
        assert!(taken || name == "sys", "src/{name} has lints of its own");
    }
}

fn lengths() {
    const LONGEST: usize = 800;
    let mut wrong = Vec::new();
    for folder in ["src", "tests", "benches"] {
        for path in sources(&root().join(folder)) {
            let text = std::fs::read_to_string(&path).unwrap();
            let lines = text.lines().count();
            // Data is data, and whoever needs a longer file says why at its top.
            let excused = text.lines().take(12).any(|line| line.contains("longer than"));
            if lines > LONGEST && !excused {
                wrong.push(format!(
                    "{}: {lines} lines",
                    path.strip_prefix(root()).unwrap().display()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "over {LONGEST} lines:\n{}", wrong.join("\n"));
}
