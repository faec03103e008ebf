//! `halloo ping --pmtu`: asks for the path MTU by padded probes.

use super::{Asker, News, Teller};
use crate::cli::Link;
use crate::hint::explain;
use crate::ping::plan::Plan;
use crate::ping::session::{About, cannot_use, near_end, of_icmp, open_icmp_with, raw_options, udp_options};
use crate::random_u64;
use crate::target::Target;
use anyhow::{Context, Result, ensure};
use halloo_base::{AnyProber, Path, Prober, Transport};
use halloo_io::route::Netlink;
use halloo_io::{RawOptions, UdpOptions, UdpSocket, Worker, WorkerOptions};
use halloo_probe::{
    MakeProber, MtuProbe, MtuReport, MtuSink, PathMtuOptions, PathMtuSession, PathMtuSessionOptions,
};
use halloo_protocols::icmp::{ICMP, IcmpProberOptions};
use halloo_protocols::stamp::{STAMP, TWAMP};
use halloo_protocols::{NewProber, ProberOptions, echo};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Octets of headers without options (RFC 791, RFC 8200, RFC 768, RFC 9293).
pub(super) const IPV4: u16 = 20;
pub(super) const IPV6: u16 = 40;
pub(super) const UDP: u16 = 8;
pub(super) const TCP: u16 = 20;

/// A probe that has to wait at most so long for the next, where round trips are short.
const PATIENCE: Duration = Duration::from_millis(200);

impl MtuSink for Teller {
    fn probe(&mut self, probe: &MtuProbe) {
        self.tell(News::Probe(*probe));
    }

    fn end(&mut self, report: &MtuReport) {
        self.tell(News::Mtu(*report));
    }
}

/// Octets of the IP header.
pub(super) fn ip_header(remote: &SocketAddr) -> u16 {
    match remote.ip().to_canonical() {
        IpAddr::V4(_) => IPV4,
        IpAddr::V6(_) => IPV6,
    }
}

/// Whether answers of this protocol are as long as their requests.
pub(super) fn check(target: &Target) -> Result<()> {
    let known = [&echo::UDP, &ICMP, &STAMP, &TWAMP];
    ensure!(
        known
            .iter()
            .any(|protocol| protocol.scheme == target.protocol.scheme),
        "--pmtu goes with udp://, icmp://, stamp:// and twamp:// targets, whose answers are as long as what was asked ({target})"
    );
    Ok(())
}

/// A search that is ready to begin.
pub(super) fn prepare(about: &About, plan: &Plan, teller: Teller) -> Result<Asker> {
    let protocol = about.target.protocol;
    let new_prober = protocol.prober.context("this protocol cannot be asked")?;
    let (mut local, link) = near_end(about)?;
    let ip = ip_header(&about.remote);
    let most = link_mtu(about, local).unwrap_or(u16::MAX);
    let mut worker = Worker::new(WorkerOptions {
        seed: random_u64()?,
        ..WorkerOptions::default()
    })
    .context("cannot set up the driver")?;
    // Sockets first: the kernel chooses the port, or the identifier.
    let (udp, icmp) = match protocol.transport {
        Transport::Icmp => {
            let options = RawOptions {
                dont_fragment: true,
                probe_path_mtu: true,
                ..raw_options(about, plan, local.ip())
            };
            (None, Some(open_icmp_with(about, &options, random_u64()? as u16)?))
        }
        _ => {
            let socket = UdpSocket::bind(&UdpOptions {
                dont_fragment: true,
                probe_path_mtu: true,
                ..udp_options(about, plan, local)
            })
            .map_err(explain)
            .with_context(|| cannot_use(about))?;
            local.set_port(socket.local_addr().port());
            (Some(socket), None)
        }
    };
    let size = protocol.size;
    let least = size.signed.filter(|_| plan.key.is_some()).unwrap_or(size.usual);
    // An ICMP message is a payload with its header.
    let overhead = ip + if icmp.is_some() { 0 } else { UDP };
    let base = match ip {
        IPV4 => PathMtuOptions::v4(most),
        _ => PathMtuOptions::v6(most),
    };
    let options = PathMtuSessionOptions {
        path: Path {
            link,
            local,
            remote: about.remote,
        },
        search: PathMtuOptions {
            least: overhead + least as u16,
            lost_after: plan.lost_after,
            lost_after_least: PATIENCE.min(plan.lost_after),
            raise_after: None,
            ..base
        },
        overhead,
        tos: plan.tos,
        deadline: plan.deadline,
    };
    let make = maker(
        new_prober,
        about,
        plan,
        icmp.as_ref().map(of_icmp).unwrap_or_default(),
    )?;
    let machine = worker.add(Box::new(PathMtuSession::new(options, make, Box::new(teller))));
    let watched = match (udp, icmp) {
        (Some(socket), _) => worker.udp(socket, machine),
        (_, Some(socket)) => worker.icmp(socket, machine),
        _ => Ok(()),
    };
    watched.context("cannot watch the socket")?;
    Ok(Asker {
        worker,
        most: Some(most),
    })
}

/// Makes probers of any size, all of one session.
fn maker(new_prober: NewProber, about: &About, plan: &Plan, icmp: IcmpProberOptions) -> Result<MakeProber> {
    let options = ProberOptions {
        key: plan.key.clone(),
        token: random_u64()?,
        tos: plan.tos.unwrap_or(0),
        authority: about.target.authority(),
        icmp,
        ..ProberOptions::default()
    };
    Ok(Box::new(move |size| {
        let options = ProberOptions {
            size,
            ..options.clone()
        };
        match new_prober(&options) {
            AnyProber::Datagram(prober) => prober,
            AnyProber::Stream(_) => Box::new(Nobody),
        }
    }))
}

/// A protocol over streams has no datagrams; [`check`] lets none through.
struct Nobody;

impl Prober for Nobody {
    fn request(
        &mut self,
        _env: &mut halloo_base::Env<'_>,
        _id: halloo_base::ProbeId,
        _buf: &mut [u8],
    ) -> Option<usize> {
        None
    }

    fn recognise(
        &mut self,
        _rx: &halloo_base::Datagram<'_>,
    ) -> Result<halloo_base::Heard, halloo_base::Reason> {
        Err(halloo_base::Reason::Foreign)
    }
}

/// The MTU of the link that probes leave by. Where that is not to be had, the search finds out.
fn link_mtu(about: &About, local: SocketAddr) -> Option<u16> {
    let mut netlink = Netlink::open().ok()?;
    let links = netlink.links().ok()?;
    let link = match about.link.as_ref().and_then(Link::device) {
        Some(device) => links.into_iter().find(|link| link.name == device)?,
        None => {
            // Nothing is sent; to connect is the way to ask which address it would be sent from.
            let socket = std::net::UdpSocket::bind((local.ip(), 0)).ok()?;
            socket.connect(about.remote).ok()?;
            let source = socket.local_addr().ok()?.ip();
            let addresses = netlink.addresses().ok()?;
            let own = addresses.iter().find(|address| address.net.addr() == source)?;
            links.into_iter().find(|link| link.id == own.link)?
        }
    };
    Some(u16::try_from(link.mtu).unwrap_or(u16::MAX))
}
