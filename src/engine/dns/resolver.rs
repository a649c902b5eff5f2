//! What is answered to a query: bytes and a table in, a decision out. Nothing here waits or asks.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;

use domain::base::iana::{Class, Opcode, Rcode, Rtype};
use domain::base::message_builder::{AnswerBuilder, StaticCompressor};
use domain::base::{Message, MessageBuilder, ParsedName, Ttl};
use domain::rdata::{A, Aaaa, Ptr};

use super::table::{Family, Table, plain, reverse};

/// How long an answer holds, in seconds: docker's.
const TTL: Ttl = Ttl::from_secs(600);
/// What every client of UDP takes (RFC 1035, section 2.3.4).
const PLAIN_SIZE: usize = 512;
/// What this server takes over UDP, and the most that it sends there of its own.
const UDP_SIZE: u16 = 4096;
/// The length of an OPT record without options (RFC 6891, section 6.1.2).
const OPT_LENGTH: usize = 11;

/// How a query came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Udp,
    Tcp,
}

/// What to do about a message of a client's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Send this.
    Answer(Vec<u8>),
    /// Ask the upstream servers.
    Forward,
    /// Nothing: it is no query.
    Drop,
}

/// What there is to answer from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Knowledge<'a> {
    /// The names; none when they can't be read.
    pub(super) table: Option<&'a Table>,
    /// Whether names without a dot stay here: the client tries its search domains then.
    pub(super) keeps_plain: bool,
}

/// Whose turn it is among those who share a name: for each name and kind of question a number that
/// grows with each answer. There are few numbers, so that they take no room; names that share one
/// only skip a turn now and then.
#[derive(Debug)]
pub(super) struct Turns(pub(super) [u16; 64]);

impl Turns {
    /// Returns the position of the one, of so many, that comes first this time.
    fn next(&mut self, name: &str, kind: Rtype, of: usize) -> usize {
        if of < 2 {
            return 0;
        }
        let mut hasher = DefaultHasher::new();
        (name, kind.to_int()).hash(&mut hasher);
        // The last bits of the hash are as good as any.
        let Some(turn) = self.0.get_mut(usize::from(hasher.finish().to_le_bytes()[0] % 64)) else {
            return 0;
        };
        let now = *turn;
        *turn = now.wrapping_add(1);
        usize::from(now) % of
    }
}

type Builder = AnswerBuilder<StaticCompressor<Vec<u8>>>;

/// Decides what to do about a client's message.
pub(super) fn decide(
    query: &[u8],
    transport: Transport,
    knows: Knowledge<'_>,
    turns: &mut Turns,
) -> Decision {
    let Ok(message) = Message::from_slice(query) else { return Decision::Drop };
    if message.header().qr() {
        return Decision::Drop;
    }
    let Ok(question) = message.sole_question() else {
        return error(query, Rcode::FORMERR).map_or(Decision::Drop, Decision::Answer);
    };
    let Some(table) = knows.table else { return fail(query) };
    if message.header().opcode() == Opcode::QUERY && question.qclass() == Class::IN {
        let (name, kind) = (question.qname(), question.qtype());
        let mut answer = Answer { query: message, name, transport, turns };
        if let Some(text) = plain(name)
            && let Some(bytes) = answer.of(table, &text, kind)
        {
            return Decision::Answer(bytes);
        }
        let asks_address = matches!(kind, Rtype::A | Rtype::AAAA);
        // The name is followed by the root's label.
        if knows.keeps_plain && asks_address && name.label_count() == 2 {
            return answer.addresses(&[], 0).map_or(Decision::Drop, Decision::Answer);
        }
    }
    match table.has_way_out() {
        true => Decision::Forward,
        false => fail(query),
    }
}

fn fail(query: &[u8]) -> Decision {
    error(query, Rcode::SERVFAIL).map_or(Decision::Drop, Decision::Answer)
}

/// Returns the answer that this failed; none when the query is none.
pub(super) fn error(query: &[u8], code: Rcode) -> Option<Vec<u8>> {
    let message = Message::from_slice(query).ok()?;
    let builder = match message.sole_question() {
        Ok(_) => begin(message, code)?,
        // What can't be read can't be repeated.
        Err(_) => {
            let mut builder =
                MessageBuilder::from_target(StaticCompressor::new(Vec::new())).ok()?;
            let asked = message.header();
            let header = builder.header_mut();
            header.set_id(asked.id());
            header.set_opcode(asked.opcode());
            header.set_qr(true);
            header.set_rd(asked.rd());
            header.set_rcode(code);
            builder.answer()
        }
    };
    finish(builder, message)
}

