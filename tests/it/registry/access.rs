//! Who may: names and passwords, helpers, tokens, certificates.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::{Arc, Mutex};

use serde_json::json;

use super::layer;
use super::proxy::{Action, Asked, Proxy};
use super::server::{Desk, PASSWORD, Registry, program, text};
use crate::harness::{Test, rootfs_tar, run};
use crate::pty::Terminal;
use crate::tests;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        passwords_are_checked_kept_and_used,
        helpers_keep_what_the_file_does_not,
        tokens_are_asked_for_and_used_again,
        identity_tokens_stand_for_passwords,
        certificates_are_believed_where_they_are_named,
        secrets_stay_with_the_host_they_are_for,
        proxies_of_the_environment_are_used,
        a_password_is_asked_for_and_not_shown,
    ]
}

fn login(desk: &Desk, password: &str, registry: &str) -> crate::harness::Out {
    let command = desk.command(&["login", "-u", "me", "--password-stdin", registry]);
    run(command, format!("{password}\n").as_bytes())
}

fn passwords_are_checked_kept_and_used() {
    let registry = Registry::guarded();
    let desk = Desk::new();
    let at = registry.address.as_str();
    let name = format!("{at}/mine:1");
    assert_eq!(run(desk.command(&["import", "-", &name]), &rootfs_tar()).code, 0);
    desk.fails("push access denied for", &["push", &name]);
    desk.fails("may require 'wharf login'", &["pull", &name]);
    let wrong = login(&desk, "not-it", at);
    assert_eq!(wrong.code, 1, "{wrong:?}");
    assert!(wrong.stderr.contains("unauthorized: incorrect username or password"), "{wrong:?}");
    assert!(!desk.docker().join("config.json").exists());
    let right = login(&desk, PASSWORD, at);
    assert_eq!((right.code, right.stdout.as_str()), (0, "Login Succeeded\n"), "{right:?}");
    let file = desk.docker().join("config.json");
    assert!(right.stderr.contains(&format!("stored unencrypted in '{}'", text(&file))));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(desk.ok(&["login", at]).lines().last(), Some("Login Succeeded"));
    assert!(desk.ok(&["push", &name]).contains("1: digest: sha256:"));
    desk.forget();
    assert!(desk.ok(&["pull", &name]).contains("Downloaded newer image"));
    // Docker's own programs read it.
    let auth = format!("--authfile={}", text(&file));
    let place = format!("docker://{name}");
    program("skopeo", &["inspect", "--tls-verify=false", &auth, &place]);
    assert_eq!(desk.ok(&["logout", at]), format!("Removing login credentials for {at}"));
    assert_eq!(desk.ok(&["logout", at]), format!("Not logged in to {at}"));
    desk.fails("may require 'wharf login'", &["pull", &name]);
    for (arguments, says) in [
        (&["login", "--password-stdin", at][..], "Must provide --username with --password-stdin"),
        (&["login", "-u", "me", at], "Cannot perform an interactive login from a non TTY device"),
        (&["login", "-u", "a", "-p", "b", "--password-stdin", at], "are mutually exclusive"),
        (&["login", "a b"], "is not a registry"),
    ] {
        desk.fails(says, arguments);
    }
    let insecure = desk.ends(0, &["login", "-u", "me", "-p", PASSWORD, at]);
    assert!(insecure.stderr.starts_with("WARNING! Using --password via the CLI is insecure."));
    // A damaged file is named, and what is in it isn't shown.
    std::fs::write(&file, format!("{{\"auths\": {{\"{at}\": {PASSWORD}")).unwrap();
    let out = desk.ends(1, &["pull", &name]);
    assert!(out.stderr.contains("invalid configuration file"), "{out:?}");
    assert!(!out.stderr.contains(PASSWORD), "{out:?}");
}

