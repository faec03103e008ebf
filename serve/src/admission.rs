//! The policy around connections, for a driver that answers them by other means than a responder of ours.

use crate::address::Source;
use crate::caps::Caps;
use crate::guards::AddressGuard;
use crate::limiter::Limiter;
use crate::options::within;
use crate::{AccessList, Broadcast, Limits, OptionsError, Rate, Secret};
use halloo_base::{Mono, Path, Reason, ReplyLimit, Trust};
use std::net::IpAddr;

/// Who may connect, how often at once, and how much is done for him. The default is fit for the open Internet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdmissionOptions {
    /// Who may connect. Default: everybody.
    pub access: AccessList,
    /// Directed broadcast addresses of this host's networks, refused as sources. Default: none.
    pub broadcasts: Vec<Broadcast>,
    /// Connections at once, 1 to 1,000,000. Default: 4,096.
    pub connections: u32,
    /// Connections at once from one public source, an IPv4 address or an IPv6 /64; 1 or more, `None` for no
    /// cap. Default: 256.
    pub per_source: Option<u32>,
    /// The same for one loopback, private or link-local source. Default: none.
    pub per_local_source: Option<u32>,
    /// How much work is done, in the units of whoever charges for it. `validated_share` and `longer_reply_divisor`
    /// have no meaning here. Default: 2,000 a second with a burst of 10,000 for each source, 200,000 a second in all,
    /// no limit for local sources.
    pub limits: Limits,
    /// Keys the tables of connections and sources.
    pub secret: Secret,
}

impl AdmissionOptions {
    /// The defaults, with this secret.
    pub fn new(secret: Secret) -> AdmissionOptions {
        AdmissionOptions {
            access: AccessList::default(),
            broadcasts: Vec::new(),
            connections: 4_096,
            per_source: Some(256),
            per_local_source: None,
            limits: Limits {
                per_source: Some(Rate {
                    per_second: 2_000,
                    burst: 10_000,
                }),
                ..Limits::default()
            },
            secret,
        }
    }

    /// Checks every field.
    ///
    /// # Errors
    /// The first field that is out of its range, or the prefix that is both allowed and denied.
    pub fn check(&self) -> Result<(), OptionsError> {
        self.access.check()?;
        self.limits.check()?;
        let some = 1..=u64::from(u32::MAX);
        within("connections", self.connections, 1..=1_000_000)?;
        within("per_source", self.per_source.unwrap_or(1), some.clone())?;
        within("per_local_source", self.per_local_source.unwrap_or(1), some)
    }
}

/// Admits connections, and charges their sources for what is done for them.
pub struct Admission {
    addresses: AddressGuard,
    caps: Caps,
    limiter: Limiter,
    open: usize,
}

/// The place that an admitted connection takes. It is to be given back with [`Admission::release`].
#[derive(Debug)]
#[must_use = "the place stays taken until it is released"]
pub struct Place(Option<Source>);

impl Admission {
    /// An admission that nobody has asked yet.
    ///
    /// # Errors
    /// What [`AdmissionOptions::check`] finds wrong.
    pub fn new(options: &AdmissionOptions) -> Result<Admission, OptionsError> {
        options.check()?;
        Ok(Admission {
            addresses: AddressGuard::new(&options.access, &options.broadcasts)?,
            caps: Caps::new(
                options.connections,
                options.per_source,
                options.per_local_source,
                options.secret,
            ),
            limiter: Limiter::new(&options.limits, options.secret),
            open: 0,
        })
    }

    /// Whether a connection between the ends of this path may stay.
    ///
    /// # Errors
    /// Why not: `not_unicast`, `bogon_source`, `denied`, `too_many_connections` or `too_many_from_source`.
    pub fn admit(&mut self, path: &Path) -> Result<Place, Reason> {
        let remote = self.addresses.admit(path)?;
        let source = self.caps.admit(remote, self.open)?;
        self.open += 1;
        Ok(Place(source))
    }

