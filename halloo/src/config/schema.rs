//! The keys of the file, their defaults, and what they mean to the rest of halloo.

use super::dialects::{Http, Ntp, Pingback, Place, Stamp, Tls};
use super::ip_echo::{IpEcho, Xdp};
use super::ndn::Ndn;
use super::overlay::{Edge, Metrics, Supernode};
use super::stun::Stun;
use crate::cli::listen_address;
use halloo_protocols::echo::UdpEchoOptions;
use halloo_serve::{AccessList, AdmissionOptions, Guards, Limits, Rate, Secret, StreamServerOptions};
use halloo_web::HttpOptions;
use ipnet::IpNet;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// The whole file. What is left out has its default.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    pub(crate) serve: Serve,
    pub(crate) access: Access,
    pub(crate) guard: Guard,
    pub(crate) limits: Limit,
    pub(crate) tcp: Tcp,
    pub(crate) ip_echo: IpEcho,
    pub(crate) xdp: Xdp,
    pub(crate) ndn: Ndn,
    pub(crate) pingback: Pingback,
    pub(crate) stamp: Stamp,
    pub(crate) stun: Stun,
    pub(crate) ntp: Ntp,
    pub(crate) sip: Place,
    pub(crate) sips: Place,
    pub(crate) http: Http,
    pub(crate) https: Place,
    pub(crate) quic: Place,
    pub(crate) tls: Tls,
    pub(crate) edge: Edge,
    pub(crate) supernode: Supernode,
    pub(crate) metrics: Metrics,
}

/// `[serve]`: where to answer, and as whom.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Serve {
    pub(crate) udp: Option<Vec<Listen>>,
    pub(crate) tcp: Option<Vec<Listen>>,
    pub(crate) classic: bool,
    /// Everything, as the command line asks for it.
    #[serde(skip)]
    pub(crate) all: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    pub(crate) busy_poll: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key_file: Option<PathBuf>,
    pub(crate) require_key: bool,
    pub(crate) sessions: u32,
    pub(crate) min_interval: Span,
    pub(crate) server_id: u32,
}

/// `[access]`: who may ask.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Access {
    pub(crate) allow: Vec<Prefix>,
    pub(crate) deny: Vec<Prefix>,
}

/// `[guard]`: which UDP source ports go unanswered.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Guard {
    pub(crate) refuse_low_ports: bool,
    pub(crate) reflection_ports: Vec<u16>,
}

/// `[limits]`: how much UDP is answered.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Limit {
    pub(crate) per_source: RateLimit,
    pub(crate) all: RateLimit,
    pub(crate) per_local_source: RateLimit,
    pub(crate) validated_share: u32,
    pub(crate) longer_reply_divisor: u32,
    pub(crate) sources: u32,
}

/// `[tcp]`: caps and time-outs of connections.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Tcp {
    pub(crate) connections: u32,
    pub(crate) per_source: Cap,
    pub(crate) per_local_source: Cap,
    pub(crate) idle_timeout: Span,
    pub(crate) pending: u32,
}

/// An address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listen(pub(crate) SocketAddr);

/// An address prefix; a bare address is a prefix of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prefix(pub(crate) IpNet);

/// A span, written as seconds or with a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

/// `{ per_second = 2000, burst = 10000 }` or `"none"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RateLimit(pub(crate) Option<Rate>);

/// A number or `"none"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cap(pub(crate) Option<u32>);

impl Config {
    /// The rules for datagrams, but for the ports that are served.
    pub(crate) fn guards(&self) -> Guards {
        Guards {
            access: self.access_list(),
            reflection_ports: self.guard.reflection_ports.clone(),
            refuse_low_ports: self.guard.refuse_low_ports,
            limits: Limits {
                per_source: self.limits.per_source.0,
                all: self.limits.all.0,
                per_local_source: self.limits.per_local_source.0,
                validated_share: self.limits.validated_share,
                longer_reply_divisor: self.limits.longer_reply_divisor,
                sources: self.limits.sources,
            },
            ..Guards::default()
        }
    }

    /// The rules for connections.
    pub(crate) fn stream_options(&self, secret: Secret) -> StreamServerOptions {
        StreamServerOptions {
            access: self.access_list(),
            connections: self.tcp.connections,
            per_source: self.tcp.per_source.0,
            per_local_source: self.tcp.per_local_source.0,
            idle_timeout: self.tcp.idle_timeout.0,
            pending: self.tcp.pending,
            ..StreamServerOptions::new(secret)
        }
    }

    /// The rules for HTTP.
    pub(crate) fn http_options(&self, secret: Secret) -> HttpOptions {
        let defaults = HttpOptions::new(secret);
        HttpOptions {
            admission: AdmissionOptions {
                access: self.access_list(),
                connections: self.http.connections,
                per_source: self.http.per_source.0,
                ..defaults.admission
            },
            body: self.http.body,
            // What 64 such bodies need.
            buffered: defaults.buffered.max(64 * u64::from(self.http.body)),
            idle_timeout: self.http.idle_timeout.0,
            longest_delay: self.http.longest_delay.0,
            ..defaults
        }
    }

    fn access_list(&self) -> AccessList {
        let prefixes = |list: &[Prefix]| list.iter().map(|prefix| prefix.0).collect();
        AccessList {
            allow: prefixes(&self.access.allow),
            deny: prefixes(&self.access.deny),
        }
    }

