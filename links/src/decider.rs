//! Which link is to carry.

use crate::hold_down::HoldDown;
use crate::side::Side;
use crate::{Decision, Family, Held, Judge, Name, Settings, Share};
use halloo_base::Mono;

/// Decides, for each family apart, which link carries the traffic. It reads the [`Judge`], and remembers who has failed
/// how often, who carries, and since when somebody has been better.
#[derive(Clone, Debug)]
pub struct Decider {
    settings: Settings,
    sides: [Side; 2],
}

impl Decider {
    /// A decider under whom nothing carries yet. The settings have been [checked](Settings::check).
    pub fn new(settings: &Settings) -> Decider {
        let records = || vec![HoldDown::default(); settings.link.len()];
        Decider {
            settings: settings.clone(),
            sides: Family::ALL.map(|family| Side::new(family, records())),
        }
    }

    /// These links carry, whoever decided that: after a restart, or when a decision could not be carried out.
    pub fn adopt(&mut self, family: Family, carry: &[Share]) {
        self.side(family).adopt(carry.to_vec());
    }

    /// What is to change now, if anything is. To be asked after all that the judge was told, and at the
    /// [`deadline`](Decider::deadline), until there is no more.
    pub fn decide(&mut self, now: Mono, judge: &Judge) -> Option<Decision> {
        let settings = &self.settings;
        self.sides
            .iter_mut()
            .find_map(|side| side.decide(now, judge, settings))
    }

    /// Why nothing was moved, each time that the answer is another.
    pub fn next_held(&mut self) -> Option<Held> {
        self.sides.iter_mut().find_map(Side::next_held)
    }

    /// When it wants to be asked again at the latest, although nobody has told anything.
    pub fn deadline(&self) -> Option<Mono> {
        self.sides.iter().filter_map(Side::deadline).min()
    }

    /// Who carries now.
    pub fn carrying(&self, family: Family) -> &[Share] {
        let side = self.sides.iter().find(|side| side.family == family);
        side.map_or(&[], |side| &side.carry)
    }

    /// Until when traffic does not return to a link by choice.
    pub fn held_until(&self, link: &Name, family: Family, now: Mono) -> Option<Mono> {
        let place = self.settings.link.iter().position(|known| known.name == *link)?;
        let side = self.sides.iter().find(|side| side.family == family)?;
        side.records.get(place)?.until(now, &self.settings.policy)
    }

    fn side(&mut self, family: Family) -> &mut Side {
        let [v4, v6] = &mut self.sides;
        match family {
            Family::V4 => v4,
            Family::V6 => v6,
        }
    }
}
