//! Health that comes and goes on a schedule, and the probe that asks for it.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use crate::complain;

/// When a program is healthy, counted from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Schedule {
    /// Always.
    Healthy,
    /// For the first seconds, then no more.
    Until(u64),
    /// In turns: so many seconds well, so many not.
    Turns(u64, u64),
}

impl Schedule {
    /// Returns what `UNHEALTHY` says: nothing, `AFTER`, or `WELL:ILL`, in seconds.
    pub(crate) fn parse(text: &str) -> Self {
        match text.split_once(':') {
            Some((well, ill)) => match (well.parse(), ill.parse()) {
                (Ok(well), Ok(ill)) if well + ill > 0 => Self::Turns(well, ill),
                _ => Self::Healthy,
            },
            None => text.parse().map_or(Self::Healthy, Self::Until),
        }
    }

    /// Returns whether it is healthy that long after its start.
    pub(crate) fn is_healthy(self, running: Duration) -> bool {
        match self {
            Self::Healthy => true,
            Self::Until(seconds) => running.as_secs() < seconds,
            Self::Turns(well, ill) => running.as_secs() % (well + ill) < well,
        }
    }
}

/// `probe [http://]HOST[:PORT][/PATH]`: 0 if the answer is a success, 1 if not, 2 if the address is
/// wrong. Without an argument it asks this host's `/healthz`.
pub(crate) fn probe_main(args: &[String]) -> i32 {
    let url = args.first().map_or("127.0.0.1/healthz", String::as_str);
    match get(url, Duration::from_secs(5)) {
        Ok((status, _)) => {
            let _ = writeln!(std::io::stdout(), "{status}");
            i32::from(!(200..400).contains(&status))
        }
        Err(e) => {
            complain("probe", format_args!("{url}: {e}"));
            if e.kind() == std::io::ErrorKind::InvalidInput { 2 } else { 1 }
        }
    }
}

/// Asks for a page, and returns the status and how many bytes came with it.
pub(crate) fn get(url: &str, timeout: Duration) -> std::io::Result<(u16, u64)> {
    let invalid = |why| std::io::Error::new(std::io::ErrorKind::InvalidInput, why);
    let address = url.strip_prefix("http://").unwrap_or(url);
    let (host, path) = match address.find('/') {
        Some(at) => address.split_at(at),
        None => (address, "/"),
    };
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let target = if has_port { host.to_owned() } else { format!("{host}:80") };
    let address = target.to_socket_addrs()?.next().ok_or_else(|| invalid("no address"))?;
    let mut stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    let mut buffer = [0; 4096];
    let mut head = Vec::new();
    let mut total = 0;
    loop {
        match stream.read(&mut buffer)? {
            0 => break,
            n => {
                total += n as u64;
                if head.len() < 16 {
                    head.extend_from_slice(&buffer[..n.min(16)]);
                }
            }
        }
    }
    let status = head
        .strip_prefix(b"HTTP/1.")
        .and_then(|rest| std::str::from_utf8(rest.get(2..5)?).ok()?.parse().ok())
        .ok_or_else(|| std::io::Error::new(std::io::ErrorKind::InvalidData, "no HTTP answer"))?;
    Ok((status, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_are_followed() {
        let at = |text, seconds| Schedule::parse(text).is_healthy(Duration::from_secs(seconds));
        assert!(at("", 1000) && at("nonsense", 0) && at("0:0", 5));
        assert!(at("10", 9) && !at("10", 10));
        assert!(at("60:20", 59) && !at("60:20", 60) && !at("60:20", 79) && at("60:20", 80));
    }
}
