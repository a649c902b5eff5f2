//! `load`: work in waves, to be seen on charts.
//!
//! Settings: `PERIOD` of a wave in seconds (60), `CPU` at its top in per cent of one CPU (100),
//! `MEMORY` at its top in MiB (64), `DISK` written and read back in MiB a second (1), `URL` to ask
//! for over and over, `NETWORK` sent to the gateway in KiB a second when there is no URL (64).

use std::f64::consts::TAU;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use crate::health::get;
use crate::signals::Signals;
use crate::{complain, setting};

const TICK: Duration = Duration::from_millis(100);
const MIB: usize = 1 << 20;

pub(crate) fn main(_args: &[String]) -> i32 {
    let signals = match Signals::take() {
        Ok(signals) => signals,
        Err(e) => {
            complain("load", e);
            return 1;
        }
    };
    let period = f64::max(setting("PERIOD", 60.0), 1.0);
    let cpu = f64::clamp(setting("CPU", 100.0), 0.0, 100.0) / 100.0;
    let memory: f64 = setting("MEMORY", 64.0);
    let disk: f64 = setting("DISK", 1.0);
    let mut network = Network::new();
    let mut held: Vec<Vec<u8>> = Vec::new();
    let mut owed = 0.0;
    let started = Instant::now();
    for tick in 0u64.. {
        let begun = Instant::now();
        let now = started.elapsed().as_secs_f64();
        hold(&mut held, memory * wave(now + period / 4.0, period));
        owed += disk * TICK.as_secs_f64();
        if owed >= 1.0 {
            if let Err(e) = churn(owed) {
                complain("load", format_args!("/tmp/load.data: {e}"));
            }
            owed = 0.0;
        }
        network.tick();
        if tick.is_multiple_of(50) {
            let share = 100.0 * cpu * wave(now, period);
            let _ = writeln!(io::stdout(), "cpu {share:.0} % memory {} MiB", held.len());
        }
        spin(begun + TICK.mul_f64(cpu * wave(now, period)));
        let rest = TICK.saturating_sub(begun.elapsed()).max(Duration::from_millis(1));
        if let Some(code) = signals.sleep(Some(rest)) {
            return code;
        }
    }
    0
}

/// Returns a sine between 0 and 1.
fn wave(seconds: f64, period: f64) -> f64 {
    (1.0 - (TAU * seconds / period).cos()) / 2.0
}

/// Keeps a CPU busy until then.
fn spin(until: Instant) {
    let mut n = 1u64;
    while Instant::now() < until {
        for _ in 0..1000 {
            n = std::hint::black_box(n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        }
    }
}

/// Holds so many MiB, every page of them written to.
fn hold(held: &mut Vec<Vec<u8>>, wanted: f64) {
    let wanted = (0..).take_while(|n| f64::from(*n) < wanted).take(1 << 16).count();
    held.truncate(wanted);
    while held.len() < wanted {
        held.push(vec![1; MIB]);
    }
}

/// Writes so many MiB to the disk and reads them back.
fn churn(mib: f64) -> io::Result<()> {
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open("/tmp/load.data")?;
    let block = vec![7; MIB / 4];
    let blocks = (0..).take_while(|n| f64::from(*n) < mib * 4.0).take(4096).count();
    for _ in 0..blocks {
        file.write_all(&block)?;
    }
    file.sync_data()?;
    file.rewind()?;
    let mut block = block;
    while file.read(&mut block)? > 0 {}
    Ok(())
}

/// Where the traffic goes.
struct Network {
    url: Option<String>,
    gateway: Option<UdpSocket>,
    /// Datagrams of a KiB for each tick.
    rate: f64,
    owed: f64,
}

impl Network {
    fn new() -> Self {
        let url = std::env::var("URL").ok().filter(|url| !url.is_empty());
        let rate = setting("NETWORK", 64.0) * TICK.as_secs_f64();
        let gateway = match &url {
            None => std::fs::read_to_string("/proc/net/route").ok().and_then(|t| gateway(&t)),
            Some(_) => None,
        };
        // The discard port: whoever listens there wants to throw it away.
        let gateway = gateway.and_then(|gateway| {
            let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
            socket.connect((gateway, 9)).ok()?;
            Some(socket)
        });
        Self { url, gateway, rate, owed: 0.0 }
    }

    fn tick(&mut self) {
        if let Some(url) = &self.url {
            if let Err(e) = get(url, Duration::from_millis(500)) {
                complain("load", format_args!("{url}: {e}"));
            }
            return;
        }
        let Some(gateway) = &self.gateway else { return };
        self.owed += self.rate;
        while self.owed >= 1.0 {
            self.owed -= 1.0;
            // A refusal of the datagram before shows here; it was sent all the same.
            let _ = gateway.send(&[b'.'; 1024]);
        }
    }
}

/// Returns the default gateway of a `/proc/net/route` table.
fn gateway(table: &str) -> Option<Ipv4Addr> {
    table.lines().skip(1).find_map(|line| {
        let mut cells = line.split_whitespace().skip(1);
        let (destination, gateway) = (cells.next()?, cells.next()?);
        let address = u32::from_str_radix(gateway, 16).ok()?;
        // The kernel prints the address as this machine's number.
        (destination == "00000000" && address != 0).then(|| Ipv4Addr::from(address.to_ne_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waves_swing_between_nothing_and_all() {
        assert!(wave(0.0, 60.0) < 1e-9);
        assert!((wave(30.0, 60.0) - 1.0).abs() < 1e-9);
        assert!((wave(15.0, 60.0) - 0.5).abs() < 1e-9);
        let mut held = Vec::new();
        hold(&mut held, 2.5);
        assert_eq!(held.len(), 3);
        hold(&mut held, 0.0);
        assert!(held.is_empty());
    }

    #[test]
    fn the_gateway_is_read_from_the_table() {
        let table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\n\
                     eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\n\
                     eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\n";
        assert_eq!(gateway(table), Some(Ipv4Addr::new(172, 17, 0, 1)));
        assert_eq!(gateway("Iface\n"), None);
    }
}
