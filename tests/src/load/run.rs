//! A run: every connection a task of one thread, their tallies summed.

use super::{
    cpu, h1, h2,
    outcome::Outcome,
    plan::{Plan, Protocol},
    source::{Pace, Source},
    tally::Tally,
};
use std::{io, rc::Rc, time::Instant};
use tokio::task::{JoinSet, LocalSet};

/// Does what the plan says. Runs on the thread that polls it, so give it a runtime of one thread.
///
/// # Errors
/// Only when this process's own times cannot be read: what goes wrong with a request is counted.
pub async fn run(plan: Plan) -> io::Result<Outcome> {
    let cpu = cpu::cpu_time("self")?;
    let begun = Instant::now();
    let source = Rc::new(Source::new(&plan, begun));
    let plan = Rc::new(plan);
    let (tally, last) = LocalSet::new().run_until(all(&plan, &source, begun)).await;
    let measured_for = last.saturating_duration_since(source.counted_from);
    Ok(Outcome::of(&plan, &tally, measured_for, cpu::cpu_time("self")?.saturating_sub(cpu)))
}

async fn all(plan: &Rc<Plan>, source: &Rc<Source>, begun: Instant) -> (Tally, Instant) {
    let mut connections = JoinSet::new();
    for number in 0..plan.connections {
        let (plan, source) = (Rc::clone(plan), Rc::clone(source));
        let pace = Pace::new(&plan, number, begun);
        connections.spawn_local(async move {
            match plan.protocol {
                Protocol::H1 => h1::drive(&plan, &source, pace).await,
                Protocol::H2 | Protocol::Grpc => h2::drive(&plan, &source, pace).await,
            }
        });
    }
    let mut sum = Tally::default();
    while let Some(tally) = connections.join_next().await {
        match tally {
            Ok(tally) => sum.add(tally),
            Err(error) => sum.failed(&format!("a connection's task: {error}")),
        }
    }
    (sum, Instant::now())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{Amount, VersionFrom, serve};
    use std::time::Duration;
    use tokio::net::TcpListener;

    async fn against(name: &'static str, change: impl FnOnce(&mut Plan)) -> Outcome {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback is there");
        let mut plan = Plan {
            target: listener.local_addr().expect("it listens"),
            protocol: Protocol::H1,
            connections: 3,
            streams: 10,
            amount: Amount::Requests(1000),
            warm_up: Duration::ZERO,
            rate: None,
            authority: "web".to_owned(),
            path: "/".to_owned(),
            asks: vec!["-=web".parse().expect("legal"), "x-abc234=web".parse().expect("legal")],
            version_from: VersionFrom::Body,
        };
        change(&mut plan);
        tokio::select! {
            outcome = run(plan) => outcome.expect("/proc can be read"),
            _ = serve(listener, name, 1024) => panic!("the backend ended"),
        }
    }

    #[tokio::test]
    async fn every_request_of_every_protocol_is_answered_once() {
        for protocol in [Protocol::H1, Protocol::H2, Protocol::Grpc] {
            let outcome = against("web", |plan| plan.protocol = protocol).await;
            assert_eq!((outcome.total, outcome.measured, outcome.bad()), (1000, 1000, 0), "{protocol}: {outcome:?}");
            let halves: Vec<_> = outcome.answers.values().copied().collect();
            assert_eq!(halves, [500, 500], "{protocol}: {outcome:?}");
        }
    }

    #[tokio::test]
    async fn an_answer_of_another_version_is_counted_as_wrong() {
        for protocol in [Protocol::H1, Protocol::H2, Protocol::Grpc] {
            let outcome = against("cart", |plan| plan.protocol = protocol).await;
            assert_eq!((outcome.wrong, outcome.bad()), (1000, 1000), "{protocol}: {outcome:?}");
        }
    }

    #[tokio::test]
    async fn where_nobody_listens_every_request_fails() {
        let nobody = TcpListener::bind("127.0.0.1:0").await.expect("loopback is there");
        let target = nobody.local_addr().expect("it listens");
        drop(nobody);
        for protocol in [Protocol::H1, Protocol::H2] {
            let change = |plan: &mut Plan| {
                (plan.protocol, plan.target, plan.amount) = (protocol, target, Amount::Requests(9));
            };
            let outcome = against("web", change).await;
            assert_eq!((outcome.total, outcome.bad()), (9, 9), "{protocol}: {outcome:?}");
        }
    }

    #[tokio::test]
    async fn a_rate_is_kept() {
        for protocol in [Protocol::H1, Protocol::Grpc] {
            let change = |plan: &mut Plan| {
                plan.protocol = protocol;
                (plan.rate, plan.amount) = (Some(500.0), Amount::For(Duration::from_secs(1)));
            };
            let outcome = against("web", change).await;
            assert!((250..=510).contains(&outcome.total), "{protocol}: {outcome:?}");
        }
    }
}