/// Begins an answer, with the question in it.
fn begin(query: &Message<[u8]>, code: Rcode) -> Option<Builder> {
    let target = StaticCompressor::new(Vec::with_capacity(PLAIN_SIZE));
    let builder = MessageBuilder::from_target(target).ok()?;
    let mut builder = builder.start_answer(query, code).ok()?;
    builder.header_mut().set_ra(true);
    Some(builder)
}

/// Ends an answer: who speaks of extensions is told that they are understood.
fn finish(mut builder: Builder, query: &Message<[u8]>) -> Option<Vec<u8>> {
    builder.clear_push_limit();
    let mut builder = builder.additional();
    if query.opt().is_some() {
        let size = |opt: &mut domain::base::message_builder::OptBuilder<'_, _>| {
            opt.set_udp_payload_size(UDP_SIZE);
            Ok(())
        };
        builder.opt(size).ok()?;
    }
    Some(builder.finish().into_target())
}

/// An answer to be made.
struct Answer<'a> {
    query: &'a Message<[u8]>,
    name: &'a ParsedName<&'a [u8]>,
    transport: Transport,
    turns: &'a mut Turns,
}

impl Answer<'_> {
    /// Returns the answer, if the name is one of the table's. Such a name is known here alone: it is
    /// never asked of others, whatever is asked about it.
    fn of(&mut self, table: &Table, name: &str, kind: Rtype) -> Option<Vec<u8>> {
        if kind == Rtype::PTR
            && let Some(found) = reverse(name).and_then(|address| table.name_of(address))
        {
            let mut builder = self.begin()?;
            builder.push((self.name, Class::IN, TTL, Ptr::new(found))).ok()?;
            return finish(builder, self.query);
        }
        let find = |family| table.addresses(name, family);
        let all = match kind {
            Rtype::A => find(Family::V4)?,
            Rtype::AAAA => find(Family::V6)?,
            Rtype::ANY => [find(Family::V4)?, find(Family::V6).unwrap_or_default()].concat(),
            _ => find(Family::V4).map(|_| Vec::new())?,
        };
        let first = self.turns.next(name, kind, all.len());
        self.addresses(&all, first)
    }

    fn begin(&self) -> Option<Builder> {
        let room = match self.transport {
            Transport::Tcp => usize::from(u16::MAX),
            Transport::Udp => self.query.opt().map_or(PLAIN_SIZE, |opt| {
                usize::from(opt.udp_payload_size().min(UDP_SIZE)).max(PLAIN_SIZE)
            }),
        };
        let mut builder = begin(self.query, Rcode::NOERROR)?;
        builder.set_push_limit(room - OPT_LENGTH);
        Some(builder)
    }

    /// Returns the answer with as many of these as there is room for, from this one on; the client
    /// learns when these are not all.
    fn addresses(&self, all: &[IpAddr], first: usize) -> Option<Vec<u8>> {
        let mut builder = self.begin()?;
        let (before, after) = all.split_at(first);
        for address in after.iter().chain(before) {
            let pushed = match *address {
                IpAddr::V4(address) => builder.push((self.name, Class::IN, TTL, A::new(address))),
                IpAddr::V6(address) => {
                    builder.push((self.name, Class::IN, TTL, Aaaa::new(address)))
                }
            };
            if pushed.is_err() {
                builder.header_mut().set_tc(self.transport == Transport::Udp);
                break;
            }
        }
        finish(builder, self.query)
    }
}

/// What an upstream server's message is to the query that was sent to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The answer.
    Answer,
    /// The server's word that it can't answer: another one is asked.
    Refusal,
    /// Something else.
    Stray,
}

/// Returns what a message is to a query, which has the same id if it is about it.
pub(super) fn judge(message: &[u8], query: &[u8]) -> Verdict {
    let (Ok(message), Ok(query)) = (Message::from_slice(message), Message::from_slice(query))
    else {
        return Verdict::Stray;
    };
    let header = message.header();
    let code = header.rcode();
    let bare = message.header_counts().qdcount() == 0 && code != Rcode::NOERROR;
    if !header.qr()
        || header.id() != query.header().id()
        || header.opcode() != query.header().opcode()
        || !(bare || message.is_answer(query))
    {
        return Verdict::Stray;
    }
    match code {
        // That there is no such name is an answer.
        Rcode::NOERROR | Rcode::NXDOMAIN => Verdict::Answer,
        _ => Verdict::Refusal,
    }
}
