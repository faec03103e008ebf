//! `halloo key`: identities, secrets, authorities and certificates in files.

use crate::cli::{KeyArgs, KeyDeed, NewKeyArgs, RevokeArgs, ShowKeyArgs, SignArgs};
use crate::json::Head;
use crate::key;
use crate::screen::{DIM, Screen, Styled};
use anyhow::{Context, Result, anyhow, bail};
use base64ct::{Base64, Encoding};
use halloo_base::Clock;
use halloo_io::SystemClock;
use halloo_overlay::crypto::{
    Authority, AuthorityKey, Certificate, Community, Cost, Entropy, Identity, emit_revocation_text,
    parse_revocation_text, read_revocation,
};
use halloo_overlay::wire::{CertificateBody, Prefix, RevocationBody};
use halloo_overlay::{Mac, PublicKey};
use ipnet::IpNet;
use jiff::Timestamp;
use serde::Serialize;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;

/// Files of keys are short; more than this is another file by mistake.
const LONGEST: u64 = 1 << 20;
/// Octets of a secret that we make: as many as no machine tries out.
const SECRET: usize = 32;
const DAY: u64 = 86_400;

/// Random octets from the operating system.
pub(crate) struct SystemEntropy;

impl Entropy for SystemEntropy {
    /// # Panics
    /// If the operating system has none, before which keys must not be made.
    fn fill(&mut self, out: &mut [u8]) {
        getrandom::fill(out).expect("Linux gives random numbers to whoever asks, once it has booted");
    }
}

/// Does what is asked with keys.
pub(crate) fn run(args: &KeyArgs) -> Result<ExitCode> {
    match &args.deed {
        KeyDeed::New(args) => new(args),
        KeyDeed::Show(args) => show(args),
        KeyDeed::Sign(args) => sign(args),
        KeyDeed::Revoke(args) => revoke(args),
    }?;
    Ok(ExitCode::SUCCESS)
}

/// What a file of keys turned out to be.
enum Found {
    Identity(Identity),
    AuthorityKey(AuthorityKey),
    Authority(Authority),
    Certificate(Certificate),
    Revocation(RevocationBody),
}

/// An object of `halloo key show --json`.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    head: Head,
    file: String,
    kind: &'static str,
    fields: serde_json::Map<String, serde_json::Value>,
}

fn new(args: &NewKeyArgs) -> Result<()> {
    let entropy = &mut SystemEntropy;
    let mut screen = Screen::stdout();
    let name = args.file.display();
    if args.secret {
        let mut octets = [0; SECRET];
        entropy.fill(&mut octets);
        let text = zeroize::Zeroizing::new(Base64::encode_string(&octets) + "\n");
        create(&args.file, text.as_bytes(), 0o600)?;
        screen.line(format_args!("{name}: the secret of a community"))?;
    } else if args.ca {
        let key = AuthorityKey::generate(entropy);
        create(&args.file, key.emit().as_bytes(), 0o600)?;
        let public = args.file.with_added_extension("pub");
        create(&public, key.authority().emit().as_bytes(), 0o644)?;
        screen.line(format_args!(
            "{name}: an authority's key, to be kept in a safe place"
        ))?;
        screen.line(format_args!("{}: for every member (--ca)", public.display()))?;
    } else {
        let identity = Identity::generate(entropy);
        create(&args.file, identity.emit().as_bytes(), 0o600)?;
        screen.line(format_args!("{name}: {}", identity.public()))?;
    }
    Ok(())
}

