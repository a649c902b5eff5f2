//! The resolver on real packets, and on what is none.

use std::net::IpAddr;

use domain::base::iana::{Rcode, Rtype};
use domain::base::{Message, MessageBuilder, Name};
use domain::rdata::{A, Aaaa, AllRecordData, Ptr};
use proptest::prelude::*;

use super::resolver::{Decision, Knowledge, Transport, Turns, Verdict, decide, error, judge};
use super::table::{Member, Network, Table};

/// What `dig +noedns web` sends: id 0x1234, recursion desired, one question for an A record.
const DIG: &[u8] = b"\x12\x34\x01\x20\0\x01\0\0\0\0\0\0\x03web\0\0\x01\0\x01";

fn member(name: &str, others: &[&str], ipv4: Option<&str>, ipv6: Option<&str>) -> Member {
    Member {
        name: name.to_owned(),
        others: others.iter().map(ToString::to_string).collect(),
        ipv4: ipv4.map(|text| text.parse().unwrap()),
        ipv6: ipv6.map(|text| text.parse().unwrap()),
    }
}

/// Two networks; `both` is on either, and has an IPv6 address on the second.
fn table() -> Table {
    let mut front = Network::new("front", false);
    front.add(member("Both", &["415b3857dcbc", "web"], Some("10.77.0.2"), None));
    front.add(member("one", &["web", "one.inner"], Some("10.77.0.3"), None));
    front.add(member("two", &["web"], Some("10.77.0.4"), None));
    front.link("ONE", "db");
    let mut back = Network::new("back.net", true);
    back.add(member("Both", &["415b3857dcbc"], Some("10.79.0.2"), Some("fd00:79::2")));
    back.add(member("six", &[], None, Some("fd00:79::3")));
    back.add(member(&"x".repeat(70), &[], Some("10.79.0.9"), None));
    Table::new(vec![front, back])
}

/// Returns a query as a client with extensions (and room for so many bytes) or without sends it.
fn query(name: &str, kind: Rtype, room: Option<u16>) -> Vec<u8> {
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_id(0x4242);
    builder.header_mut().set_rd(true);
    let mut builder = builder.question();
    builder.push((Name::vec_from_str(name).unwrap(), kind)).unwrap();
    let mut builder = builder.additional();
    if let Some(room) = room {
        let size = |opt: &mut domain::base::message_builder::OptBuilder<'_, _>| {
            opt.set_udp_payload_size(room);
            Ok(())
        };
        builder.opt(size).unwrap();
    }
    builder.finish()
}

fn ask_at(turn: u16, table: &Table, query: &[u8], transport: Transport) -> Decision {
    let knows = Knowledge { table: Some(table), keeps_plain: false };
    decide(query, transport, knows, &mut Turns([turn; 64]))
}

/// Returns an answer, which is about the query, and its addresses.
#[track_caller]
fn answered(query: &[u8], decision: &Decision) -> (Message<Vec<u8>>, Vec<IpAddr>) {
    let Decision::Answer(bytes) = decision else { panic!("{decision:?}") };
    let message = Message::from_octets(bytes.clone()).unwrap();
    assert!(message.is_answer(Message::from_slice(query).unwrap()));
    assert!(message.header().ra() && message.header().rd() && !message.header().aa());
    let addresses = message.answer().unwrap().into_records::<AllRecordData<_, _>>().map(|record| {
        let record = record.unwrap();
        assert_eq!(record.ttl().as_secs(), 600);
        match record.data() {
            AllRecordData::A(a) => IpAddr::V4(A::addr(a)),
            AllRecordData::Aaaa(aaaa) => IpAddr::V6(Aaaa::addr(aaaa)),
            other => panic!("{other:?}"),
        }
    });
    let addresses = addresses.collect();
    (message, addresses)
}

#[track_caller]
fn addresses(name: &str, kind: Rtype) -> Vec<String> {
    let query = query(name, kind, None);
    let decision = ask_at(0, &table(), &query, Transport::Udp);
    let (message, addresses) = answered(&query, &decision);
    assert_eq!(message.header().rcode(), Rcode::NOERROR);
    addresses.iter().map(ToString::to_string).collect()
}

