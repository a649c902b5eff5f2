//! nf_tables: tables, chains, rules and sets in one atomic transaction (`linux/netfilter/
//! nfnetlink.h`, `linux/netfilter/nf_tables.h`), and the few questions the engine asks of them.

mod expression;
mod set;

use std::collections::BTreeSet;
use std::ffi::CStr;

use rustix::io::Errno;

pub use expression::{Expression, Family as PacketFamily, MetaKey, Payload, Verdict};
pub use set::{Element, Part, Set, Value};

use super::decode::Attributes;
use super::encode::{Batch, CREATE, DUMP, EXCL, Message};
use super::{Answers, Error, Family, Reply, Result, Socket};

const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
/// `NFNL_SUBSYS_NFTABLES`, the upper byte of each message's type.
const SUBSYSTEM: u16 = 10 << 8;
const NEW_TABLE: u16 = SUBSYSTEM;
const GET_TABLE: u16 = SUBSYSTEM | 1;
const DEL_TABLE: u16 = SUBSYSTEM | 2;
const NEW_CHAIN: u16 = SUBSYSTEM | 3;
const GET_CHAIN: u16 = SUBSYSTEM | 4;
const NEW_RULE: u16 = SUBSYSTEM | 6;
const GET_RULE: u16 = SUBSYSTEM | 7;
const DEL_RULE: u16 = SUBSYSTEM | 8;
const NEW_SET: u16 = SUBSYSTEM | 9;
const NEW_ELEMENT: u16 = SUBSYSTEM | 12;
const GET_ELEMENT: u16 = SUBSYSTEM | 13;
const DEL_ELEMENT: u16 = SUBSYSTEM | 14;
const NEW_GENERATION: u16 = SUBSYSTEM | 15;
const GET_GENERATION: u16 = SUBSYSTEM | 16;

const BATCH_GENERATION: u16 = 1;
const TABLE_NAME: u16 = 1;
const TABLE_USERDATA: u16 = 6;
const CHAIN_TABLE: u16 = 1;
const CHAIN_NAME: u16 = 3;
const CHAIN_HOOK: u16 = 4;
const CHAIN_HOOK_NUMBER: u16 = 1;
const CHAIN_HOOK_PRIORITY: u16 = 2;
const CHAIN_POLICY: u16 = 5;
const CHAIN_TYPE: u16 = 7;
const RULE_TABLE: u16 = 1;
const RULE_CHAIN: u16 = 2;
const RULE_HANDLE: u16 = 3;
const RULE_EXPRESSIONS: u16 = 4;
const SET_TABLE: u16 = 1;
const SET_NAME: u16 = 2;
const SET_FLAGS: u16 = 3;
const SET_KEY_TYPE: u16 = 4;
const SET_KEY_LENGTH: u16 = 5;
const SET_DATA_TYPE: u16 = 6;
const SET_DATA_LENGTH: u16 = 7;
const SET_ID: u16 = 10;
const SET_USERDATA: u16 = 13;
/// `NFT_SET_MAP`.
const SET_IS_MAP: u32 = 8;
const ELEMENTS_TABLE: u16 = 1;
const ELEMENTS_SET: u16 = 2;
const ELEMENTS: u16 = 3;
const ELEMENT_KEY: u16 = 1;
const ELEMENT_DATA: u16 = 2;
const LIST_ELEMENT: u16 = 1;
const DATA_VALUE: u16 = 1;
const GENERATION_ID: u16 = 1;
/// `NFTNL_UDATA_TABLE_COMMENT`: the convention of the `nft` program for a table's user data.
const USERDATA_COMMENT: u8 = 0;
/// Length of `struct nfgenmsg`.
const HEADER: usize = 4;
/// `NFPROTO_IPV4`.
const IPV4: u8 = 2;
/// `NFPROTO_INET`: IPv4 and IPv6.
const INET: u8 = 1;
/// `NFPROTO_IPV6`.
const IPV6: u8 = 10;
/// A hook of the IP stacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// Packets that have just come in.
    PreRouting,
    /// Packets to this host itself.
    Input,
    /// Packets that are routed through this host.
    Forward,
    /// Packets of this host itself.
    Output,
    /// Packets that are about to leave.
    PostRouting,
}

impl Hook {
    /// Returns the kernel's number for it.
    pub fn number(self) -> u32 {
        match self {
            Self::PreRouting => 0,
            Self::Input => 1,
            Self::Forward => 2,
            Self::Output => 3,
            Self::PostRouting => 4,
        }
    }
}

