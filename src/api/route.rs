//! Which function answers which method and path.

use std::sync::Arc;

use hyper::{Method, StatusCode};
use percent_encoding::percent_decode_str;

use crate::answer::{Answered, Refusal};
use crate::request::Ask;
use crate::routes::{
    archive, attach, containers, create, distribution, events, exec, images, life, logs, networks,
    stats, system, transfer, volumes,
};
use crate::server::Server;
use crate::version::{self, Named};

/// Paths that only an engine in a swarm answers.
const SWARM: [&str; 6] = ["swarm", "nodes", "services", "tasks", "secrets", "configs"];

/// Returns a path's segments without escapes.
///
/// # Errors
/// When one isn't a name that anything could have.
fn segments(path: &str) -> Result<Vec<String>, Refusal> {
    let mut segments = Vec::new();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        let text = percent_decode_str(part).decode_utf8();
        let text = text.map_err(|_| Refusal::invalid("the path is not UTF-8"))?;
        // No object is called so, and a folder might be.
        if text.contains('\0') || text.split('/').any(|name| matches!(name, "." | "..")) {
            return Err(Refusal::missing("page not found"));
        }
        segments.push(text.into_owned());
    }
    Ok(segments)
}

/// Returns whether the function of a path sees to the body itself, or hands it on.
fn takes_body(method: &Method, parts: &[&str]) -> bool {
    match *method {
        Method::PUT => matches!(parts, ["containers", _, "archive"]),
        Method::POST => matches!(
            parts,
            ["auth" | "commit"]
                | ["containers" | "images" | "networks" | "volumes", "create"]
                | ["images", "load"]
                | ["containers", _, "start" | "update" | "attach" | "exec"]
                | ["networks", _, "connect" | "disconnect"]
                | ["exec", _, "start"]
        ),
        _ => false,
    }
}

/// Answers a request.
///
/// # Errors
/// A refusal, which is an answer too.
pub(crate) async fn answer(
    server: &Arc<Server>,
    method: &Method,
    path: &str,
    mut ask: Ask,
) -> Answered {
    let segments = segments(path)?;
    let mut parts: Vec<&str> = segments.iter().map(String::as_str).collect();
    if let Some(first) = parts.first() {
        match version::named(first) {
            Named::None => {}
            Named::Spoken(spoken) => {
                ask.version = spoken;
                parts.remove(0);
            }
            Named::Refused(why) => return Err(Refusal::invalid(why)),
        }
    }
    if !takes_body(method, &parts) {
        ask.drain().await?;
    }
    match *method {
        Method::GET => get(server, &parts, ask).await,
        Method::POST => post(server, &parts, ask).await,
        Method::DELETE => delete(server, &parts, ask).await,
        Method::HEAD => match parts[..] {
            ["_ping"] => Ok(system::ping(false)),
            ["containers", name, "archive"] => archive::head(server, name, &ask.query).await,
            _ => Err(nothing(&parts)),
        },
        Method::PUT => match parts[..] {
            ["containers", name, "archive"] => archive::put(server, name, ask).await,
            _ => Err(nothing(&parts)),
        },
        _ => Err(nothing(&parts)),
    }
}

/// Returns the refusal of a path that nobody answers.
fn nothing(parts: &[&str]) -> Refusal {
    let refused = |status, text: &str| Refusal::new(status, text);
    match parts {
        [first, ..] if SWARM.contains(first) => refused(
            StatusCode::SERVICE_UNAVAILABLE,
            "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" \
             to connect this node to swarm and try again.",
        ),
        ["build" | "session" | "grpc", ..] => refused(
            StatusCode::NOT_IMPLEMENTED,
            "wharf builds no images yet: build the image elsewhere, and pull, load or import it",
        ),
        ["images", "search"] => refused(
            StatusCode::NOT_IMPLEMENTED,
            "wharf asks no index of images: look for them at hub.docker.com, and pull them by name",
        ),
        ["plugins", "pull" | "create" | "privileges"] => {
            refused(StatusCode::NOT_IMPLEMENTED, "wharf has no plugins: leave them out")
        }
        ["containers", _, "checkpoints", ..] => {
            refused(StatusCode::NOT_IMPLEMENTED, "wharf has no checkpoints of containers")
        }
        _ => Refusal::missing("page not found"),
    }
}

/// Returns the refusal of a plugin, of which there is none.
fn no_plugin(name: &[&str]) -> Refusal {
    Refusal::missing(format!("plugin {:?} not found", name.join("/")))
}