fn helpers_keep_what_the_file_does_not() {
    let registry = Registry::guarded();
    let desk = Desk::new();
    let at = registry.address.as_str();
    let (docker, bin) = (desk.docker(), desk.settings().join("bin"));
    std::fs::create_dir(&docker).unwrap();
    std::fs::create_dir(&bin).unwrap();
    std::fs::write(docker.join("config.json"), r#"{"credsStore": "tests", "psFormat": "x"}"#)
        .unwrap();
    // It writes down how it was called: no secret may be in that.
    let helper = bin.join("docker-credential-tests");
    let store = bin.join("store");
    let script = format!(
        "#!/bin/sh\necho \"$@\" >> {calls}\ncase $1 in\nstore) cat > {store} ;;\n\
         get) read server; [ -s {store} ] || {{ echo 'credentials not found in native keychain'; \
         exit 1; }}; cat {store} ;;\nerase) : > {store} ;;\nesac\n",
        calls = text(&bin.join("calls")),
        store = text(&store),
    );
    std::fs::write(&helper, script).unwrap();
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
    let with = |mut command: Command| {
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{path}", text(&bin)));
        command
    };
    let login = with(desk.command(&["login", "-u", "me", "--password-stdin", at]));
    let out = run(login, PASSWORD.as_bytes());
    assert_eq!((out.code, out.stderr.as_str()), (0, ""), "{out:?}");
    let kept: serde_json::Value = serde_json::from_slice(&std::fs::read(&store).unwrap()).unwrap();
    assert_eq!(kept, json!({ "ServerURL": at, "Username": "me", "Secret": PASSWORD }));
    let file = std::fs::read_to_string(docker.join("config.json")).unwrap();
    assert!(!file.contains("auth\"") && file.contains("psFormat"), "{file}");
    assert!(file.contains(at), "{file}");
    let name = format!("{at}/mine:1");
    assert_eq!(run(desk.command(&["import", "-", &name]), &rootfs_tar()).code, 0);
    let out = run(with(desk.command(&["push", &name])), b"");
    assert_eq!(out.code, 0, "{out:?}");
    let out = run(with(desk.command(&["logout", at])), b"");
    assert_eq!(out.stdout, format!("Removing login credentials for {at}\n"), "{out:?}");
    assert_eq!(std::fs::read(&store).unwrap(), b"");
    let out = run(with(desk.command(&["pull", &name])), b"");
    assert_eq!(out.code, 1, "{out:?}");
    let calls = std::fs::read_to_string(bin.join("calls")).unwrap();
    assert!(!calls.contains(PASSWORD), "{calls}");
    // A helper that isn't there is named.
    desk.fails("docker-credential-tests", &["pull", &name]);
}

/// Makes a proxy demand tokens that a server of a few lines hands out; returns that server. A token
/// is its scope, and the number of the answer.
fn demand_tokens(proxy: &Proxy, life: u64) -> (Proxy, Arc<Mutex<u32>>) {
    let server = Proxy::before("127.0.0.1:1");
    let newest = Arc::new(Mutex::new(0_u32));
    let count = Arc::clone(&newest);
    server.rule(move |asked: &Asked| {
        // me:opensesame
        let known = asked.header("authorization") == Some("Basic bWU6b3BlbnNlc2FtZQ==");
        if !known {
            return Some(Action::Answer(401, Vec::new(), Vec::new()));
        }
        let mut count = count.lock().unwrap();
        *count += 1;
        let token = format!("t{count}-{}", asked.path.replace(['%', '&', '=', '?', '/'], "."));
        let body = json!({ "token": token, "expires_in": life }).to_string().into_bytes();
        Some(Action::Answer(200, vec![("Content-Type", "application/json".into())], body))
    });
    let realm = format!("http://{}/token", server.address);
    let valid = Arc::clone(&newest);
    proxy.rule(move |asked| {
        let token = asked.header("authorization").and_then(|text| text.strip_prefix("Bearer t"));
        let number = token.and_then(|text| text.split('-').next()?.parse::<u32>().ok());
        // Only the newest few hold: the others have expired.
        if number.is_some_and(|number| number + 3 > *valid.lock().unwrap()) {
            return None;
        }
        let challenge = format!("Bearer realm=\"{realm}\",service=\"tests\",scope=\"wrong\"");
        Some(Action::Answer(401, vec![("WWW-Authenticate", challenge)], Vec::new()))
    });
    (server, newest)
}

fn tokens_are_asked_for_and_used_again() {
    let registry = Registry::plain();
    let proxy = Proxy::before(&registry.address);
    let (tokens, newest) = demand_tokens(&proxy, 300);
    let desk = Desk::new();
    let at = proxy.address.as_str();
    let name = format!("{at}/mine:1");
    registry.put_image("mine:1", "amd64", &[layer("a", 9), layer("b", 9), layer("c", 9)]);
    desk.fails("may require 'wharf login'", &["pull", &name]);
    assert_eq!(login(&desk, "not-it", at).code, 1);
    let right = login(&desk, PASSWORD, at);
    assert_eq!(right.code, 0, "{right:?}");
    tokens.asked();
    desk.ok(&["pull", &name]);
    let asked = tokens.asked();
    assert_eq!(asked.len(), 1, "one token does for all of a pull: {asked:?}");
    assert!(asked[0].path.contains("service=tests"), "{asked:?}");
    assert!(asked[0].path.contains("scope=repository%3Amine%3Apull&"), "{asked:?}");
    let other = format!("{at}/other:1");
    desk.ok(&["tag", &name, &other]);
    let out = desk.ok(&["push", &other]);
    assert_eq!(out.matches("Mounted from mine").count(), 3, "{out}");
    let asked = tokens.asked();
    let both = asked.iter().any(|asked| {
        asked.path.contains("scope=repository%3Aother%3Apull%2Cpush")
            && asked.path.contains("scope=repository%3Amine%3Apull&")
    });
    assert!(both, "{asked:?}");
    // Tokens that have expired in the middle are asked for again.
    desk.forget();
    let expire = Arc::clone(&newest);
    proxy.rule(move |asked| {
        if asked.path.contains("/blobs/") {
            *expire.lock().unwrap() += 1;
        }
        None
    });
    desk.ok(&["pull", &name]);
    assert!(!tokens.asked().is_empty());
    // A token server without TLS isn't handed secrets, unless it is named.
    let realm = "Bearer realm=\"http://198.51.100.7/token\",service=\"tests\"".to_owned();
    proxy.behave();
    proxy.first(9, "GET", "/v2/", Action::Answer(401, vec![("WWW-Authenticate", realm)], vec![]));
    desk.fails("is without TLS: name it in insecure-registries", &["pull", &format!("{at}/z")]);
}

/// Makes a proxy demand tokens of a server that hands out identity tokens too, which stand for the
/// password from then on. Each that is used is replaced by the next.
fn demand_identity(proxy: &Proxy) -> Proxy {
    let server = Proxy::before("127.0.0.1:1");
    let mut newest = 0;
    server.rule(move |asked: &Asked| {
        let json = |body: serde_json::Value| {
            let kind = vec![("Content-Type", "application/json".to_owned())];
            Some(Action::Answer(200, kind, body.to_string().into_bytes()))
        };
        let by_password = asked.header("authorization") == Some("Basic bWU6b3BlbnNlc2FtZQ==");
        if by_password && asked.path.contains("offline_token=true") {
            newest += 1;
            return json(json!({ "token": "short", "refresh_token": format!("lasting-{newest}") }));
        }
        let wanted = format!("refresh_token=lasting-{newest}");
        if asked.method == "POST" && asked.body().contains(&wanted) {
            assert!(asked.body().contains("grant_type=refresh_token"), "{asked:?}");
            return json(json!({ "access_token": "short" }));
        }
        Some(Action::Answer(401, Vec::new(), Vec::new()))
    });
    let realm = format!("http://{}/token", server.address);
    proxy.rule(move |asked| {
        if asked.header("authorization") == Some("Bearer short") {
            return None;
        }
        let challenge = format!("Bearer realm=\"{realm}\",service=\"tests\"");
        Some(Action::Answer(401, vec![("WWW-Authenticate", challenge)], Vec::new()))
    });
    server
}

fn identity_tokens_stand_for_passwords() {
    let registry = Registry::plain();
    let proxy = Proxy::before(&registry.address);
    let tokens = demand_identity(&proxy);
    let desk = Desk::new();
    let at = proxy.address.as_str();
    let name = format!("{at}/mine:1");
    registry.put_image("mine:1", "amd64", &[layer("a", 9)]);
    desk.fails("may require 'wharf login'", &["pull", &name]);
    assert_eq!(login(&desk, "not-it", at).code, 1);
    let right = login(&desk, PASSWORD, at);
    assert_eq!(right.code, 0, "{right:?}");
    // What is kept is the token and not the password, as docker keeps it.
    let file = desk.docker().join("config.json");
    let config = std::fs::read_to_string(&file).unwrap();
    let config: serde_json::Value = serde_json::from_str(&config).unwrap();
    assert_eq!(config["auths"][at]["identitytoken"], "lasting-1", "{config}");
    assert_eq!(config["auths"][at]["auth"], "bWU6", "the name, and no password: {config}");
    tokens.asked();
    desk.ok(&["pull", &name]);
    let other = format!("{at}/other:1");
    desk.ok(&["tag", &name, &other]);
    desk.ok(&["push", &other]);
    let asked = tokens.asked();
    assert!(!asked.is_empty() && asked.iter().all(|asked| asked.method == "POST"), "{asked:?}");
    assert_eq!(desk.ok(&["logout", at]), format!("Removing login credentials for {at}"));
    desk.fails("may require 'wharf login'", &["pull", &name]);
    // A helper's secret is an identity token where the name is `<token>`.
    let bin = desk.settings().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let store = bin.join("store");
    let script = format!(
        "#!/bin/sh\ncase $1 in\nstore) cat > {store} ;;\n\
         get) read server; echo '{{\"ServerURL\": \"x\", \"Username\": \"<token>\", \
         \"Secret\": \"lasting-1\"}}' ;;\nesac\n",
        store = text(&store),
    );
    let helper = bin.join("docker-credential-tests");
    std::fs::write(&helper, script).unwrap();
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(&file, r#"{"credsStore": "tests"}"#).unwrap();
    let with = |mut command: Command| {
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{path}", text(&bin)));
        command
    };
    desk.forget();
    let out = run(with(desk.command(&["pull", &name])), b"");
    assert_eq!(out.code, 0, "{out:?}");
    // A new one goes to the helper in the same form.
    let out = run(
        with(desk.command(&["login", "-u", "me", "--password-stdin", at])),
        format!("{PASSWORD}\n").as_bytes(),
    );
    assert_eq!(out.code, 0, "{out:?}");
    let kept: serde_json::Value = serde_json::from_slice(&std::fs::read(&store).unwrap()).unwrap();
    assert_eq!(
        kept,
        json!({ "ServerURL": at, "Username": "<token>", "Secret": "lasting-2" }),
        "{kept}"
    );
    // In another folder of docker's nobody is logged in; --config names it.
    std::fs::write(&file, "{}").unwrap();
    let other = desk.settings().join("elsewhere");
    std::fs::create_dir(&other).unwrap();
    let config = json!({ "auths": { at: { "auth": "bWU6", "identitytoken": "lasting-2" } } });
    std::fs::write(other.join("config.json"), config.to_string()).unwrap();
    desk.forget();
    desk.ends(1, &["pull", &name]);
    desk.ok(&["--config", &text(&other), "pull", &name]);
}

/// Makes an authority and a certificate by it for this host, and one for a client.
fn certificates(folder: &std::path::Path) {
    let path = |name: &str| text(&folder.join(name));
    let ssl = |arguments: &[&str]| {
        let out = run(
            {
                let mut command = Command::new("openssl");
                command.args(arguments);
                command
            },
            b"",
        );
        assert_eq!(out.code, 0, "openssl {arguments:?}: {out:?}");
    };
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let new = |name: &str, subject: &str, more: &[&str]| {
        let (out, secret) = (path(&format!("{name}.crt")), path(&format!("{name}.key")));
        let mut words = vec!["req", "-x509", "-days", "2", "-subj", subject];
        words.extend_from_slice(&key);
        words.extend_from_slice(&["-out", &out, "-keyout", &secret]);
        words.extend_from_slice(more);
        ssl(&words);
    };
    new("ca", "/CN=tests", &["-addext", "keyUsage=critical,keyCertSign"]);
    let (ca, ca_key) = (path("ca.crt"), path("ca.key"));
    let by = ["-CA", ca.as_str(), "-CAkey", ca_key.as_str()];
    let leaf = |usage: &str| {
        vec!["-addext", "basicConstraints=critical,CA:FALSE", "-addext"]
            .into_iter()
            .map(str::to_owned)
            .chain([format!("extendedKeyUsage={usage}")])
            .collect::<Vec<_>>()
    };
    let mut server: Vec<String> = by.iter().map(|word| (*word).to_owned()).collect();
    server.extend(leaf("serverAuth"));
    server.extend(["-addext".to_owned(), "subjectAltName=IP:127.0.0.1".to_owned()]);
    new("server", "/CN=server", &server.iter().map(String::as_str).collect::<Vec<_>>());
    let mut client: Vec<String> = by.iter().map(|word| (*word).to_owned()).collect();
    client.extend(leaf("clientAuth"));
    new("client", "/CN=client", &client.iter().map(String::as_str).collect::<Vec<_>>());
}

fn certificates_are_believed_where_they_are_named() {
    let desk = Desk::new();
    let folder = desk.settings().join("made");
    std::fs::create_dir(&folder).unwrap();
    certificates(&folder);
    let path = |name: &str| folder.join(name);
    let tls = json!({ "certificate": path("server.crt"), "key": path("server.key"),
                      "clientcas": [path("ca.crt")] });
    let registry = Registry::secure(tls);
    let name = format!("{}/mine:1", registry.address);
    assert_eq!(run(desk.command(&["import", "-", &name]), &rootfs_tar()).code, 0);
    let place = desk.settings().join("certs.d").join(&registry.address);
    std::fs::create_dir_all(&place).unwrap();
    // A folder without an authority: this host isn't believed any more because it is this host.
    std::fs::write(place.join("README"), "").unwrap();
    std::fs::copy(path("client.crt"), place.join("other.crt")).unwrap();
    let out = desk.ends(1, &["push", &name]);
    assert!(out.stderr.contains("certificate") && out.stderr.contains("certs.d/"), "{out:?}");
    std::fs::remove_file(place.join("other.crt")).unwrap();
    std::fs::copy(path("ca.crt"), place.join("ca.crt")).unwrap();
    // The registry wants to know who we are.
    desk.fails("it wants to know who we are", &["push", &name]);
    std::fs::copy(path("client.crt"), place.join("client.cert")).unwrap();
    desk.fails("missing key", &["push", &name]);
    std::fs::copy(path("client.key"), place.join("client.key")).unwrap();
    assert!(desk.ok(&["push", &name]).contains("1: digest: sha256:"));
    desk.forget();
    assert!(desk.ok(&["pull", &name]).contains("Downloaded newer image"));
    // Named as insecure, no authority is needed, only the client's own certificate.
    std::fs::remove_file(place.join("ca.crt")).unwrap();
    desk.forget();
    desk.ends(1, &["pull", &name]);
    desk.configure(&format!("[registry]\ninsecure = [{:?}]\n", registry.address));
    assert!(desk.ok(&["pull", &name]).contains("Downloaded newer image"));
    desk.configure("[registry]\nmirror = 1\n");
    desk.fails("config.toml:2:1: there is no setting registry.mirror", &["pull", &name]);
}

fn secrets_stay_with_the_host_they_are_for() {
    let registry = Registry::guarded();
    let desk = Desk::new();
    let proxy = Proxy::before(&registry.address);
    let store = Proxy::before(&registry.address);
    let name = format!("{}/mine:1", proxy.address);
    let direct = format!("{}/mine:1", registry.address);
    assert_eq!(run(desk.command(&["import", "-", &direct]), &rootfs_tar()).code, 0);
    assert_eq!(login(&desk, PASSWORD, &registry.address).code, 0);
    desk.ok(&["push", &direct]);
    desk.forget();
    assert_eq!(login(&desk, PASSWORD, &proxy.address).code, 0);
    // Blobs are elsewhere, as with registries that keep them in a store: under an address that is
    // signed. The store is the same registry, asked with a password that only the proxy knows.
    let elsewhere = store.address.clone();
    proxy.rule(move |asked| {
        let place = format!("http://{elsewhere}{}?signature=verysecret", asked.path);
        asked.is("GET", "/blobs/").then(|| Action::Answer(307, vec![("Location", place)], vec![]))
    });
    let out = desk.ends(1, &["pull", &name]);
    let asked = store.asked();
    assert!(!asked.is_empty() && asked.iter().all(|asked| asked.header("authorization").is_none()));
    assert!(!out.stderr.contains("verysecret") && !out.stderr.contains(PASSWORD), "{out:?}");
    // Round and round.
    let itself = proxy.address.clone();
    proxy.rule(move |asked| {
        let place = format!("http://{itself}{}", asked.path);
        asked.is("GET", "/blobs/").then(|| Action::Answer(307, vec![("Location", place)], vec![]))
    });
    desk.fails("redirected too often", &["pull", &name]);
}

fn proxies_of_the_environment_are_used() {
    let registry = Registry::plain();
    let desk = Desk::new();
    // To a proxy as to a server: what it is asked for has the whole address.
    let proxy = Proxy::before(&registry.address);
    registry.put_image("x:1", "amd64", &[layer("a", 50)]);
    // A name that no name server knows (RFC 6761).
    let name = "registry.invalid/x:1";
    desk.configure("[registry]\ninsecure = [\"registry.invalid\"]\n");
    let pull = |variables: &[(&str, &str)]| {
        let mut command = desk.command(&["pull", name]);
        command.envs(variables.iter().copied());
        run(command, b"")
    };
    let address = format!("http://{}", proxy.address);
    let without = pull(&[("http_proxy", &address), ("no_proxy", "registry.invalid")]);
    assert_eq!(without.code, 1, "{without:?}");
    assert!(without.stderr.contains("no address for registry.invalid"), "{without:?}");
    assert_eq!(proxy.asked().len(), 0);
    let with = pull(&[("http_proxy", &address)]);
    assert_eq!(with.code, 0, "{with:?}");
    let place = "http://registry.invalid/v2/x/blobs/";
    assert!(proxy.asked().iter().any(|asked| asked.path.starts_with(place)));
}

fn a_password_is_asked_for_and_not_shown() {
    let registry = Registry::guarded();
    let desk = Desk::new();
    let mut terminal = Terminal::start(&desk.command(&["login", &registry.address]), 80, 24);
    terminal.wait_for("Username: ");
    terminal.send("me\r");
    terminal.wait_for("Password: ");
    terminal.send("oops\x15opensesamx\x7fe\r");
    terminal.wait_for("Login Succeeded");
    assert_eq!(terminal.wait(), 0);
    assert!(!terminal.written().contains("opense"), "{}", terminal.written());
}
