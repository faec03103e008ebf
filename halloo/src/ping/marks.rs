//! DSCP and ECN, way by way: what was sent, what arrived, what the answer left with and came with.

use super::About;
use crate::cli::{Dscp, Ecn};
use halloo_probe::{MarkCounts, Observed, Summary};

/// `there EF -> CS0 (changed in 9 of 10), back CS0 -> CS0`, if a DSCP was asked for, or one changed.
pub(super) fn dscp(about: &About, summary: &Summary) -> String {
    let observed = &summary.observed;
    let changed = |marks: &MarkCounts| marks.dscp_changed;
    line(
        about,
        observed,
        about.tos >> 2 != 0,
        changed,
        |tos| Dscp(tos >> 2).to_string(),
        |marks| share(marks.dscp_changed, "changed", marks),
    )
}

/// `there ECT(0) -> CE (CE in 2 of 10), back ECT(0) -> ECT(0)`, if ECN was asked for, or something was done to it.
pub(super) fn ecn(about: &About, summary: &Summary) -> String {
    let observed = &summary.observed;
    let changed = |marks: &MarkCounts| marks.ect_cleared + marks.ce;
    line(
        about,
        observed,
        about.tos & 3 != 0,
        changed,
        |tos| Ecn(tos & 3).name().to_owned(),
        |marks| {
            let parts = [
                share(marks.ce, "CE", marks),
                share(marks.ect_cleared, "cleared", marks),
            ];
            parts.concat()
        },
    )
}

fn line(
    about: &About,
    observed: &Observed,
    is_asked: bool,
    changed: impl Fn(&MarkCounts) -> u64,
    name: impl Fn(u8) -> String,
    shares: impl Fn(&MarkCounts) -> String,
) -> String {
    let Some(came) = observed.marks.map(|marks| marks.tos) else {
        return String::new();
    };
    let (there, back) = (&observed.forward_marks, &observed.backward_marks);
    let is_news = is_asked || changed(there) + changed(back) > 0;
    // An IP echo host returns the probe itself: its header tells of both ways at once, in another line.
    if !is_news || about.target.is_ip_echo() {
        return String::new();
    }
    let sent = name(about.tos);
    let there = match observed.seen.and_then(|seen| seen.tos) {
        Some(arrived) => format!("there {sent} -> {}{}", name(arrived), shares(there)),
        None => format!("sent {sent}; nobody tells what arrived"),
    };
    let back = match observed.answer_tos {
        Some(left) => format!("back {} -> {}{}", name(left), name(came), shares(back)),
        None => format!("answers come with {}", name(came)),
    };
    format!("{there}, {back}")
}

/// ` (changed in 9 of 10)`, or nothing where it never was.
fn share(n: u64, what: &str, marks: &MarkCounts) -> String {
    match n {
        0 => String::new(),
        n => format!(" ({what} in {n} of {})", marks.known),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ping::sample;
    use halloo_base::Marks;

    fn observed(seen: Option<u8>, left: Option<u8>, came: u8) -> Summary {
        let mut summary = sample::summary();
        let observed = &mut summary.observed;
        if let Some(told) = &mut observed.seen {
            told.tos = seen;
        }
        observed.answer_tos = left;
        observed.marks = Some(Marks { tos: came, ttl: None });
        summary
    }

    fn about(tos: u8) -> About {
        About {
            tos,
            ..sample::about()
        }
    }

    #[test]
    fn each_way_tells_what_it_made_of_the_marks() {
        let mut bleached = observed(Some(0), Some(0), 0);
        bleached.observed.forward_marks = MarkCounts {
            known: 10,
            dscp_changed: 10,
            ..MarkCounts::default()
        };
        assert_eq!(
            dscp(&about(0xb8), &bleached),
            "there EF -> CS0 (changed in 10 of 10), back CS0 -> CS0"
        );
        assert_eq!(ecn(&about(0xb8), &bleached), "");
        let mut congested = observed(Some(0xbb), Some(0xba), 0xb8);
        congested.observed.forward_marks = MarkCounts {
            known: 10,
            ce: 3,
            ..MarkCounts::default()
        };
        congested.observed.backward_marks = MarkCounts {
            known: 10,
            ect_cleared: 10,
            ..MarkCounts::default()
        };
        assert_eq!(dscp(&about(0xba), &congested), "there EF -> EF, back EF -> EF");
        assert_eq!(
            ecn(&about(0xba), &congested),
            "there ECT(0) -> CE (CE in 3 of 10), back ECT(0) -> Not-ECT (cleared in 10 of 10)"
        );
    }

    #[test]
    fn what_nobody_tells_is_not_claimed() {
        assert_eq!(
            dscp(&about(0xb8), &observed(None, None, 0)),
            "sent EF; nobody tells what arrived, answers come with CS0"
        );
        assert_eq!(dscp(&about(0), &observed(Some(0), Some(0), 0)), "");
        assert_eq!(
            dscp(&about(0), &observed(None, None, 0x28)),
            "",
            "it is the host's own choice"
        );
    }
}