/// A chain to be made, with the policy "accept".
#[derive(Clone, Copy, Debug)]
pub struct Chain<'a> {
    /// Its name.
    pub name: &'a str,
    /// `filter` or `nat`.
    pub kind: &'a str,
    /// Where it is called.
    pub hook: Hook,
    /// Its order among the hook's chains: 0 for filters, -100 for destination NAT, 100 for source NAT.
    pub priority: i32,
}

/// A chain that is called at a hook, as the kernel describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseChain {
    /// The number of its table's family.
    pub family: u8,
    /// The table it is in.
    pub table: String,
    /// Its name.
    pub name: String,
    /// The hook's number, as [`Hook::number`].
    pub hook: u32,
    /// Whether packets that no rule decides on are dropped.
    pub drops: bool,
}

/// Changes that take effect together or not at all, to tables of the `inet` family unless another
/// one is chosen.
#[derive(Clone, Debug)]
pub struct Transaction {
    batch: Batch,
    sets: u32,
    family: u8,
}

impl Transaction {
    /// Returns an empty transaction. With `generation`, it fails with `ERESTART` if anything has
    /// changed since [`NftSocket::generation`] returned that.
    pub fn new(generation: Option<u32>) -> Self {
        let mut batch = Batch::new();
        batch.transaction = true;
        // The last two bytes name the subsystem, in network byte order.
        let mut begin = batch.message("begin a firewall change", BATCH_BEGIN, 0, &[0, 0, 0, 10]);
        // 0 stands for any.
        begin.be32(BATCH_GENERATION, generation.unwrap_or(0));
        Self { batch, sets: 0, family: INET }
    }

    /// Returns the same transaction for this generation.
    #[must_use]
    pub fn at(mut self, generation: u32) -> Self {
        // The attribute is the first of the first message, right behind its two headers.
        const AT: usize = 16 + HEADER + 4;
        self.batch.bytes[AT..AT + 4].copy_from_slice(&generation.to_be_bytes());
        self
    }