#[test]
fn a_packet_of_digs_is_answered_byte_for_byte() {
    let mut network = Network::new("net", false);
    network.add(member("web", &[], Some("10.77.0.2"), None));
    let answer = ask_at(0, &Table::new(vec![network]), DIG, Transport::Udp);
    let expected = b"\x12\x34\x81\x80\0\x01\0\x01\0\0\0\0\x03web\0\0\x01\0\x01\
        \xc0\x0c\0\x01\0\x01\0\0\x02\x58\0\x04\x0a\x4d\0\x02";
    assert_eq!(answer, Decision::Answer(expected.to_vec()));
}

#[test]
fn containers_are_found_by_all_their_names_in_any_case() {
    for (name, expected) in [
        ("both", "10.77.0.2"),
        ("BOTH", "10.77.0.2"),
        ("415B3857DCBC", "10.77.0.2"),
        ("db", "10.77.0.3"),
        ("both.front", "10.77.0.2"),
        ("Both.BACK.net", "10.79.0.2"),
        ("one.inner", "10.77.0.3"),
        ("one.inner.front", "10.77.0.3"),
    ] {
        assert_eq!(addresses(name, Rtype::A), [expected], "{name}");
    }
    for other in ["both.net", "three", "six.front", "web.both", "localhost", "one.two.front"] {
        let query = query(other, Rtype::A, None);
        assert_eq!(ask_at(0, &table(), &query, Transport::Udp), Decision::Forward, "{other}");
    }
}

#[test]
fn a_name_without_an_address_of_this_family_has_none_and_is_asked_of_nobody() {
    assert_eq!(addresses("one", Rtype::AAAA), [""; 0]);
    assert_eq!(addresses("six", Rtype::A), [""; 0]);
    assert_eq!(addresses("six", Rtype::AAAA), ["fd00:79::3"]);
    // The first network has none of it, the second has.
    assert_eq!(addresses("both", Rtype::AAAA), ["fd00:79::2"]);
    for kind in [Rtype::MX, Rtype::TXT, Rtype::HTTPS, Rtype::SRV, Rtype::PTR] {
        assert_eq!(addresses("both", kind), [""; 0], "{kind}");
    }
    assert_eq!(addresses("both", Rtype::ANY), ["10.77.0.2", "fd00:79::2"]);
}

#[test]
fn who_shares_a_name_answers_in_turn() {
    let query = query("web", Rtype::A, None);
    let six = super::resolver_tests::query("web", Rtype::AAAA, None);
    let mut turns = Turns([0; 64]);
    let firsts: Vec<String> = (0..6)
        .map(|_| {
            let table = table();
            let knows = Knowledge { table: Some(&table), keeps_plain: false };
            // Clients ask for both families.
            decide(&six, Transport::Udp, knows, &mut turns);
            let answer = decide(&query, Transport::Udp, knows, &mut turns);
            let (_, mut found) = answered(&query, &answer);
            let first = found[0].to_string();
            found.sort();
            assert_eq!(found.len(), 3);
            first
        })
        .collect();
    let turns = ["10.77.0.2", "10.77.0.3", "10.77.0.4"];
    assert_eq!(firsts, [turns, turns].concat());
}

#[test]
fn addresses_have_the_containers_name_on_their_network() {
    for (address, expected) in [
        ("3.0.77.10.in-addr.arpa", "one.front"),
        ("2.0.79.10.IN-ADDR.arpa", "Both.back.net"),
        (
            "3.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.9.7.0.0.0.0.d.f.ip6.arpa",
            "six.back.net",
        ),
    ] {
        let query = query(address, Rtype::PTR, None);
        let Decision::Answer(bytes) = ask_at(0, &table(), &query, Transport::Udp) else {
            panic!("{address} is ours");
        };
        let message = Message::from_octets(bytes).unwrap();
        let mut records = message.answer().unwrap().limit_to::<Ptr<_>>();
        let record = records.next().unwrap().unwrap();
        assert_eq!(record.data().ptrdname().to_string(), expected);
    }
    // Nobody's, and one whose name is none for DNS.
    for address in ["99.0.77.10.in-addr.arpa", "9.0.79.10.in-addr.arpa"] {
        let query = query(address, Rtype::PTR, None);
        assert_eq!(ask_at(0, &table(), &query, Transport::Udp), Decision::Forward);
    }
}

