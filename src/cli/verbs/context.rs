//! `context`: names for engines, kept in docker's own files, so that docker's programs know them too.

use std::path::PathBuf;

use wharf_backend::docker::{Address, Context, Contexts, DEFAULT, Tls};

use crate::args::{Arity, Flag, Group, Verb, values};
use crate::call::{Call, Failure, print, print_line};
use crate::connect;
use crate::format::document::Format;
use crate::format::rows::{Rows, row, template_failed};
use crate::target::OWN;

pub(crate) static LS: Verb = Verb {
    name: "context ls",
    paths: &["context ls", "context list"],
    usage: "[OPTIONS]",
    about: "List contexts",
    group: Group::System,
    arity: Arity::None,
    interspersed: true,
    flags: &[&[
        Flag::value("format", "string", "Print by a template: table, json or TEMPLATE"),
        Flag::switch("quiet", "Only their names").short('q'),
    ]],
    missing: &[],
    run: list,
};

pub(crate) static USE: Verb = Verb {
    name: "context use",
    paths: &["context use"],
    usage: "CONTEXT",
    about: "Talk to this engine when nothing else is said; default is wharf's own",
    group: Group::System,
    arity: Arity::Exactly(1),
    interspersed: true,
    flags: &[],
    missing: &[],
    run: switch,
};

pub(crate) static SHOW: Verb = Verb {
    name: "context show",
    paths: &["context show"],
    usage: "",
    about: "Print the name of the current context",
    group: Group::System,
    arity: Arity::None,
    interspersed: true,
    flags: &[],
    missing: &[],
    run: show,
};

pub(crate) static INSPECT: Verb = Verb {
    name: "context inspect",
    paths: &["context inspect"],
    usage: "[OPTIONS] [CONTEXT] [CONTEXT...]",
    about: "Print contexts as documents",
    group: Group::System,
    arity: Arity::AtLeast(0),
    interspersed: true,
    flags: &[&[Flag::value("format", "string", "Print by a template").short('f')]],
    missing: &[],
    run: inspect,
};

pub(crate) static CREATE: Verb = Verb {
    name: "context create",
    paths: &["context create"],
    usage: "[OPTIONS] CONTEXT",
    about: "Name an engine",
    group: Group::System,
    arity: Arity::Exactly(1),
    interspersed: true,
    flags: &[&[
        Flag::value("description", "string", "What to say of it"),
        Flag::value(
            "docker",
            "map",
            "Where it is: host=ssh://me@far, or host=tcp://…,ca=,cert=,key=",
        ),
    ]],
    missing: &[("from", None)],
    run: create,
};

pub(crate) static RM: Verb = Verb {
    name: "context rm",
    paths: &["context rm", "context remove"],
    usage: "[OPTIONS] CONTEXT [CONTEXT...]",
    about: "Forget names of engines",
    group: Group::System,
    arity: Arity::AtLeast(1),
    interspersed: true,
    flags: &[&[Flag::switch("force", "The current one, too").short('f')]],
    missing: &[],
    run: remove,
};

fn contexts() -> Result<Contexts, Failure> {
    let folder = connect::docker_folder();
    let folder = folder.ok_or_else(|| {
        Failure::new(1, "there is no folder of contexts: set HOME or DOCKER_CONFIG")
    })?;
    Ok(Contexts::new(&folder))
}

/// Returns the name of the context that is in force: what the environment says counts more than the
/// file.
fn current(contexts: &Contexts) -> anyhow::Result<String> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    if variable("WHARF_HOST").or_else(|| variable("DOCKER_HOST")).is_some() {
        return Ok(DEFAULT.to_owned());
    }
    Ok(match variable("DOCKER_CONTEXT") {
        Some(name) => name,
        None => contexts.current()?.unwrap_or_else(|| DEFAULT.to_owned()),
    })
}

/// Returns the context that stands for none.
fn own() -> Context {
    let description = "wharf's own engine".to_owned();
    let document = serde_json::json!({
        "Name": DEFAULT,
        "Metadata": {},
        "Endpoints": { "docker": { "Host": OWN, "SkipTLSVerify": false } },
    });
    Context { name: DEFAULT.to_owned(), description, host: OWN.to_owned(), tls: None, document }
}

