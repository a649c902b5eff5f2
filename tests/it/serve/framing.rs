//! What goes over the wire, byte by byte.

use std::io::{Read, Write};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::{Reply, Served};
use crate::harness::{IMAGE, Test, eventually};
use crate::tests;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        versions_and_statuses,
        lines_and_bodies_as_people_send_them,
        streams_on_the_connection,
        what_was_typed_before_the_end_arrives,
        streams_as_bodies,
        waiting_answers_at_once,
        further_programs_by_their_ids,
        statistics_and_events,
        each_version_has_its_fields,
        what_is_asked_for_is_made,
    ]
}

#[track_caller]
fn refused(reply: &Reply, status: u16, says: &str) {
    assert_eq!(reply.status, status, "{reply:?}");
    let message = reply.json()["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.contains(says), "{reply:?}");
}

fn versions_and_statuses() {
    let served = Served::new();
    let get = |path: &str| served.ask("GET", path, None);
    let post = |path: &str| served.ask("POST", path, None);
    for path in ["/_ping", "/v1.24/_ping", "/v1.51/_ping"] {
        let reply = get(path);
        assert_eq!((reply.status, reply.body.as_str()), (200, "OK"));
        assert_eq!(reply.header("api-version"), Some("1.51"));
        assert_eq!(reply.header("ostype"), Some("linux"));
        assert_eq!(reply.header("docker-experimental"), Some("false"));
    }
    let head = served.ask("HEAD", "/_ping", None);
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    refused(
        &get("/v1.52/info"),
        400,
        "client version 1.52 is too new. Maximum supported API version",
    );
    refused(
        &get("/v1.23/info"),
        400,
        "client version 1.23 is too old. Minimum supported API version",
    );
    let version = get("/version").json();
    assert_eq!(
        (&version["ApiVersion"], &version["MinAPIVersion"]),
        (&json!("1.51"), &json!("1.24"))
    );
    for path in ["/swarm", "/nodes", "/services/x", "/v1.40/secrets"] {
        refused(&get(path), 503, "not a swarm manager");
    }
    refused(&post("/build"), 501, "builds no images yet");
    refused(&get("/images/search?term=x"), 501, "asks no index");
    refused(&get("/nope"), 404, "page not found");
    refused(&served.ask("PATCH", "/info", None), 404, "page not found");
    refused(&get("/containers/nope/json"), 404, "No such container: nope");
    refused(&get("/images/nope/json"), 404, "No such image: nope");
    refused(&get("/networks/nope"), 404, "network nope not found");
    refused(&get("/volumes/nope"), 404, "get nope: no such volume");
    for (method, path) in [
        ("GET", "/plugins/me/x/json"),
        ("POST", "/plugins/me/x/enable?timeout=0"),
        ("POST", "/plugins/me/x/disable"),
        ("POST", "/plugins/me/x/push"),
        ("POST", "/plugins/me/x/set"),
        ("POST", "/plugins/me/x/upgrade?remote=y"),
        ("DELETE", "/plugins/me/x"),
    ] {
        refused(&served.ask(method, path, None), 404, "plugin \"me/x\" not found");
    }
    refused(&post("/plugins/pull?remote=x"), 501, "no plugins");
    refused(&get("/plugins/privileges?remote=x"), 501, "no plugins");
    refused(&get("/plugins/x"), 404, "page not found");
    refused(&get("/plugins?filters={%22nope%22:[%22x%22]}"), 400, "invalid filter 'nope'");
    assert_eq!(get("/plugins?filters={%22enabled%22:[%22true%22]}").json(), json!([]));
    // What isn't there for a volume alone is wrong for a container: that it isn't there means its image.
    let body = json!({"Name": "data", "Driver": "nope"});
    let says = "create data: error looking up volume plugin nope: plugin \"nope\" not found";
    refused(&served.ask("POST", "/volumes/create", Some(&body)), 404, says);
    let host = json!({"Binds": ["data:/d"], "VolumeDriver": "nope"});
    let body = json!({"Image": IMAGE, "Cmd": ["true"], "HostConfig": host});
    refused(&served.ask("POST", "/containers/create", Some(&body)), 400, says);
    for mode in ["none", "host"] {
        let host = json!({"NetworkMode": mode, "Links": ["a:b"]});
        let body = json!({"Image": IMAGE, "Cmd": ["true"], "HostConfig": host});
        let says = "can't be used with links";
        refused(&served.ask("POST", "/containers/create", Some(&body)), 400, says);
    }
    refused(&get("/exec/nope/json"), 404, "No such exec instance: nope");
    refused(&get("/containers/json?filters={"), 400, "invalid filter");
    refused(&get("/containers/json?filters=%7B%22nope%22:%5B%22x%22%5D%7D"), 400, "invalid filter");
    refused(&post("/containers/create"), 400, "EOF");
    let body = json!({"Image": "nope"});
    refused(&served.ask("POST", "/containers/create", Some(&body)), 404, "No such image: nope");
    served.lab.ok(&["create", "--name", "web", "--network", "none", IMAGE, "sleep", "1000"]);
    let body = json!({"Image": IMAGE, "Cmd": ["true"]});
    let again = served.ask("POST", "/containers/create?name=web", Some(&body));
    refused(&again, 409, "The container name \"/web\" is already in use");
    assert_eq!(post("/containers/web/stop").status, 304);
    // What these say, versions of old don't know.
    assert_eq!(post("/v1.41/containers/web/stop?signal=NOPE").status, 304);
    refused(&post("/v1.42/containers/web/stop?signal=NOPE"), 400, "invalid signal: NOPE");
    assert_eq!(post("/v1.29/containers/web/wait?condition=next-exit").status, 200);
    refused(&post("/containers/web/resize?h=1&w=1"), 409, " is not running");
    refused(&post("/containers/nope/kill"), 404, "cannot kill container: nope: No such container");
    let swap = json!({"Memory": 67_108_864, "MemorySwap": 33_554_432});
    refused(&served.ask("POST", "/containers/web/update", Some(&swap)), 400, "memoryswap limit");
    refused(&post("/containers/nope/exec"), 400, "EOF");
    refused(&served.ask("POST", "/containers/nope/exec", Some(&json!({}))), 400, "No exec command");
    let volumes = post("/volumes/prune").json();
    assert_eq!(volumes, json!({"VolumesDeleted": [], "SpaceReclaimed": 0}));
    let with_body = served.ask("POST", "/containers/web/start", Some(&json!({"Image": "other"})));
    assert_eq!(with_body.status, 400, "{with_body:?}");
    assert_eq!(post("/containers/web/start").status, 204);
    assert_eq!(post("/containers/web/start").status, 304);
    refused(&served.ask("DELETE", "/containers/web", None), 409, "cannot remove container");
    refused(&post("/containers/web/unpause"), 409, "is not paused");
    refused(&post("/containers/web/wait?condition=x"), 400, "invalid condition");
    refused(&post("/containers/web/resize?h=a&w=b"), 400, "invalid resize");
    refused(&get("/containers/web/logs"), 400, "choose at least one stream");
    assert_eq!(served.ask("DELETE", "/containers/web?force=1", None).status, 204);
    // Text that isn't marked as JSON.
    let request = "POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n\
                   Content-Length: 2\r\nConnection: close\r\n\r\n{}";
    let answer = String::from_utf8(served.raw(request.as_bytes(), false)).unwrap();
    assert!(answer.contains("must be 'application/json'"), "{answer}");
}

fn lines_and_bodies_as_people_send_them() {
    let served = Served::new();
    served.lab.ok(&["create", "--name", "web", "--network", "none", "-l", "a=<b>", IMAGE, "true"]);
    // Quotes that aren't escaped, several times on one connection; between them a document has some.
    let list = "GET /containers/json?all=1&filters={\"label\":[\"a=<b>\"]} HTTP/1.1\r\nHost: x\r\n";
    let volume = "{\"Name\": \"data\"}";
    let volume = format!(
        "POST /volumes/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{volume}",
        volume.len()
    );
    let mut stream = served.connect();
    let mut ask = |request: &str| {
        stream.write_all(request.as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        let (_, length) = head.split_once("content-length: ").unwrap();
        let mut body = vec![0; length.lines().next().unwrap().parse().unwrap()];
        stream.read_exact(&mut body).unwrap();
        serde_json::from_slice::<Value>(&body).unwrap()
    };
    for _ in 0..2 {
        assert_eq!(ask(&format!("{list}\r\n"))[0]["Names"], json!(["/web"]));
        assert_eq!(ask(&volume)["Name"], "data");
    }
    let last = format!("{list}Connection: close\r\n\r\n");
    assert_eq!(ask(&last)[0]["Names"], json!(["/web"]));
    // What nobody wants to read doesn't keep the answer from being read.
    let mut stream = served.connect();
    let head = "POST /exec/nope/resize?h=1&w=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
                Content-Length: 2\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    assert!(!crate::harness::readable(&stream, std::time::Duration::from_millis(50)));
    stream.write_all(b"{}").unwrap();
    let answer = String::from_utf8(rest(stream)).unwrap();
    assert!(answer.contains("No such exec instance: nope"), "{answer}");
}

/// Sends a request that leaves HTTP; returns the head of the answer and the connection.
fn hijack(served: &Served, path: &str, body: &str) -> (String, std::os::unix::net::UnixStream) {
    let mut stream = served.connect();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Type: \
         application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    (String::from_utf8(head).unwrap(), stream)
}

fn rest(mut stream: impl Read) -> Vec<u8> {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    all
}

/// While the server stands still, a client types something and is gone. The program has written
/// meanwhile, which nobody takes any more.
fn what_was_typed_before_the_end_arrives() {
    let served = Served::new();
    let talks = |word: &str| {
        format!(
            "while :; do echo tick; echo >>/tmp/ticks; sleep 0.01; done & \
             read -r x; echo $x >/tmp/{word}; wait"
        )
    };
    served.lab.start(&["-it", "--name", "talk"], &talks("attached"));
    let program = json!({"Cmd": ["sh", "-c", talks("executed")], "Tty": true, "AttachStdin": true,
        "AttachStdout": true});
    let made = served.ask("POST", "/containers/talk/exec", Some(&program)).json();
    let exec = format!("/exec/{}/start", made["Id"].as_str().unwrap());
    let server = Pid::from_raw(served.pid().cast_signed()).unwrap();
    for (path, body, word) in [
        ("/containers/talk/attach?stream=1&stdin=1&stdout=1", "", "attached"),
        (exec.as_str(), "{\"Tty\":true}", "executed"),
    ] {
        let (_, mut stream) = hijack(&served, path, body);
        let mut ticks = [0; 6];
        stream.read_exact(&mut ticks).unwrap();
        kill_process(server, Signal::STOP).unwrap();
        stream.write_all(format!("{word}\r").as_bytes()).unwrap();
        drop(stream);
        // There is something to be passed on when it goes on.
        let ticks = || served.lab.run(&["exec", "talk", "cat", "/tmp/ticks"]).stdout.len();
        let before = ticks();
        eventually("it has written more", || ticks() > before + 4);
        kill_process(server, Signal::CONT).unwrap();
        eventually("what was typed is there", || {
            served.lab.run(&["exec", "talk", "cat", &format!("/tmp/{word}")]).stdout
                == format!("{word}\n")
        });
    }
}

/// Returns what is in frames, by its stream.
fn taken_apart(mut bytes: &[u8]) -> (String, String) {
    let (mut out, mut err) = (String::new(), String::new());
    while let Some((header, rest)) = bytes.split_at_checked(8) {
        let length = u32::from_be_bytes(header[4..].try_into().unwrap());
        let (data, next) = rest.split_at(length as usize);
        assert_eq!(&header[1..4], [0, 0, 0]);
        let of = if header[0] == 1 { &mut out } else { &mut err };
        of.push_str(std::str::from_utf8(data).unwrap());
        bytes = next;
    }
    assert!(bytes.is_empty(), "{bytes:?}");
    (out, err)
}

#[track_caller]
fn create(served: &Served, body: &Value) -> String {
    let reply = served.ask("POST", "/containers/create", Some(body));
    assert_eq!(reply.status, 201, "{reply:?}");
    reply.json()["Id"].as_str().unwrap().to_owned()
}

fn streams_on_the_connection() {
    let served = Served::new();
    let line = "read a; echo got $a; echo bad >&2; cat";
    let open = json!({"Image": IMAGE, "Cmd": ["sh", "-c", line], "OpenStdin": true,
        "StdinOnce": true, "AttachStdin": true, "HostConfig": {"NetworkMode": "none"}});
    // Attached before the start, as docker's own program does it, in the framing of each version.
    for (version, kind) in [("1.51", "multiplexed"), ("1.41", "raw")] {
        let id = create(&served, &open);
        let path = format!("/v{version}/containers/{id}/attach?stream=1&stdin=1&stdout=1&stderr=1");
        let (head, mut stream) = hijack(&served, &path, "");
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        let wanted = format!("application/vnd.docker.{kind}-stream");
        assert!(head.contains(&wanted), "{head}");
        assert_eq!(served.ask("POST", &format!("/containers/{id}/start"), None).status, 204);
        stream.write_all(b"one\ntwo").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let all = rest(stream);
        assert_eq!(taken_apart(&all), ("got one\ntwo".to_owned(), "bad\n".to_owned()));
    }
    // A terminal's bytes are its own, and its keys leave it.
    let tty = json!({"Image": IMAGE, "Cmd": ["cat"], "Tty": true, "OpenStdin": true,
        "HostConfig": {"NetworkMode": "none"}});
    let id = create(&served, &tty);
    assert_eq!(served.ask("POST", &format!("/containers/{id}/start"), None).status, 204);
    let path = format!("/containers/{id}/attach?stream=1&stdin=1&stdout=1&detachKeys=ctrl-a,x");
    let (head, mut stream) = hijack(&served, &path, "");
    assert!(head.contains("application/vnd.docker.raw-stream"), "{head}");
    stream.write_all(b"hi\n").unwrap();
    let mut echo = [0; 8];
    stream.read_exact(&mut echo).unwrap();
    assert_eq!(&echo, b"hi\r\nhi\r\n");
    stream.write_all(b"\x01x").unwrap();
    assert_eq!(rest(stream), b"");
    assert_eq!(served.lab.inspect(&id, "/State/Status"), "running");
    let resized = served.ask("POST", &format!("/containers/{id}/resize?h=5&w=6"), None);
    assert_eq!(resized.status, 200, "{resized:?}");
    // What was comes before what is.
    let talk = json!({"Image": IMAGE, "Cmd": ["sh", "-c", "echo before; exec sleep 1000"]});
    let id = create(&served, &talk);
    served.ask("POST", &format!("/containers/{id}/start"), None);
    served.lab.wait_for_log(&id, "before");
    let (_, stream) = hijack(&served, &format!("/containers/{id}/attach?logs=1&stdout=1"), "");
    assert_eq!(rest(stream), b"\x01\0\0\0\0\0\0\x07before\n");
}

fn streams_as_bodies() {
    let served = Served::new();
    let id = served.lab.start(&[], "echo one; echo two >&2; echo three; exec sleep 1000");
    served.lab.wait_for_log(&id, "three");
    let logs = |query: &str| {
        let reply = served.ask("GET", &format!("/containers/{id}/logs?{query}"), None);
        assert_eq!(reply.status, 200);
        reply
    };
    let all = logs("stdout=1&stderr=1");
    assert_eq!(all.header("content-type"), Some("application/vnd.docker.multiplexed-stream"));
    let mut parts: Vec<&str> = all.body.split_inclusive('\n').collect();
    parts.sort_unstable();
    assert_eq!(
        parts,
        ["\x01\0\0\0\0\0\0\x04one\n", "\x01\0\0\0\0\0\0\x06three\n", "\x02\0\0\0\0\0\0\x04two\n"]
    );
    assert_eq!(logs("stderr=1").body, "\x02\0\0\0\0\0\0\x04two\n");
    // Which of two outputs came last is no matter.
    assert_eq!(logs("stdout=1&stderr=1&tail=1").body.lines().count(), 1);
    assert_eq!(logs("stdout=1&until=1").body, "");
    assert_eq!(logs("stdout=1&since=4000000000").body, "");
    assert!(logs("stdout=1&timestamps=1").body.ends_with("Z three\n"));
    // A client that doesn't leave HTTP attaches to a body.
    let short = served.lab.ok(&["create", "--network", "none", IMAGE, "echo", "hello"]);
    let mut stream = served.connect();
    let request = format!(
        "POST /containers/{short}/attach?stream=1&stdout=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut first = [0; 15];
    stream.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200 OK");
    assert_eq!(served.ask("POST", &format!("/containers/{short}/start"), None).status, 204);
    let all = String::from_utf8(rest(stream)).unwrap();
    assert!(all.contains("\x01\0\0\0\0\0\0\x06hello\n"), "{all:?}");
    let archive = served.ask("HEAD", &format!("/containers/{id}/archive?path=/srv"), None);
    let stat = archive.header("x-docker-container-path-stat").unwrap();
    use base64::Engine as _;
    let stat = base64::engine::general_purpose::STANDARD.decode(stat).unwrap();
    let stat: Value = serde_json::from_slice(&stat).unwrap();
    assert_eq!((&stat["name"], &stat["linkTarget"]), (&json!("srv"), &json!("")));
}

fn waiting_answers_at_once() {
    let served = Served::new();
    let id = served.lab.ok(&["create", "--rm", "--network", "none", IMAGE, "sh", "-c", "exit 5"]);
    let begin = |condition: &str| {
        let mut stream = served.connect();
        let request = format!(
            "POST /containers/{id}/wait?condition={condition} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut head = [0; 15];
        // Before there is anything to say.
        stream.read_exact(&mut head).unwrap();
        assert_eq!(&head, b"HTTP/1.1 200 OK");
        stream
    };
    let now = begin("not-running");
    assert!(String::from_utf8(rest(now)).unwrap().contains("{\"StatusCode\":0}"));
    let waiting = [begin("next-exit"), begin("removed")];
    assert_eq!(served.ask("POST", &format!("/containers/{id}/start"), None).status, 204);
    for stream in waiting {
        let all = String::from_utf8(rest(stream)).unwrap();
        assert!(all.contains("{\"StatusCode\":5}"), "{all}");
    }
    assert_eq!(served.ask("GET", &format!("/containers/{id}/json"), None).status, 404);
    // One whose supervisor is killed ends too.
    let id = served.lab.start(&[], "exec sleep 1000");
    let pid = served.lab.pid(&id);
    let supervisor = crate::harness::parent_of(pid);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| served.ask("POST", &format!("/containers/{id}/wait"), None));
        let supervisor = rustix::process::Pid::from_raw(supervisor).unwrap();
        rustix::process::kill_process(supervisor, rustix::process::Signal::KILL).unwrap();
        assert_eq!(crate::harness::joined(waiting).json()["StatusCode"], 137);
    });
}

fn further_programs_by_their_ids() {
    let served = Served::new();
    let id = served.lab.start(&["--name", "web"], "exec sleep 1000");
    let make = |body: Value| {
        let reply = served.ask("POST", "/containers/web/exec", Some(&body));
        assert_eq!(reply.status, 201, "{reply:?}");
        reply.json()["Id"].as_str().unwrap().to_owned()
    };
    let look = |exec: &str| served.ask("GET", &format!("/exec/{exec}/json"), None).json();
    let exec = make(json!({"Cmd": ["sh", "-c", "cat; exit 4"], "AttachStdin": true,
        "AttachStdout": true, "AttachStderr": true}));
    let before = look(&exec);
    assert_eq!((&before["Running"], &before["ExitCode"]), (&json!(false), &Value::Null));
    let start = format!("/exec/{exec}/start");
    let (head, mut stream) = hijack(&served, &start, "{\"Detach\":false,\"Tty\":false}");
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    assert_eq!(look(&exec)["Running"], true);
    let document = served.ask("GET", "/containers/web/json", None).json();
    assert_eq!(document["ExecIDs"], json!([exec]));
    stream.write_all(b"in").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(rest(stream), b"\x01\0\0\0\0\0\0\x02in");
    eventually("its end is known", || look(&exec)["ExitCode"] == 4);
    assert_eq!(look(&exec)["ContainerID"], id.as_str());
    let again = served.ask("POST", &start, Some(&json!({})));
    refused(&again, 409, "already run");
    // Detached, and as a body.
    let exec = make(json!({"Cmd": ["sh", "-c", "touch /tmp/made; exit 6"]}));
    let reply = served.ask("POST", &format!("/exec/{exec}/start"), Some(&json!({"Detach": true})));
    assert_eq!(reply.status, 200, "{reply:?}");
    eventually("the detached one's end is known", || look(&exec)["ExitCode"] == 6);
    let exec = make(json!({"Cmd": ["echo", "hello"], "AttachStdout": true}));
    let reply = served.ask("POST", &format!("/exec/{exec}/start"), Some(&json!({})));
    assert_eq!(reply.body, "\x01\0\0\0\0\0\0\x06hello\n");
    let exec = make(json!({"Cmd": ["no-such-program"], "AttachStdout": true}));
    let reply = served.ask("POST", &format!("/exec/{exec}/start"), Some(&json!({})));
    assert!(reply.status == 200 && reply.body.contains("no-such-program"), "{reply:?}");
    assert_eq!(look(&exec)["ExitCode"], 127);
    // One that meets a paused container isn't used up.
    let exec = make(json!({"Cmd": ["sh", "-c", "exit 5"]}));
    served.lab.ok(&["pause", "web"]);
    let start =
        || served.ask("POST", &format!("/exec/{exec}/start"), Some(&json!({"Detach": true})));
    refused(&start(), 409, "is paused, unpause the container before exec");
    refused(&served.ask("POST", "/containers/web/attach?stream=1", None), 409, "before attach");
    served.lab.ok(&["unpause", "web"]);
    assert_eq!(start().status, 200);
    eventually("it has run", || look(&exec)["ExitCode"] == 5);
    assert_eq!(look(&exec)["CanRemove"], false);
    // Its terminal has the size that it is told.
    let exec = make(json!({"Cmd": ["sh", "-c", "while read a; do stty size; done"], "Tty": true,
        "AttachStdin": true, "AttachStdout": true}));
    let resize = || served.ask("POST", &format!("/exec/{exec}/resize?h=44&w=99"), None);
    refused(&resize(), 409, "is not running");
    let (_, mut stream) = hijack(&served, &format!("/exec/{exec}/start"), "{\"Tty\":true}");
    eventually("it runs", || resize().status == 200);
    let mut said = String::new();
    while !said.contains("44 99\r\n") {
        stream.write_all(b"\r").unwrap();
        let mut piece = [0; 512];
        let length = stream.read(&mut piece).unwrap();
        assert!(length > 0, "{said}");
        said.push_str(std::str::from_utf8(&piece[..length]).unwrap());
    }
    drop(stream);
    // A program goes on without its client, and its output ends nobody.
    let line = "read a; sleep 1; yes | head -c 1000000; touch /tmp/ended";
    let exec = make(json!({"Cmd": ["sh", "-c", line], "AttachStdin": true, "AttachStdout": true}));
    let (_, mut stream) = hijack(&served, &format!("/exec/{exec}/start"), "{}");
    stream.write_all(b"go\n").unwrap();
    drop(stream);
    eventually("it came to its end", || look(&exec)["ExitCode"] == 0);
    served.lab.ok(&["exec", "web", "test", "-e", "/tmp/ended"]);
    let events = served.ask(
        "GET",
        "/events?since=1&until=0s&filters=%7B%22event%22:%5B%22exec_die%22%5D%7D",
        None,
    );
    assert!(events.body.contains(&exec), "{events:?}");
    served.lab.ok(&["rm", "-f", "web"]);
    refused(&served.ask("GET", &format!("/exec/{exec}/json"), None), 404, "No such exec instance");
}

fn statistics_and_events() {
    let served = Served::new();
    let id = served.lab.start(&["--name", "busy", "-m", "64m"], "while :; do :; done");
    served.lab.ok(&["create", "--name", "idle", IMAGE, "true"]);
    let one = served.ask("GET", "/containers/busy/stats?stream=0", None).json();
    assert_eq!((&one["id"], &one["name"]), (&json!(id), &json!("/busy")));
    let usage =
        |document: &Value, of: &str| document[of]["cpu_usage"]["total_usage"].as_u64().unwrap();
    assert!(usage(&one, "cpu_stats") > usage(&one, "precpu_stats"), "{one}");
    assert!(
        one["cpu_stats"]["system_cpu_usage"].as_u64()
            > one["precpu_stats"]["system_cpu_usage"].as_u64()
    );
    assert_eq!(one["memory_stats"]["limit"], 64 << 20);
    assert_eq!(one["pids_stats"]["current"], 1);
    let at_once = served.ask("GET", "/containers/busy/stats?stream=0&one-shot=1", None).json();
    assert_eq!(usage(&at_once, "precpu_stats"), 0);
    let idle = served.ask("GET", "/containers/idle/stats?stream=0", None).json();
    assert_eq!(idle["read"], "0001-01-01T00:00:00Z");
    // Streams end with their containers.
    let mut stats = served.connect();
    stats
        .write_all(b"GET /containers/busy/stats HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut events = served.connect();
    events.write_all(b"GET /events?filters=%7B%22type%22:%5B%22container%22%5D%7D HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut head = [0; 12];
    events.read_exact(&mut head).unwrap();
    let mut text = Vec::new();
    while !String::from_utf8_lossy(&text).contains("\"memory_stats\"") {
        let mut piece = [0; 4096];
        let length = stats.read(&mut piece).unwrap();
        assert!(length > 0, "{}", String::from_utf8_lossy(&text));
        text.extend_from_slice(&piece[..length]);
    }
    served.lab.ok(&["rm", "-f", "busy"]);
    assert!(rest(stats).ends_with(b"0\r\n\r\n"));
    let mut seen = String::new();
    while !seen.contains("\"destroy\"") {
        let mut chunk = [0; 4096];
        let length = events.read(&mut chunk).unwrap();
        assert!(length > 0, "{seen}");
        seen.push_str(&String::from_utf8_lossy(&chunk[..length]));
    }
    let line = seen.lines().find(|line| line.contains("\"die\"")).unwrap();
    let event: Value = serde_json::from_str(line).unwrap();
    assert_eq!((&event["Type"], &event["Actor"]["ID"]), (&json!("container"), &json!(id)));
    assert_eq!(event["Actor"]["Attributes"]["exitCode"], "137");
    drop(events);
}

fn what_is_asked_for_is_made() {
    let served = Served::new();
    served.ask(
        "POST",
        "/networks/create",
        Some(&json!({"Name": "back", "IPAM": {"Config":
        [{"Subnet": "10.231.4.0/24", "Gateway": "10.231.4.1"}]}, "Labels": {"a": "b"}})),
    );
    served.ask("POST", "/volumes/create", Some(&json!({"Name": "data"})));
    let body = json!({
        "Image": IMAGE, "Cmd": ["sleep", "1000"], "Env": ["A=1"], "Labels": {"x": "y"},
        "Hostname": "here", "WorkingDir": "/srv", "StopSignal": "SIGINT", "StopTimeout": 1,
        "Healthcheck": {"Test": ["CMD", "true"], "Interval": 1_000_000_000_u64},
        "HostConfig": {
            "NetworkMode": "back", "Binds": ["data:/data:ro"], "Memory": 64 << 20,
            "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 2},
            "CapDrop": ["ALL"], "CapAdd": ["NET_ADMIN"], "ReadonlyRootfs": true,
            "Mounts": [{"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 1 << 20}}],
            "ExtraHosts": ["far:10.1.2.3"], "Ulimits": [{"Name": "nofile", "Soft": 64, "Hard": 64}],
        },
        "NetworkingConfig": {"EndpointsConfig": {"back":
            {"IPAMConfig": {"IPv4Address": "10.231.4.77"}, "Aliases": ["shelf"]}}},
    });
    let reply = served.ask("POST", "/containers/create?name=web", Some(&body));
    assert_eq!(reply.status, 201, "{reply:?}");
    assert_eq!(served.ask("POST", "/containers/web/start", None).status, 204);
    let document = served.ask("GET", "/containers/web/json?size=1", None).json();
    for (pointer, wanted) in [
        ("/Config/Hostname", json!("here")),
        ("/Config/StopSignal", json!("SIGINT")),
        ("/Config/Labels/x", json!("y")),
        ("/HostConfig/Memory", json!(64 << 20)),
        ("/HostConfig/RestartPolicy/Name", json!("on-failure")),
        ("/HostConfig/CapAdd", json!(["CAP_NET_ADMIN"])),
        ("/NetworkSettings/Networks/back/IPAddress", json!("10.231.4.77")),
        ("/State/Status", json!("running")),
    ] {
        assert_eq!(document.pointer(pointer), Some(&wanted), "{pointer}");
    }
    assert!(document["SizeRootFs"].as_u64() > Some(0));
    let inside = served.lab.ok(&["exec", "web", "sh", "-c",
        "hostname; pwd; ulimit -n; grep far /etc/hosts; touch /x 2>&1 || touch /data/x 2>&1 || df /t | tail -1"]);
    for part in ["here\n/srv\n64\n", "10.1.2.3\tfar", "/x: Read-only", "/data/x: Read-only", "1024"]
    {
        assert!(inside.contains(part), "{part}: {inside}");
    }
    let row = served.ask("GET", "/containers/json", None).json();
    assert_eq!(row[0]["HostConfig"]["NetworkMode"], "back");
    let place = &row[0]["NetworkSettings"]["Networks"]["back"];
    assert_eq!(place["IPAddress"], "10.231.4.77");
    assert_eq!(place["NetworkID"].as_str().map(str::len), Some(64));
    assert_eq!(place["EndpointID"].as_str().map(str::len), Some(64));
    let changed = json!({"Memory": 96 << 20, "MemorySwap": -1});
    let reply = served.ask("POST", "/containers/web/update", Some(&changed));
    assert_eq!(reply.status, 200, "{reply:?}");
    let df = served.ask("GET", "/system/df", None).json();
    assert_eq!(df["Volumes"][0]["UsageData"]["RefCount"], 1);
    assert_eq!(df["Containers"].as_array().map(Vec::len), Some(1));
    served.lab.ok(&["rm", "-f", "web"]);
    let pruned = served.ask("POST", "/networks/prune", None).json();
    assert_eq!(pruned["NetworksDeleted"], json!(["back"]));
    let pruned =
        served.ask("POST", "/volumes/prune?filters=%7B%22all%22:%5B%22true%22%5D%7D", None);
    assert_eq!(pruned.json()["VolumesDeleted"], json!(["data"]));
}

/// Docker 20 speaks 1.41 and Docker 28 1.51: what moved between them is where each looks for it.
fn each_version_has_its_fields() {
    let served = Served::new();
    let get =
        |version: &str, path: &str| served.ask("GET", &format!("/v{version}{path}"), None).json();
    served.ask("POST", "/networks/create", Some(&json!({"Name": "back"})));
    let body = json!({
        "Image": IMAGE, "Cmd": ["sleep", "1000"], "Hostname": "here",
        "MacAddress": "02:42:0a:01:02:03",
        "HostConfig": {"NetworkMode": "back"},
        "NetworkingConfig": {"EndpointsConfig": {"back": {"Aliases": ["shelf"]}}},
    });
    let made = served.ask("POST", "/v1.41/containers/create?name=web", Some(&body)).json();
    let id = made["Id"].as_str().unwrap();
    assert_eq!(served.ask("POST", "/containers/web/start", None).status, 204);
    let plain = json!({"Image": IMAGE, "Cmd": ["true"]});
    assert_eq!(served.ask("POST", "/containers/create?name=plain", Some(&plain)).status, 201);

    let place = "/NetworkSettings/Networks/back";
    let (old, new) = (get("1.41", "/containers/web/json"), get("1.51", "/containers/web/json"));
    let at = |document: &Value, field: &str| {
        document.pointer(&format!("{place}/{field}")).unwrap().clone()
    };
    assert_eq!(at(&old, "Aliases"), json!(["shelf", &id[..12], "here"]));
    assert_eq!(at(&new, "Aliases"), json!(["shelf"]));
    assert_eq!(at(&new, "DNSNames"), json!(["web", "shelf", &id[..12], "here"]));
    for document in [&old, &new] {
        assert_eq!(document["Config"]["MacAddress"], "02:42:0a:01:02:03");
        assert_eq!(at(document, "MacAddress"), "02:42:0a:01:02:03");
    }
    let mode = |version: &str| {
        let rows = get(version, "/containers/json?all=1");
        let rows = rows.as_array().unwrap().clone();
        let plain = rows.iter().find(|row| row["Names"][0] == "/plain").unwrap();
        plain["HostConfig"]["NetworkMode"].clone()
    };
    assert_eq!((mode("1.43"), mode("1.44")), (json!("default"), json!("bridge")));

    let size = |version: &str, path: &str| {
        let document = get(version, path);
        let row = if document.is_array() { &document[0] } else { &document };
        row.get("VirtualSize").cloned()
    };
    for path in ["/images/json", &format!("/images/{IMAGE}/json")] {
        assert!(size("1.43", path).is_some() && size("1.44", path).is_none(), "{path}");
    }
    let df = |version: &str| get(version, "/system/df").get("BuilderSize").is_some();
    assert!(df("1.41") && !df("1.51"));
    // Volumes with names are pruned by old clients' word alone.
    served.ask("POST", "/volumes/create", Some(&json!({"Name": "data"})));
    let pruned = |version: &str| {
        served.ask("POST", &format!("/v{version}/volumes/prune"), None).json()["VolumesDeleted"]
            .clone()
    };
    assert_eq!(pruned("1.42"), json!([]));
    assert_eq!(pruned("1.41"), json!(["data"]));
    let kind = |version: &str| {
        let reply = served.ask("GET", &format!("/v{version}/containers/web/logs?stdout=1"), None);
        reply.header("content-type").unwrap().to_owned()
    };
    assert!(kind("1.41").ends_with("raw-stream") && kind("1.42").ends_with("multiplexed-stream"));
}
