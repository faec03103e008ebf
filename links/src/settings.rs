//! What can be set: the sections that the decider needs of a configuration file, with defaults, units and ranges.

use crate::{Name, Span};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Everything that the judge and the decider are told beforehand. A file with more sections than these has its own
/// type, and makes one of these of its parts.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// `[[link]]`: the ways out, 1 to 64.
    pub link: Vec<LinkSettings>,
    /// `[[anchor]]`: who is asked whether a link works, 1 to 64. Three of different networks let one of them be dead
    /// or wrong.
    pub anchor: Vec<AnchorSettings>,
    /// `[policy]`: when to move the traffic.
    pub policy: PolicySettings,
    /// `[judge]`: when a link is up, degraded or down.
    pub judge: JudgeSettings,
    /// `[failover]`: how the traffic is moved.
    pub failover: FailoverSettings,
}

/// `[[link]]`: a way out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkSettings {
    /// What it is called, everywhere. Unique, not empty.
    pub name: Name,
    /// The interface.
    pub device: String,
    /// The next hop's address, or `auto`: whom DHCP or router advertisements name. Default: `auto`.
    #[serde(default = "auto")]
    pub gateway: String,
    /// The source address of probes. Default: the interface's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Links that cost less are preferred while they are up. 0 to 1,000,000; default 1.
    #[serde(default = "one")]
    pub cost: u32,
    /// Its part of the traffic where several links of one cost share it. 1 to 1,000; default 1.
    #[serde(default = "one")]
    pub weight: u32,
    /// Each byte costs money: it carries only when [`PolicySettings::metered`] allows. Default: no.
    #[serde(default)]
    pub metered: bool,
    /// What it can send, in bits a second; 0 learns it from what it has sent. Default 0.
    #[serde(default)]
    pub up_rate: u64,
    /// What it can receive, in bits a second; 0 learns it. Default 0.
    #[serde(default)]
    pub down_rate: u64,
}

/// `[[anchor]]`: an echo host that links are judged by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnchorSettings {
    /// Whom to ask, as `halloo ping` takes it: `udp://198.51.100.11:7777`. Unique: it is the anchor's name too.
    pub target: Name,
    /// The links that ask it. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Name>,
}

/// `[policy]`: when to move the traffic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicySettings {
    /// One link carries, or all that cost the same share. Default: `failover`.
    pub mode: Mode,
    /// How much better the score of another link has to be before traffic leaves one that still carries. 0.0 to 1.0;
    /// default 0.15.
    pub margin: f64,
    /// For how long it has to be so much better. Default 2 s; 0 to 10 minutes.
    pub better_for: Span,
    /// For how long a link has to be up before traffic returns to it, after its first failure. Default 10 s; 0 to an hour.
    pub hold_down: Span,
    /// By how much each further failure multiplies that. 1 to 10; default 3.
    pub hold_down_growth: u32,
    /// It grows no longer than this. Default 10 minutes; at least `hold_down`, at most a day.
    pub hold_down_max: Span,
    /// One failure is forgiven each time this has passed. Default 10 minutes; a second to a day.
    pub forgive: Span,
    /// For how long only new flows go to a link that traffic has returned to. Default 30 s; 0 to an hour.
    pub probation: Span,
    /// When a metered link may carry. Default: `down`.
    pub metered: Metered,
}

/// `[judge]`: when a link is up, degraded or down.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JudgeSettings {
    /// Time between the probes of one link, over all its anchors. Default 100 ms; 10 ms to 10 s.
    pub interval: Span,
    /// Odds against a verdict being a false alarm, as a power of ten: with 9, a link that loses no more than it does as a
    /// rule is called down once in 10^9 probes, three years at 100 ms. 3 to 15; default 9.
    pub confidence: u32,
    /// A probe is missed when this has passed beyond the longest round trip to be expected. What comes later takes the
    /// miss back. Default 40 ms; 1 ms to 5 s.
    pub overdue_margin: Span,
    /// Loss that is nobody's business, 0.001 to 0.2; default 0.02.
    pub loss_tolerated: f64,
    /// Loss that degrades a link, above `loss_tolerated`, at most 0.5; default 0.1. What lies between the two is told
    /// from either by statistics.
    pub loss_degraded: f64,
    /// A link is degraded when its round trips take so many times what they take as a rule, and at least
    /// `delay_margin` more. 1.1 to 100; default 1.5.
    pub delay_factor: f64,
    /// See `delay_factor`. Default 30 ms; 1 ms to 10 s.
    pub delay_margin: Span,
    /// A delay that has lasted for so long is the rule from then on. Default 10 minutes; a minute to a day.
    pub delay_usual_after: Span,
    /// A link is loaded by our own traffic from this share of its rate on: delay and loss are excused then. 0.1 to 1.0;
    /// default 0.7.
    pub loaded: f64,
    /// When this host stands still for so long, what was missed meanwhile is nobody's fault. Default 200 ms; 20 ms to
    /// 10 s.
    pub stall: Span,
}