    /// Returns whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.batch.messages.len() == 1
    }

    /// Makes all that is added from here on about tables of the `ip` family, which `iptables` uses.
    pub fn about_ipv4(&mut self) {
        self.family = IPV4;
    }

    /// Adds: create this table, with a comment for those who list it; it must not exist.
    pub fn create_table(&mut self, table: &str, comment: &str) {
        let operation = format!("create firewall table {table}");
        let mut message = self.message(operation, NEW_TABLE, CREATE | EXCL);
        let mut data = vec![USERDATA_COMMENT, u8::try_from(comment.len() + 1).unwrap_or(u8::MAX)];
        data.extend_from_slice(comment.as_bytes());
        data.push(0);
        message.text(TABLE_NAME, table).bytes(TABLE_USERDATA, &data);
    }

    /// Adds: delete this table with all that is in it; it must exist.
    pub fn delete_table(&mut self, table: &str) {
        let operation = format!("delete firewall table {table}");
        self.message(operation, DEL_TABLE, 0).text(TABLE_NAME, table);
    }

    /// Adds: create this chain.
    pub fn create_chain(&mut self, table: &str, chain: &Chain<'_>) {
        let operation = format!("create firewall chain {table} {}", chain.name);
        let mut message = self.message(operation, NEW_CHAIN, CREATE | EXCL);
        message.text(CHAIN_TABLE, table).text(CHAIN_NAME, chain.name);
        message.nested(CHAIN_HOOK, |hook| {
            hook.be32(CHAIN_HOOK_NUMBER, chain.hook.number());
            hook.bytes(CHAIN_HOOK_PRIORITY, &chain.priority.to_be_bytes());
        });
        message.be32(CHAIN_POLICY, 1).text(CHAIN_TYPE, chain.kind);
    }

    /// Adds: create a chain of this name that rules of others jump to.
    pub fn create_plain_chain(&mut self, table: &str, name: &str) {
        let operation = format!("create firewall chain {table} {name}");
        let mut message = self.message(operation, NEW_CHAIN, CREATE | EXCL);
        message.text(CHAIN_TABLE, table).text(CHAIN_NAME, name);
    }

    /// Adds: create this set or map.
    pub fn create_set(&mut self, table: &str, set: &Set<'_>) {
        self.sets += 1;
        let id = self.sets;
        let operation = format!("create firewall set {table} {}", set.name);
        let mut message = self.message(operation, NEW_SET, CREATE | EXCL);
        message.text(SET_TABLE, table).text(SET_NAME, set.name);
        let (kind, length) = set::type_of(set.key);
        message.be32(SET_KEY_TYPE, kind).be32(SET_KEY_LENGTH, length);
        if !set.data.is_empty() {
            let (kind, length) = set::type_of(set.data);
            message.be32(SET_FLAGS, SET_IS_MAP);
            message.be32(SET_DATA_TYPE, kind).be32(SET_DATA_LENGTH, length);
        }
        message.be32(SET_ID, id);
        if let [Part::Link] = set.key {
            // A name is in the machine's order, which the `nft` program must know to show it:
            // `NFTNL_UDATA_SET_KEYBYTEORDER`, four bytes, `BYTEORDER_HOST_ENDIAN`.
            let mut data = vec![0, 4];
            data.extend_from_slice(&1_u32.to_ne_bytes());
            message.bytes(SET_USERDATA, &data);
        }
    }

    /// Adds: append a rule to this chain.
    pub fn append_rule(&mut self, table: &str, chain: &str, rule: &[Expression<'_>]) {
        /// `NLM_F_APPEND`.
        const APPEND: u16 = 0x800;
        self.rule(table, chain, rule, APPEND);
    }

    /// Adds: put a rule before all others of this chain.
    pub fn insert_rule(&mut self, table: &str, chain: &str, rule: &[Expression<'_>]) {
        self.rule(table, chain, rule, 0);
    }

    /// Adds: take this rule away, as [`NftSocket::rules`] has told it.
    pub fn delete_rule(&mut self, table: &str, rule: &Rule) {
        let operation = format!("delete a rule of firewall chain {table} {}", rule.chain);
        let mut message = self.message(operation, DEL_RULE, 0);
        message.text(RULE_TABLE, table).text(RULE_CHAIN, &rule.chain);
        message.bytes(RULE_HANDLE, &rule.handle.to_be_bytes());
    }

    fn rule(&mut self, table: &str, chain: &str, rule: &[Expression<'_>], place: u16) {
        let operation = format!("add a rule to firewall chain {table} {chain}");
        let mut message = self.message(operation, NEW_RULE, CREATE | place);
        message.text(RULE_TABLE, table).text(RULE_CHAIN, chain);
        message.nested(RULE_EXPRESSIONS, |list| {
            for expression in rule {
                expression.encode(list);
            }
        });
    }

    /// Adds: put this element into its set; nothing happens if it is there.
    pub fn ensure_element(&mut self, table: &str, element: &Element) {
        let operation = format!("add an element to firewall set {table} {}", element.set);
        elements(self.message(operation, NEW_ELEMENT, CREATE), table, element);
    }

    /// Adds: take this element out of its set; it must be there.
    pub fn delete_element(&mut self, table: &str, element: &Element) {
        let operation = format!("take an element from firewall set {table} {}", element.set);
        let key = Element::member(element.set, element.key.clone());
        elements(self.message(operation, DEL_ELEMENT, 0), table, &key);
    }

    fn message(&mut self, operation: String, kind: u16, flags: u16) -> Message<'_> {
        self.batch.message(operation, kind, flags, &[self.family, 0, 0, 0])
    }
}

/// A rule, as the kernel describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The chain that it is in.
    pub chain: String,
    /// The kernel's number for it.
    pub handle: u64,
    /// Its expressions, as the kernel writes them.
    pub expressions: Vec<u8>,
}

/// A client of nf_tables.
#[derive(Debug)]
pub struct NftSocket {
    socket: Socket,
}

impl NftSocket {
    /// Opens a client of the calling thread's network namespace.
    ///
    /// # Errors
    /// When the kernel has no netfilter netlink, or refuses the socket.
    pub fn open() -> Result<Self> {
        match Socket::open(Family::Netfilter) {
            Ok(socket) => Ok(Self { socket }),
            Err(error) => Err(missing(error)),
        }
    }

    /// Makes the changes of a transaction, all or none.
    ///
    /// # Errors
    /// The first refusal: `EXIST` if something to be created is there, `NOENT` if something to be
    /// deleted isn't, `OPNOTSUPP` if this kernel lacks nf_tables or a part of it.
    pub fn commit(&mut self, transaction: Transaction) -> Result<()> {
        if transaction.is_empty() {
            return Ok(());
        }
        let mut batch = transaction.batch;
        batch.message("end a firewall change", BATCH_END, 0, &[0, 0, 0, 10]);
        self.socket.exchange(batch).map(drop).map_err(missing)
    }

