//! `[edge]` and `[supernode]`: the overlay.

use super::schema::Listen;
use crate::cli::overlay::{
    CipherChoice, CompressChoice, EdgeArgs, OffloadChoice, PlaneChoice, SupernodeArgs,
};
use crate::cli::{
    MacAddress, MemberAddress, SupernodeAddress, local_address, mac, member_address, supernode_address,
};
use clap::ValueEnum;
use halloo_overlay::PublicKey;
use halloo_overlay::edge::lease;
use halloo_overlay::supernode::pool::Pool;
use halloo_overlay::wire::Prefix;
use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt::Display;
use std::net::SocketAddr;
use std::path::PathBuf;

/// `[edge]`: a member of a community.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Edge {
    pub(crate) community: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) secret_file: Option<PathBuf>,
    pub(crate) supernodes: Vec<Supernodes>,
    pub(crate) addresses: Vec<Member>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tap: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mac: Option<Station>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bridge: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mtu: Option<u16>,
    pub(crate) data_plane: Choice<PlaneChoice>,
    pub(crate) vxlan_port: u16,
    pub(crate) cipher: Choice<CipherChoice>,
    pub(crate) compress: Choice<CompressChoice>,
    pub(crate) offload: Choice<OffloadChoice>,
    pub(crate) flows: u8,
    /// Any port that is free where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) listen: Option<Listen>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) certificate: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ca: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) revoked: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    pub(crate) relay: bool,
    pub(crate) direct: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) control: Option<PathBuf>,
    /// Of `[metrics]`, or of the command line.
    #[serde(skip)]
    pub(crate) metrics: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
}

/// `[supernode]`: who introduces the members of communities.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Supernode {
    pub(crate) listen: Vec<Listen>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pool: Option<IpNet>,
    pub(crate) peers: Vec<Supernodes>,
    pub(crate) communities: Vec<String>,
    pub(crate) members: u32,
    pub(crate) relay: bool,
    pub(crate) offload: Choice<OffloadChoice>,
    /// Of `[metrics]`, or of the command line.
    #[serde(skip)]
    pub(crate) metrics: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
}

/// `[metrics]`: what an edge and a supernode tell of themselves.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Metrics {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) listen: Option<Scraped>,
}

/// An address to tell numbers at, written as on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scraped(pub(crate) SocketAddr);

/// A supernode, written as on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Supernodes(pub(crate) SupernodeAddress);

/// An address of the device, written as on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Member(pub(crate) MemberAddress);

/// An Ethernet address, written as on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Station(pub(crate) MacAddress);

/// One of a few words, as on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Choice<T>(pub(crate) T);

/// Bounds of `edge.mtu`: the least that IPv4 hosts must take, and what jumbo frames carry.
const MTU: std::ops::RangeInclusive<u16> = 576..=9_000;
/// Bounds of `edge.flows`.
const FLOWS: std::ops::RangeInclusive<u8> = 1..=8;
/// Bounds of `supernode.members`.
const MEMBERS: std::ops::RangeInclusive<u32> = 1..=1_000_000;
const LONGEST_NAME: usize = 32;

impl Default for Edge {
    fn default() -> Edge {
        Edge {
            community: String::new(),
            secret_file: None,
            supernodes: vec![],
            addresses: vec![],
            tap: None,
            mac: None,
            bridge: None,
            mtu: None,
            data_plane: Choice(PlaneChoice::User),
            vxlan_port: halloo_overlay::vxlan::PORT,
            cipher: Choice(CipherChoice::Auto),
            compress: Choice(CompressChoice::None),
            offload: Choice(OffloadChoice::Auto),
            flows: 4,
            listen: None,
            key_file: None,
            certificate: None,
            ca: None,
            revoked: None,
            name: None,
            relay: false,
            direct: true,
            control: None,
            metrics: None,
            user: None,
        }
    }
}

impl Default for Supernode {
    fn default() -> Supernode {
        Supernode {
            listen: vec![],
            key_file: None,
            pool: None,
            peers: vec![],
            communities: vec![],
            members: 20_000,
            relay: true,
            offload: Choice(OffloadChoice::Auto),
            metrics: None,
            user: None,
        }
    }
}