fn show(args: &ShowKeyArgs) -> Result<()> {
    let mut fields: Vec<(&'static str, String)> = vec![];
    let kind = if let Some(name) = &args.community {
        let community = community(name, &args.file)?;
        fields.push(("name", name.clone()));
        fields.push(("id", hex(&community.id().0)));
        "community"
    } else {
        describe(&find(&args.file)?, &mut fields)
    };
    let mut screen = Screen::stdout();
    if args.json {
        let object = Shown {
            head: Head::new("key"),
            file: args.file.display().to_string(),
            kind,
            fields: fields
                .into_iter()
                .map(|(name, value)| (name.replace(' ', "_"), value.into()))
                .collect(),
        };
        screen.line(serde_json::to_string(&object).map_err(io::Error::from)?)?;
        return Ok(());
    }
    screen.line(format_args!("{}: {kind}", args.file.display()))?;
    for (name, value) in fields {
        screen.line(format_args!("  {} {value}", Styled(DIM, format!("{name:<12}"))))?;
    }
    Ok(())
}

fn describe(found: &Found, fields: &mut Vec<(&'static str, String)>) -> &'static str {
    let mut field = |name, value: String| fields.push((name, value));
    match found {
        Found::Identity(identity) => {
            field("public key", identity.public().to_string());
            field("member", identity.public().member_id().to_string());
            "identity"
        }
        Found::AuthorityKey(key) => {
            field("authority", hex(&key.authority().issuer()));
            "authority key"
        }
        Found::Authority(authority) => {
            field("authority", hex(&authority.issuer()));
            "authority"
        }
        Found::Certificate(certificate) => {
            let body = &certificate.body;
            field("name", body.name.clone());
            field("public key", body.key.to_string());
            field("member", body.key.member_id().to_string());
            let community = body.community.map(|tag| hex(&tag.0));
            field("community", community.unwrap_or_else(|| "any".into()));
            field("macs", list(body.macs.as_deref(), ToString::to_string));
            field(
                "addresses",
                list(body.addresses.as_deref(), |prefix| {
                    format!("{}/{}", prefix.address, prefix.len)
                }),
            );
            field("from", day(body.not_before));
            field("until", day(body.not_after));
            field("serial", format!("{:016x}", body.serial));
            field("authority", hex(&body.issuer));
            "certificate"
        }
        Found::Revocation(body) => {
            field("issued", day(body.issued));
            field(
                "serials",
                list(Some(&body.serials), |serial| format!("{serial:016x}")),
            );
            field("authority", hex(&body.issuer));
            "revocation list"
        }
    }
}

fn sign(args: &SignArgs) -> Result<()> {
    let authority = authority_key(&args.ca)?;
    let member = member(&args.member)?;
    let now = SystemClock.stamp().wall.0 / 1_000_000_000;
    let mut serial = [0; 8];
    SystemEntropy.fill(&mut serial);
    let macs: Vec<Mac> = args.mac.iter().map(|mac| Mac(mac.0)).collect();
    let addresses: Vec<Prefix> = args.address.iter().map(prefix).collect();
    let body = CertificateBody {
        key: member,
        name: args.name.clone(),
        community: Some(Community::tag_of(&args.community)),
        macs: (!macs.is_empty()).then_some(macs),
        addresses: (!addresses.is_empty()).then_some(addresses),
        groups: vec![],
        // Clocks differ: what was signed now must hold now, everywhere.
        not_before: now.saturating_sub(300),
        not_after: now + u64::from(args.days) * DAY,
        serial: u64::from_be_bytes(serial),
        issuer: [0; 8],
    };
    let certificate = authority.sign(&body).context("cannot sign")?;
    match &args.out {
        Some(path) => create(path, certificate.emit_text().as_bytes(), 0o644),
        None => Ok(Screen::stdout().line(certificate.emit_text().trim_end())?),
    }
}

fn revoke(args: &RevokeArgs) -> Result<()> {
    let authority = authority_key(&args.ca)?;
    let (mut serials, mut issued) = match fs::read_to_string(&args.list) {
        Ok(text) => {
            let octets = parse_revocation_text(&text).with_context(|| args.list.display().to_string())?;
            // What is not our own list must not be signed again.
            authority
                .authority()
                .revoke(&octets)
                .with_context(|| args.list.display().to_string())?;
            let body = read_revocation(&octets)?;
            (body.serials, body.issued)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => (vec![], 0),
        Err(error) => return Err(error).context(args.list.display().to_string()),
    };
    for path in &args.certificates {
        let Found::Certificate(certificate) = find(path)? else {
            bail!("{}: not a certificate", path.display());
        };
        if certificate.body.issuer != authority.authority().issuer() {
            bail!("{}: of another authority", path.display());
        }
        serials.push(certificate.body.serial);
    }
    serials.sort_unstable();
    serials.dedup();
    issued = (SystemClock.stamp().wall.0 / 1_000_000_000).max(issued + 1);
    let octets = authority.revoke(issued, &serials).context("cannot sign")?;
    replace(&args.list, emit_revocation_text(&octets).as_bytes())
}

/// The community whose secret is in a file. White space at its end is not part of it.
pub(crate) fn community(name: &str, secret: &Path) -> Result<Community> {
    let make = |octets: &[u8]| Community::new(name, octets.trim_ascii_end(), Cost::FORMAT);
    key::secret(secret, make).with_context(|| secret.display().to_string())
}

/// The identity in a file.
pub(crate) fn identity(path: &Path) -> Result<Identity> {
    match find(path)? {
        Found::Identity(identity) => Ok(identity),
        _ => bail!(
            "{}: not an identity; `halloo key new FILE` makes one",
            path.display()
        ),
    }
}

/// The authority in a file.
pub(crate) fn authority(path: &Path) -> Result<Authority> {
    match find(path)? {
        Found::Authority(authority) => Ok(authority),
        Found::AuthorityKey(key) => Ok(key.authority()),
        _ => bail!("{}: not an authority", path.display()),
    }
}

/// The certificate in a file.
pub(crate) fn certificate(path: &Path) -> Result<Certificate> {
    match find(path)? {
        Found::Certificate(certificate) => Ok(certificate),
        _ => bail!("{}: not a certificate", path.display()),
    }
}

fn authority_key(path: &Path) -> Result<AuthorityKey> {
    match find(path)? {
        Found::AuthorityKey(key) => Ok(key),
        Found::Authority(_) => bail!(
            "{}: the public part of an authority's key; signing needs the other",
            path.display()
        ),
        _ => bail!(
            "{}: not an authority's key; `halloo key new --ca FILE` makes one",
            path.display()
        ),
    }
}

/// A public key as it is written, or of the identity in a file.
fn member(text: &str) -> Result<PublicKey> {
    if let Ok(key) = text.parse() {
        return Ok(key);
    }
    let path = Path::new(text);
    if !path.exists() {
        bail!("`{text}` is neither a public key (44 characters of base64) nor a file");
    }
    match find(path)? {
        Found::Identity(identity) => Ok(identity.public()),
        Found::Certificate(certificate) => Ok(certificate.body.key),
        _ => bail!("{text}: no member's key is in it"),
    }
}

fn find(path: &Path) -> Result<Found> {
    let name = || path.display().to_string();
    let length = fs::metadata(path).with_context(name)?.len();
    if length > LONGEST {
        bail!("{}: longer than a file of keys", path.display());
    }
    let text = zeroize::Zeroizing::new(fs::read_to_string(path).with_context(name)?);
    let is = |kind: &str| text.contains(&format!("-----BEGIN HALLOO OVERLAY {kind}-----"));
    let found = if is("PRIVATE KEY") {
        Found::Identity(guarded(path, &text, Identity::parse)?)
    } else if is("AUTHORITY PRIVATE KEY") {
        Found::AuthorityKey(guarded(path, &text, AuthorityKey::parse)?)
    } else if is("AUTHORITY") {
        Found::Authority(Authority::parse(&text).with_context(name)?)
    } else if is("CERTIFICATE") {
        Found::Certificate(Certificate::parse_text(&text).with_context(name)?)
    } else if is("REVOCATION LIST") {
        let octets = parse_revocation_text(&text).with_context(name)?;
        Found::Revocation(read_revocation(&octets).with_context(name)?)
    } else {
        return Err(anyhow!(
            "{}: no key and no certificate of `halloo key` is in it; to see a community's number, add --community NAME",
            path.display()
        ));
    };
    Ok(found)
}

/// Reads a key that nobody else may know.
fn guarded<T, E>(path: &Path, text: &str, parse: fn(&str) -> Result<T, E>) -> Result<T>
where
    E: std::error::Error + Send + Sync + 'static,
{
    key::closed(path).with_context(|| path.display().to_string())?;
    parse(text).with_context(|| path.display().to_string())
}

/// Writes a new file, and never over one that is there.
fn create(path: &Path, contents: &[u8], mode: u32) -> Result<()> {
    let name = || path.display().to_string();
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => anyhow!("it is there already, and is not written over"),
            _ => error.into(),
        })
        .with_context(name)?;
    file.write_all(contents).with_context(name)?;
    file.sync_all().with_context(name)
}

/// Writes a file anew, so that at any time it is the old one or the new one.
fn replace(path: &Path, contents: &[u8]) -> Result<()> {
    let name = || path.display().to_string();
    let beside = path.with_added_extension("new");
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).with_context(name),
        _ => {}
    }
    create(&beside, contents, 0o644)?;
    fs::rename(&beside, path).with_context(name)
}

fn prefix(net: &IpNet) -> Prefix {
    Prefix {
        address: net.addr(),
        len: net.prefix_len(),
    }
}

fn list<T>(items: Option<&[T]>, text: impl Fn(&T) -> String) -> String {
    match items {
        None => "any".into(),
        Some([]) => "none".into(),
        Some(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// A second as people write it.
fn day(seconds: u64) -> String {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).map_or_else(|_| "never".into(), |time| time.to_string())
}
