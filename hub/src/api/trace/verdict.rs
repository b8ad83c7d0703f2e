//! What became of the key on a probe's way: which service was given it and called another without it. Pure.
//!
//! A router sees a request, not what a program does. So only who was seen to be given the key is blamed; whoever got none
//! cannot pass it on. Certain is only what the probe's own trace shows, on the way in and on the way out. A call that does
//! not belong to it may be anybody's: it counts against its sender only where nothing else of that sender was seen, and
//! then as uncertain, in so many words.

use super::{
    advice::{advice, called},
    way::{Carried, Sent, Way},
};
use lapdev_api::{
    route::{Hop, Station, TraceReport},
    view::{Loss, Outcome, Verdict},
    words::version,
};
use std::collections::BTreeSet;

/// Judges what the routers saw.
pub(super) fn verdict(report: &TraceReport) -> Verdict {
    let way = Way::of(report);
    let losses = losses(report, &way);
    let outcome = outcome(report, &way, &losses);
    let passed_on = |by: &Station, sent: &Sent<'_>| !sent.with.is_empty() && !blamed(&losses, by);
    let passed_on_by = way.senders.iter().filter(|(by, sent)| passed_on(by, sent)).map(|(by, _)| (*by).clone());
    Verdict {
        outcome,
        message: message(report, &way, outcome, &losses),
        passed_on_by: passed_on_by.collect(),
        notes: notes(report, &way, &losses),
        losses,
    }
}

fn losses(report: &TraceReport, way: &Way<'_>) -> Vec<Loss> {
    let mut losses: Vec<Loss> = way.senders.iter().filter_map(|(by, sent)| loss(report, way, by, sent)).collect();
    if !way.nobody.without.is_empty() {
        losses.push(nobodys(report, way));
    }
    if way.entered_without {
        losses.insert(0, on_the_way_in(report));
    }
    losses
}

fn blamed(losses: &[Loss], station: &Station) -> bool {
    losses.iter().any(|loss| loss.by.as_ref() == Some(station))
}

fn loss(report: &TraceReport, way: &Way<'_>, by: &Station, sent: &Sent<'_>) -> Option<Loss> {
    let name = version(&by.service, by.key.is_some());
    let seems_given = way.given(by).filter(|_| !way.denied.contains(by));
    let (given, towards, certain) = match (way.surely_given(by), seems_given, sent) {
        (Some(given), _, Sent { without, .. }) if !without.is_empty() => (given, services(without), true),
        (_, Some(given), Sent { with, without, stray })
            if without.is_empty() && with.is_empty() && !stray.is_empty() =>
        {
            (given, services(stray), false)
        }
        // No router saw how it was called in the probe's trace, and yet it calls in it.
        (None, _, Sent { without, .. }) if !without.is_empty() && !way.denied.contains(by) => {
            return Some(unseen(report, by, &name, services(without)));
        }
        _ => return None,
    };
    let mut lost = given.names();
    if !certain {
        lost.insert(0, "traceparent");
    }
    let called = list(&towards);
    let elsewhere =
        if way.surely_given(by).is_none() { " (in another trace, so perhaps by somebody else)" } else { "" };
    let mut message =
        format!("{name} was given the key in {}{elsewhere}, and called {called} without it", and(&given.names()));
    message.push_str(&match certain {
        true => format!(", in the same trace: it drops {}.", and(&lost)),
        false => format!(
            " and without its trace: it seems to drop {}. Only its address and the time say so: if others use it \
             now, trace again in a quiet moment.",
            and(&lost)
        ),
    });
    let passed: Vec<&Hop> = sent.with.iter().map(|(hop, _)| *hop).filter(|hop| hop.in_trace).collect();
    if !passed.is_empty() {
        message.push_str(&format!(
            " It passed the key on to {}, so one of its clients is not instrumented.",
            list(&services(&passed))
        ));
    }
    Some(finished(report, Some(by), certain, &lost, towards, message))
}