/// `[failover]`: how the traffic is moved. Only the program that moves it reads this.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FailoverSettings {
    /// The way in which routes are changed. Default: `metric`.
    pub method: Method,
}

/// How many links carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The best one.
    #[default]
    Failover,
    /// All that are up and cost as much as the cheapest of them, by their weights.
    Share,
}

/// When a metered link may carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Metered {
    /// When every other link is down.
    #[default]
    Down,
    /// When every other link is degraded or worse.
    Degraded,
}

/// How routes are changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// The metric of default routes.
    #[default]
    Metric,
    /// A nexthop group.
    Nexthop,
    /// Marks and a table for each link.
    Policy,
    /// Somebody else's program.
    Hook,
}

/// A setting that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} {why}")]
pub struct SettingsError {
    /// The key, with its section: `policy.margin`.
    pub key: String,
    /// What is wrong and what would be right, to follow the key.
    pub why: String,
}

/// More than this is a mistake.
const MOST: usize = 64;
const DAY: Duration = Duration::from_secs(86_400);

fn auto() -> String {
    "auto".to_owned()
}

fn one() -> u32 {
    1
}

impl LinkSettings {
    /// A link of this name on the device of the same name, with defaults.
    pub fn new(name: &str) -> LinkSettings {
        LinkSettings {
            name: name.into(),
            device: name.to_owned(),
            gateway: auto(),
            source: None,
            cost: 1,
            weight: 1,
            metered: false,
            up_rate: 0,
            down_rate: 0,
        }
    }
}

impl AnchorSettings {
    /// An anchor that every link asks.
    pub fn new(target: &str) -> AnchorSettings {
        AnchorSettings {
            target: target.into(),
            links: vec![],
        }
    }

    /// Whether this link asks it.
    pub fn is_asked_by(&self, link: &Name) -> bool {
        self.links.is_empty() || self.links.contains(link)
    }
}

impl Default for PolicySettings {
    fn default() -> PolicySettings {
        PolicySettings {
            mode: Mode::default(),
            margin: 0.15,
            better_for: Span::secs(2),
            hold_down: Span::secs(10),
            hold_down_growth: 3,
            hold_down_max: Span::secs(600),
            forgive: Span::secs(600),
            probation: Span::secs(30),
            metered: Metered::default(),
        }
    }
}

impl Default for JudgeSettings {
    fn default() -> JudgeSettings {
        JudgeSettings {
            interval: Span::ms(100),
            confidence: 9,
            overdue_margin: Span::ms(40),
            loss_tolerated: 0.02,
            loss_degraded: 0.1,
            delay_factor: 1.5,
            delay_margin: Span::ms(30),
            delay_usual_after: Span::secs(600),
            loaded: 0.7,
            stall: Span::ms(200),
        }
    }
}

impl Settings {
    /// Whether these can be watched and decided with.
    ///
    /// # Errors
    /// The first key that is wrong, and why.
    pub fn check(&self) -> Result<(), SettingsError> {
        self.check_links()?;
        self.check_anchors()?;
        self.policy.check()?;
        self.judge.check()
    }

    fn check_links(&self) -> Result<(), SettingsError> {
        if self.link.is_empty() {
            return wrong(
                "link",
                "is missing: [[link]] with name and device, once for each way out",
            );
        }
        within("the number of [[link]]", self.link.len(), 1, MOST)?;
        for (at, link) in self.link.iter().enumerate() {
            named(
                "link.name",
                &link.name,
                self.link.iter().take(at).map(|link| &link.name),
            )?;
            if link.device.is_empty() {
                return wrong("link.device", &format!("of {} is empty", link.name));
            }
            within("link.cost", link.cost, 0, 1_000_000)?;
            within("link.weight", link.weight, 1, 1_000)?;
        }
        Ok(())
    }

