//! Which settings the command line made, so that an error names what was written.

use super::dialects::DIALECTS;
use super::stun;
use crate::cli::ServeArgs;

/// Keys whose values came by the command line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Given(Vec<String>);

impl Given {
    /// What these arguments set, of what names a place.
    pub(crate) fn by(args: &ServeArgs) -> Given {
        let lists = [
            ("serve.udp", !args.udp.is_empty()),
            ("serve.tcp", !args.tcp.is_empty()),
            ("ip_echo.addresses", !args.ip_echo.is_empty()),
            ("xdp.devices", !args.xdp.is_empty()),
            ("ndn.prefixes", !args.ndn.is_empty()),
            (stun::OTHER, !args.stun_other.is_empty()),
        ];
        let lists = lists.into_iter().map(|(key, given)| (key.to_owned(), given));
        let dialects = DIALECTS
            .iter()
            .map(|dialect| (dialect.list(), args.all || !dialect.flags(args).is_empty()));
        let given = lists.chain(dialects).filter(|(_, given)| *given);
        Given(given.map(|(key, _)| key).collect())
    }

    /// Whether the value of this key came by the command line.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.0.iter().any(|given| given == key)
    }

    /// The option that set this key's value, or the key itself.
    pub(crate) fn name(&self, key: &str) -> String {
        if self.has(key) { flag(key) } else { key.to_owned() }
    }
}

/// The option that stands for a key.
pub(crate) fn flag(key: &str) -> String {
    match key {
        "serve.udp" => "--udp".to_owned(),
        "serve.tcp" => "--tcp".to_owned(),
        "ip_echo.addresses" => "--ip-echo".to_owned(),
        "xdp.devices" => "--xdp".to_owned(),
        "ndn.prefixes" => "--ndn".to_owned(),
        stun::OTHER => "--stun-other".to_owned(),
        _ => format!("--{}", key.strip_suffix(".listen").unwrap_or(key)),
    }
}