fn unseen(report: &TraceReport, by: &Station, name: &str, towards: Vec<String>) -> Loss {
    let message = format!(
        "{name} called {} without the key. No router saw the request that reached it, so the key may have been lost before: \
         at a caller that went past its routed Service, or at one that is not routed.",
        list(&towards)
    );
    finished(report, Some(by), false, &["tracestate", "baggage"], towards, message)
}

fn nobodys(report: &TraceReport, way: &Way<'_>) -> Loss {
    let towards = services(&way.nobody.without);
    let message = format!(
        "Somebody called {} in the probe's trace without the key, from an address that belongs to no routed Service. Map its \
         workload in the catalog (`workloads:`), and a trace can name it.",
        list(&towards)
    );
    finished(report, None, true, &["tracestate", "baggage"], towards, message)
}

fn on_the_way_in(report: &TraceReport) -> Loss {
    let towards = vec![report.service.clone()];
    let message = format!(
        "The probe itself reached {} without its key: something between the agent and the router, a mesh's sidecar perhaps, \
         takes it out.",
        report.service
    );
    Loss { advice: vec![], ..finished(report, None, true, &["tracestate", "baggage"], towards, message) }
}

fn finished(
    report: &TraceReport,
    by: Option<&Station>,
    certain: bool,
    lost: &[&str],
    towards: Vec<String>,
    message: String,
) -> Loss {
    let language = by.and_then(|by| report.languages.get(&by.service));
    Loss {
        by: by.cloned(),
        certain,
        lost: lost.iter().map(|name| (*name).to_owned()).collect(),
        towards,
        message,
        language: language.map(|language| called(language).to_owned()),
        advice: advice(language.map(String::as_str)),
    }
}

fn outcome(report: &TraceReport, way: &Way<'_>, losses: &[Loss]) -> Outcome {
    if !losses.is_empty() {
        Outcome::Dropped
    } else if report.status.is_none() {
        Outcome::Failed
    } else if way.calls.is_empty() {
        Outcome::Alone
    } else {
        Outcome::Passed
    }
}

fn message(report: &TraceReport, way: &Way<'_>, outcome: Outcome, losses: &[Loss]) -> String {
    let service = &report.service;
    let status = report.status.map_or_else(String::new, |status| format!(" answered {status} and"));
    match outcome {
        Outcome::Passed => {
            format!("The key reached every service that {service} brought into it: {}.", calls(way.calls.len()))
        }
        Outcome::Alone => format!(
            "{service}{status} called no routed Service, so this path shows nothing. Try one that makes it call others."
        ),
        Outcome::Dropped => match losses {
            [one] => one.message.clone(),
            several => format!("The key was dropped in {} places.", several.len()),
        },
        Outcome::Failed => {
            let why = report.error.as_deref().unwrap_or("nothing is known of why");
            format!("{service} gave the probe no answer: {why}.")
        }
    }
}

fn calls(count: usize) -> String {
    if count == 1 { "1 call".to_owned() } else { format!("{count} calls") }
}

fn notes(report: &TraceReport, way: &Way<'_>, losses: &[Loss]) -> Vec<String> {
    let mut notes = Vec::new();
    if !way.entered && report.status.is_some() {
        notes.push(match report.routers {
            0 => "No router was asked, so nothing of its way was seen: see `lapdev explain` of the base.".to_owned(),
            _ => format!("No router saw the probe reach {}: that Service is not routed.", report.service),
        });
    }
    notes.extend(baselines(way));
    notes.extend(way.senders.iter().filter_map(|(by, sent)| halves(way, by, sent)));
    notes.extend(way.senders.iter().filter_map(|(by, sent)| mixed(way, by, sent)));
    notes.extend(way.senders.iter().filter(|(by, _)| !blamed(losses, by)).filter_map(|(by, sent)| strays(by, sent)));
    notes.extend(way.senders.iter().filter_map(|(by, sent)| anew(by, sent)));
    notes.extend((way.others > 0).then(|| {
        let (requests, was) = if way.others == 1 { ("request", "was") } else { ("requests", "were") };
        format!("Others use the branch: {} {requests} with its key in another trace {was} left out.", way.others)
    }));
    notes
}

