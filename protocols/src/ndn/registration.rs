//! Telling a forwarder which prefix is served here.

use super::control::{
    CHILD_INHERIT, CommandForm, ControlParameters, ControlResponse, Envelope, Verb, command, printable,
};
use super::interest::SigningMoment;
use super::keys::Signer;
use super::lp::{Content, Packet};
use super::name::{Name, NameBuf};
use super::tlv::NoRoom;
use halloo_base::{Env, Mono};
use std::time::Duration;

/// What an order may take; NFD answers within milliseconds, or never.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);
/// The lifetime that orders carry: that of the other libraries, so that a forwarder sees nothing new.
const LIFETIME: Duration = Duration::from_secs(10);
/// So often an order that was turned down is given again. With half a second between the last two it outlives the
/// forwarder's own start.
const MOST_RETRIES: u32 = 8;
/// The first of these waits; each next is twice as long.
const FIRST_RETRY: Duration = Duration::from_millis(4);

/// One prefix, to be registered on each new connection.
///
/// All programs on a host that sign by digest share one clock at the forwarder: an order signed in the same
/// millisecond as somebody else's, or earlier, is turned down with 403. So 403 is no last word; the order is given
/// again with a later time. An order that nobody answers may be in a form that the forwarder does not know; it is given
/// in the other form.
#[derive(Debug)]
pub struct Registration {
    prefix: NameBuf,
    signer: Signer,
    form: CommandForm,
    state: State,
    retries: u32,
    /// Whether the other form was tried on this connection.
    fell_back: bool,
    /// The time in the last order, in milliseconds since the Unix epoch.
    last_time: u64,
}

#[derive(Debug)]
enum State {
    Idle,
    /// An order of this name is under way; no answer is expected after that.
    Asked(NameBuf, Mono),
    /// The order is to be given again then.
    Waiting(Mono),
    Registered,
}

/// How the registration stands after something happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Registered {
    /// It is done; the forwarder calls our face by this number. The route may be live a moment later.
    Done {
        /// The forwarder's number.
        face_id: Option<u64>,
    },
    /// The order was turned down and will be given again: see [`Registration::deadline`].
    Later,
    /// It is not, and will not be.
    Failed(RegistrationError),
}

/// Why a forwarder did not register a prefix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistrationError {
    /// It said no.
    #[error("{text}")]
    Refused {
        /// Its number for the reason, as in HTTP.
        code: u64,
        /// In its words.
        text: String,
    },
    /// It sent the order back: it does not manage routes on this kind of face, or not yet.
    #[error("the forwarder takes no orders on this face (Nack {0})")]
    Nack(&'static str),
    /// It said nothing.
    #[error("the forwarder does not answer")]
    Timeout,
    /// It said something that is no answer.
    #[error("the forwarder's answer makes no sense")]
    BadResponse,
    /// The prefix makes the order longer than any packet.
    #[error("the prefix is too long")]
    LongPrefix,
}

impl Registration {
    /// For this prefix, whole.
    pub fn new(prefix: NameBuf, signer: Signer) -> Registration {
        Registration {
            prefix,
            signer,
            form: CommandForm::default(),
            state: State::Idle,
            retries: 0,
            fell_back: false,
            last_time: 0,
        }
    }

    /// The first order on a new connection.
    ///
    /// # Errors
    /// [`RegistrationError::LongPrefix`].
    pub fn begin(&mut self, env: &mut Env<'_>) -> Result<Vec<u8>, RegistrationError> {
        self.retries = 0;
        self.fell_back = false;
        self.ask(env)
    }

    /// The connection is gone.
    pub fn reset(&mut self) {
        self.state = State::Idle;
    }

    /// Whether the prefix is registered on this connection.
    pub fn is_registered(&self) -> bool {
        matches!(self.state, State::Registered)
    }

    /// The order that takes the registration back; no answer is waited for.
    pub fn end(&mut self, env: &mut Env<'_>) -> Option<Vec<u8>> {
        self.state = State::Idle;
        self.order(env, Verb::Unregister).ok()
    }

