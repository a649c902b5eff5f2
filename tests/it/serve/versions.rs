//! Where versions of the API differ.

use serde_json::{Value, json};

use super::Served;
use crate::harness::{IMAGE, Test, lacks_programs};

pub(crate) fn tests() -> Vec<Test> {
    vec![Test::new("each_version_has_its_own", versions).needing(lacks_programs(&["curl"]))]
}

fn versions() {
    let served = Served::new();
    let get = |version: &str, path: &str| {
        let reply = served.ask("GET", &format!("/v{version}{path}"), None);
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()
    };
    let create = |version: &str, more: Value| {
        let mut body = json!({"Image": IMAGE, "Cmd": ["stty", "size"], "Tty": true});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        served.ask("POST", &format!("/v{version}/containers/create"), Some(&body))
    };
    let made = |version: &str, more: Value| {
        let reply = create(version, more);
        assert_eq!(reply.status, 201, "{reply:?}");
        reply.json()["Id"].as_str().unwrap().to_owned()
    };

    // Images: what they had of containers goes bit by bit.
    let image = |version: &str| get(version, &format!("/images/{IMAGE}/json"));
    let (old, middle, new) = (image("1.43"), image("1.49"), image("1.50"));
    assert_eq!(old["ContainerConfig"], old["Config"]);
    assert_eq!(old["VirtualSize"], old["Size"]);
    assert!(old["Container"] == "" && middle["Container"].is_null());
    assert_eq!(middle["Config"]["Hostname"], "");
    assert!(
        new["Config"].get("Hostname").is_none() && new["Config"]["Cmd"] == old["Config"]["Cmd"]
    );

    // Who names a platform gets that or nothing.
    let other = "%7B%22os%22:%22linux%22,%22architecture%22:%22s390x%22%7D";
    for (method, path) in [
        ("GET", format!("/v1.49/images/{IMAGE}/json?platform={other}")),
        ("GET", format!("/v1.48/images/{IMAGE}/history?platform={other}")),
        ("DELETE", format!("/v1.50/images/{IMAGE}?platforms={other}")),
    ] {
        let reply = served.ask(method, &path, None);
        assert_eq!(reply.status, 404, "{method} {path}: {reply:?}");
    }

    // How a container sees what others share changed, and a client means what it was made for.
    let none = json!({"HostConfig": {"NetworkMode": "none"}});
    let mode = |id: &str| served.lab.inspect(id, "/HostConfig/IpcMode");
    assert_eq!(mode(&made("1.39", none.clone())), "shareable");
    assert_eq!(mode(&made("1.40", none)), "private");
    let count = |version: &str| get(version, "/images/json")[0]["Containers"].clone();
    assert_eq!((count("1.50"), count("1.51")), (json!(-1), json!(2)));

    // More networks than one at once are of 1.44 on.
    for name in ["one", "two"] {
        served.lab.ok(&["network", "create", name]);
    }
    let both = json!({
        "HostConfig": {"NetworkMode": "one"},
        "NetworkingConfig": {"EndpointsConfig": {"one": {}, "two": {}}},
    });
    let refused = create("1.43", both.clone());
    assert_eq!(refused.status, 400, "{refused:?}");
    assert!(refused.body.contains("network endpoints: one, two"), "{refused:?}");
    let id = made("1.44", both);
    let networks = served.lab.inspect(&id, "/NetworkSettings/Networks");
    assert_eq!(networks.as_object().unwrap().len(), 2, "{networks}");

    // A terminal has its size from its first instant on.
    let sized = json!({"HostConfig": {"NetworkMode": "none", "ConsoleSize": [33, 111]}});
    let id = made("1.42", sized);
    assert_eq!(served.lab.inspect(&id, "/HostConfig/ConsoleSize"), json!([33, 111]));
    assert_eq!(served.ask("POST", &format!("/containers/{id}/start"), None).status, 204);
    served.lab.wait_for_log(&id, "33 111");
    served.lab.start(&["--name", "web"], "exec sleep 1000");
    let body = json!({
        "Cmd": ["stty", "size"], "Tty": true, "AttachStdout": true, "ConsoleSize": [22, 77],
    });
    let exec = served.ask("POST", "/v1.42/containers/web/exec", Some(&body)).json();
    let start = format!("/exec/{}/start", exec["Id"].as_str().unwrap());
    let body = json!({"Tty": true}).to_string();
    let request = format!(
        "POST {start} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = served.raw(request.as_bytes(), false);
    assert!(String::from_utf8_lossy(&answer).ends_with("22 77\r\n"), "{answer:?}");
}