fn crowd(count: u16) -> Table {
    let mut network = Network::new("net", false);
    for number in 0..count {
        let [high, low] = number.to_be_bytes();
        let address = format!("10.1.{high}.{low}");
        network.add(member(&format!("c{number}"), &["crowd"], Some(&address), None));
    }
    Table::new(vec![network])
}

#[test]
fn an_answer_has_the_clients_size_and_says_what_is_left_out() {
    let table = crowd(300);
    for (room, transport, most) in [
        (None, Transport::Udp, 512),
        (Some(0), Transport::Udp, 512),
        (Some(1232), Transport::Udp, 1232),
        (Some(65535), Transport::Udp, 4096),
        (Some(512), Transport::Tcp, 65535),
    ] {
        let query = query("crowd", Rtype::A, room);
        let answer = ask_at(7, &table, &query, transport);
        let (message, found) = answered(&query, &answer);
        let cut = found.len() < 300;
        let length = message.as_slice().len();
        assert!(length <= most, "{length} bytes for {room:?}");
        // Sixteen are the length of one record: no more would fit.
        assert!(!cut || length + 16 + 11 > most, "{length} bytes for {room:?}");
        assert_eq!(message.header().tc(), cut, "{room:?}");
        assert_eq!(message.opt().is_some(), room.is_some());
        assert_eq!(found.len() == 300, transport == Transport::Tcp);
    }
    let query = query("crowd", Rtype::A, None);
    let (message, found) = answered(&query, &ask_at(0, &crowd(5000), &query, Transport::Tcp));
    assert!(found.len() > 4000 && !message.header().tc());
}

#[test]
fn what_stays_here_fails_or_has_no_address() {
    let query_of = |name: &str| query(name, Rtype::A, None);
    let code = |decision: &Decision| match decision {
        Decision::Answer(bytes) => Message::from_slice(bytes).unwrap().header().rcode(),
        other => panic!("{other:?}"),
    };
    let mut inner = Network::new("inner", true);
    inner.add(member("one", &[], Some("10.1.0.1"), None));
    let inner = Table::new(vec![inner]);
    let out = ask_at(0, &inner, &query_of("example.org"), Transport::Udp);
    assert_eq!(code(&out), Rcode::SERVFAIL);
    let known = ask_at(0, &inner, &query_of("one"), Transport::Udp);
    assert_eq!(code(&known), Rcode::NOERROR);
    let blind = Knowledge { table: None, keeps_plain: false };
    let mut turns = Turns([0; 64]);
    let failed = decide(&query_of("one"), Transport::Udp, blind, &mut turns);
    assert_eq!(code(&failed), Rcode::SERVFAIL);

    // With `ndots` of the container's own, a client has to try its search domains.
    let keeps = |query: &[u8]| {
        let table = table();
        let knows = Knowledge { table: Some(&table), keeps_plain: true };
        decide(query, Transport::Udp, knows, &mut Turns([0; 64]))
    };
    let query = query_of("three");
    let (message, found) = answered(&query, &keeps(&query));
    assert_eq!((message.header().rcode(), found.len()), (Rcode::NOERROR, 0));
    assert_eq!(keeps(&query_of("three.example")), Decision::Forward);
}

