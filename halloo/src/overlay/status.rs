//! `halloo edge status`: how a running edge stands.

use super::kernel::Table;
use super::metrics::is_dropped;
use super::report::{millis, named};
use crate::cli::overlay::StatusArgs;
use crate::json::Head;
use crate::screen::{BAD, DIM, GOOD, STRONG, Screen, Styled};
use anyhow::{Context, Result, bail};
use halloo_base::Nanos;
use halloo_overlay::edge::path::Health;
use halloo_overlay::edge::{EdgeStatus, PathStatus, PeerStatus};
use halloo_overlay::{Cipher, Compression};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::env;
use std::io::{self, Read};
use std::iter;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// An edge answers at once, or not at all.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Serialize)]
struct Object {
    #[serde(flatten)]
    head: Head,
    #[serde(flatten)]
    fields: Map<String, Value>,
}

/// What an edge says of itself, as one line of JSON.
pub(super) fn line(
    (tap, community, offload): (&str, &str, bool),
    table: Option<&Table>,
    status: &EdgeStatus,
) -> String {
    let supernodes: Vec<Value> = status
        .supernodes
        .iter()
        .map(|supernode| {
            json!({
                "address": supernode.address,
                "key": supernode.key.map(|key| key.to_string()),
                "registered": supernode.registered,
                "round_trip_ns": nanos(supernode.round_trip),
                "seen": supernode.seen,
                "members": supernode.members,
            })
        })
        .collect();
    let counters: Map<String, Value> = status
        .counters
        .iter()
        .map(|(name, count)| ((*name).to_owned(), (*count).into()))
        .collect();
    let address = status
        .address
        .map(|prefix| format!("{}/{}", prefix.address, prefix.len));
    let fields = json!({
        "tap": tap,
        "community": community,
        "offload": offload,
        "address": address,
        "data_plane": if table.is_some() { "kernel" } else { "user" },
        "vxlan": table.map(vxlan),
        "supernodes": supernodes,
        "peers": status.peers.iter().map(peer).collect::<Vec<_>>(),
        "counters": counters,
    });
    let object = Object {
        head: Head::new("edge_status"),
        fields: fields.as_object().cloned().unwrap_or_default(),
    };
    // Texts and numbers only: there is nothing in it that has no form in JSON.
    serde_json::to_string(&object).unwrap_or_default()
}

fn vxlan(table: &Table) -> Value {
    json!({
        "vni": table.vni, "port": table.port, "mtu": table.mtu,
        "flood_entries": table.flood, "station_entries": table.stations,
    })
}

fn peer(peer: &PeerStatus) -> Value {
    json!({
        "name": peer.name,
        "member": peer.key.member_id().to_string(),
        "key": peer.key.to_string(),
        "up": peer.up,
        "shown": named(&peer.name, &peer.key),
        "flows": peer.flows,
        "cipher": peer.cipher.map(Cipher::name),
        "compression": peer.compression.map(Compression::name),
        "software": peer.software,
        "refusal": peer.refusal.as_ref().map(|refusal| refusal.words.clone()),
        "stations": peer.stations,
        "vtep": peer.vtep.and_then(Result::ok),
        "unreachable": peer.vtep.and_then(Result::err).map(|why| why.to_string()),
        "sent_frames": peer.sent.0,
        "sent_bytes": peer.sent.1,
        "received_frames": peer.received.0,
        "received_bytes": peer.received.1,
        "paths": peer.paths.iter().map(path).collect::<Vec<_>>(),
    })
}

fn path(path: &PathStatus) -> Value {
    let lost = path.asked.saturating_sub(path.answered);
    json!({
        "remote": path.remote,
        "relayed": path.relayed,
        "in_use": path.in_use,
        "health": match path.health {
            Health::Good => "good",
            Health::Doubtful => "doubtful",
            Health::Untried => "untried",
            Health::Dead => "dead",
        },
        "round_trip_ns": nanos(path.round_trip),
        "least_round_trip_ns": nanos(path.least),
        "asked": path.asked,
        "unanswered": lost,
        "mtu": path.mtu,
        "one_by_one": path.alone,
    })
}

fn nanos(span: Option<Nanos>) -> Option<i64> {
    span.map(|span| span.0)
}

/// Where the edge of a device listens for questions: in the first folder that it may write to.
pub(super) fn socket(folder: &Path, tap: &str) -> PathBuf {
    folder.join(format!("edge-{tap}.sock"))
}

