//! docker-compose as Debian has it, which is of the days of Docker 20.

use std::process::Command;

use super::Served;
use crate::harness::{PATIENCE, Test, eventually, folder, lacks_programs, run};

pub(crate) fn tests() -> Vec<Test> {
    let lacks = lacks_programs(&["docker-compose"]);
    vec![Test::new("compose_starts_by_health_and_scales", compose).needing(lacks)]
}

const FILE: &str = r#"
version: "2.4"
services:
  store:
    image: box
    command: sh -c 'echo from-the-store > /data/word; touch /tmp/well; exec sleep 10000'
    healthcheck: {test: ["CMD", "test", "-e", "/tmp/well"], interval: 1s, retries: 30}
    networks: {back: {aliases: [shelf]}}
    volumes: ["data:/data"]
    stop_grace_period: 0s
  web:
    image: box
    command: sh -c 'ping -c 1 -W 10 shelf && cat /data/word; exec sleep 10000'
    depends_on: {store: {condition: service_healthy}}
    networks: [front, back]
    volumes: ["data:/data:ro"]
    stop_grace_period: 0s
networks: {front: {}, back: {internal: true}}
volumes: {data: {}}
"#;

fn compose() {
    let served = Served::new();
    let place = folder();
    let file = place.join("docker-compose.yml");
    std::fs::write(&file, FILE).unwrap();
    let compose = |words: &[&str]| {
        let mut command = Command::new("docker-compose");
        command.env("DOCKER_HOST", served.host()).env("DOCKER_CONFIG", "/nonexistent");
        command.env("COMPOSE_HTTP_TIMEOUT", PATIENCE.as_secs().to_string());
        command.args(["-p", "shop", "-f"]).arg(&file).args(words);
        let out = run(command, b"");
        assert_eq!(out.code, 0, "docker-compose {}: {out:?}", words.join(" "));
        out.stdout
    };
    compose(&["up", "-d", "--scale", "web=2"]);
    let names = served.lab.ok(&["ps", "--format", "{{.Names}}"]);
    let mut names: Vec<&str> = names.lines().collect();
    names.sort_unstable();
    assert_eq!(names, ["shop_store_1", "shop_web_1", "shop_web_2"]);
    assert_eq!(served.lab.inspect("shop_store_1", "/State/Health/Status"), "healthy");
    for web in ["shop_web_1", "shop_web_2"] {
        served.lab.wait_for_log(web, "from-the-store");
        let networks = served.lab.inspect(web, "/NetworkSettings/Networks");
        let networks: Vec<&String> = networks.as_object().unwrap().keys().collect();
        assert_eq!(networks, ["shop_back", "shop_front"]);
    }
    assert!(compose(&["logs", "--no-color", "web"]).contains("from-the-store"));
    assert_eq!(compose(&["exec", "-T", "store", "cat", "/data/word"]), "from-the-store\n");
    assert!(compose(&["ps"]).contains("shop_web_2"));
    // What has changed is made anew, with the volumes that it had.
    std::fs::write(&file, FILE.replace("from-the-store", "from-a-new-store")).unwrap();
    compose(&["up", "-d", "--scale", "web=1"]);
    eventually("the new one writes", || {
        compose(&["exec", "-T", "web", "cat", "/data/word"]) == "from-a-new-store\n"
    });
    eventually("one is left", || served.lab.ok(&["ps", "-q"]).lines().count() == 2);
    compose(&["down", "-v"]);
    assert_eq!(served.lab.ok(&["ps", "-aq"]), "");
    assert_eq!(served.lab.ok(&["volume", "ls", "-q"]), "");
    std::fs::remove_dir_all(&place).unwrap();
}
