//! The firewalls of others. What our table accepts another one may still drop: each chain of a hook
//! decides for itself.

use wharf_sys::netlink::nftables::{
    BaseChain, Expression, Hook, MetaKey, NftSocket, Transaction, Verdict,
};

use super::super::bridge::failed;
use super::is_own;
use crate::Result;

/// Where docker calls the host's administrator before it drops anything (table `filter` of family
/// `ip`, as `iptables` makes it).
const DOCKER_TABLE: &str = "filter";
const DOCKER_USER: &str = "DOCKER-USER";
/// The chain whose policy docker sets to "drop".
const DOCKER_CHAIN: &str = "FORWARD";
/// The number of the family `ip`.
const IPV4: u8 = 2;

/// Returns a sentence for each chain of others that drops what is routed unless it knows better, and
/// that [`pass`] can't bring to let containers' packets through.
pub(in super::super) fn drops(nft: &mut NftSocket) -> Result<Vec<String>> {
    let chains = nft.base_chains().map_err(failed)?;
    let mut dropping: Vec<BaseChain> = chains
        .into_iter()
        .filter(|chain| chain.drops && chain.hook == Hook::Forward.number())
        .filter(|chain| !is_own(&chain.table))
        .collect();
    if dropping.iter().any(is_dockers) && has_docker(nft)? {
        dropping.retain(|chain| !is_dockers(chain));
    }
    Ok(dropping
        .into_iter()
        .map(|chain| {
            format!(
                "the host's firewall drops routed packets by default (table {}, chain {}): \
                 containers may not reach the outside, nor be reached, until it accepts what comes in \
                 by their bridges and what leaves by them",
                chain.table, chain.name
            )
        })
        .collect())
}

fn is_dockers(chain: &BaseChain) -> bool {
    (chain.family, chain.table.as_str(), chain.name.as_str()) == (IPV4, DOCKER_TABLE, DOCKER_CHAIN)
}

/// A link's name as `iptables` writes it: with its NUL to be compared whole, without for a beginning.
fn named(key: MetaKey, name: &[u8]) -> [Expression<'_>; 2] {
    let register = Expression::FIRST;
    [
        Expression::Meta { key, register },
        Expression::Compare { register, bytes: name, inverted: false },
    ]
}

fn has_docker(nft: &mut NftSocket) -> Result<bool> {
    let chains = nft.ipv4_plain_chains(DOCKER_TABLE).map_err(failed)?;
    Ok(chains.iter().any(|chain| chain == DOCKER_USER))
}

/// Returns those of these bridges that docker's firewall, where it is, doesn't know of.
pub(in super::super) fn unknown(nft: &mut NftSocket, bridges: &[String]) -> Result<Vec<String>> {
    if bridges.is_empty() || !has_docker(nft)? {
        return Ok(Vec::new());
    }
    let rules = nft.ipv4_rules(DOCKER_TABLE).map_err(failed)?;
    let asked: Vec<_> = rules.iter().filter(|rule| rule.chain == DOCKER_USER).collect();
    let knows = |bridge: &String| {
        let name = terminated(bridge);
        asked.iter().any(|rule| mentions(&rule.expressions, &name))
    };
    Ok(bridges.iter().filter(|bridge| !knows(bridge)).cloned().collect())
}

/// Returns those of these bridges whose packets docker's firewall drops.
pub(in super::super) fn cut_off(nft: &mut NftSocket, bridges: &[String]) -> Result<Vec<String>> {
    let chains = nft.base_chains().map_err(failed)?;
    match chains.iter().any(|chain| chain.drops && is_dockers(chain)) {
        true => unknown(nft, bridges),
        false => Ok(Vec::new()),
    }
}

/// Has docker's firewall, where it is, let these bridges' packets pass, but for those to docker's own
/// containers, which are docker's to decide about. The rules are such as `iptables` makes itself: it
/// must be able to read them.
pub(in super::super) fn pass(nft: &mut NftSocket, bridges: &[String]) -> Result<()> {
    const TRIES: usize = 20;
    for _ in 0..TRIES {
        let generation = nft.generation().map_err(failed)?;
        let unknown = unknown(nft, bridges)?;
        if unknown.is_empty() {
            return Ok(());
        }
        let mut change = Transaction::new(Some(generation));
        change.about_ipv4();
        for bridge in unknown {
            let name = terminated(&bridge);
            let (input, output) =
                (named(MetaKey::InputName, &name), named(MetaKey::OutputName, &name));
            let docker0 = named(MetaKey::OutputName, b"docker0\0");
            let others = named(MetaKey::OutputName, b"br-");
            let accept = Expression::Verdict(Verdict::Accept);
            let back = Expression::Verdict(Verdict::Return);
            // The last one inserted is the first one asked.
            for rule in [
                [&input[..], &[accept]].concat(),
                [&input[..], &others, &[back]].concat(),
                [&input[..], &docker0, &[back]].concat(),
                [&output[..], &[accept]].concat(),
            ] {
                change.insert_rule(DOCKER_TABLE, DOCKER_USER, &rule);
            }
        }
        match nft.commit(change) {
            Ok(()) => return Ok(()),
            Err(cause) if super::raced(cause.errno()) => {}
            Err(cause) => return Err(failed(cause)),
        }
    }
    Ok(())
}

/// Takes this bridge's rules out of docker's firewall.
pub(in super::super) fn forget(nft: &mut NftSocket, bridge: &str) -> Result<()> {
    const TRIES: usize = 20;
    let name = terminated(bridge);
    for _ in 0..TRIES {
        let generation = nft.generation().map_err(failed)?;
        let rules = nft.ipv4_rules(DOCKER_TABLE).map_err(failed)?;
        let mut change = Transaction::new(Some(generation));
        change.about_ipv4();
        rules
            .iter()
            .filter(|rule| rule.chain == DOCKER_USER && mentions(&rule.expressions, &name))
            .for_each(|rule| change.delete_rule(DOCKER_TABLE, rule));
        match nft.commit(change) {
            Err(cause) if super::raced(cause.errno()) => {}
            result => return result.map_err(failed),
        }
    }
    Ok(())
}

/// Returns whether a rule compares something with this name.
fn mentions(expressions: &[u8], name: &[u8]) -> bool {
    expressions.windows(name.len()).any(|bytes| bytes == name)
}

fn terminated(name: &str) -> Vec<u8> {
    let mut bytes = name.as_bytes().to_vec();
    bytes.push(0);
    bytes
}