    /// Takes what came. `None` if it is about something else.
    pub fn hear(&mut self, env: &mut Env<'_>, packet: &Packet<'_>) -> Option<Registered> {
        let State::Asked(asked, _) = &self.state else {
            return None;
        };
        let is_ours = |name: Name<'_>| name == asked.as_name();
        match &packet.content {
            Content::Data(data) if is_ours(data.name) => {
                let response = ControlResponse::of(data);
                Some(match response {
                    Ok(response) => self.respond(env, &response),
                    Err(_) => self.fail(RegistrationError::BadResponse),
                })
            }
            Content::Nack(reason, interest) if is_ours(interest.name) => {
                Some(self.retry(env, RegistrationError::Nack(reason.name())))
            }
            _ => None,
        }
    }

    fn respond(&mut self, env: &mut Env<'_>, response: &ControlResponse<'_>) -> Registered {
        let refused = || RegistrationError::Refused {
            code: response.code,
            text: printable(response.text),
        };
        match response.code {
            200 => {
                self.state = State::Registered;
                let face_id = response.parameters.and_then(|done| done.face_id);
                Registered::Done { face_id }
            }
            403 => self.retry(env, refused()),
            _ => self.fail(refused()),
        }
    }

    /// Gives the order that is due, if one is, or gives up.
    ///
    /// # Errors
    /// Why it gives up.
    pub fn wake(&mut self, env: &mut Env<'_>) -> Result<Option<Vec<u8>>, RegistrationError> {
        match self.state {
            State::Waiting(until) if until <= env.now => self.ask(env).map(Some),
            State::Asked(_, until) if until <= env.now && !self.fell_back => {
                self.fell_back = true;
                self.form = match self.form {
                    CommandForm::Signed => CommandForm::InName,
                    CommandForm::InName => CommandForm::Signed,
                };
                self.ask(env).map(Some)
            }
            State::Asked(_, until) if until <= env.now => {
                self.state = State::Idle;
                Err(RegistrationError::Timeout)
            }
            _ => Ok(None),
        }
    }

    /// When [`Registration::wake`] wants to be called.
    pub fn deadline(&self) -> Option<Mono> {
        match self.state {
            State::Asked(_, until) | State::Waiting(until) => Some(until),
            State::Idle | State::Registered => None,
        }
    }

    fn retry(&mut self, env: &mut Env<'_>, why: RegistrationError) -> Registered {
        if self.retries >= MOST_RETRIES {
            return self.fail(why);
        }
        let step = FIRST_RETRY * (1 << self.retries);
        self.retries += 1;
        // Two programs that were turned down together must not come back together.
        let random = Duration::from_nanos(env.rng.below(step.as_nanos() as u64));
        self.state = State::Waiting(env.now + step + random);
        Registered::Later
    }

    fn fail(&mut self, why: RegistrationError) -> Registered {
        self.state = State::Idle;
        Registered::Failed(why)
    }

    fn ask(&mut self, env: &mut Env<'_>) -> Result<Vec<u8>, RegistrationError> {
        let wire = self.order(env, Verb::Register);
        // What we wrote we can read.
        let name = wire
            .as_ref()
            .ok()
            .and_then(|wire| match Packet::parse(wire).ok()?.content {
                Content::Interest(interest) => Some(interest.name.to_buf()),
                _ => None,
            });
        let name = name.ok_or(RegistrationError::LongPrefix)?;
        self.state = State::Asked(name, env.now + ANSWER_WITHIN);
        wire.map_err(|NoRoom| RegistrationError::LongPrefix)
    }

    fn order(&mut self, env: &mut Env<'_>, verb: Verb) -> Result<Vec<u8>, NoRoom> {
        let millis = env.clock.stamp().wall.0 / 1_000_000;
        self.last_time = millis.max(self.last_time + 1);
        let parameters = ControlParameters {
            name: Some(self.prefix.as_name()),
            flags: (verb == Verb::Register).then_some(CHILD_INHERIT),
            ..ControlParameters::default()
        };
        let envelope = Envelope {
            signer: &self.signer,
            moment: SigningMoment {
                nonce: env.rng.next_u64().to_be_bytes(),
                time: self.last_time,
            },
            nonce: (env.rng.next_u64() as u32).to_be_bytes(),
            lifetime: LIFETIME,
        };
        command(self.form, verb, &parameters, &envelope)
    }
}
