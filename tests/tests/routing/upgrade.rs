//! WebSockets between pods: each is decided by the request that asks for it, and then carries both ways to the end.

use crate::{
    expected,
    house::{NAMESPACE, PORT, play},
    matrix::three_branches,
};
use lapdev_tests::{
    stage::{SERVICES, within},
    visitor::{Protocol, Question, What},
};

#[test]
fn a_websocket_goes_to_the_version_that_its_request_names_and_carries_both_ways_until_it_is_closed() {
    play("WebSockets", async |house| {
        let keys = three_branches(house).await?;
        let mut cases = Vec::new();
        for service in SERVICES {
            cases.push((service, vec![], expected::version(service, None)));
            for (branch, key) in &keys {
                for name in ["tracestate", "baggage"] {
                    let headers = vec![(name.to_owned(), format!("other=1,lapdev={key}"))];
                    cases.push((service, headers, expected::version(service, Some((*branch, key)))));
                }
            }
        }
        let question = |service: &str, headers: &[(String, String)]| Question {
            protocol: Protocol::Http1,
            to: format!("{service}.{NAMESPACE}:{PORT}"),
            what: What::Socket,
            headers: headers.to_vec(),
        };
        let questions: Vec<_> = cases.iter().map(|(service, headers, _)| question(service, headers)).collect();
        let replies = house.cast.ask(&questions).await?;
        for ((service, headers, version), reply) in cases.iter().zip(&replies) {
            let fits = reply.status == 101
                && reply.says["service"] == *service
                && reply.says["version"] == *version
                && reply.served_by.as_ref() == Some(version);
            within(fits, format!("{service} with {headers:?}, not by {version}: {reply:?}"))?;
        }
        house.steps.say(&format!("{} WebSockets", replies.len()));
        Ok(())
    });
}