#[test]
fn what_is_no_query_is_not_answered_and_a_broken_one_is_told_so() {
    let table = table();
    let ask = |bytes: &[u8]| ask_at(0, &table, bytes, Transport::Udp);
    assert_eq!(ask(b""), Decision::Drop);
    assert_eq!(ask(&DIG[..11]), Decision::Drop);
    let mut answer = DIG.to_vec();
    answer[2] |= 0x80;
    assert_eq!(ask(&answer), Decision::Drop);
    let mut broken = vec![DIG[..12].to_vec(), DIG[..20].to_vec()];
    // Two questions; a name that points at itself; a label that goes over the end.
    let mut two = DIG.to_vec();
    two[5] = 2;
    broken.push(two);
    broken.push([&DIG[..12], b"\xc0\x0c\0\x01\0\x01"].concat());
    broken.push([&DIG[..12], b"\x3fweb"].concat());
    for bytes in broken {
        let Decision::Answer(reply) = ask(&bytes) else { panic!("{bytes:?}") };
        let header = Message::from_slice(&reply).unwrap().header();
        assert_eq!((header.id(), header.rcode()), (0x1234, Rcode::FORMERR));
        assert!(header.qr());
    }
    // Other kinds of messages, and other classes, are for those upstream to understand.
    let mut update = DIG.to_vec();
    update[2] = 0x28;
    let mut chaos = DIG.to_vec();
    *chaos.last_mut().unwrap() = 3;
    let dotted = [&DIG[..12], b"\x07a.front\0\0\x01\0\x01"].concat();
    for bytes in [update, chaos, dotted] {
        assert_eq!(ask(&bytes), Decision::Forward, "{bytes:?}");
    }
}

#[test]
fn upstream_answers_are_told_from_strays() {
    let query = query("example.org", Rtype::A, Some(1232));
    let answer = |code: Rcode| error(&query, code).unwrap();
    assert_eq!(judge(&answer(Rcode::NOERROR), &query), Verdict::Answer);
    assert_eq!(judge(&answer(Rcode::NXDOMAIN), &query), Verdict::Answer);
    assert_eq!(judge(&answer(Rcode::SERVFAIL), &query), Verdict::Refusal);
    assert_eq!(judge(&answer(Rcode::REFUSED), &query), Verdict::Refusal);
    // A server that understands nothing repeats nothing.
    let mut bare = answer(Rcode::FORMERR)[..12].to_vec();
    bare[4..12].fill(0);
    assert_eq!(judge(&bare, &query), Verdict::Refusal);
    bare[3] = 0;
    let mut other_id = answer(Rcode::NOERROR);
    other_id[0] ^= 1;
    let mut other_name = answer(Rcode::NOERROR);
    other_name[13] ^= 1;
    for stray in [&bare, &other_id, &other_name, &query, &vec![], &query[..11].to_vec()] {
        assert_eq!(judge(stray, &query), Verdict::Stray, "{stray:?}");
    }
    // Case is the client's play; a server may not keep to it.
    let mut shouted = answer(Rcode::NOERROR);
    shouted[13..20].make_ascii_uppercase();
    assert_eq!(judge(&shouted, &query), Verdict::Answer);
}

proptest! {
    #[test]
    fn no_packet_upsets_it(
        bytes in proptest::collection::vec(any::<u8>(), 0..600),
        tcp in any::<bool>(),
        turn in any::<u16>(),
    ) {
        let transport = if tcp { Transport::Tcp } else { Transport::Udp };
        if let Decision::Answer(answer) = ask_at(turn, &table(), &bytes, transport) {
            prop_assert_eq!(&answer[..2], &bytes[..2]);
            prop_assert!(answer[2] & 0x80 != 0);
            prop_assert!(tcp || answer.len() <= 4096);
        }
        judge(&bytes, &query("example.org", Rtype::A, None));
    }

    #[test]
    fn no_bent_query_upsets_it(
        at in any::<proptest::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<proptest::sample::Index>(),
        named in 0..4_usize,
    ) {
        let name = ["web", "both.back.net", "2.0.79.10.in-addr.arpa", "example.org"][named];
        let mut bytes = query(name, Rtype::A, Some(1232));
        let position = at.index(bytes.len());
        bytes[position] = byte;
        let whole = bytes.clone();
        bytes.truncate(cut.index(whole.len()));
        for bytes in [whole, bytes] {
            if let Decision::Answer(answer) = ask_at(0, &table(), &bytes, Transport::Udp) {
                prop_assert!(Message::from_slice(&answer).unwrap().header().qr());
                prop_assert_eq!(&answer[..2], &bytes[..2]);
            }
        }
    }
}
