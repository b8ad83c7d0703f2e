//! `lapdev trace`: the way of a probe, and who dropped the key on it. Exits 1 when somebody did, or the probe got no answer.

use crate::{
    args::{Format, ServerArgs},
    client::Client,
    exit::Failure,
    output::{Row, data, plain, print, table},
};
use lapdev_api::{
    route::{Hop, Station, TraceReport},
    view::{Loss, Outcome, TraceAsked, TraceView, Verdict},
    words::version,
};
use std::fmt::Write as _;

/// Runs it.
pub async fn run(name: &str, asked: TraceAsked, output: Format, server: &ServerArgs) -> Result<(), Failure> {
    let client = Client::new(server)?.patient();
    let view: TraceView = client.ask(&["environments", name, "trace"], &asked).await?;
    match output {
        Format::Table => data(&text(&view, &asked.path))?,
        Format::Json | Format::Yaml => print(output, &view, &steps(&view.report))?,
    }
    match view.verdict.outcome {
        Outcome::Passed | Outcome::Alone => Ok(()),
        Outcome::Dropped | Outcome::Failed => Err(Failure::NotFine(None)),
    }
}

/// The whole text. Writing to a `String` cannot fail, hence the ignored results.
fn text(view: &TraceView, path: &str) -> String {
    let mut text = headline(view, path);
    if !view.report.hops.is_empty() {
        let _ = writeln!(text, "\n{}", table(&steps(&view.report)));
    }
    text.push('\n');
    verdict(&mut text, &view.verdict);
    text
}

fn headline(view: &TraceView, path: &str) -> String {
    let report = &view.report;
    let answer = match (report.status, &report.error) {
        (Some(status), _) => format!("answered {status}"),
        (None, Some(error)) => format!("gave no answer: {error}"),
        (None, None) => "gave no answer".to_owned(),
    };
    let routers = if report.routers == 1 { "1 router" } else { &format!("{} routers", report.routers) };
    let first = format!("{}: GET {path} of {} {answer}", view.environment, report.service);
    format!("{}\ntrace {}, key {}, seen by {routers}\n", plain(&first), plain(&report.trace_id), report.key)
}

fn verdict(text: &mut String, verdict: &Verdict) {
    let _ = writeln!(text, "{}: {}", word(verdict.outcome), plain(&verdict.message));
    for loss in &verdict.losses {
        // The one and only is the message.
        if verdict.losses.len() > 1 {
            let _ = writeln!(text, "- {}", plain(&loss.message));
        }
        advice(text, loss);
    }
    if !verdict.passed_on_by.is_empty() {
        let by: Vec<_> = verdict.passed_on_by.iter().map(named).collect();
        let _ = writeln!(text, "passed on by {}", plain(&by.join(", ")));
    }
    for note in &verdict.notes {
        let _ = writeln!(text, "note: {}", plain(note));
    }
}

fn advice(text: &mut String, loss: &Loss) {
    if loss.advice.is_empty() {
        return;
    }
    let _ = match &loss.language {
        Some(language) => writeln!(text, "  to pass it on in {}, by OpenTelemetry:", plain(language)),
        None => writeln!(text, "  to pass it on, by OpenTelemetry (more in docs/routing.md):"),
    };
    for line in &loss.advice {
        let _ = writeln!(text, "    {}", plain(line));
    }
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "Passed on",
        Outcome::Alone => "Nothing shown",
        Outcome::Dropped => "Dropped",
        Outcome::Failed => "Failed",
    }
}

fn named(station: &Station) -> String {
    version(&station.service, station.key.is_some())
}

/// Hops that look the same.
struct Step {
    cells: [String; 5],
    times: usize,
}

/// The probe is sent several times: what came again is one step.
fn steps(report: &TraceReport) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for hop in &report.hops {
        let cells = cells(hop, report);
        match steps.iter_mut().find(|step| step.cells == cells) {
            Some(step) => step.times += 1,
            None => steps.push(Step { cells, times: 1 }),
        }
    }
    steps
}

impl Row for Step {
    const HEAD: &'static [&'static str] = &["FROM", "TO", "REQUEST", "STATUS", "KEY IN", "TIMES"];

    fn cells(&self) -> Vec<String> {
        self.cells.iter().cloned().chain([self.times.to_string()]).collect()
    }
}

