//! A lab to play in: three hosts, each with an edge, and a supernode, until Ctrl-C. `cargo xtask lab overlay` runs it.

#![allow(clippy::print_stdout, reason = "this is what it is for")]

use halloo_lab::{Child, Host, Lab};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::error::Error;
use std::process::Command;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);
const HOSTS: [&str; 3] = ["a", "b", "c"];

fn main() -> Result<(), Box<dyn Error>> {
    let halloo = std::env::args().nth(1).ok_or("which halloo? give its path")?;
    // From here on they are waited for, so that the lab is taken down.
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let lab = Lab::new("three edges and a supernode")?;
    let folder = tempfile::tempdir()?;
    let secret = folder.path().join("secret").display().to_string();
    let made = Command::new(&halloo)
        .args(["key", "new", "--secret", &secret])
        .output()?;
    if !made.status.success() {
        return Err(String::from_utf8_lossy(&made.stderr).into());
    }
    let switch = lab.switch("switch");
    let supernode = switch.plug(&lab.host("supernode"));
    let place = supernode.a().v4().to_string();
    let introducing = supernode.a().host().spawn(&halloo, ["supernode"]);
    introducing.wait_for_line("listening", PATIENCE);
    let mut edges: Vec<(Host, Child, String)> = vec![];
    for (number, name) in (1..).zip(HOSTS) {
        let host = lab.host(name);
        host.sysctl("net.ipv4.icmp_echo_ignore_broadcasts", "0");
        let link = switch.plug(&host);
        println!(
            "{name}: {} on the underlay, 192.168.77.{number} on the overlay",
            link.a().v4()
        );
        let words = format!(
            "edge --community lab --secret-file {secret} --supernode {place} --address 192.168.77.{number}/24 --tap lab-{name} \
             --name {name}"
        );
        let child = host.spawn(&halloo, words.split(' '));
        edges.push((host, child, words));
    }
    for (host, child, _) in &edges {
        for other in HOSTS.iter().filter(|other| **other != host.name()) {
            child.wait_for_line(&format!("{other} is there"), PATIENCE);
        }
    }
    let at = |name: &str| {
        let host = edges.iter().find(|(host, ..)| host.name() == name);
        host.map_or_else(String::new, |(host, ..)| {
            format!("ip netns exec {}", host.namespace())
        })
    };
    let again = edges.first().map_or("", |(.., words)| words);
    println!(
        "
They all know each other. As root, elsewhere:

  {a} ping 192.168.77.2
      directly, from edge to edge
  {halloo} edge status lab-a
      who is there, by which way, how far
  {a} ping -b -c3 192.168.77.255
      broadcast reaches all: each ping has three answers, of a, b and c
  kill -KILL {sn}
      the supernode is dead, and pings go on
  kill {pid}
  {a} {halloo} {again}
      a leaves, and comes again

Ctrl-C takes it all away.",
        a = at("a"),
        sn = introducing.pid(),
        pid = edges.first().map_or(0, |(_, child, _)| child.pid()),
    );
    signals.forever().next();
    println!("taken away");
    Ok(())
}