/// The system's folder, and the user's for an edge that is not root's.
pub(super) fn folders() -> Vec<PathBuf> {
    let own = env::var_os("XDG_RUNTIME_DIR").map(|folder| PathBuf::from(folder).join("halloo"));
    iter::once(PathBuf::from("/run/halloo")).chain(own).collect()
}

/// Asks a running edge, and shows what it says.
pub(super) fn run(args: &StatusArgs) -> Result<ExitCode> {
    let (whose, answer) = if let Some(path) = &args.control {
        (format!("at {}", path.display()), ask(path))
    } else {
        let found = match &args.tap {
            Some(tap) => vec![tap.clone()],
            None => running(),
        };
        match found.as_slice() {
            [] => return Ok(nobody("no edge that this user may ask runs here")),
            [one] => (format!("for {one}"), find(one)),
            many => bail!("several edges run here; say which: {}", many.join(", ")),
        }
    };
    let text = match answer {
        Ok(text) if text.is_empty() => {
            return Ok(nobody(&format!("the edge {whose} is busy, or ends: ask again")));
        }
        Ok(text) => text,
        Err(error) => return Ok(nobody(&format!("no edge answers {whose}: {error}"))),
    };
    let status: Value = serde_json::from_str(&text).context("the edge's answer makes no sense")?;
    let mut screen = Screen::stdout();
    if args.json {
        screen.line(text.trim_end())?;
    } else {
        show(&mut screen, &status, args.counters)?;
    }
    let up = |list: &str, key: &str| {
        let items = status[list].as_array();
        items.is_some_and(|items| items.iter().any(|item| item[key] == true))
    };
    Ok(if up("supernodes", "registered") || up("peers", "up") {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(crate::FAILED)
    })
}

/// Says why there is no answer: the question was right, so this is no misuse.
fn nobody(why: &str) -> ExitCode {
    crate::complain(format_args!("{} {why}", Styled(BAD, "halloo:")));
    ExitCode::from(crate::FAILED)
}

/// What the edge of a device says.
fn find(tap: &str) -> io::Result<String> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for folder in folders() {
        match ask(&socket(&folder, tap)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => last = error,
            answer => return answer,
        }
    }
    Err(last)
}

