//! The nf_tables table of an engine root: NAT to the outside, what may reach a container, and the
//! ports that the host serves.
//!
//! The rules are few and never change ([`build`]); the networks and ports that they are about are
//! elements of sets and maps. The table's comment is the version of its rules: a process that finds
//! another one, or none, makes the table anew in one transaction, with all that this root's database
//! says belongs in it. Each root has a table of its own, so that nobody needs to know of others'.

mod build;
pub(super) mod foreign;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use wharf_model::ErrorKind;
use wharf_sys::netlink::Errno;
use wharf_sys::netlink::nftables::{Element, Hook, NftSocket, Transaction};

use super::bridge::failed;
use super::links;
use super::publish;
use super::record;
use crate::state::Store;
use crate::{Error, Result};

/// How the tables of all roots begin; that of the default root is called so.
const TABLE: &str = "wharf";
/// The default engine root.
const DEFAULT_ROOT: &str = "/var/lib/wharf";
/// The version of the rules.
const VERSION: &str = "rules 4";
/// How often a change is tried when other processes change the firewall at the same time.
const TRIES: usize = 40;

/// A network, as far as the rules are concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Its bridge's name.
    pub(crate) bridge: String,
    /// The bridge's addresses.
    pub(crate) gateways: Vec<IpAddr>,
    /// Whether nothing leaves it and nothing comes in.
    pub(crate) internal: bool,
    /// Whether its containers reach each other.
    pub(crate) icc: bool,
    /// Whether its containers go out under the host's address.
    pub(crate) masquerade: bool,
}

/// A port of the host that leads to a container.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Forward {
    /// `tcp` or `udp`.
    pub(crate) protocol: Protocol,
    /// The host's port, and its address or the unspecified one for all of that family.
    pub(crate) host: SocketAddr,
    /// The container's address and its port.
    pub(crate) target: SocketAddr,
    /// The bridge of the container's network.
    pub(crate) bridge: String,
}

/// What one container may ask of another on a network whose containers don't reach each other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Opening {
    /// The network's bridge.
    pub(super) bridge: String,
    /// Who asks.
    pub(super) from: Ipv4Addr,
    /// Who answers.
    pub(super) to: Ipv4Addr,
    /// `tcp` or `udp`.
    pub(super) protocol: Protocol,
    /// The port that is asked.
    pub(super) port: u16,
}

/// A transport protocol with ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// Returns its word.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }

    /// Returns the protocol of a word.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        [Self::Tcp, Self::Udp].into_iter().find(|protocol| protocol.as_str() == word)
    }

    /// Returns the number that packets carry.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }
}

/// All that belongs in a root's table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) segments: Vec<Segment>,
    pub(super) forwards: Vec<Forward>,
    pub(super) openings: Vec<Opening>,
}

impl Content {
    /// Returns what the database says.
    pub(super) fn read(store: &Store) -> Result<Self> {
        Ok(Self {
            segments: record::segments(store)?,
            forwards: publish::journalled(store)?,
            openings: links::openings(store)?,
        })
    }

    fn elements(&self) -> BTreeSet<Element> {
        let segments = self.segments.iter().flat_map(build::segment);
        let forwards = self.forwards.iter().flat_map(build::forward);
        segments.chain(forwards).chain(self.openings.iter().map(build::opening)).collect()
    }
}

/// A root's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    name: String,
}

impl Table {
    /// Returns the table of the root whose database this is.
    pub(super) fn of(store: &Store) -> Self {
        let root = record::seed(store);
        let name = match root.is_empty() || root == DEFAULT_ROOT.as_bytes() {
            true => TABLE.to_owned(),
            false => format!("{TABLE}-{}", record::root_hash(&root)),
        };
        Self { name }
    }

    /// Returns its name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Returns whether it is there, in this version.
    pub(super) fn is_there(&self, nft: &mut NftSocket) -> Result<bool> {
        let (version, _) = nft.look_up(&self.name, &[]).map_err(failed)?;
        Ok(version.as_deref() == Some(VERSION))
    }

    /// Makes the table, and this network in it, unless they are there.
    pub(super) fn ensure(
        &self,
        nft: &mut NftSocket,
        store: &Store,
        segment: &Segment,
    ) -> Result<()> {
        let elements = build::segment(segment);
        self.include(nft, store, &elements)
    }

    /// Makes these ports lead where they say.
    pub(super) fn publish(
        &self,
        nft: &mut NftSocket,
        store: &Store,
        forwards: &[Forward],
    ) -> Result<()> {
        let elements: Vec<Element> = forwards.iter().flat_map(build::forward).collect();
        if elements.is_empty() {
            return Ok(());
        }
        self.include(nft, store, &elements)
    }

