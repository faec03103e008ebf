//! What follows from what an investigation's errands brought.

use super::findings::{Came, Findings, Kind, Lack, Sight, Stage, either, filtering, mapping};
use super::investigation::{CHANGE_PORT, Investigation};
use super::query::Fate;
use super::task::{Purpose, Task};
use crate::echo::asker::Source;
use halloo_base::{Dependence, canonical};

impl Investigation {
    /// All that is known now.
    pub(super) fn find(&self) -> Findings {
        let mappings = || self.of(Purpose::Mapping).filter_map(Task::query);
        let answers = || mappings().filter_map(|query| Some((query.path.remote, query.answer()?)));
        let sights: Vec<_> = answers()
            .map(|(end, answer)| Sight {
                end,
                seen: answer.seen,
            })
            .collect();
        let local = answers().map(|(_, answer)| answer.local).next();
        let local = local.filter(|local| !local.ip().is_unspecified());
        let reflexive = sights.first().map(|sight| sight.seen);
        let translated = local
            .zip(reflexive)
            .map(|(local, seen)| canonical(local) != canonical(seen));
        let kind = match (translated, mappings().any(|query| query.fate == Fate::Open)) {
            (Some(false), _) => Kind::unknown(Lack::NotTranslated),
            (_, true) => Kind::unknown(Lack::Unasked),
            _ => mapping(&sights),
        };
        // Who answers as a STUN server and not as an echo host is none.
        let host = self.options.hosts.first().map(std::net::SocketAddr::ip);
        let is_stun = sights.iter().any(|sight| Some(sight.end.ip()) == host);
        let told = |lack| match lack {
            Lack::NoAnswer if is_stun => Lack::NoEchoHost,
            other => other,
        };
        let mut filter = self.filtering();
        filter.lack = filter.lack.map(told);
        let (ports_kept, ports_seen) = self.ports();
        let hairpin = self.hairpin_result(translated, &kind, &filter);
        let lifetime = self.search.lifetime();
        let lifetime_lack = match lifetime.at_least.or(lifetime.below) {
            Some(_) => None,
            None => Some(told(self.silences_lack())),
        };
        Findings {
            stage: self.stage.unwrap_or(Stage::Asking),
            local,
            reflexive,
            translated,
            mapping: kind,
            filtering: filter,
            ports_kept,
            ports_seen,
            hairpin,
            lifetime,
            lifetime_lack,
            inbound_refresh: self.refresh_result().map_err(told),
        }
    }

    fn filtering(&self) -> Kind {
        let came = |from: Source| {
            let all = self.of(Purpose::Filter(from)).map(Task::came);
            all.fold(Came::Unknown(Lack::Unasked), either_known)
        };
        // A STUN server that was asked for a change had answered before without one.
        let has_changed = self.tasks.iter().any(|task| task.socket == CHANGE_PORT);
        let same = match has_changed {
            true => Came::Yes,
            false => came(Source::Same),
        };
        let filters = self
            .tasks
            .iter()
            .filter(|task| matches!(task.purpose, Purpose::Filter(_)));
        let mut open = filters.filter(|task| task.is_open() && task.came() != Came::Yes);
        match open.next() {
            Some(_) => Kind::unknown(Lack::Unasked),
            None => filtering(same, came(Source::OtherPort), came(Source::OtherAddress)),
        }
    }

    /// Sockets that kept their port outside, of those whose outside is known.
    fn ports(&self) -> (usize, usize) {
        let (mut kept, mut seen) = (0, 0);
        for (socket, local) in self.options.locals.iter().enumerate() {
            let of = self.tasks.iter().filter(|task| task.socket == socket);
            let mut outside = of.filter_map(Task::seen).peekable();
            if outside.peek().is_some() {
                seen += 1;
                kept += usize::from(outside.all(|outside| outside.port() == local.port()));
            }
        }
        (kept, seen)
    }

    fn hairpin_result(
        &self,
        translated: Option<bool>,
        mapping: &Kind,
        filtering: &Kind,
    ) -> Result<bool, Lack> {
        let independent = Some(Dependence::EndpointIndependent);
        match self.hairpin.next {
            _ if translated == Some(false) => Err(Lack::NotTranslated),
            _ if self.hairpin.heard => Ok(true),
            None if self.hairpin.sent == 0 => Err(match self.stage {
                Some(Stage::Asking) | None => Lack::Unasked,
                _ => Lack::NoAnswer,
            }),
            Some(_) => Err(Lack::Unasked),
            None if mapping.known() == independent || filtering.known() == independent => Ok(false),
            None => Err(Lack::Hidden),
        }
    }

    /// Why nothing is known of the lifetime.
    fn silences_lack(&self) -> Lack {
        let open = self.of(Purpose::Lifetime).any(Task::is_open);
        let told = self.of(Purpose::Lifetime).map(Task::came);
        let mut lacks = told.filter_map(|came| match came {
            Came::Unknown(lack) => Some(lack),
            Came::Yes | Came::No => None,
        });
        match self.lifetime_lack() {
            Some(lack) => lack,
            None if open => Lack::Unasked,
            None => lacks.next().unwrap_or(Lack::Unasked),
        }
    }

    fn refresh_result(&self) -> Result<bool, Lack> {
        let Some(below) = self.search.lifetime().below else {
            return Err(match self.lifetime_lack() {
                Some(lack) => lack,
                None if matches!(self.stage, Some(Stage::Ended { .. })) => Lack::NoEnd,
                None => Lack::Unasked,
            });
        };
        let trials = self
            .of(Purpose::Refresh)
            .filter_map(|task| Some((task, task.asker()?)));
        let (mut first_alone, mut open) = (0, false);
        for (task, asker) in trials {
            let Some(granted) = asker.granted() else { continue };
            let came = |number| {
                let mut of = asker
                    .arrivals()
                    .iter()
                    .filter(|arrival| arrival.seq == granted.seq);
                of.any(|arrival| arrival.number == number)
            };
            match (came(1), came(2)) {
                (_, true) if granted.silence + granted.gap > below => return Ok(true),
                (true, false) if !task.is_open() => first_alone += 1,
                _ => open |= task.is_open(),
            }
        }
        match first_alone {
            _ if open => Err(Lack::Unasked),
            0 => Err(Lack::NothingCame),
            // That the second of all of them was lost is for once in thousands of lossy ways.
            _ => Ok(false),
        }
    }

    /// Why silences are not waited for.
    pub(super) fn lifetime_lack(&self) -> Option<Lack> {
        if let Some(Stage::Asking) | None = self.stage
            && self.tasks.iter().any(Task::is_open)
        {
            return Some(Lack::Unasked);
        }
        let is_open_to_all = self.findings.filtering.known() == Some(Dependence::EndpointIndependent);
        match self.of(Purpose::Filter(Source::Same)).next().map(Task::came) {
            Some(Came::Yes) if self.findings.translated == Some(false) && is_open_to_all => {
                Some(Lack::Unfiltered)
            }
            Some(Came::Yes) => None,
            Some(Came::No) => Some(Lack::NothingCame),
            Some(Came::Unknown(lack)) => Some(lack),
            None => Some(Lack::Unasked),
        }
    }
}

/// The better known of two observations.
fn either_known(a: Came, b: Came) -> Came {
    match (a, b) {
        // What was not asked says less than why something else is not known.
        (Came::Unknown(Lack::Unasked), b) => b,
        (a, b) => either(a, b),
    }
}