/// What the edge says that listens there.
fn ask(path: &Path) -> io::Result<String> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// The devices of edges that answer here.
fn running() -> Vec<String> {
    let mut found = vec![];
    for folder in folders() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let tap = name
                .to_str()
                .and_then(|name| name.strip_prefix("edge-")?.strip_suffix(".sock"));
            // What a killed edge left behind answers nobody.
            if let Some(tap) = tap
                && UnixStream::connect(entry.path()).is_ok()
            {
                found.push(tap.to_owned());
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

/// The same for people.
pub(super) fn show(screen: &mut Screen, status: &Value, with_counters: bool) -> io::Result<()> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let number = |value: &Value| value.as_u64().unwrap_or(0).to_string();
    let took = |value: &Value| {
        value
            .as_i64()
            .map_or_else(|| "-".into(), |span| millis(Nanos(span)))
    };
    screen.line(format_args!(
        "{} {} on {}{}{}",
        Styled(STRONG, "community"),
        text(&status["community"]),
        text(&status["tap"]),
        status["address"]
            .as_str()
            .map(|address| format!(", {address}"))
            .unwrap_or_default(),
        if status["offload"] == false {
            ", offload off"
        } else {
            ""
        },
    ))?;
    let vxlan = &status["vxlan"];
    let kernel = vxlan.is_object();
    if kernel {
        screen.line(format_args!(
            "{} kernel (vxlan, vni {}, port {}), MTU {}; what is for all goes to {}, {} stations are known",
            Styled(STRONG, "data plane"),
            vxlan["vni"],
            vxlan["port"],
            vxlan["mtu"],
            vxlan["flood_entries"],
            vxlan["station_entries"],
        ))?;
    }
    for supernode in status["supernodes"].as_array().into_iter().flatten() {
        let state = match supernode["registered"] == true {
            true => Styled(GOOD, "registered"),
            false => Styled(BAD, "not registered"),
        };
        screen.line(format_args!(
            "{} {}  {state}  {}  seen as {}",
            Styled(STRONG, "supernode"),
            text(&supernode["address"]),
            took(&supernode["round_trip_ns"]),
            text(&supernode["seen"]),
        ))?;
    }
    let peers = status["peers"].as_array();
    // What the kernel carries this program does not see.
    let last = match kernel {
        true => ["VTEP", "STATIONS"],
        false => ["SENT", "RECEIVED"],
    };
    let head = format!(
        "{:<20} {:<24} {:<8} {:>5} {:>12} {:>6} {:>6}  {:<18} {:>12} {:>12}",
        "PEER", "REACHED AT", "HOW", "FLOWS", "ROUND TRIP", "LOST", "MTU", "CIPHER", last[0], last[1]
    );
    if peers.is_some_and(|peers| !peers.is_empty()) {
        screen.line(format_args!("{}", Styled(DIM, head)))?;
    }
    for peer in peers.into_iter().flatten() {
        let used = peer["paths"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|path| path["in_use"] == true);
        let none = Value::Null;
        let path = used.unwrap_or(&none);
        let how = match (used.is_some(), path["relayed"] == true) {
            (false, _) => "-",
            (true, true) => "relayed",
            (true, false) => "direct",
        };
        let (asked, lost) = (
            path["asked"].as_u64().unwrap_or(0),
            path["unanswered"].as_u64().unwrap_or(0),
        );
        let loss = match asked {
            0 => "-".to_owned(),
            _ => format!("{:.0}%", 100.0 * lost as f64 / asked as f64),
        };
        screen.line(format_args!(
            "{:<20} {:<24} {:<8} {:>5} {:>12} {:>6} {:>6}  {:<18} {:>12} {:>12}{}",
            text(&peer["shown"]),
            text(&path["remote"]),
            how,
            number(&peer["flows"]),
            took(&path["round_trip_ns"]),
            loss,
            path["mtu"]
                .as_u64()
                .map_or_else(|| "-".into(), |mtu| mtu.to_string()),
            text(&peer["cipher"]),
            match kernel {
                true => text(&peer["vtep"]),
                false => octets(&peer["sent_bytes"]),
            },
            match kernel {
                true => number(&peer["stations"]),
                false => octets(&peer["received_bytes"]),
            },
            match (peer["refusal"].as_str(), peer["unreachable"].as_str()) {
                (Some(words), _) => format!("  {words}"),
                (None, Some(why)) => format!("  not reachable by the kernel data plane: {why}"),
                (None, None) => String::new(),
            },
        ))?;
        if path["one_by_one"] == true {
            let why = "  datagrams go one by one (offload off): several in one send are lost on this path";
            screen.line(format_args!("{}", Styled(DIM, why)))?;
        }
    }
    if with_counters {
        return counters(screen, &status["counters"]);
    }
    let dropped = counted(&status["counters"]).filter(|(name, _)| is_dropped(name));
    let dropped: u64 = dropped.map(|(_, count)| count).sum();
    if dropped > 0 {
        let words = format!("{dropped} datagrams and frames came to nothing: --counters says why");
        screen.line(format_args!("{}", Styled(DIM, words)))?;
    }
    Ok(())
}

/// Those that have counted something, and apart from them what came to nothing.
fn counters(screen: &mut Screen, counters: &Value) -> io::Result<()> {
    let (dropped, others): (Vec<_>, Vec<_>) = counted(counters).partition(|(name, _)| is_dropped(name));
    for (head, counted) in [("COUNTERS", others), ("DROPPED, BY REASON", dropped)] {
        let head = if counted.is_empty() {
            format!("{head}: none")
        } else {
            head.to_owned()
        };
        screen.line(format_args!("{}", Styled(DIM, head)))?;
        for (name, count) in counted {
            screen.line(format_args!("{name:<20} {count:>12}"))?;
        }
    }
    Ok(())
}

fn counted(counters: &Value) -> impl Iterator<Item = (&str, u64)> {
    let counters = counters.as_object().into_iter().flatten();
    counters.filter_map(|(name, count)| Some((name.as_str(), count.as_u64().filter(|count| *count > 0)?)))
}

/// Octets as people read them.
fn octets(value: &Value) -> String {
    let Some(octets) = value.as_u64() else {
        return "-".to_owned();
    };
    let mut shown = octets as f64;
    let mut unit = "B";
    for larger in ["kB", "MB", "GB", "TB"] {
        if shown < 999.5 {
            break;
        }
        shown /= 1_000.0;
        unit = larger;
    }
    match unit {
        "B" => format!("{octets} B"),
        _ if shown < 9.95 => format!("{shown:.1} {unit}"),
        _ => format!("{shown:.0} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_have_a_unit() {
        let table = [
            (0_u64, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (9_949, "9.9 kB"),
            (9_951, "10 kB"),
            (999_499, "999 kB"),
            (999_500, "1.0 MB"),
            (64 << 20, "67 MB"),
            (3_000_000_000_000, "3.0 TB"),
        ];
        for (count, text) in table {
            assert_eq!(octets(&json!(count)), text, "{count}");
        }
        assert_eq!(octets(&Value::Null), "-");
    }
}
