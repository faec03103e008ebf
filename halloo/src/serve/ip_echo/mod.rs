//! The IP echo host's part of `halloo serve`: looks at the host, says what is missing, sets up, and answers.

mod devices;
mod facts;
mod own;
mod plan;
mod survey;

pub(crate) use devices::Devices;
pub(crate) use own::open as open_own;

use super::listen::Origin;
use super::tell::Teller;
use crate::config::Config;
use anyhow::{Result, anyhow};
use facts::{Facts, Privileges};
use halloo_protocols::ip_echo::{IpEcho, IpEchoOptions};
use plan::Plan;
use survey::Subject;
pub(super) use survey::{Line, Survey};

/// Sets up devices, routes and sockets for the echo addresses of a configuration, and tells what the host still needs.
///
/// # Errors
/// What stands against it, with the address that it is about.
pub(super) fn open(config: &Config, origin: &Origin, teller: &mut Teller) -> Result<Devices> {
    let plan = Plan::of(config);
    if plan.is_empty() {
        return Ok(Devices::default());
    }
    let facts = Facts::read()?;
    let survey = Survey::of(&plan, &facts);
    refuse(&survey, config, origin)?;
    let devices = Devices::open(&plan, &facts)
        .map_err(|error| error.context(origin.cannot_echo(config.echo_addresses().first())))?;
    for need in survey.needs {
        teller.notice(&need.in_one());
    }
    Ok(devices)
}

/// What it would take, without doing any of it.
///
/// # Errors
/// If the kernel does not tell about this host.
pub(super) fn survey(config: &Config) -> Result<Survey> {
    let plan = Plan::of(config);
    match plan.is_empty() {
        true => Ok(Survey::default()),
        false => Ok(Survey::of(&plan, &Facts::read()?)),
    }
}

/// Whether this host has the devices that a configuration names, and none of its echo addresses itself.
///
/// # Errors
/// What root would be refused, with the key that it is about.
pub(crate) fn check(config: &Config) -> Result<()> {
    let plan = Plan::of(config);
    if plan.is_empty() {
        return Ok(());
    }
    let mut facts = Facts::read()?;
    facts.may = Privileges::ALL;
    match Survey::of(&plan, &facts).refusals.first() {
        None => Ok(()),
        Some((Subject::Echo(ip), why)) => Err(anyhow!("ip_echo.addresses: {ip}: {why}")),
        Some((Subject::Driver(driver), why)) => Err(anyhow!("xdp.devices: {driver}: {why}")),
    }
}

/// Turns what stands against a plan into an error.
fn refuse(survey: &Survey, config: &Config, origin: &Origin) -> Result<()> {
    match survey.refusals.first() {
        None => Ok(()),
        Some((subject, why)) => Err(anyhow!("{}: {why}", named(subject, config, origin))),
    }
}

/// The option or key that something is about.
pub(super) fn named(subject: &Subject, config: &Config, origin: &Origin) -> String {
    match subject {
        Subject::Echo(ip) => {
            let addresses = config.echo_addresses();
            origin.cannot_echo(addresses.iter().find(|address| address.ip == *ip))
        }
        Subject::Driver(driver) => origin.cannot_drive(driver),
    }
}

/// What turns datagrams round, whichever way they come.
pub(super) fn responder(config: &Config, on_link: bool) -> IpEcho {
    IpEcho::new(&IpEchoOptions {
        addresses: config.echo_addresses().iter().map(|address| address.ip).collect(),
        icmp: config.ip_echo.icmp.policy(),
        on_link,
    })
}

#[cfg(test)]
mod tests;