impl Edge {
    /// Lays what the command line says over it.
    pub(crate) fn overlay(&mut self, args: &EdgeArgs) {
        if let Some(community) = &args.community {
            self.community.clone_from(community);
        }
        if !args.supernode.is_empty() {
            self.supernodes = args.supernode.iter().cloned().map(Supernodes).collect();
        }
        if !args.address.is_empty() {
            self.addresses = args.address.iter().copied().map(Member).collect();
        }
        lay(&mut self.secret_file, &args.secret_file);
        lay(&mut self.tap, &args.tap);
        lay(&mut self.mac, &args.mac.map(Station));
        lay(&mut self.bridge, &args.bridge);
        lay(&mut self.key_file, &args.key_file);
        lay(&mut self.certificate, &args.certificate);
        lay(&mut self.ca, &args.ca);
        lay(&mut self.revoked, &args.revoked);
        lay(&mut self.name, &args.name);
        lay(&mut self.control, &args.control);
        lay(&mut self.metrics, &args.metrics);
        lay(&mut self.user, &args.user);
        lay(&mut self.mtu, &args.mtu);
        self.data_plane = args.data_plane.map_or(self.data_plane, Choice);
        self.vxlan_port = args.vxlan_port.unwrap_or(self.vxlan_port);
        self.cipher = args.cipher.map_or(self.cipher, Choice);
        self.offload = args.offload.map_or(self.offload, Choice);
        self.compress = args.compress.map_or(self.compress, Choice);
        self.flows = args.flows.unwrap_or(self.flows);
        lay(&mut self.listen, &args.listen.map(Listen));
        self.relay |= args.relay;
        self.direct &= !args.no_direct;
    }

    /// Whether an edge could start with it, as far as that shows without looking at the host.
    ///
    /// # Errors
    /// The key that is wrong, and why.
    pub(crate) fn check(&self) -> Result<(), (&'static str, String)> {
        if let Some(mtu) = self.mtu.filter(|mtu| !MTU.contains(mtu)) {
            let why = format!("is {mtu}, but must be {} to {}", MTU.start(), MTU.end());
            return Err(("edge.mtu", why));
        }
        if !FLOWS.contains(&self.flows) {
            let why = format!(
                "is {}, but must be {} to {}",
                self.flows,
                FLOWS.start(),
                FLOWS.end()
            );
            return Err(("edge.flows", why));
        }
        self.check_data_plane()?;
        if self.name.as_ref().is_some_and(|name| name.len() > LONGEST_NAME) {
            return Err(("edge.name", format!("is longer than {LONGEST_NAME} bytes")));
        }
        if self.certificate.is_some() && self.key_file.is_none() {
            return Err((
                "edge.certificate",
                "is for a key, and there is no key_file".into(),
            ));
        }
        if self.certificate.is_some() && self.ca.is_none() {
            let why = "without the ca that signed it nobody's certificate is asked for";
            return Err(("edge.certificate", why.into()));
        }
        if self.revoked.is_some() && self.ca.is_none() {
            let why = "without the ca that signed it nobody's certificate is asked for";
            return Err(("edge.revoked", why.into()));
        }
        if self.bridge.is_some() && !self.addresses.is_empty() {
            let why = "a port of a bridge has no address; give it to the bridge";
            return Err(("edge.addresses", why.into()));
        }
        if let Some(community) = &self.community_in_use() {
            let what = |why: &str| Err(("edge.community", why.to_owned()));
            if community.len() > 32 {
                return what("is longer than 32 bytes");
            }
            if community.chars().any(char::is_control) {
                return what("has a control character in it");
            }
        }
        Ok(())
    }

    /// What the kernel cannot do is not to be asked of it.
    fn check_data_plane(&self) -> Result<(), (&'static str, String)> {
        if !self.by_kernel() {
            return Ok(());
        }
        let needs = |what: &str| {
            let why = format!("is kernel, and the kernel {what}");
            Err(("edge.data_plane", why))
        };
        if self.cipher.0 != CipherChoice::None {
            return needs(
                "seals nothing: say so with cipher none (--cipher none), at all edges of the community",
            );
        }
        if self.compress.0 != CompressChoice::None {
            return needs("compresses nothing: leave compress (--compress) at none");
        }
        if !self.direct {
            return needs("reaches members directly only: direct cannot be false (--no-direct)");
        }
        if self.vxlan_port == 0 {
            return Err(("edge.vxlan_port", "is 0, but peers have to know it".into()));
        }
        if self
            .listen
            .is_some_and(|listen| listen.0.port() == self.vxlan_port)
        {
            let why = format!("is {}, and so is the port of listen", self.vxlan_port);
            return Err(("edge.vxlan_port", why));
        }
        Ok(())
    }

    /// Whether the kernel carries the frames.
    pub(crate) fn by_kernel(&self) -> bool {
        self.data_plane.0 == PlaneChoice::Kernel
    }

    /// The longest payload of a frame that this program carries.
    pub(crate) fn payload(&self) -> u16 {
        self.mtu.unwrap_or(1_500)
    }

