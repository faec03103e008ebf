//! UDP sockets that ask, as the command line wants them.

use crate::cli::Link;
use crate::hint::explain;
use crate::ping::device_index;
use anyhow::{Context, Result};
use halloo_base::{LinkId, Path};
use halloo_io::{UdpOptions, UdpSocket};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// How sockets are made.
pub(crate) struct Sockets<'a> {
    /// By which device or from which address, if the user said.
    pub(crate) link: Option<&'a Link>,
    pub(crate) tos: Option<u8>,
    pub(crate) ttl: Option<u8>,
}

impl Sockets<'_> {
    /// One on a port of the kernel's choice, and the path from it to `remote`.
    ///
    /// # Errors
    /// If the link is not there, or there are no more sockets to be had.
    pub(crate) fn open(&self, remote: SocketAddr) -> Result<(UdpSocket, Path)> {
        let source = self.link.and_then(Link::source);
        let device = self.link.and_then(Link::device);
        let any: IpAddr = match remote {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let what = || match self.link {
            Some(link) => format!("--link {link}"),
            None => "cannot open a socket".to_owned(),
        };
        let link = device.map(device_index).transpose().with_context(what)?;
        let socket = UdpSocket::bind(&UdpOptions {
            local: SocketAddr::new(source.unwrap_or(any), 0),
            device: device.map(str::to_owned),
            v6_only: remote.is_ipv6(),
            tos: self.tos,
            ttl: self.ttl,
            prober: true,
            ..UdpOptions::default()
        })
        .map_err(explain)
        .with_context(what)?;
        let path = Path {
            link: LinkId(link.unwrap_or(0)),
            local: socket.local_addr(),
            remote,
        };
        Ok((socket, path))
    }
}