    /// Returns the number that changes with each transaction in this namespace.
    ///
    /// # Errors
    /// When the kernel lacks nf_tables or refuses to answer.
    pub fn generation(&mut self) -> Result<u32> {
        let operation = "read the firewall's generation";
        let mut batch = Batch::new();
        batch.message(operation, GET_GENERATION, 0, &[0; HEADER]);
        let answers = self.ask(batch)?;
        answers
            .replies
            .iter()
            .filter(|reply| reply.kind == NEW_GENERATION)
            .find_map(|reply| reply.attributes(HEADER).get(GENERATION_ID)?.be32())
            .ok_or_else(|| Error::new(operation, Errno::NODATA, None))
    }

    fn ask(&mut self, batch: Batch) -> Result<Answers> {
        self.socket.exchange(batch).map_err(|error| match error.errno() {
            // How netfilter answers questions to a subsystem that it hasn't got.
            Errno::INVAL => missing(Error { errno: Errno::OPNOTSUPP, ..error }),
            _ => missing(error),
        })
    }

    /// Returns the comment of this table, if the table exists (empty if it has none), and which of
    /// these elements' keys are in their sets.
    ///
    /// # Errors
    /// When the kernel lacks nf_tables or refuses to answer.
    pub fn look_up(
        &mut self,
        table: &str,
        wanted: &[Element],
    ) -> Result<(Option<String>, Vec<bool>)> {
        let mut batch = Batch::new();
        let operation = format!("look for firewall table {table}");
        for element in wanted {
            let message = batch.message(&operation, GET_ELEMENT, 0, &[INET, 0, 0, 0]);
            let key = Element::member(element.set, element.key.clone());
            elements(message, table, &key).tolerate(&[Errno::NOENT]);
        }
        let mut message = batch.message(&operation, GET_TABLE, 0, &[INET, 0, 0, 0]);
        message.text(TABLE_NAME, table);
        message.tolerate(&[Errno::NOENT]);
        let answers = self.ask(batch)?;
        let table = answers.replies.iter().find(|reply| reply.kind == NEW_TABLE);
        let absent: BTreeSet<usize> = answers.tolerated.iter().map(|(at, _)| *at).collect();
        let found = (0..wanted.len()).map(|at| table.is_some() && !absent.contains(&at)).collect();
        Ok((table.map(|reply| comment(reply).unwrap_or_default()), found))
    }

    /// Returns all elements of this set or map; none if there is no such set.
    ///
    /// # Errors
    /// When the kernel lacks nf_tables or refuses to answer.
    pub fn elements(&mut self, table: &str, set: &'static str) -> Result<Vec<Element>> {
        let mut batch = Batch::new();
        let operation = format!("list firewall set {table} {set}");
        let mut message = batch.message(operation, GET_ELEMENT, DUMP, &[INET, 0, 0, 0]);
        message.text(ELEMENTS_TABLE, table).text(ELEMENTS_SET, set);
        message.tolerate(&[Errno::NOENT]);
        let answers = self.ask(batch)?;
        let lists = answers.replies.iter().filter_map(|r| r.attributes(HEADER).get(ELEMENTS));
        Ok(lists
            .flat_map(|list| list.nested())
            .filter_map(|element| {
                let key = set::value(&element.nested(), ELEMENT_KEY)?;
                Some(Element { set, key, data: set::value(&element.nested(), ELEMENT_DATA) })
            })
            .collect())
    }

    /// Returns the rules of this table; none if there is no such table.
    ///
    /// # Errors
    /// When the kernel lacks nf_tables or refuses to answer.
    pub fn rules(&mut self, table: &str) -> Result<Vec<Rule>> {
        self.rules_of(INET, table)
    }

    /// Returns the rules of this table of the `ip` family; none if there is no such table.
    ///
    /// # Errors
    /// When the kernel lacks nf_tables or refuses to answer.
    pub fn ipv4_rules(&mut self, table: &str) -> Result<Vec<Rule>> {
        self.rules_of(IPV4, table)
    }

