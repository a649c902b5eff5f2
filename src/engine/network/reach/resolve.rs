//! Names as a program in a container resolves them: its hosts file, then the name servers and
//! search domains of its resolv.conf (hosts(5), resolv.conf(5)).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use domain::base::iana::Rtype;
use domain::base::{Message, MessageBuilder, Name};
use domain::rdata::{A, Aaaa};

/// How long a name server may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// The most name servers that are asked, as many as a C library asks.
const SERVERS: usize = 3;

/// The longest answer that comes in one packet.
const LONGEST: usize = 4096;

/// What a name means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Its addresses, those of IPv4 first; none when it isn't known.
    pub(super) addresses: Vec<IpAddr>,
    /// Who said so, or why nobody did.
    pub(super) how: String,
}

/// What names are resolved with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Resolver {
    hosts: Vec<(IpAddr, String)>,
    servers: Vec<IpAddr>,
    search: Vec<String>,
    ndots: usize,
}

/// What a name server says.
enum Answer {
    Addresses(Vec<IpAddr>),
    Silence,
}

impl Resolver {
    /// Returns what these files say.
    pub(super) fn new(hosts: &str, resolv_conf: &str) -> Self {
        let mut resolver = Self { ndots: 1, ..Self::default() };
        for line in hosts.lines() {
            let mut words = line.split('#').next().unwrap_or_default().split_ascii_whitespace();
            let Some(Ok(address)) = words.next().map(str::parse) else { continue };
            resolver.hosts.extend(words.map(|name| (address, name.to_lowercase())));
        }
        for line in resolv_conf.lines() {
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") => {
                    resolver
                        .servers
                        .extend(words.next().and_then(|word| word.parse::<IpAddr>().ok()));
                }
                // The last line holds.
                Some("search" | "domain") => resolver.search = words.map(str::to_owned).collect(),
                Some("options") => {
                    let mut ndots =
                        words.filter_map(|word| word.strip_prefix("ndots:")?.parse().ok());
                    resolver.ndots = ndots.next_back().unwrap_or(resolver.ndots);
                }
                _ => {}
            }
        }
        resolver.servers.truncate(SERVERS);
        resolver
    }

    /// Returns what a name means, asking the name servers from the network that the calling thread
    /// is in.
    pub(super) fn resolve(&self, name: &str) -> Found {
        let plain = name.trim_end_matches('.').to_lowercase();
        let mut addresses: Vec<IpAddr> =
            self.hosts.iter().filter(|(_, n)| *n == plain).map(|(address, _)| *address).collect();
        if !addresses.is_empty() {
            addresses.sort_by_key(IpAddr::is_ipv6);
            return Found { addresses, how: "its /etc/hosts".to_owned() };
        }
        let mut silent = Vec::new();
        for full in self.full_names(name) {
            for server in
                self.servers.iter().filter(|s| !silent.contains(*s)).copied().collect::<Vec<_>>()
            {
                match ask(server, &full) {
                    Answer::Addresses(addresses) if addresses.is_empty() => break,
                    Answer::Addresses(addresses) => {
                        return Found { addresses, how: format!("name server {server}") };
                    }
                    Answer::Silence => silent.push(server),
                }
            }
        }
        Found { addresses: Vec::new(), how: self.why_not(&silent) }
    }

    fn why_not(&self, silent: &[IpAddr]) -> String {
        let list = |servers: &[IpAddr]| {
            servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        match (self.servers.as_slice(), silent) {
            ([], _) => "it is not in /etc/hosts, and there is no name server".to_owned(),
            (servers, []) => {
                format!("it is not in /etc/hosts, and {} doesn't know it", list(servers))
            }
            (_, silent) => {
                format!("it is not in /etc/hosts, and {} doesn't answer", list(silent))
            }
        }
    }

    /// Returns the names to ask for, in their order.
    fn full_names(&self, name: &str) -> Vec<String> {
        if name.ends_with('.') {
            return vec![name.to_owned()];
        }
        let with = self.search.iter().filter(|domain| *domain != ".");
        let mut names: Vec<String> =
            with.map(|domain| format!("{name}.{}", domain.trim_end_matches('.'))).collect();
        let at = if name.matches('.').count() >= self.ndots { 0 } else { names.len() };
        names.insert(at, name.to_owned());
        names
    }
}

