//! The forwarder that the tests run behind: our own fake, or the one that `NDN_CLIENT_TRANSPORT` names.

use halloo_lab::ndn::{Behaviour, Forwarder, Plan, View};
use std::env;
use std::path::PathBuf;
use tempfile::TempDir;

/// What programs read to find their forwarder, and developers set to test against a real one.
pub(crate) const VARIABLE: &str = "NDN_CLIENT_TRANSPORT";

/// The fake one, at its places.
pub(crate) struct Fake {
    pub(crate) forwarder: Forwarder,
    folder: TempDir,
}

/// Either.
pub(crate) enum Any {
    Fake(Fake),
    /// Where it is.
    Real(String),
}

impl Fake {
    pub(crate) fn start() -> Fake {
        Fake::with(Behaviour::default())
    }

    pub(crate) fn with(behaviour: Behaviour) -> Fake {
        let folder = tempfile::tempdir().expect("a folder");
        let any = |address: &str| Some(address.parse().expect("an address"));
        let plan = Plan {
            unix: Some(folder.path().join("nfd.sock")),
            tcp: any("127.0.0.1:0"),
            udp: any("127.0.0.1:0"),
        };
        let forwarder = Forwarder::start(&plan).expect("it starts");
        forwarder.behave(behaviour);
        Fake { forwarder, folder }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("nfd.sock")
    }

    pub(crate) fn unix(&self) -> String {
        format!("unix://{}", self.path().display())
    }

    pub(crate) fn tcp(&self) -> String {
        format!("tcp://{}", self.forwarder.plan().tcp.expect("it listens"))
    }

    pub(crate) fn udp(&self) -> String {
        format!("udp://{}", self.forwarder.plan().udp.expect("it listens"))
    }

    /// Returns when this prefix has a route.
    pub(crate) fn wait_for_route(&self, prefix: &str) -> View {
        let prefix = prefix.to_owned();
        self.forwarder
            .wait_for(&format!("a route to {prefix}"), move |view| {
                view.has_route(&prefix)
            })
    }
}

impl Any {
    /// The one that the environment names, or a fake one that behaves so.
    pub(crate) fn start(behaviour: Behaviour) -> Any {
        match env::var(VARIABLE) {
            Ok(place) if !place.is_empty() => Any::Real(place),
            _ => Any::Fake(Fake::with(behaviour)),
        }
    }

    pub(crate) fn transport(&self) -> String {
        match self {
            Any::Fake(fake) => fake.unix(),
            Any::Real(place) => place.clone(),
        }
    }
}
