//! Networks and volumes: the same objects, and the same ways to change them, from every engine.

use std::time::Duration;

use futures_util::StreamExt as _;
use wharf_model::{
    AddressPool, Bind, Command, EndpointOptions, ErrorKind, Filters, NetworkCreateOptions,
    NetworkInfo, Outcome, VolumeCreateOptions,
};

use super::{Bench, Check, checks, kind};

pub(super) const CHECKS: &[(&str, Check)] = checks![
    networks_are_made_joined_and_removed,
    traffic_is_counted_on_what_was_joined_later,
    volumes_are_made_used_and_removed,
];

impl Bench {
    async fn change(&self, command: Command) -> Result<Outcome, wharf_backend::Error> {
        self.backend.execute(command).await
    }

    async fn network(&self, name: &str) -> NetworkInfo {
        self.backend.network(name).await.unwrap()
    }
}

/// Returns a subnet that no other engine of these tests has: they run at the same time.
fn subnet(bench: &Bench, number: u8) -> String {
    let engine = if bench.backend.name() == "docker" { 217 } else { 218 };
    format!("10.{engine}.{number}.0/24")
}

fn network(name: &str, subnet: &str) -> Command {
    Command::CreateNetwork(Box::new(NetworkCreateOptions {
        name: name.to_owned(),
        internal: true,
        pools: vec![AddressPool { subnet: subnet.parse().ok(), ..AddressPool::default() }],
        labels: [("team".to_owned(), "harbour".to_owned())].into(),
        ..NetworkCreateOptions::default()
    }))
}