async fn get(server: &Arc<Server>, parts: &[&str], ask: Ask) -> Answered {
    let query = &ask.query;
    match *parts {
        ["_ping"] => Ok(system::ping(true)),
        ["version"] => system::version(server).await,
        ["info"] => system::info(server).await,
        ["system", "df"] => system::disk_usage(server, &ask).await,
        ["events"] => events::stream(server, &ask).await,
        ["containers", "json"] => containers::list(server, &ask).await,
        ["containers", name, "json"] => containers::inspect(server, name, &ask).await,
        ["containers", name, "top"] => containers::top(server, name, query).await,
        ["containers", name, "changes"] => containers::changes(server, name).await,
        ["containers", name, "export"] => containers::export(server, name).await,
        ["containers", name, "logs"] => logs::logs(server, name, &ask).await,
        ["containers", name, "stats"] => stats::stats(server, name, &ask).await,
        ["containers", name, "attach", "ws"] => attach::by_websocket(server, name, &ask).await,
        ["containers", name, "archive"] => archive::get(server, name, query).await,
        ["exec", id, "json"] => exec::inspect(server, id).await,
        ["images", "json"] => images::list(server, &ask).await,
        ["images", "search"] => Err(nothing(parts)),
        ["images", "get"] => images::save(server, &ask).await,
        ["images", ref name @ .., "json"] => images::inspect(server, &name.join("/"), &ask).await,
        ["images", ref name @ .., "history"] => {
            images::history(server, &name.join("/"), &ask).await
        }
        ["images", ref name @ .., "get"] => images::save_one(server, &name.join("/"), &ask).await,
        ["distribution", ref name @ .., "json"] => {
            distribution::inspect(server, &name.join("/"), &ask).await
        }
        ["networks"] => networks::list(server, query).await,
        ["networks", name] => networks::inspect(server, name, &ask).await,
        ["volumes"] => volumes::list(server, query).await,
        ["volumes", name] => volumes::inspect(server, name).await,
        ["plugins"] => system::no_plugins(query),
        ["plugins", ref name @ .., "json"] if !name.is_empty() => Err(no_plugin(name)),
        _ => Err(nothing(parts)),
    }
}

async fn post(server: &Arc<Server>, parts: &[&str], ask: Ask) -> Answered {
    let query = &ask.query;
    match *parts {
        ["auth"] => distribution::log_in(server, ask).await,
        ["commit"] => images::commit(server, ask).await,
        ["containers", "create"] => create::create(server, ask).await,
        ["containers", "prune"] => containers::prune(server, query).await,
        ["containers", name, "start"] => life::start(server, name, ask).await,
        ["containers", name, "stop"] => life::stop(server, name, &ask).await,
        ["containers", name, "restart"] => life::restart(server, name, &ask).await,
        ["containers", name, "kill"] => life::kill(server, name, query).await,
        ["containers", name, "pause"] => life::pause(server, name).await,
        ["containers", name, "unpause"] => life::unpause(server, name).await,
        ["containers", name, "rename"] => life::rename(server, name, query).await,
        ["containers", name, "wait"] => life::wait(server, name, &ask).await,
        ["containers", name, "update"] => create::update(server, name, ask).await,
        ["containers", name, "resize"] => attach::resize(server, name, query).await,
        ["containers", name, "attach"] => attach::attach(server, name, &ask).await,
        ["containers", name, "exec"] => exec::create(server, name, ask).await,
        ["exec", id, "start"] => exec::start(server, id, ask).await,
        ["exec", id, "resize"] => exec::resize(server, id, query).await,
        ["images", "create"] => transfer::create(server, ask).await,
        ["images", "load"] => images::load(server, ask).await,
        ["images", "prune"] => images::prune(server, query).await,
        ["images", ref name @ .., "push"] => transfer::push(server, &name.join("/"), &ask).await,
        ["images", ref name @ .., "tag"] => images::tag(server, &name.join("/"), query).await,
        ["networks", "create"] => networks::create(server, ask).await,
        ["networks", "prune"] => networks::prune(server, query).await,
        ["networks", name, "connect"] => networks::connect(server, name, ask).await,
        ["networks", name, "disconnect"] => networks::disconnect(server, name, ask).await,
        ["volumes", "create"] => volumes::create(server, ask).await,
        ["volumes", "prune"] => volumes::prune(server, &ask).await,
        ["plugins", ref name @ .., "enable" | "disable" | "set" | "push" | "upgrade"]
            if !name.is_empty() =>
        {
            Err(no_plugin(name))
        }
        ["build", "prune"] => system::no_build_cache(),
        _ => Err(nothing(parts)),
    }
}

async fn delete(server: &Arc<Server>, parts: &[&str], ask: Ask) -> Answered {
    match *parts {
        ["containers", name] => life::remove(server, name, &ask.query).await,
        ["images", ref name @ ..] if !name.is_empty() => {
            images::remove(server, &name.join("/"), &ask).await
        }
        ["networks", name] => networks::remove(server, name).await,
        ["volumes", name] => volumes::remove(server, name, &ask.query).await,
        ["plugins", ref name @ ..] if !name.is_empty() => Err(no_plugin(name)),
        _ => Err(nothing(parts)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_taken_apart_and_lead_nowhere_else() {
        assert_eq!(
            segments("/v1.40//containers/a%20b/json").unwrap(),
            ["v1.40", "containers", "a b", "json"]
        );
        assert_eq!(segments("/images/a%2Fb/json").unwrap()[1], "a/b");
        for bad in ["/containers/../x", "/containers/%2e%2e/json", "/a/%2e%2e%2fb", "/a/%00/b"] {
            assert!(segments(bad).is_err(), "{bad}");
        }
        assert!(segments("/a/%ff").is_err());
    }

    #[test]
    fn what_is_not_there_says_so() {
        assert_eq!(nothing(&["swarm"]).status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(nothing(&["build"]).status, StatusCode::NOT_IMPLEMENTED);
        assert_eq!(nothing(&["nope"]).status, StatusCode::NOT_FOUND);
        assert_eq!(nothing(&[]).message, "page not found");
    }
}