    /// What is missing for an edge to start.
    ///
    /// # Errors
    /// The first thing, in the words of the command line.
    pub(crate) fn complete(&self) -> Result<(), &'static str> {
        if self.community.is_empty() {
            return Err("--community NAME is missing: which network to join");
        }
        if self.secret_file.is_none() && self.ca.is_none() {
            return Err(
                "--secret-file FILE is missing: the community's secret (`halloo key new --secret FILE` makes one)",
            );
        }
        if self.supernodes.is_empty() {
            return Err("--supernode HOST is missing: who introduces the edges to each other");
        }
        Ok(())
    }

    fn community_in_use(&self) -> Option<&str> {
        (!self.community.is_empty()).then_some(self.community.as_str())
    }
}

impl Supernode {
    /// Lays what the command line says over it.
    pub(crate) fn overlay(&mut self, args: &SupernodeArgs) {
        if !args.listen.is_empty() {
            self.listen = args.listen.iter().copied().map(Listen).collect();
        }
        if !args.peer.is_empty() {
            self.peers = args.peer.iter().cloned().map(Supernodes).collect();
        }
        if !args.community.is_empty() {
            self.communities.clone_from(&args.community);
        }
        lay(&mut self.key_file, &args.key_file);
        lay(&mut self.pool, &args.pool);
        lay(&mut self.metrics, &args.metrics);
        lay(&mut self.user, &args.user);
        self.relay &= !args.no_relay;
        self.offload = args.offload.map_or(self.offload, Choice);
    }

    /// Whether a supernode could start with it.
    ///
    /// # Errors
    /// The key that is wrong, and why.
    pub(crate) fn check(&self) -> Result<(), (&'static str, String)> {
        if !MEMBERS.contains(&self.members) {
            let why = format!(
                "is {}, but must be {} to {}",
                self.members,
                MEMBERS.start(),
                MEMBERS.end()
            );
            return Err(("supernode.members", why));
        }
        if let Some(net) = self.pool
            && let Err(why) = gives(net)
        {
            return Err(("supernode.pool", format!("{net}: {why}")));
        }
        if let Some(Supernodes(peer)) = self.peers.iter().find(|peer| peer.0.key.is_none()) {
            let why = format!("{peer} has no #KEY: edges are told to believe it");
            return Err(("supernode.peers", why));
        }
        let id = |id: &&String| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        if let Some(wrong) = self.communities.iter().find(|community| !id(community)) {
            let why =
                format!("`{wrong}` is no community's number: 32 hexadecimal digits, as `halloo edge` prints");
            return Err(("supernode.communities", why));
        }
        Ok(())
    }
}

/// Whether edges take what a pool of this network gives.
fn gives(net: IpNet) -> Result<(), String> {
    let len = net.prefix_len();
    let first = Pool::new(net.network(), len).and_then(|mut pool| pool.give(PublicKey([0; 32])).ok());
    let address = first.ok_or("there is no room for two hosts")?;
    lease::check(Prefix { address, len }).map_err(|why| format!("no edge takes {address}: {why}"))
}

fn lay<T: Clone>(under: &mut Option<T>, over: &Option<T>) {
    if over.is_some() {
        under.clone_from(over);
    }
}

fn read<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<T, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse(&text).map_err(|why| de::Error::custom(format!("`{text}`: {why}")))
}

fn write<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

impl<'de> Deserialize<'de> for Supernodes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Supernodes, D::Error> {
        read(deserializer, supernode_address).map(Supernodes)
    }
}

impl Serialize for Supernodes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0.key {
            Some(key) => write(&format_args!("{}#{key}", self.0), serializer),
            None => write(&self.0, serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Scraped {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Scraped, D::Error> {
        read(deserializer, local_address).map(Scraped)
    }
}

impl Serialize for Scraped {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Member, D::Error> {
        read(deserializer, member_address).map(Member)
    }
}

impl Serialize for Member {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for Station {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Station, D::Error> {
        read(deserializer, mac).map(Station)
    }
}

impl Serialize for Station {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write(&self.0, serializer)
    }
}

impl<'de, T: ValueEnum> Deserialize<'de> for Choice<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Choice<T>, D::Error> {
        read(deserializer, |text| {
            T::from_str(text, false).map(Choice).map_err(|_| {
                let values = T::value_variants().iter().filter_map(T::to_possible_value);
                let names: Vec<String> = values.map(|value| value.get_name().to_owned()).collect();
                format!("must be one of {}", names.join(", "))
            })
        })
    }
}

impl<T: ValueEnum> Serialize for Choice<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value = self.0.to_possible_value();
        serializer.serialize_str(value.as_ref().map_or("", |value| value.get_name()))
    }
}