    fn check_anchors(&self) -> Result<(), SettingsError> {
        if self.anchor.is_empty() {
            return wrong(
                "anchor",
                "is missing: [[anchor]] with a target, three times if you can",
            );
        }
        within("the number of [[anchor]]", self.anchor.len(), 1, MOST)?;
        for (at, anchor) in self.anchor.iter().enumerate() {
            let before = self.anchor.iter().take(at).map(|anchor| &anchor.target);
            named("anchor.target", &anchor.target, before)?;
            let unknown = |link: &&Name| !self.link.iter().any(|known| known.name == **link);
            if let Some(link) = anchor.links.iter().find(unknown) {
                return wrong("anchor.links", &format!("names {link}, which is no [[link]]"));
            }
        }
        for link in &self.link {
            if !self.anchor.iter().any(|anchor| anchor.is_asked_by(&link.name)) {
                return wrong(
                    "anchor.links",
                    &format!("leaves {} without any anchor", link.name),
                );
            }
        }
        Ok(())
    }
}

impl PolicySettings {
    fn check(&self) -> Result<(), SettingsError> {
        within("policy.margin", self.margin, 0.0, 1.0)?;
        within(
            "policy.better_for",
            self.better_for,
            Span::secs(0),
            Span::secs(600),
        )?;
        within(
            "policy.hold_down",
            self.hold_down,
            Span::secs(0),
            Span::secs(3_600),
        )?;
        within("policy.hold_down_growth", self.hold_down_growth, 1, 10)?;
        within(
            "policy.hold_down_max",
            self.hold_down_max,
            self.hold_down,
            Span(DAY),
        )?;
        within("policy.forgive", self.forgive, Span::secs(1), Span(DAY))?;
        within(
            "policy.probation",
            self.probation,
            Span::secs(0),
            Span::secs(3_600),
        )
    }
}

impl JudgeSettings {
    fn check(&self) -> Result<(), SettingsError> {
        within("judge.interval", self.interval, Span::ms(10), Span::secs(10))?;
        within("judge.confidence", self.confidence, 3, 15)?;
        within(
            "judge.overdue_margin",
            self.overdue_margin,
            Span::ms(1),
            Span::secs(5),
        )?;
        within("judge.loss_tolerated", self.loss_tolerated, 0.001, 0.2)?;
        within("judge.loss_degraded", self.loss_degraded, 0.001, 0.5)?;
        if self.loss_degraded <= self.loss_tolerated {
            return wrong("judge.loss_degraded", "must be above judge.loss_tolerated");
        }
        within("judge.delay_factor", self.delay_factor, 1.1, 100.0)?;
        within(
            "judge.delay_margin",
            self.delay_margin,
            Span::ms(1),
            Span::secs(10),
        )?;
        within(
            "judge.delay_usual_after",
            self.delay_usual_after,
            Span::secs(60),
            Span(DAY),
        )?;
        within("judge.loaded", self.loaded, 0.1, 1.0)?;
        within("judge.stall", self.stall, Span::ms(20), Span::secs(10))
    }
}

fn wrong(key: &str, why: &str) -> Result<(), SettingsError> {
    Err(SettingsError {
        key: key.to_owned(),
        why: why.to_owned(),
    })
}

/// What is no number lies within nothing.
fn within<T: Copy + PartialOrd + std::fmt::Display>(
    key: &str,
    value: T,
    min: T,
    max: T,
) -> Result<(), SettingsError> {
    if value >= min && value <= max {
        return Ok(());
    }
    wrong(key, &format!("is {value}, but must be {min} to {max}"))
}

fn named<'a>(
    key: &str,
    name: &Name,
    mut before: impl Iterator<Item = &'a Name>,
) -> Result<(), SettingsError> {
    if name.as_str().is_empty() || name.as_str().chars().any(char::is_control) {
        return wrong(key, "is empty or has control characters in it");
    }
    if before.any(|other| other == name) {
        return wrong(key, &format!("{name} is there twice"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
