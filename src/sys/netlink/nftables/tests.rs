//! Against the real kernel, as root, each test in a network namespace of its own.

use super::super::Errno;
use super::super::tests::in_namespace;
use super::*;

const R0: u32 = Expression::FIRST;

fn one(name: &str) -> Element {
    Element::member("one", Value::new().link(name))
}

fn two(first: &str, second: &str) -> Element {
    Element::member("two", Value::new().link(first).link(second))
}

fn port(address: &str, port: u16) -> Element {
    let key = Value::new().address(address.parse().unwrap()).protocol(6).port(port);
    Element::entry("ports", key, Value::new().address("10.0.0.2".parse().unwrap()).port(80))
}

fn table(name: &str) -> Transaction {
    let mut transaction = Transaction::new(None);
    transaction.create_table(name, "rules 1");
    for (set, key, data) in [
        ("one", &[Part::Link][..], &[][..]),
        ("two", &[Part::Link, Part::Link], &[]),
        ("ports", &[Part::Ipv4, Part::Protocol, Part::Port], &[Part::Ipv4, Part::Port]),
    ] {
        transaction.create_set(name, &Set { name: set, key, data });
    }
    let chain = Chain { name: "in", kind: "nat", hook: Hook::PreRouting, priority: -100 };
    transaction.create_chain(name, &chain);
    transaction.create_plain_chain(name, "further");
    let chain = Chain { name: "out", kind: "nat", hook: Hook::PostRouting, priority: 100 };
    transaction.create_chain(name, &chain);
    let chain = Chain { name: "through", kind: "filter", hook: Hook::Forward, priority: 0 };
    transaction.create_chain(name, &chain);
    let input = Expression::Meta { key: MetaKey::InputName, register: R0 };
    let output = Expression::Meta { key: MetaKey::OutputName, register: R0 };
    let second = Expression::Meta { key: MetaKey::OutputName, register: R0 + 4 };
    let lookup = |set, inverted| Expression::Lookup { set, register: R0, inverted };
    transaction.append_rule(
        name,
        "out",
        &[input, lookup("one", false), output, lookup("one", true), Expression::Masquerade],
    );
    let here = Expression::ToThisHost { inverted: false };
    transaction.append_rule(name, "in", &[here, Expression::Verdict(Verdict::Jump("further"))]);
    transaction.append_rule(
        name,
        "further",
        &[
            Expression::Is(PacketFamily::V4),
            Expression::Payload { part: Payload::Destination(PacketFamily::V4), register: R0 },
            Expression::Meta { key: MetaKey::Protocol, register: R0 + 1 },
            Expression::Payload { part: Payload::DestinationPort, register: R0 + 2 },
            Expression::Translate { map: "ports", register: R0 },
            Expression::Redirect { family: PacketFamily::V4, address: R0, port: R0 + 1 },
        ],
    );
    transaction.append_rule(
        name,
        "through",
        &[
            Expression::ConnectionState(Expression::ESTABLISHED | Expression::RELATED),
            Expression::Verdict(Verdict::Accept),
        ],
    );
    transaction.insert_rule(
        name,
        "through",
        &[input, second, lookup("two", false), Expression::Verdict(Verdict::Drop)],
    );
    transaction.ensure_element(name, &one("wharf0"));
    transaction.ensure_element(name, &two("wharf0", "wh-123456789012"));
    transaction.ensure_element(name, &port("0.0.0.0", 8080));
    transaction
}

#[test]
fn a_transaction_makes_a_table_that_nft_understands() {
    in_namespace(|_| {
        let mut nft = NftSocket::open().unwrap();
        let before = nft.generation().unwrap();
        assert_eq!(nft.look_up("whtest", &[one("wharf0")]).unwrap(), (None, vec![false]));
        assert_eq!(nft.elements("whtest", "one").unwrap(), []);
        nft.commit(table("whtest")).unwrap();
        let wanted = [
            two("wharf0", "wh-123456789012"),
            two("wharf0", "wharf0"),
            port("0.0.0.0", 8080),
            port("0.0.0.0", 8081),
            port("10.0.0.1", 8080),
        ];
        let found = nft.look_up("whtest", &wanted).unwrap();
        assert_eq!(found, (Some("rules 1".to_owned()), vec![true, false, true, false, false]));
        assert_eq!(nft.elements("whtest", "one").unwrap(), [one("wharf0")]);
        assert_eq!(nft.elements("whtest", "ports").unwrap(), [port("0.0.0.0", 8080)]);

        // Exactly one of two creators wins, and the loser changes nothing.
        let error = nft.commit(table("whtest")).unwrap_err();
        assert_eq!(error.errno(), Errno::EXIST, "{error}");
        let mut stale = Transaction::new(None);
        stale.delete_table("whtest");
        assert_eq!(nft.commit(stale.at(before)).unwrap_err().errno(), Errno::RESTART);

        let chains = nft.base_chains().unwrap();
        assert!(chains.iter().any(|c| c.table == "whtest" && c.hook == 2 && !c.drops));
        let rules = nft.rules("whtest").unwrap();
        assert_eq!(rules.iter().filter(|rule| rule.chain == "through").count(), 2);

        let listed = std::process::Command::new("nft").args(["list", "ruleset"]).output();
        if let Ok(listed) = listed {
            let text = String::from_utf8(listed.stdout).unwrap();
            for line in [
                "table inet whtest {",
                "comment \"rules 1\"",
                "iifname @one oifname != @one masquerade",
                "iifname . oifname @two drop\n\t\tct state established,related accept",
                "elements = { \"wharf0\" }",
                "elements = { \"wharf0\" . \"wh-123456789012\" }",
                "elements = { 0.0.0.0 . tcp . 8080 : 10.0.0.2 . 80 }",
                "fib daddr type local jump further",
                "dnat ip to ip daddr . meta l4proto . th dport map @ports",
                "type nat hook postrouting priority srcnat; policy accept;",
            ] {
                assert!(text.contains(line), "{line} is not in:\n{text}");
            }
        }

        let mut transaction = Transaction::new(Some(nft.generation().unwrap()));
        transaction.delete_element("whtest", &one("wharf0"));
        transaction.delete_element("whtest", &port("0.0.0.0", 8080));
        let first = rules.iter().find(|rule| rule.chain == "through").unwrap();
        transaction.delete_rule("whtest", first);
        nft.commit(transaction).unwrap();
        assert_eq!(nft.elements("whtest", "one").unwrap(), []);
        assert_eq!(nft.elements("whtest", "ports").unwrap(), []);
        assert_eq!(nft.rules("whtest").unwrap().len(), rules.len() - 1);
        let mut transaction = Transaction::new(None);
        assert!(transaction.is_empty());
        transaction.delete_table("whtest");
        nft.commit(transaction).unwrap();
        assert_eq!(nft.look_up("whtest", &[one("wharf0")]).unwrap(), (None, vec![false]));
    });
}