fn list(call: &Call) -> anyhow::Result<i32> {
    let given = call.parsed.last("format").unwrap_or_default();
    let format = match (given, call.parsed.on("quiet")) {
        ("" | "table", true) => "{{.Name}}",
        ("" | "table", false) => {
            "table {{.Name}}{{if .Current}} *{{end}}\t{{.Description}}\t{{.DockerEndpoint}}\t{{.Error}}"
        }
        (template, _) => template,
    };
    let rows = Rows::new(format).map_err(template_failed)?;
    let contexts = contexts()?;
    let current = current(&contexts)?;
    let mut all = vec![own()];
    all.extend(contexts.list()?);
    let records = all.iter().map(|one| {
        let wrong = (one.name != DEFAULT).then(|| one.address().err()).flatten();
        let is_current = if one.name == current { "true" } else { "" };
        row(
            "*formatter.clientContextContext",
            vec![
                ("Current", is_current.to_owned()),
                ("Description", one.description.clone()),
                ("DockerEndpoint", one.host.clone()),
                ("Error", wrong.map(|error| error.message).unwrap_or_default()),
                ("Name", one.name.clone()),
            ],
        )
    });
    let titles = &[
        ("Current", ""),
        ("Description", "DESCRIPTION"),
        ("DockerEndpoint", "DOCKER ENDPOINT"),
        ("Error", "ERROR"),
        ("Name", "NAME"),
    ];
    print(&rows.print(records, titles).map_err(template_failed)?)?;
    Ok(0)
}

fn switch(call: &Call) -> anyhow::Result<i32> {
    let name = call.parsed.argument(0).unwrap_or_default();
    let contexts = contexts()?;
    contexts.use_context(name)?;
    print_line(name)?;
    let forced = ["WHARF_HOST", "DOCKER_HOST", "DOCKER_CONTEXT"];
    let set = |name: &&str| std::env::var(name).is_ok_and(|value| !value.is_empty());
    if let Some(variable) = forced.iter().find(|name| set(name)) {
        crate::report(&format!(
            "WARNING: {variable} counts more: unset it for the context {name:?} to be used"
        ));
    }
    Ok(0)
}

fn show(_: &Call) -> anyhow::Result<i32> {
    print_line(&current(&contexts()?)?)?;
    Ok(0)
}

fn inspect(call: &Call) -> anyhow::Result<i32> {
    let format = call.parsed.last("format").filter(|format| !format.is_empty());
    let format = format.map(|format| Format::new("context inspect", format)).transpose()?;
    let contexts = contexts()?;
    let mut names = call.parsed.arguments.clone();
    if names.is_empty() {
        names.push(current(&contexts)?);
    }
    let mut documents = Vec::new();
    for name in &names {
        let found = if name == DEFAULT { own() } else { contexts.get(name)? };
        documents.push(found.document);
    }
    match format {
        Some(format) => {
            for document in &documents {
                print_line(&format.apply(document).map_err(template_failed)?)?;
            }
        }
        None => print_line(&serde_json::to_string_pretty(&documents)?)?,
    }
    Ok(0)
}

fn create(call: &Call) -> anyhow::Result<i32> {
    let name = call.parsed.argument(0).unwrap_or_default();
    let wrong = |text: String| Failure::new(1, text);
    let mut host = None;
    let (mut authority, mut certificate, mut key) = (None, None, None);
    let mut verify = true;
    for part in call.parsed.last("docker").unwrap_or_default().split(',').filter(|p| !p.is_empty())
    {
        let (word, value) = part.split_once('=').unwrap_or((part, ""));
        let path = || Some(PathBuf::from(value));
        match word {
            "host" => host = Some(value.to_owned()),
            "ca" => authority = path(),
            "cert" => certificate = path(),
            "key" => key = path(),
            "skip-tls-verify" => {
                let skip = values::boolean(value).ok_or_else(|| {
                    wrong(format!("skip-tls-verify is true or false, not {value:?}"))
                })?;
                verify = !skip;
            }
            _ => {
                let text = "it takes host, ca, cert, key and skip-tls-verify";
                return Err(wrong(format!("--docker: unknown word {word:?}: {text}")).into());
            }
        }
    }
    let host = host.ok_or_else(|| {
        wrong("docker endpoint configuration is required: --docker host=ssh://me@far".to_owned())
    })?;
    let client = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => return Err(wrong("--docker: cert and key go together".to_owned()).into()),
    };
    let tls = (authority.is_some() || client.is_some() || !verify).then_some(Tls {
        authority,
        client,
        verify,
    });
    if tls.is_some() && !matches!(Address::parse(&host, None), Ok(Address::Tcp { .. })) {
        return Err(wrong("--docker: certificates are for tcp:// alone".to_owned()).into());
    }
    let description = call.parsed.last("description").unwrap_or_default();
    contexts()?.create(name, description, &host, tls.as_ref())?;
    print_line(name)?;
    crate::notice(&format!("Successfully created context \"{name}\""));
    Ok(0)
}

fn remove(call: &Call) -> anyhow::Result<i32> {
    let (contexts, force) = (contexts()?, call.parsed.on("force"));
    let mut code = 0;
    for name in &call.parsed.arguments {
        match contexts.remove(name, force) {
            Ok(()) => print_line(name)?,
            Err(error) => {
                crate::report(&error.message);
                code = 1;
            }
        }
    }
    Ok(code)
}
