//! What volumes hold, out and in again; the documents of networks and volumes; and whether containers
//! reach each other.

use std::io::Cursor;

use futures_util::StreamExt;
use wharf_backend::Reader;
use wharf_model::{
    AddressPool, Bind, Command, ErrorKind, NetworkCreateOptions, NetworkMode, Outcome,
    ReachQuestion, VolumeCreateOptions,
};

use super::{Bench, Check, checks, kind};
use crate::copy_docker::tree_of_tar;

pub(super) const CHECKS: &[(&str, Check)] = checks![
    volumes_are_copied_out_and_in,
    documents_are_dockers,
    containers_try_to_reach_each_other
];

impl Bench {
    /// Makes a volume, unless it is there, by a container that runs a shell line in it to its end.
    async fn fill(&self, volume: &str, line: &str) {
        let mut options = Self::options(line);
        options.host.binds =
            vec![Bind { source: volume.to_owned(), target: "/v".to_owned(), ..Bind::default() }];
        let id = self.create(options).await.unwrap();
        self.start(&id).await.unwrap();
        assert_eq!(self.backend.wait(&id).await, Ok(0));
        self.remove(&id, true).await.unwrap();
    }

    async fn exported(&self, volume: &str) -> Vec<u8> {
        let mut archive = self.backend.volume_export(volume, false).await.unwrap();
        let mut bytes = Vec::new();
        while let Some(piece) = archive.next().await {
            bytes.extend_from_slice(&piece.unwrap());
        }
        bytes
    }

    async fn import(&self, volume: &str, tar: &[u8], replace: bool) -> wharf_backend::Result<()> {
        let archive: Reader = Box::new(Cursor::new(tar.to_vec()));
        self.backend.volume_import(volume, archive, replace).await
    }

    async fn drop_volume(&self, volume: &str) {
        let command = Command::RemoveVolume { volume: volume.to_owned(), force: false };
        assert_eq!(self.backend.execute(command).await, Ok(Outcome::Done), "{volume}");
    }

    /// Returns the names of all volumes, and how many containers and images there are.
    async fn all(&self) -> (Vec<String>, usize, usize) {
        let volumes = self.backend.volumes(&Default::default(), false).await.unwrap();
        let containers = self.backend.containers(true).await.unwrap().len();
        let images = self.backend.images().await.unwrap().len();
        (volumes.into_iter().map(|volume| volume.name).collect(), containers, images)
    }
}

