//! Registries by way of the server: a real one that wants to know who asks.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use serde_json::{Value, json};

use super::{Served, docker};
use crate::harness::{IMAGE, Test, folder, lacks_programs, run};
use crate::registry::server::{PASSWORD, Registry};

pub(crate) fn tests() -> Vec<Test> {
    let lacks = lacks_programs(&["docker", "docker-registry", "curl"]);
    vec![Test::new("docker_pulls_and_pushes_by_its_own_name", transfers).needing(lacks)]
}

fn transfers() {
    let served = Served::new();
    let registry = Registry::guarded();
    let at = &registry.address;
    let (name, other) = (format!("{at}/team/box:1"), format!("{at}/team/other:2"));
    let home = folder();
    let client = |words: &[&str], input: &[u8]| {
        let mut command = docker(&served.host(), words);
        command.env("DOCKER_CONFIG", &home);
        run(command, input)
    };
    // Who nobody knows gets nothing, wherever he says it.
    served.docker(&["tag", IMAGE, &name]);
    let out = client(&["push", &name], b"");
    assert!(out.code != 0, "{out:?}");
    let out = client(&["login", "-u", "me", "--password-stdin", at], b"wrong");
    assert!(out.code != 0 && out.stderr.contains("unauthorized"), "{out:?}");
    let out = client(&["login", "-u", "me", "--password-stdin", at], PASSWORD.as_bytes());
    assert!(out.code == 0 && out.stdout.contains("Login Succeeded"), "{out:?}");
    // The client knows it now, and the server doesn't.
    let out = client(&["push", &name], b"");
    assert!(out.code == 0 && out.stdout.contains("1: digest: sha256:"), "{out:?}");
    let out = served.docker_run(&["pull", &name], b"");
    assert!(out.code != 0 && !out.stderr.contains(PASSWORD), "{out:?}");
    served.docker(&["tag", IMAGE, &other]);
    assert_eq!(client(&["push", &other], b"").code, 0);
    served.docker(&["rmi", &name, &other, IMAGE]);
    assert_eq!(served.docker(&["images", "-q"]), "");
    let out = client(&["pull", &name], b"");
    assert!(out.code == 0 && out.stdout.contains("Status: Downloaded newer image"), "{out:?}");
    let out = client(&["pull", &name], b"");
    assert!(out.stdout.contains("Image is up to date"), "{out:?}");
    // A run brings its image along.
    let out = client(&["run", "--rm", "--network", "none", &other, "echo", "brought"], b"");
    assert_eq!((out.code, out.stdout.as_str()), (0, "brought\n"), "{out:?}");
    let out = client(&["pull", &format!("{at}/team/none:1")], b"");
    assert!(out.code != 0 && out.stderr.contains("not found"), "{out:?}");
    let out = client(&["manifest", "inspect", "--insecure", &name], b"");
    assert!(out.code == 0 && out.stdout.contains("schemaVersion"), "{out:?}");

    // The requests themselves, with the header that says who asks.
    let auth = |password: &str| {
        let who = json!({"username": "me", "password": password, "serveraddress": at});
        format!("X-Registry-Auth: {}", URL_SAFE.encode(who.to_string()))
    };
    let ask = |method: &str, path: &str, header: &str| {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\n{header}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        let answer = served.raw(request.as_bytes(), false);
        String::from_utf8_lossy(&answer).into_owned()
    };
    let place = format!("/distribution/{name}/json");
    let known = ask("GET", &place, &auth(PASSWORD));
    assert!(known.starts_with("HTTP/1.1 200") && known.contains("\"Platforms\""), "{known}");
    for header in
        [auth("wrong"), "X-Other: 1".to_owned(), "X-Registry-Auth: bm9uc2Vuc2U=".to_owned()]
    {
        let stranger = ask("GET", &place, &header);
        assert!(!stranger.starts_with("HTTP/1.1 200"), "{header}: {stranger}");
        assert!(!stranger.contains("\"Platforms\""), "{header}: {stranger}");
    }
    let body = json!({"username": "me", "password": PASSWORD, "serveraddress": at});
    let reply = served.ask("POST", "/auth", Some(&body));
    assert_eq!((reply.status, &reply.json()["Status"]), (200, &json!("Login Succeeded")));
    let body = json!({"username": "me", "password": "wrong", "serveraddress": at});
    assert_eq!(served.ask("POST", "/auth", Some(&body)).status, 401);
    // The progress is a document a line.
    served.docker(&["rmi", &name]);
    let answer =
        ask("POST", &format!("/images/create?fromImage={at}/team/box&tag=1"), &auth(PASSWORD));
    let lines = answer.lines().filter(|line| line.starts_with('{'));
    let documents: Vec<Value> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(documents[0]["status"], "Pulling from team/box", "{answer}");
    assert!(
        documents.last().unwrap()["status"].as_str().unwrap().starts_with("Status: "),
        "{answer}"
    );
    // What somebody may do, nobody else does after him.
    let out = client(&["logout", at], b"");
    assert_eq!(out.code, 0, "{out:?}");
    served.docker(&["rmi", &name]);
    assert_ne!(client(&["pull", &name], b"").code, 0);
    std::fs::remove_dir_all(&home).unwrap();
}