async fn networks_are_made_joined_and_removed(bench: &Bench) {
    let made = bench.change(network("pier", &subnet(bench, 3))).await.unwrap();
    assert!(matches!(&made, Outcome::NetworkCreated { id, .. } if id.len() == 64), "{made:?}");
    let again = bench.change(network("pier", &subnet(bench, 4))).await;
    assert_eq!(kind(again), ErrorKind::Conflict);
    let pier = bench.network("pier").await;
    assert!(pier.internal && pier.driver == "bridge");
    assert_eq!(pier.pools[0].subnet, subnet(bench, 3).parse().ok());
    assert_eq!(pier.labels["team"], "harbour");
    let labelled: Filters = [("label", "team=harbour")].into_iter().collect();
    let list = bench.backend.networks(&labelled).await.unwrap();
    assert_eq!(list.iter().map(|n| n.name.as_str()).collect::<Vec<_>>(), ["pier"]);

    let mut options = Bench::options("sleep 1000");
    options.host.network_mode = wharf_model::NetworkMode::from("pier".to_owned());
    let id = bench.create(options).await.unwrap();
    bench.start(&id).await.unwrap();
    let on = |network: NetworkInfo| {
        network.endpoints.into_iter().map(|e| e.container.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(on(bench.network("pier").await), std::slice::from_ref(&id));
    let remove = || Command::RemoveNetwork { network: "pier".to_owned(), force: false };
    assert!(bench.change(remove()).await.is_err(), "somebody is on it");

    bench.change(network("quay", &subnet(bench, 5))).await.unwrap();
    let endpoint = EndpointOptions {
        network: "quay".to_owned(),
        ipv4: subnet(bench, 5).replace("0/24", "9").parse().ok(),
        aliases: vec!["crane".to_owned()],
        ..EndpointOptions::default()
    };
    let connect = Command::Connect { container: id.clone(), endpoint: Box::new(endpoint) };
    assert_eq!(bench.change(connect).await, Ok(Outcome::Done));
    let quay = bench.network("quay").await;
    assert_eq!(quay.endpoints[0].ipv4, subnet(bench, 5).replace("0/24", "9/24").parse().ok());
    let leave =
        || Command::Disconnect { container: id.clone(), network: "quay".to_owned(), force: false };
    assert_eq!(bench.change(leave()).await, Ok(Outcome::Done));
    assert!(bench.change(leave()).await.is_err(), "it isn't there any more");
    assert!(on(bench.network("quay").await).is_empty());

    let pruned = bench.change(Command::PruneNetworks { filters: labelled }).await.unwrap();
    let Outcome::NetworksPruned { deleted, .. } = pruned else { panic!("{pruned:?}") };
    assert_eq!(deleted, ["quay"]);
    bench.remove(&id, true).await.unwrap();
    assert_eq!(bench.change(remove()).await, Ok(Outcome::Done));
    assert_eq!(kind(bench.backend.network("pier").await), ErrorKind::NotFound);
    assert_eq!(kind(bench.change(remove()).await), ErrorKind::NotFound);
}

async fn traffic_is_counted_on_what_was_joined_later(bench: &Bench) {
    bench.change(network("pier", &subnet(bench, 3))).await.unwrap();
    bench.change(network("quay", &subnet(bench, 5))).await.unwrap();
    let gateway = subnet(bench, 5).replace("0/24", "1");
    let line = format!("while :; do ping -c 1 -W 1 {gateway}; sleep 0.2; done");
    let mut options = Bench::options(&line);
    options.host.network_mode = wharf_model::NetworkMode::from("pier".to_owned());
    let id = bench.create(options).await.unwrap();
    bench.start(&id).await.unwrap();
    let mut batches = bench.backend.samples(Duration::from_millis(300)).await.unwrap();
    let mut sent = async || loop {
        let batch = batches.next().await.unwrap().unwrap();
        let mut all = batch.containers.into_iter().filter(|(one, _)| one.as_str() == id);
        let network = all.next().and_then(|(_, sample)| sample.network);
        if let Some(network) = network {
            break network.tx_packets;
        }
    };
    let before = sent().await;
    let endpoint = EndpointOptions { network: "quay".to_owned(), ..EndpointOptions::default() };
    let connect = Command::Connect { container: id.clone(), endpoint: Box::new(endpoint) };
    assert_eq!(bench.change(connect).await, Ok(Outcome::Done));
    // Whoever has just come to a network says a word of himself; that is not what is meant.
    while sent().await < before + 40 {}
    bench.remove(&id, true).await.unwrap();
    for network in ["pier", "quay"] {
        let network = network.to_owned();
        let remove = Command::RemoveNetwork { network, force: false };
        assert_eq!(bench.change(remove).await, Ok(Outcome::Done));
    }
}

async fn volumes_are_made_used_and_removed(bench: &Bench) {
    let none = Filters::default();
    if kind_of(&bench.backend.volumes(&none, false).await) == Some(ErrorKind::Unsupported) {
        return;
    }
    let create = |name: Option<&str>| {
        Command::CreateVolume(Box::new(VolumeCreateOptions {
            name: name.map(str::to_owned),
            labels: [("team".to_owned(), "harbour".to_owned())].into(),
            ..VolumeCreateOptions::default()
        }))
    };
    let made = bench.change(create(Some("hold"))).await.unwrap();
    assert!(matches!(&made, Outcome::VolumeCreated(v) if v.name == "hold"), "{made:?}");
    let made = bench.change(create(None)).await.unwrap();
    let Outcome::VolumeCreated(unnamed) = made else { panic!("{made:?}") };
    assert!(unnamed.anonymous, "{unnamed:?}");

    let mut options = Bench::options("echo cargo > /hold/list; sleep 1000");
    options.host.binds =
        vec![Bind { source: "hold".to_owned(), target: "/hold".to_owned(), ..Bind::default() }];
    let id = bench.create(options).await.unwrap();
    bench.start(&id).await.unwrap();
    let hold = bench.backend.volume("hold").await.unwrap();
    assert_eq!(hold.users.len(), 1);
    assert_eq!(hold.users[0].destination, "/hold");
    assert!(hold.users[0].writable && hold.users[0].running);
    let listed = async || bench.backend.volume_files("hold", "".as_ref()).await.unwrap();
    while listed().await.iter().all(|entry| entry.size == 0) {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let head = bench.backend.volume_file("hold", "list".as_ref(), 100).await.unwrap();
    assert_eq!(head.bytes, b"cargo\n");
    let remove = || Command::RemoveVolume { volume: "hold".to_owned(), force: false };
    assert_eq!(kind(bench.change(remove()).await), ErrorKind::Conflict);

    // Those with names stay unless all are asked for.
    let pruned = bench.change(Command::PruneVolumes { all: false, filters: none.clone() }).await;
    let Ok(Outcome::VolumesPruned { deleted, .. }) = pruned else { panic!("{pruned:?}") };
    assert_eq!(deleted, [unnamed.name]);
    bench.remove(&id, true).await.unwrap();
    let sized = bench.backend.volumes(&none, true).await.unwrap();
    let hold = sized.iter().find(|volume| volume.name == "hold").unwrap();
    assert!(hold.users.is_empty() && hold.size.is_some_and(|size| size > 0), "{hold:?}");
    assert_eq!(bench.change(remove()).await, Ok(Outcome::Done));
    assert_eq!(kind(bench.backend.volume("hold").await), ErrorKind::NotFound);
}

fn kind_of<T>(result: &Result<T, wharf_backend::Error>) -> Option<ErrorKind> {
    result.as_ref().err().map(|error| error.kind)
}