async fn volumes_are_copied_out_and_in(bench: &Bench) {
    let (_, containers, images) = bench.all().await;
    let make = "mkdir -p /v/sub; echo cargo > /v/list; ln -s list /v/link; ln /v/list /v/sub/hard; \
                chown 7:8 /v/list; chmod 2750 /v/sub; chown 5:6 /v; chmod 750 /v; head -c 100000 \
                /dev/zero > /v/sub/zeros";
    bench.fill("hold", make).await;
    // Of a volume that no container has, and of one that has one.
    let whole = bench.exported("hold").await;
    let tree = tree_of_tar(&whole, true);
    assert_eq!(tree.keys().map(String::as_str).collect::<Vec<_>>(), {
        [".", "link", "list", "sub", "sub/hard", "sub/zeros"]
    });
    let mut options = Bench::options("sleep 1000");
    options.host.binds =
        vec![Bind { source: "hold".to_owned(), target: "/deep/v".to_owned(), ..Bind::default() }];
    let id = bench.create(options).await.unwrap();
    assert_eq!(tree_of_tar(&bench.exported("hold").await, true), tree);
    // Whoever runs with it would see it change.
    bench.start(&id).await.unwrap();
    assert_eq!(kind(bench.import("hold", &whole, true).await), ErrorKind::Conflict);
    bench.remove(&id, true).await.unwrap();

    bench.import("copy", &whole, false).await.unwrap();
    let same = |mut one: super::super::copy_docker::Tree| {
        // A Docker engine leaves the volume's own folder as it is.
        one.remove(".");
        one
    };
    assert_eq!(same(tree_of_tar(&bench.exported("copy").await, true)), same(tree.clone()));
    let refused = bench.import("copy", &whole, false).await;
    assert!(refused.as_ref().is_err_and(|e| e.message.contains("--replace")), "{refused:?}");
    bench.fill("copy", "rm -r /v/*; echo other > /v/other").await;
    bench.import("copy", &whole, true).await.unwrap();
    assert_eq!(same(tree_of_tar(&bench.exported("copy").await, true)), same(tree.clone()));
    // What is damaged changes nothing.
    let damaged = [&whole[..700], &[0x55; 5000][..]].concat();
    assert!(bench.import("copy", &damaged, true).await.is_err());
    assert!(bench.import("never", &damaged, false).await.is_err());
    assert_eq!(same(tree_of_tar(&bench.exported("copy").await, true)), same(tree.clone()));

    let clone = |from: &str, to: &str| {
        bench.backend.execute(Command::CloneVolume { from: from.to_owned(), to: to.to_owned() })
    };
    let made = clone("hold", "twin").await.unwrap();
    assert!(matches!(&made, Outcome::VolumeCreated(v) if v.name == "twin"), "{made:?}");
    assert_eq!(tree_of_tar(&bench.exported("twin").await, true), tree);
    assert_eq!(kind(clone("hold", "twin").await), ErrorKind::Conflict);
    assert_eq!(kind(clone("nope", "more").await), ErrorKind::NotFound);
    assert_eq!(kind(bench.backend.volume_export("nope", false).await.map(drop)), {
        ErrorKind::NotFound
    });
    let left = || async { bench.all().await };
    // What a stream's end gives back goes beside it.
    while left().await != (["copy", "hold", "twin"].map(str::to_owned).to_vec(), containers, images)
    {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    for name in ["copy", "hold", "twin"] {
        bench.drop_volume(name).await;
    }
}

fn subnet(bench: &Bench) -> AddressPool {
    let engine = if bench.backend.name() == "docker" { 217 } else { 218 };
    AddressPool { subnet: format!("10.{engine}.9.0/24").parse().ok(), ..AddressPool::default() }
}

async fn documents_are_dockers(bench: &Bench) {
    let network = NetworkCreateOptions {
        name: "quay".to_owned(),
        internal: true,
        pools: vec![subnet(bench)],
        ..NetworkCreateOptions::default()
    };
    bench.backend.execute(Command::CreateNetwork(Box::new(network))).await.unwrap();
    let document = bench.backend.inspect_network("quay").await.unwrap();
    assert_eq!(document["Name"], "quay");
    assert_eq!(document["IPAM"]["Config"][0]["Subnet"], subnet(bench).subnet.unwrap().to_string());
    assert_eq!((&document["Internal"], &document["ConfigOnly"]), (&true.into(), &false.into()));
    let remove = Command::RemoveNetwork { network: "quay".to_owned(), force: false };
    bench.backend.execute(remove).await.unwrap();
    assert_eq!(kind(bench.backend.inspect_network("quay").await), ErrorKind::NotFound);
    let labels = [("team".to_owned(), "harbour".to_owned())].into();
    let name = Some("hold".to_owned());
    let volume = VolumeCreateOptions { name, labels, ..VolumeCreateOptions::default() };
    bench.backend.execute(Command::CreateVolume(Box::new(volume))).await.unwrap();
    let document = bench.backend.inspect_volume("hold").await.unwrap();
    assert_eq!((&document["Name"], &document["Driver"]), (&"hold".into(), &"local".into()));
    assert!(document["Mountpoint"].as_str().unwrap().ends_with("/hold/_data"), "{document}");
    assert_eq!(document["Scope"], "local");
    assert_eq!(document["Labels"]["team"], "harbour");
    bench.drop_volume("hold").await;
    assert_eq!(kind(bench.backend.inspect_volume("hold").await), ErrorKind::NotFound);
}

async fn containers_try_to_reach_each_other(bench: &Bench) {
    let network = NetworkCreateOptions {
        name: "quay".to_owned(),
        internal: true,
        pools: vec![subnet(bench)],
        ..NetworkCreateOptions::default()
    };
    bench.backend.execute(Command::CreateNetwork(Box::new(network))).await.unwrap();
    let on = async |name: &str, network: &str, line: &str| {
        let mut options = Bench::options(line);
        options.name = Some(name.to_owned());
        options.host.network_mode = NetworkMode::from(network.to_owned());
        let id = bench.create(options).await.unwrap();
        bench.start(&id).await.unwrap();
    };
    on("server", "quay", "httpd -p 80; echo up; exec sleep 100000").await;
    on("asker", "quay", "exec sleep 100000").await;
    on("alone", "none", "exec sleep 100000").await;
    bench.wait_for_log("server", "up").await;
    let ask = async |from: &str, to: &str, port: u16| {
        let question = ReachQuestion { from: from.to_owned(), to: to.to_owned(), port };
        bench.backend.reach(&question).await.unwrap()
    };
    let yes = ask("asker", "server", 80).await;
    assert!(yes.reached, "{yes:?}");
    let last = |answer: wharf_model::ReachAnswer| {
        assert!(!answer.reached, "{answer:?}");
        answer.steps.last().unwrap().clone()
    };
    assert!(last(ask("asker", "server", 81).await).contains("nothing listens on TCP port 81"));
    // The kernel knows at once that there is no way.
    assert!(last(ask("asker", "192.0.2.77", 80).await).contains("internal networks only (quay)"));
    assert!(last(ask("asker", "alone", 80).await).contains("on no network"));
    let question = ReachQuestion { from: "nobody".to_owned(), to: "server".to_owned(), port: 80 };
    assert_eq!(kind(bench.backend.reach(&question).await), ErrorKind::NotFound);
    for name in ["server", "asker", "alone"] {
        bench.remove(name, true).await.unwrap();
    }
    let remove = Command::RemoveNetwork { network: "quay".to_owned(), force: false };
    bench.backend.execute(remove).await.unwrap();
}