    /// The same with the default listeners written out, for people to read.
    pub(crate) fn complete(&self) -> Config {
        let mut config = self.clone();
        config.serve.udp = Some(self.udp().into_iter().map(Listen).collect());
        config.serve.tcp = Some(self.tcp().into_iter().map(Listen).collect());
        config
    }
}

impl Default for Serve {
    fn default() -> Serve {
        let echo = UdpEchoOptions::default();
        Serve {
            udp: None,
            tcp: None,
            classic: false,
            all: false,
            user: None,
            busy_poll: false,
            key_file: None,
            require_key: echo.require_key,
            sessions: u32::try_from(echo.sessions).unwrap_or(u32::MAX),
            min_interval: Span(echo.min_interval),
            server_id: echo.server_id,
        }
    }
}

impl Default for Guard {
    fn default() -> Guard {
        let guards = Guards::default();
        Guard {
            refuse_low_ports: guards.refuse_low_ports,
            reflection_ports: guards.reflection_ports,
        }
    }
}

impl Default for Limit {
    fn default() -> Limit {
        let limits = Limits::default();
        Limit {
            per_source: RateLimit(limits.per_source),
            all: RateLimit(limits.all),
            per_local_source: RateLimit(limits.per_local_source),
            validated_share: limits.validated_share,
            longer_reply_divisor: limits.longer_reply_divisor,
            sources: limits.sources,
        }
    }
}

impl Default for Tcp {
    fn default() -> Tcp {
        let options = StreamServerOptions::new(Secret::new([0; 16]));
        Tcp {
            connections: options.connections,
            per_source: Cap(options.per_source),
            per_local_source: Cap(options.per_local_source),
            idle_timeout: Span(options.idle_timeout),
            pending: options.pending,
        }
    }
}

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Listen, D::Error> {
        let text = String::deserialize(from)?;
        let addr = listen_address(&text).map_err(|why| de::Error::custom(format!("`{text}`: {why}")))?;
        if addr.port() == 0 {
            let why = format!("`{text}`: port 0 would be another port at every start; write 1 to 65535");
            return Err(de::Error::custom(why));
        }
        Ok(Listen(addr))
    }
}

impl Serialize for Listen {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Prefix {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Prefix, D::Error> {
        let text = String::deserialize(from)?;
        let net = text
            .parse::<IpNet>()
            .or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        net.map(Prefix).map_err(|_| {
            de::Error::custom(format!(
                "`{text}` is not an address or a prefix, such as 10.0.0.0/8 or 2001:db8::/32"
            ))
        })
    }
}

impl Serialize for Prefix {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Span, D::Error> {
        let text = String::deserialize(from)?;
        let span = crate::cli::span(&text).map_err(|why| de::Error::custom(format!("`{text}`: {why}")))?;
        Ok(Span(span))
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match (self.0.as_secs(), self.0.subsec_micros()) {
            (s, 0) => to.collect_str(&format_args!("{s}s")),
            _ => to.collect_str(&format_args!("{}us", self.0.as_micros())),
        }
    }
}

/// What may stand where a limit can be left out.
struct OrNone<T> {
    expecting: &'static str,
    value: std::marker::PhantomData<T>,
}

impl<'de> Visitor<'de> for OrNone<Rate> {
    type Value = RateLimit;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expecting)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<RateLimit, E> {
        if text == "none" {
            Ok(RateLimit(None))
        } else {
            Err(E::invalid_value(de::Unexpected::Str(text), &self))
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RateLimit, A::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            per_second: u32,
            burst: u32,
        }
        let table = Table::deserialize(de::value::MapAccessDeserializer::new(map))?;
        Ok(RateLimit(Some(Rate {
            per_second: table.per_second,
            burst: table.burst,
        })))
    }
}

impl<'de> Visitor<'de> for OrNone<u32> {
    type Value = Cap;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expecting)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Cap, E> {
        if text == "none" {
            Ok(Cap(None))
        } else {
            Err(E::invalid_value(de::Unexpected::Str(text), &self))
        }
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Cap, E> {
        u32::try_from(value)
            .map(|value| Cap(Some(value)))
            .map_err(|_| E::invalid_value(de::Unexpected::Signed(value), &self))
    }
}

impl<'de> Deserialize<'de> for RateLimit {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<RateLimit, D::Error> {
        let expecting = "{ per_second = N, burst = N } or \"none\"";
        from.deserialize_any(OrNone::<Rate> {
            expecting,
            value: std::marker::PhantomData,
        })
    }
}

impl<'de> Deserialize<'de> for Cap {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Cap, D::Error> {
        let expecting = "a number or \"none\"";
        from.deserialize_any(OrNone::<u32> {
            expecting,
            value: std::marker::PhantomData,
        })
    }
}

impl Serialize for RateLimit {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Table {
            per_second: u32,
            burst: u32,
        }
        match self.0 {
            Some(Rate { per_second, burst }) => Table { per_second, burst }.serialize(to),
            None => to.serialize_str("none"),
        }
    }
}

impl Serialize for Cap {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(value) => to.serialize_u32(value),
            None => to.serialize_str("none"),
        }
    }
}
