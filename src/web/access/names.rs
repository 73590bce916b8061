//! How this machine is called and where it is reached, as the kernel says.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const HOST_NAME: &str = "/proc/sys/kernel/hostname";
/// All routes of the kernel, its own addresses among them.
const ROUTES_V4: &str = "/proc/net/fib_trie";
const ADDRESSES_V6: &str = "/proc/net/if_inet6";
/// The scope of addresses that hold on one link only, in that file.
const SCOPE_LINK: &str = "20";
/// Addresses that are looked at.
const ADDRESSES_MAX: usize = 64;

/// The name without its domain, in small letters; `None` if it is no name for a host.
pub fn host_name() -> Option<String> {
    let text = std::fs::read_to_string(HOST_NAME).ok()?;
    host_name_in(&text)
}

fn host_name_in(text: &str) -> Option<String> {
    let name = text.trim().split('.').next().unwrap_or_default().to_ascii_lowercase();
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let edges = [name.chars().next(), name.chars().next_back()];
    let good = name.len() <= 63 && name.chars().all(plain) && !edges.contains(&Some('-'));
    (good && !name.is_empty()).then_some(name)
}

/// Every address that others reach it by, and the loopback ones, sorted.
pub fn addresses() -> Vec<IpAddr> {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let v4 = v4_in(&read(ROUTES_V4)).into_iter().map(IpAddr::V4);
    let v6 = v6_in(&read(ADDRESSES_V6)).into_iter().map(IpAddr::V6);
    let mut all: Vec<IpAddr> = v4.chain(v6).take(ADDRESSES_MAX).collect();
    all.extend([IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]);
    all.sort_unstable();
    all.dedup();
    all
}

/// An address stands in one line, and what kind of route it has below it.
fn v4_in(trie: &str) -> Vec<Ipv4Addr> {
    let mut found = Vec::new();
    let mut last = None;
    for line in trie.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse().ok();
        } else if line == "/32 host LOCAL" {
            found.extend(last.take().filter(|a: &Ipv4Addr| !a.is_loopback()));
        }
    }
    found
}

fn v6_in(table: &str) -> Vec<Ipv6Addr> {
    let address = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let digits = words.next().filter(|digits| digits.len() == 32)?;
        let scope = words.nth(2)?;
        let address = Ipv6Addr::from_bits(u128::from_str_radix(digits, 16).ok()?);
        (scope != SCOPE_LINK && !address.is_loopback()).then_some(address)
    };
    table.lines().filter_map(address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Linux 6.12 shows it, shortened.
    const TRIE: &str = "Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 192.168.1.0/24 2 0 2
        |-- 192.168.1.0
           /24 link UNICAST
        |-- 192.168.1.77
           /32 host LOCAL
        |-- 192.168.1.255
           /32 link BROADCAST
Local:
     +-- 127.0.0.0/8 2 0 2
           |-- 127.0.0.0
              /8 host LOCAL
           |-- 127.0.0.1
              /32 host LOCAL
";

    #[test]
    fn own_addresses_are_told_from_other_routes() {
        assert_eq!(v4_in(TRIE), [Ipv4Addr::new(192, 168, 1, 77)]);
        let table = "00000000000000000000000000000001 01 80 10 80       lo
fe80000000000000021122fffe334455 02 40 20 80     eth0
20010db8000000000000000000000077 02 40 00 00     eth0
garbage
";
        assert_eq!(v6_in(table), ["2001:db8::77".parse::<Ipv6Addr>().unwrap()]);
        assert!(v4_in("").is_empty() && v6_in("\0\0").is_empty());
    }

    #[test]
    fn a_host_name_is_its_first_label_in_small_letters() {
        for (text, want) in [
            ("Press-3\n", Some("press-3")),
            ("press-3.plant.lan\n", Some("press-3")),
            ("(none)\n", None),
            ("under_score\n", None),
            ("-a", None),
            ("", None),
        ] {
            assert_eq!(host_name_in(text).as_deref(), want, "{text:?}");
        }
    }

    #[test]
    fn this_machine_has_its_loopback_addresses() {
        let all = addresses();
        assert!(all.contains(&IpAddr::V4(Ipv4Addr::LOCALHOST)), "{all:?}");
        assert!(all.is_sorted());
    }
}