    fn rules_of(&mut self, family: u8, table: &str) -> Result<Vec<Rule>> {
        let mut batch = Batch::new();
        let operation = format!("list the rules of firewall table {table}");
        let mut message = batch.message(operation, GET_RULE, DUMP, &[family, 0, 0, 0]);
        message.text(RULE_TABLE, table);
        message.tolerate(&[Errno::NOENT]);
        let answers = self.ask(batch)?;
        let rule = |reply: &Reply| {
            let attributes = reply.attributes(HEADER);
            if attributes.get(RULE_TABLE)?.text()? != table {
                return None;
            }
            Some(Rule {
                chain: attributes.get(RULE_CHAIN)?.text()?.to_owned(),
                handle: u64::from_be_bytes(attributes.get(RULE_HANDLE)?.value.try_into().ok()?),
                expressions: attributes.get(RULE_EXPRESSIONS)?.value.to_vec(),
            })
        };
        Ok(answers.replies.iter().filter(|r| r.kind == NEW_RULE).filter_map(rule).collect())
    }

    /// Returns the names of the chains of this table of the `ip` family that no hook calls.
    ///
    /// # Errors
    /// When the kernel lacks nf_tables or refuses to answer.
    pub fn ipv4_plain_chains(&mut self, table: &str) -> Result<Vec<String>> {
        let mut batch = Batch::new();
        batch.message("list firewall chains", GET_CHAIN, DUMP, &[IPV4, 0, 0, 0]);
        let answers = self.ask(batch)?;
        let chain = |reply: &Reply| {
            let attributes = reply.attributes(HEADER);
            let here = attributes.get(CHAIN_TABLE)?.text()? == table;
            let plain = attributes.get(CHAIN_HOOK).is_none();
            (here && plain).then(|| attributes.get(CHAIN_NAME)?.text().map(str::to_owned))?
        };
        Ok(answers.replies.iter().filter(|r| r.kind == NEW_CHAIN).filter_map(chain).collect())
    }

    /// Returns the chains that are called at a hook of the IP stacks.
    ///
    /// # Errors
    /// When the kernel lacks nf_tables or refuses to answer.
    pub fn base_chains(&mut self) -> Result<Vec<BaseChain>> {
        let mut batch = Batch::new();
        batch.message("list firewall chains", GET_CHAIN, DUMP, &[0; HEADER]);
        let answers = self.ask(batch)?;
        Ok(answers.replies.iter().filter_map(base_chain).collect())
    }
}

/// Adds a list of one element.
fn elements<'a>(mut message: Message<'a>, table: &str, element: &Element) -> Message<'a> {
    message.text(ELEMENTS_TABLE, table).text(ELEMENTS_SET, element.set);
    message.nested(ELEMENTS, |list| {
        list.nested(LIST_ELEMENT, |one| {
            one.nested(ELEMENT_KEY, |data| {
                data.bytes(DATA_VALUE, element.key.bytes());
            });
            if let Some(value) = &element.data {
                one.nested(ELEMENT_DATA, |data| {
                    data.bytes(DATA_VALUE, value.bytes());
                });
            }
        });
    });
    message
}

fn comment(table: &Reply) -> Option<String> {
    let data = table.attributes(HEADER).get(TABLE_USERDATA)?.value;
    let [USERDATA_COMMENT, length, rest @ ..] = data else { return None };
    let text = rest.get(..usize::from(*length))?;
    Some(CStr::from_bytes_until_nul(text).ok()?.to_str().ok()?.to_owned())
}

fn base_chain(reply: &Reply) -> Option<BaseChain> {
    if reply.kind != NEW_CHAIN || ![IPV4, IPV6, INET].contains(reply.body.first()?) {
        return None;
    }
    let attributes: Attributes<'_> = reply.attributes(HEADER);
    let hook = attributes.get(CHAIN_HOOK)?.nested().get(CHAIN_HOOK_NUMBER)?.be32()?;
    Some(BaseChain {
        family: *reply.body.first()?,
        table: attributes.get(CHAIN_TABLE)?.text()?.to_owned(),
        name: attributes.get(CHAIN_NAME)?.text()?.to_owned(),
        hook,
        drops: attributes.get(CHAIN_POLICY).and_then(|policy| policy.be32()) == Some(0),
    })
}

/// Says what is missing when the kernel doesn't know the family, the subsystem or an expression.
pub(super) fn missing(error: Error) -> Error {
    match error.errno() {
        Errno::PROTONOSUPPORT | Errno::OPNOTSUPP if error.detail.is_none() => Error {
            detail: Some(
                "this kernel has no nf_tables (modules nf_tables, nft_chain_nat, nft_masq, nft_ct, nft_fib_inet)"
                    .to_owned(),
            ),
            ..error
        },
        _ => error,
    }
}

#[cfg(test)]
mod tests;
