//! Which addresses belong to the public internet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A range of addresses: `10.0.0.0/8`, `fd00::/8`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// A text that is no range of addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no range of addresses: write ADDRESS/BITS, for example 10.0.0.0/8")]
pub struct InvalidNetwork(String);

impl std::str::FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidNetwork(text.to_owned());
        let (address, bits) =
            text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| invalid())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), |bits| bits.parse().map_err(|_| invalid()))?;
        if bits > most {
            return Err(invalid());
        }
        Ok(Self { address, bits })
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl Network {
    const fn v4(a: u8, b: u8, c: u8, d: u8, bits: u8) -> Self {
        Self { address: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), bits }
    }

    const fn v6(first: [u16; 4], bits: u8) -> Self {
        let [a, b, c, d] = first;
        Self { address: IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)), bits }
    }

    /// Whether an address is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0);
                (network.to_bits() ^ address.to_bits()) & mask == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.bits)).unwrap_or(0);
                (network.to_bits() ^ address.to_bits()) & mask == 0
            }
            _ => false,
        }
    }
}

/// Ranges that are not the public internet's, and what they are (IANA's registries of special-purpose addresses).
const SPECIAL: &[(Network, &str)] = &[
    (Network::v4(0, 0, 0, 0, 8), "this host"),
    (Network::v4(10, 0, 0, 0, 8), "private"),
    (Network::v4(100, 64, 0, 0, 10), "shared by a carrier"),
    (Network::v4(127, 0, 0, 0, 8), "loopback"),
    (Network::v4(169, 254, 0, 0, 16), "link-local, where clouds have their metadata"),
    (Network::v4(172, 16, 0, 0, 12), "private"),
    (Network::v4(192, 0, 0, 0, 24), "reserved for protocols"),
    (Network::v4(192, 0, 2, 0, 24), "for documentation"),
    (Network::v4(192, 88, 99, 0, 24), "a 6to4 relay"),
    (Network::v4(192, 168, 0, 0, 16), "private"),
    (Network::v4(198, 18, 0, 0, 15), "for benchmarks"),
    (Network::v4(198, 51, 100, 0, 24), "for documentation"),
    (Network::v4(203, 0, 113, 0, 24), "for documentation"),
    (Network::v4(224, 0, 0, 0, 4), "multicast"),
    (Network::v4(240, 0, 0, 0, 4), "reserved"),
    (Network::v6([0x2001, 0, 0, 0], 23), "reserved for protocols"),
    (Network::v6([0x2001, 0xdb8, 0, 0], 32), "for documentation"),
    (Network::v6([0x3fff, 0, 0, 0], 20), "for documentation"),
];

/// Of IPv6, only this is given out.
const GLOBAL: Network = Network::v6([0x2000, 0, 0, 0], 3);

/// IPv6 addresses that stand for an IPv4 address, and the bit at which that begins.
const EMBEDDING: &[(Network, u32, &str)] = &[
    (Network::v6([0, 0, 0, 0], 96), 96, "an IPv4-compatible address of"),
    (
        Network { address: IpAddr::V6(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0)), bits: 96 },
        96,
        "an IPv4-mapped address of",
    ),
    (Network::v6([0x64, 0xff9b, 0, 0], 96), 96, "a NAT64 address of"),
    (Network::v6([0x2002, 0, 0, 0], 16), 16, "a 6to4 address of"),
];

/// Why an address is not one of the public internet's; `None`: it is.
pub(crate) fn not_public(address: IpAddr) -> Option<String> {
    let special = |address: IpAddr| {
        SPECIAL.iter().find(|(network, _)| network.contains(address)).map(|(_, what)| (*what).to_owned())
    };
    let IpAddr::V6(v6) = address else { return special(address) };
    match v6 {
        Ipv6Addr::UNSPECIFIED => return Some("this host".to_owned()),
        Ipv6Addr::LOCALHOST => return Some("loopback".to_owned()),
        _ => {}
    }
    if let Some((_, at, what)) = EMBEDDING.iter().find(|(network, ..)| network.contains(address)) {
        // What it is translated to on the way is none of our business if it is special, and unusual if it is not.
        let embedded = Ipv4Addr::from_bits((v6.to_bits() >> (96 - at)) as u32);
        let why = special(IpAddr::V4(embedded)).map_or(String::new(), |why| format!(", which is {why}"));
        return Some(format!("{what} {embedded}{why}"));
    }
    special(address)
        .or_else(|| (!GLOBAL.contains(address)).then(|| "private, link-local or reserved".to_owned()))
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
        for wrong in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "a/8", "10.0.0.0/-1", "10.0.0.0/"] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }
}