    fn include(&self, nft: &mut NftSocket, store: &Store, wanted: &[Element]) -> Result<()> {
        self.change(
            nft,
            |table, present| {
                let mut change = Transaction::new(None);
                if table.as_deref() == Some(VERSION) {
                    let missing = wanted.iter().zip(present).filter(|(_, present)| !**present);
                    missing.for_each(|(element, _)| change.ensure_element(&self.name, element));
                } else {
                    if table.is_some() {
                        change.delete_table(&self.name);
                    }
                    // Read anew at each try: what others have added meanwhile is in the database.
                    let mut elements = Content::read(store)?.elements();
                    elements.extend(wanted.iter().cloned());
                    build::create(&mut change, &self.name, VERSION);
                    elements.iter().for_each(|element| change.ensure_element(&self.name, element));
                }
                Ok(change)
            },
            wanted,
        )
    }

    /// Makes these ports lead nowhere any more.
    pub(super) fn withdraw(
        &self,
        nft: &mut NftSocket,
        store: &Store,
        forwards: &[Forward],
    ) -> Result<()> {
        let mut elements: BTreeSet<Element> = forwards.iter().flat_map(build::forward).collect();
        if elements.is_empty() {
            return Ok(());
        }
        // Neighbours may have the same port on other addresses.
        let others = publish::journalled(store)?.into_iter().filter(|f| !forwards.contains(f));
        for element in others.flat_map(|forward| build::forward(&forward)) {
            elements.remove(&element);
        }
        self.exclude(nft, &elements.into_iter().collect::<Vec<_>>())
    }

    /// Makes the ways between linked containers those that the database knows of; returns whether there
    /// are any.
    pub(super) fn link(&self, nft: &mut NftSocket, store: &Store) -> Result<bool> {
        for _ in 0..TRIES {
            // Asked before anything is read: whoever changes the table meanwhile makes this fail.
            let generation = nft.generation().map_err(failed)?;
            let openings = links::openings(store)?;
            let wanted: BTreeSet<Element> = openings.iter().map(build::opening).collect();
            let (version, _) = nft.look_up(&self.name, &[]).map_err(failed)?;
            if version.as_deref() != Some(VERSION) {
                // Whoever makes it anew reads the same.
                return Ok(!wanted.is_empty());
            }
            let there = nft.elements(&self.name, build::LINKED).map_err(failed)?;
            let there: BTreeSet<Element> = there.into_iter().collect();
            let mut change = Transaction::new(Some(generation));
            there.difference(&wanted).for_each(|gone| change.delete_element(&self.name, gone));
            wanted.difference(&there).for_each(|new| change.ensure_element(&self.name, new));
            if change.is_empty() {
                return Ok(!wanted.is_empty());
            }
            match nft.commit(change) {
                Ok(()) => return Ok(!wanted.is_empty()),
                Err(cause) if raced(cause.errno()) => {}
                Err(cause) => return Err(refused(cause)),
            }
        }
        Err(changing())
    }

    /// Takes this network out of the table, and the table away with the last.
    pub(super) fn remove(&self, segment: &Segment) -> Result<()> {
        let Some(mut nft) = firewall()? else { return Ok(()) };
        foreign::forget(&mut nft, &segment.bridge)?;
        let own = build::segment(segment);
        let name = build::bridge(&segment.bridge);
        let last = |nft: &mut NftSocket| {
            let bridges = nft.elements(&self.name, build::BRIDGES).map_err(failed)?;
            Ok::<_, Error>(bridges.iter().all(|bridge| bridge.key == name.key))
        };
        for _ in 0..TRIES {
            // Asked before each try: the generation is read after it.
            let generation = nft.generation().map_err(failed)?;
            if !last(&mut nft)? {
                return self.exclude(&mut nft, &own);
            }
            let (version, _) = nft.look_up(&self.name, &[]).map_err(failed)?;
            if version.is_none() {
                return Ok(());
            }
            let mut change = Transaction::new(Some(generation));
            change.delete_table(&self.name);
            match nft.commit(change) {
                Err(cause) if raced(cause.errno()) => {}
                result => return result.map_err(refused),
            }
        }
        Err(changing())
    }

    fn exclude(&self, nft: &mut NftSocket, unwanted: &[Element]) -> Result<()> {
        self.change(
            nft,
            |_, present| {
                let mut change = Transaction::new(None);
                let there = unwanted.iter().zip(present).filter(|(_, present)| **present);
                there.for_each(|(element, _)| change.delete_element(&self.name, element));
                Ok(change)
            },
            unwanted,
        )
    }

