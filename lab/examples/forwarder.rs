//! Runs the fake NDN forwarder at a path until Enter, and tells what it saw.

#![allow(clippy::print_stdout, reason = "this is what it is for")]

use halloo_lab::ndn::{Forwarder, Plan};
use std::io;

fn main() -> io::Result<()> {
    let path = std::env::args_os()
        .nth(1)
        .ok_or_else(|| io::Error::other("where? give it a path"))?;
    let plan = Plan {
        unix: Some(path.into()),
        tcp: "127.0.0.1:0".parse().ok(),
        udp: "127.0.0.1:0".parse().ok(),
    };
    let forwarder = Forwarder::start(&plan)?;
    println!("{:#?}\nEnter ends it.", forwarder.plan());
    io::stdin().read_line(&mut String::new())?;
    println!("{:#?}", forwarder.view());
    Ok(())
}