/// Where the baseline answered, and whether that is as it should be.
fn baselines(way: &Way<'_>) -> impl Iterator<Item = String> {
    let of = |stations: &mut dyn Iterator<Item = &Station>| -> Vec<String> {
        stations.filter(|station| station.key.is_none()).map(|station| station.service.clone()).collect()
    };
    let with = of(&mut way.receivers().into_iter());
    let mut without = of(&mut way.denied.iter().copied());
    let known: BTreeSet<&String> = with.iter().collect();
    without.retain(|service| !known.contains(service));
    let fine = format!("Answered by the baseline, since the branch does not run it: {}.", with.join(", "));
    let lost = format!(
        "Answered by the baseline, whatever the branch runs, since the key was missing: {}.",
        without.join(", ")
    );
    [(with, fine), (without, lost)].into_iter().filter(|(of, _)| !of.is_empty()).map(|(_, text)| text)
}

/// The key arrives, but by one header alone.
fn halves(way: &Way<'_>, by: &Station, sent: &Sent<'_>) -> Option<String> {
    let given = way.given(by)?;
    let passed = sent.with.iter().map(|(_, carried)| *carried).reduce(Carried::and)?;
    let lacks: Vec<_> = given.names().into_iter().filter(|name| !passed.names().contains(name)).collect();
    let name = version(&by.service, by.key.is_some());
    (!lacks.is_empty()).then(|| {
        format!(
            "{name} passes the key on in {} only and drops {}: it arrives, but is lost at the first service that knows only \
             the other.",
            and(&passed.names()),
            and(&lacks)
        )
    })
}

/// Who was called with and without the key: what it sent without may be the answer to either.
fn mixed(way: &Way<'_>, by: &Station, sent: &Sent<'_>) -> Option<String> {
    let mixed = way.given(by).is_some() && way.denied.contains(by) && !sent.without.is_empty();
    let name = version(&by.service, by.key.is_some());
    mixed.then(|| {
        format!("{name} was called both with and without the key, so what it calls without proves nothing yet.")
    })
}

/// Who passes the key on, but not the trace.
fn anew(by: &Station, sent: &Sent<'_>) -> Option<String> {
    let other: Vec<&Hop> = sent.with.iter().map(|(hop, _)| *hop).filter(|hop| !hop.in_trace).collect();
    let name = version(&by.service, by.key.is_some());
    (!other.is_empty()).then(|| {
        format!(
            "{name} called {} with the key in another trace: either it begins a trace of its own, or that was somebody else's \
             request to the branch; what follows from it is uncertain.",
            list(&services(&other))
        )
    })
}

fn strays(by: &Station, sent: &Sent<'_>) -> Option<String> {
    let name = version(&by.service, by.key.is_some());
    let passes = !sent.with.is_empty() && !sent.stray.is_empty();
    passes.then(|| {
        format!(
            "Meanwhile {name} also called {} with neither key nor trace: work of its own, somebody else's request, or a client \
             that is not instrumented.",
            list(&services(&sent.stray))
        )
    })
}

/// The Services that were called, each once.
fn services(hops: &[&Hop]) -> Vec<String> {
    hops.iter().map(|hop| hop.to.service.clone()).collect::<BTreeSet<_>>().into_iter().collect()
}

fn list(names: &[String]) -> String {
    and(&names.iter().map(String::as_str).collect::<Vec<_>>())
}

fn and(names: &[&str]) -> String {
    match names {
        [] => "nothing".to_owned(),
        [one] => (*one).to_owned(),
        [before @ .., last] => format!("{} and {last}", before.join(", ")),
    }
}