fn cells(hop: &Hop, report: &TraceReport) -> [String; 5] {
    let is_probe = hop.in_trace && hop.to.service == report.service;
    let from = match &hop.from {
        Some(from) => named(from),
        None if is_probe => "the probe".to_owned(),
        None => "not known".to_owned(),
    };
    let places = [(hop.in_tracestate, "tracestate"), (hop.in_baggage, "baggage")];
    let mut key: Vec<_> = places.into_iter().filter_map(|(is, place)| is.then_some(place)).collect();
    if key.is_empty() {
        key.push(if hop.in_trace { "nothing" } else { "nothing, nor in the trace" });
    }
    let status = hop.status.map_or_else(|| "-".to_owned(), |status| status.to_string());
    [from, named(&hop.to), hop.request.clone(), status, key.join(", ")]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn view(verdict: &serde_json::Value) -> TraceView {
        let station = |service: &str, key: Option<&str>| json!({ "service": service, "key": key });
        let hop = |from, to, status, [in_trace, in_tracestate, in_baggage]: [bool; 3]| {
            json!({
                "at": "2026-01-01T00:00:00Z", "from": from, "to": to, "request": "GET /\u{1b}[2J", "status": status,
                "inTrace": in_trace, "inTracestate": in_tracestate, "inBaggage": in_baggage,
            })
        };
        let (web, cart) = (station("web", Some("x-abc234")), station("cart", None));
        let hops = [
            hop(json!(null), &web, json!(200), [true; 3]),
            hop(json!(null), &web, json!(200), [true; 3]),
            hop(json!(web), &cart, json!(null), [true, false, false]),
            hop(json!(cart), &web, json!(500), [false, false, true]),
            hop(json!(null), &cart, json!(200), [false; 3]),
        ];
        let report = json!({
            "traceId": "4bf9", "key": "x-abc234", "service": "web", "status": 200, "error": null, "hops": hops,
            "languages": {}, "routers": 2,
        });
        let view = json!({ "environment": "x", "report": report, "verdict": verdict });
        serde_json::from_value(view).expect("a view")
    }

    #[test]
    fn a_trace_is_a_table_of_hops_and_a_verdict_with_what_to_do() {
        let loss = |by: Option<&str>, message: &str, language: Option<&str>| {
            let by = by.map(|service| json!({ "service": service, "key": null }));
            json!({
                "by": by, "certain": true, "lost": ["baggage"], "towards": ["db"], "message": message,
                "language": language, "advice": if by.is_some() { vec!["one", "two"] } else { vec![] },
            })
        };
        let view = view(&json!({
            "outcome": "Dropped", "message": "The key was dropped in 2 places.",
            "passedOnBy": [{ "service": "web", "key": "x-abc234" }],
            "losses": [loss(Some("cart"), "cart drops it.", Some("Go")), loss(None, "Somebody drops it.", None)],
            "notes": ["That is\nall."],
        }));
        assert_eq!(
            text(&view, "/a?b=1").lines().map(str::trim_end).collect::<Vec<_>>(),
            [
                "x: GET /a?b=1 of web answered 200",
                "trace 4bf9, key x-abc234, seen by 2 routers",
                "",
                "FROM             TO               REQUEST    STATUS  KEY IN                     TIMES",
                "the probe        web (branch)     GET / [2J  200     tracestate, baggage        2",
                "web (branch)     cart (baseline)  GET / [2J  -       nothing                    1",
                "cart (baseline)  web (branch)     GET / [2J  500     baggage                    1",
                "not known        cart (baseline)  GET / [2J  200     nothing, nor in the trace  1",
                "",
                "Dropped: The key was dropped in 2 places.",
                "- cart drops it.",
                "  to pass it on in Go, by OpenTelemetry:",
                "    one",
                "    two",
                "- Somebody drops it.",
                "passed on by web (branch)",
                "note: That is all.",
            ]
        );
    }

    #[test]
    fn what_one_place_dropped_is_said_once() {
        let loss = json!({
            "by": null, "certain": true, "lost": [], "towards": [], "message": "It is lost.", "language": null,
            "advice": ["Go: one"],
        });
        let view = view(&json!({
            "outcome": "Dropped", "message": "It is lost.", "passedOnBy": [], "losses": [loss], "notes": [],
        }));
        let text = text(&view, "/");
        let end = "Dropped: It is lost.\n  to pass it on, by OpenTelemetry (more in docs/routing.md):\n    Go: one\n";
        assert!(text.ends_with(end), "{text}");
    }
}