/// Asks one server for the addresses of both families.
fn ask(server: IpAddr, name: &str) -> Answer {
    let kinds = [Rtype::A, Rtype::AAAA];
    let mut addresses = Vec::new();
    let mut answered = false;
    for kind in kinds {
        if let Some(found) = query(server, name, kind) {
            answered = true;
            addresses.extend(found);
        } else if !answered {
            return Answer::Silence;
        }
    }
    Answer::Addresses(addresses)
}

/// Asks one question; none when there is no answer.
fn query(server: IpAddr, name: &str, kind: Rtype) -> Option<Vec<IpAddr>> {
    // A text that can't be a name has no addresses.
    let Ok(name) = Name::<Vec<u8>>::vec_from_str(name) else { return Some(Vec::new()) };
    let mut id = [0_u8; 2];
    rustix::rand::getrandom(&mut id, rustix::rand::GetRandomFlags::empty()).ok()?;
    let id = u16::from_ne_bytes(id);
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_id(id);
    builder.header_mut().set_rd(true);
    let mut builder = builder.question();
    builder.push((&name, kind)).ok()?;
    let question = builder.finish();
    let any: IpAddr = match server {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(SocketAddr::new(server, 53)).ok()?;
    socket.send(&question).ok()?;
    let deadline = Instant::now() + PATIENCE;
    let mut buffer = [0; LONGEST];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        socket.set_read_timeout(Some(left)).ok()?;
        let length = socket.recv(&mut buffer).ok()?;
        if let Some(found) = read(buffer.get(..length)?, id) {
            return Some(found);
        }
    }
}

/// Reads the addresses of an answer; none for what answers another question.
fn read(bytes: &[u8], id: u16) -> Option<Vec<IpAddr>> {
    let message = Message::from_octets(bytes).ok()?;
    if message.header().id() != id || !message.header().qr() {
        return None;
    }
    let section = message.answer().ok()?;
    let v4 = section.limit_to::<A>().flatten().map(|record| IpAddr::V4(record.data().addr()));
    let v6 = section.limit_to::<Aaaa>().flatten().map(|record| IpAddr::V6(record.data().addr()));
    Some(v4.chain(v6).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_looked_up_as_a_c_library_does() {
        let resolver = Resolver::new(
            "127.0.0.1 localhost # the loopback\n::1 Web\n10.0.0.7\tweb web.inner\nnonsense x\n",
            "nameserver 127.0.0.11\nsearch a.example b.example.\noptions edns0 ndots:2\n",
        );
        let web = resolver.resolve("WEB.");
        assert_eq!(web.addresses, ["10.0.0.7".parse::<IpAddr>().unwrap(), "::1".parse().unwrap()]);
        assert_eq!(web.how, "its /etc/hosts");
        assert_eq!(resolver.full_names("db"), ["db.a.example", "db.b.example", "db"]);
        assert_eq!(resolver.full_names("x.y.z")[0], "x.y.z");
        assert_eq!(resolver.full_names("db."), ["db."]);
        assert_eq!(resolver.servers, ["127.0.0.11".parse::<IpAddr>().unwrap()]);
        let nobody = Resolver::new("", "search .\n").resolve("db");
        assert_eq!(nobody.how, "it is not in /etc/hosts, and there is no name server");
    }

    #[test]
    fn answers_are_read_and_other_packets_are_not() {
        // id 0x1234, an answer, one question (web, A), one record: 10.77.0.2.
        let packet = b"\x12\x34\x81\x80\0\x01\0\x01\0\0\0\0\x03web\0\0\x01\0\x01\
                       \xc0\x0c\0\x01\0\x01\0\0\0\x0a\0\x04\x0a\x4d\0\x02";
        assert_eq!(read(packet, 0x1234), Some(vec!["10.77.0.2".parse().unwrap()]));
        assert_eq!(read(packet, 0x1235), None);
        assert_eq!(read(&packet[..5], 0x1234), None);
        assert_eq!(read(&packet[..30], 0x1234), Some(Vec::new()));
    }
}
