//! The place for what looks at a frame on its way: snooping, suppression, storm control.

use super::flood::Class;
use crate::frame::Ethernet;
use halloo_base::Mono;

/// A frame on its way through the switch: its source has been looked at and learned, and it is about to be forwarded.
#[derive(Clone, Copy, Debug)]
pub struct Passing<'a, P> {
    /// When it came.
    pub now: Mono,
    /// The port that it came by.
    pub from: P,
    /// The frame. Its checksums may be left to the device yet.
    pub frame: Ethernet<'a>,
    /// Its outer VLAN, 0 without.
    pub vlan: u16,
    /// What kind of destination it has.
    pub class: Class,
    /// The port of its destination, where that is known. Without one it is flooded, if the rules say so.
    pub to: Option<P>,
}

/// What a step wants done with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Then {
    /// It goes on its way.
    Pass,
    /// It ends here, and is counted as [`Stopped`](super::Reason::Stopped): a storm, or a question that the step has
    /// answered.
    Stop,
}

/// A step in the path of every frame. Steps that are to come: which ports want a group (RFC 4541), answers to ARP and
/// neighbour solicitations that are known, limits on what is flooded. One that narrows a flood needs a value of [`Then`]
/// more, with the ports.
pub trait Step<P> {
    /// Looks at a frame. It runs for each one, so it allocates nothing.
    fn pass(&mut self, passing: &Passing<'_, P>) -> Then;
}

/// No step: everything passes.
impl<P> Step<P> for () {
    fn pass(&mut self, _passing: &Passing<'_, P>) -> Then {
        Then::Pass
    }
}

/// One step behind another.
impl<P, A: Step<P>, B: Step<P>> Step<P> for (A, B) {
    fn pass(&mut self, passing: &Passing<'_, P>) -> Then {
        match self.0.pass(passing) {
            Then::Pass => self.1.pass(passing),
            then => then,
        }
    }
}
