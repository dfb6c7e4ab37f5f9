//! Ranges of addresses, and which of them belong to the public internet.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// A range of addresses: `10.0.0.0/8`, `fd00::/8`, or a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network(IpNet);

/// The error of a text that is not a range of addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a range of addresses: write ADDRESS/BITS, for example 10.0.0.0/8")]
pub struct InvalidNetwork(String);

impl Network {
    /// Returns whether an address is in this range.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }
}

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // The parser of `ipnet` takes octets with leading zeros, which other programs read as octal.
        let network = match text.split_once('/') {
            Some((address, bits)) => address
                .parse()
                .ok()
                .zip(bits.parse().ok())
                .and_then(|(address, bits)| IpNet::new(address, bits).ok()),
            None => text.parse::<IpAddr>().ok().map(IpNet::from),
        };
        network.map(Self).ok_or_else(|| InvalidNetwork(text.to_owned()))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8, bits: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), bits))
}

const fn v6(first: [u16; 6], bits: u8) -> IpNet {
    let [a, b, c, d, e, f] = first;
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, 0, 0), bits))
}

/// The ranges that are not part of the public internet, with their purpose (IANA's registries of special-purpose
/// addresses).
const SPECIAL: &[(IpNet, &str)] = &[
    (v4(0, 0, 0, 0, 8), "this host"),
    (v4(10, 0, 0, 0, 8), "private"),
    (v4(100, 64, 0, 0, 10), "shared by a carrier"),
    (v4(127, 0, 0, 0, 8), "loopback"),
    (v4(169, 254, 0, 0, 16), "link-local, where clouds have their metadata"),
    (v4(172, 16, 0, 0, 12), "private"),
    (v4(192, 0, 0, 0, 24), "reserved for protocols"),
    (v4(192, 0, 2, 0, 24), "for documentation"),
    (v4(192, 88, 99, 0, 24), "a 6to4 relay"),
    (v4(192, 168, 0, 0, 16), "private"),
    (v4(198, 18, 0, 0, 15), "for benchmarks"),
    (v4(198, 51, 100, 0, 24), "for documentation"),
    (v4(203, 0, 113, 0, 24), "for documentation"),
    (v4(224, 0, 0, 0, 4), "multicast"),
    (v4(240, 0, 0, 0, 4), "reserved"),
    (v6([0x2001, 0, 0, 0, 0, 0], 23), "reserved for protocols"),
    (v6([0x2001, 0xdb8, 0, 0, 0, 0], 32), "for documentation"),
    (v6([0x3fff, 0, 0, 0, 0, 0], 20), "for documentation"),
];

/// The range of IPv6 from which public addresses are assigned.
const GLOBAL: IpNet = v6([0x2000, 0, 0, 0, 0, 0], 3);

/// The ranges of IPv6 addresses that contain an IPv4 address, with the bit at which it begins.
const EMBEDDING: &[(IpNet, u32, &str)] = &[
    (v6([0, 0, 0, 0, 0, 0], 96), 96, "an IPv4-compatible address of"),
    (v6([0, 0, 0, 0, 0, 0xffff], 96), 96, "an IPv4-mapped address of"),
    (v6([0x64, 0xff9b, 0, 0, 0, 0], 96), 96, "a NAT64 address of"),
    (v6([0x2002, 0, 0, 0, 0, 0], 16), 16, "a 6to4 address of"),
];

/// Returns the reason why an address is not part of the public internet, or `None` if it is.
pub(crate) fn not_public(address: IpAddr) -> Option<String> {
    let special = |address: IpAddr| {
        SPECIAL.iter().find(|(network, _)| network.contains(&address)).map(|(_, what)| (*what).to_owned())
    };
    let IpAddr::V6(v6) = address else { return special(address) };
    match v6 {
        Ipv6Addr::UNSPECIFIED => return Some("this host".to_owned()),
        Ipv6Addr::LOCALHOST => return Some("loopback".to_owned()),
        _ => {}
    }
    if let Some((_, at, what)) = EMBEDDING.iter().find(|(network, ..)| network.contains(&address)) {
        // A translator on the way could reach the embedded address, so none of them is permitted.
        let embedded = Ipv4Addr::from_bits((v6.to_bits() >> (96 - at)) as u32);
        let why = special(IpAddr::V4(embedded)).map_or(String::new(), |why| format!(", which is {why}"));
        return Some(format!("{what} {embedded}{why}"));
    }
    special(address)
        .or_else(|| (!GLOBAL.contains(&address)).then(|| "private, link-local or reserved".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(address: &str) -> Option<String> {
        not_public(address.parse().unwrap())
    }

    #[test]
    fn public_addresses_are_public() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "172.15.255.255",
            "172.32.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700:4700::1111",
            "2a00:1450:4001::200e",
        ] {
            assert_eq!(why(address), None, "{address}");
        }
    }

    #[test]
    fn everything_else_is_not_and_is_named() {
        for (address, what) in [
            ("0.0.0.0", "this host"),
            ("10.255.0.1", "private"),
            ("100.64.0.1", "carrier"),
            ("127.8.8.8", "loopback"),
            ("169.254.169.254", "metadata"),
            ("172.31.255.255", "private"),
            ("192.168.1.1", "private"),
            ("198.19.0.1", "benchmarks"),
            ("224.0.0.1", "multicast"),
            ("255.255.255.255", "reserved"),
            ("::", "this host"),
            ("::1", "loopback"),
            ("::ffff:127.0.0.1", "mapped address of 127.0.0.1, which is loopback"),
            ("::ffff:8.8.8.8", "mapped"),
            ("::10.0.0.1", "compatible address of 10.0.0.1"),
            ("64:ff9b::a9fe:a9fe", "NAT64 address of 169.254.169.254"),
            ("64:ff9b:1::1", "reserved"),
            ("2002:7f00:1::", "6to4 address of 127.0.0.1"),
            ("2001::1", "protocols"),
            ("2001:db8::1", "documentation"),
            ("fc00::1", "private"),
            ("fd12:3456::1", "private"),
            ("fe80::1", "link-local"),
            ("fec0::1", "reserved"),
            ("ff02::1", "reserved"),
            ("5f00::1", "reserved"),
            ("3fff::1", "documentation"),
        ] {
            let why = why(address).unwrap_or_else(|| panic!("{address} is not public"));
            assert!(why.contains(what), "{address}: {why}");
        }
    }

    #[test]
    fn a_network_is_an_address_and_its_bits() {
        let network: Network = "10.1.0.0/16".parse().unwrap();
        assert!(network.contains("10.1.255.255".parse().unwrap()));
        assert!(!network.contains("10.2.0.0".parse().unwrap()) && !network.contains("::1".parse().unwrap()));
        let everything: Network = "::/0".parse().unwrap();
        assert!(everything.contains("ff02::1".parse().unwrap()));
        let one: Network = "127.0.0.1".parse().unwrap();
        assert_eq!(one.to_string(), "127.0.0.1/32");
        for wrong in
            ["", "10.0.0.0/33", "::/129", "10.0.0/8", "a/8", "10.0.0.0/-1", "10.0.0.0/", "010.0.0.0/8"]
        {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }
}