    /// A connection has gone: its place is free.
    pub fn release(&mut self, Place(source): Place) {
        self.open -= 1;
        self.caps.release(source);
    }

    /// Charges an admitted source for `cost` units of work, if it has them.
    ///
    /// # Errors
    /// `rate_limited` or `rate_limited_all`; nothing was charged then.
    pub fn charge(&mut self, now: Mono, remote: IpAddr, cost: usize) -> Result<(), Reason> {
        let (remote, limit) = (remote.to_canonical(), ReplyLimit::SameAsRequest);
        self.limiter.admit(now, remote, cost, limit, || Trust::Stranger)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use halloo_base::LinkId;
    use std::time::Duration;

    fn path(remote: &str) -> Path {
        Path {
            link: LinkId::default(),
            local: "[2001:db8::7]:80".parse().unwrap(),
            remote: (remote.parse::<IpAddr>().unwrap(), 4_000).into(),
        }
    }

    fn options() -> AdmissionOptions {
        AdmissionOptions::new(Secret::new([7; 16]))
    }

    #[test]
    fn a_place_that_is_given_back_can_be_taken_again() {
        let mut admission = Admission::new(&AdmissionOptions {
            connections: 3,
            per_source: Some(2),
            ..options()
        })
        .unwrap();
        let first = admission.admit(&path("2001:db8:1::1")).unwrap();
        let second = admission.admit(&path("2001:db8:1::2")).unwrap();
        let refused = |admission: &mut Admission, remote| admission.admit(&path(remote)).unwrap_err();
        assert_eq!(
            refused(&mut admission, "2001:db8:1::3"),
            Reason::TooManyFromSource
        );
        let third = admission.admit(&path("2001:db8:2::1")).unwrap();
        assert_eq!(
            refused(&mut admission, "2001:db8:3::1"),
            Reason::TooManyConnections
        );
        admission.release(first);
        let again = admission.admit(&path("2001:db8:1::3")).unwrap();
        for place in [second, third, again] {
            admission.release(place);
        }
        assert!(admission.open == 0 && admission.caps.is_empty());
    }

    #[test]
    fn who_is_denied_takes_no_place() {
        let mut options = options();
        options.access.deny = vec!["2001:db8:66::/48".parse().unwrap()];
        let mut admission = Admission::new(&options).unwrap();
        assert_eq!(
            admission.admit(&path("2001:db8:66::1")).unwrap_err(),
            Reason::Denied
        );
        assert_eq!(
            admission.admit(&path("ff02::1")).unwrap_err(),
            Reason::BogonSource
        );
        assert_eq!(admission.open, 0);
    }

    #[test]
    fn work_is_charged_to_the_source_that_asked_for_it() {
        let mut options = options();
        options.limits.per_source = Some(Rate {
            per_second: 10,
            burst: 20,
        });
        let mut admission = Admission::new(&options).unwrap();
        let (one, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let mapped = "::ffff:192.0.2.1".parse().unwrap();
        let at = Mono(1_000_000_000);
        assert_eq!(admission.charge(at, one, 20), Ok(()));
        assert_eq!(admission.charge(at, one, 1), Err(Reason::RateLimited));
        assert_eq!(admission.charge(at, mapped, 1), Err(Reason::RateLimited));
        assert_eq!(admission.charge(at, other, 1), Ok(()));
        assert_eq!(admission.charge(at + Duration::from_secs(1), one, 10), Ok(()));
        assert_eq!(
            admission.charge(at, "10.0.0.1".parse().unwrap(), 1_000_000),
            Ok(())
        );
    }

    #[test]
    fn options_out_of_range_are_named() {
        let broken = AdmissionOptions {
            connections: 0,
            ..options()
        };
        let error = Admission::new(&broken).err().unwrap();
        assert!(error.to_string().contains("connections"), "{error}");
    }
}