    /// Makes the change that `plan` wants, given the table's version and which of the elements are
    /// there; asks it again when another process was faster.
    fn change(
        &self,
        nft: &mut NftSocket,
        mut plan: impl FnMut(Option<String>, &[bool]) -> Result<Transaction>,
        elements: &[Element],
    ) -> Result<()> {
        let mut error = None;
        for _ in 0..TRIES {
            let generation = nft.generation().map_err(failed)?;
            let (version, present) = nft.look_up(&self.name, elements).map_err(failed)?;
            let change = plan(version, &present)?;
            if change.is_empty() {
                return Ok(());
            }
            match nft.commit(change.at(generation)) {
                Ok(()) => return Ok(()),
                // Another process was faster, or removed the table.
                Err(cause) if raced(cause.errno()) => error = Some(cause),
                Err(cause) => return Err(refused(cause)),
            }
        }
        error.map_or(Ok(()), |cause| Err(refused(cause)))
    }

    /// Returns what is wrong with the table, down to its rules and elements: [`Table::ensure`], which
    /// each start waits for, doesn't count them. Ports that are there and belong to nobody count too.
    pub(super) fn faults(&self, nft: &mut NftSocket, content: &Content) -> Result<Vec<String>> {
        let (version, _) = nft.look_up(&self.name, &[]).map_err(failed)?;
        if version.as_deref() != Some(VERSION) {
            return Ok(vec!["is gone or of another version".to_owned()]);
        }
        let mut faults = Vec::new();
        let rules = nft.rules(&self.name).map_err(failed)?;
        let chains = nft.base_chains().map_err(failed)?;
        let called = |name: &str, hook: Hook| {
            let own = |c: &&wharf_sys::netlink::nftables::BaseChain| c.table == self.name;
            chains.iter().filter(own).any(|c| c.name == name && c.hook == hook.number())
        };
        let complete = build::CHAINS.iter().all(|chain| {
            let count = rules.iter().filter(|rule| rule.chain == chain.name).count();
            count == chain.rules && chain.hook.is_none_or(|(_, hook, _)| called(chain.name, hook))
        });
        if !complete {
            faults.push("hasn't all of its rules".to_owned());
        }
        let mut there = BTreeSet::new();
        for set in build::SETS {
            there.extend(nft.elements(&self.name, set.name).map_err(failed)?);
        }
        let wanted = content.elements();
        for element in wanted.difference(&there) {
            faults.push(format!("lacks an element of {}", element.set));
        }
        // Networks without running containers may be there or not.
        let stray = there.difference(&wanted).filter(|element| build::is_of_port(element));
        faults.extend(stray.map(|element| format!("has an element too many in {}", element.set)));
        faults.dedup();
        Ok(faults)
    }

    /// Makes the table anew, with all that belongs in it.
    pub(super) fn restore(&self, nft: &mut NftSocket, store: &Store) -> Result<()> {
        self.change(
            nft,
            |version, _| {
                let mut change = Transaction::new(None);
                if version.is_some() {
                    change.delete_table(&self.name);
                }
                build::create(&mut change, &self.name, VERSION);
                for element in Content::read(store)?.elements() {
                    change.ensure_element(&self.name, &element);
                }
                Ok(change)
            },
            &[],
        )
    }
}

/// Returns a way to this host's firewall; none where the kernel has no nf_tables. Containers are then on
/// their bridges, with no way out and the ports that their supervisors pass on.
///
/// # Errors
/// When the kernel has it, and refuses.
pub(super) fn firewall() -> Result<Option<NftSocket>> {
    match NftSocket::open().and_then(|mut nft| nft.generation().map(|_| nft)) {
        Ok(nft) => Ok(Some(nft)),
        // No netlink for packet filters, or none of them knows tables (nfnetlink.c of the kernel).
        Err(cause)
            if matches!(
                cause.errno(),
                Errno::PROTONOSUPPORT | Errno::AFNOSUPPORT | Errno::OPNOTSUPP | Errno::INVAL
            ) =>
        {
            Ok(None)
        }
        Err(cause) => Err(failed(cause)),
    }
}

/// Returns whether a table is that of an engine root.
fn is_own(table: &str) -> bool {
    table.strip_prefix(TABLE).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

fn changing() -> Error {
    Error::new(ErrorKind::Internal, "the firewall changes all the time: try again")
}

fn raced(errno: Errno) -> bool {
    matches!(errno, Errno::EXIST | Errno::NOENT | Errno::RESTART | Errno::INTR | Errno::AGAIN)
}

fn refused(cause: wharf_sys::netlink::Error) -> Error {
    if cause.errno() == Errno::NOENT {
        // What the kernel says when it can't load a module for a chain's type or an expression.
        let hint = "is one of the modules nft_chain_nat, nft_masq, nft_nat, nft_ct, nft_fib_inet \
                    missing?";
        return Error::failed(format!("network: {hint}"), cause).with_kind(ErrorKind::Unsupported);
    }
    failed(cause)
}
