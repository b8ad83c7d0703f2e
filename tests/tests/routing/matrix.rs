//! Every protocol × header × branch × service that is asked: each service of the chain is answered for by exactly the
//! version that the key names, on connections that are kept over all of it.

use crate::{
    expected,
    house::{Branch, CART, FRONT, GOODS, House, NAMESPACE, PORT, play},
};
use lapdev_tests::{
    stage::{Error, SERVICES, within},
    visitor::{Protocol, Question, What, versions},
};

/// What a client may send, for a key: name, headers, whether the key counts.
type Sent = (&'static str, &'static [(&'static str, &'static str)], bool);
const HEADERS: [Sent; 9] = [
    ("tracestate", &[("tracestate", "other=1,lapdev=KEY")], true),
    ("baggage", &[("baggage", "user=7, lapdev = KEY ;ttl=1")], true),
    ("both", &[("tracestate", "lapdev=KEY"), ("baggage", "lapdev=KEY")], true),
    ("tracestate before baggage", &[("baggage", "lapdev=OTHER"), ("tracestate", "lapdev=KEY")], true),
    ("the second line of tracestate", &[("tracestate", "a=1"), ("tracestate", "lapdev=KEY")], true),
    ("with a traceparent", &[("traceparent", TRACEPARENT), ("tracestate", "lapdev=KEY")], true),
    ("none", &[], false),
    ("unknown", &[("tracestate", "lapdev=nobody-abc234"), ("baggage", "lapdev=nobody-abc234")], false),
    ("malformed", &[("tracestate", "lapdev=Not A Key,=,lapdev"), ("baggage", "lapdev=%zz")], false),
];
const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// One cell.
struct Cell {
    name: String,
    question: Question,
    counts: Option<(Branch, String)>,
}

#[test]
fn each_hop_is_answered_by_exactly_the_version_that_the_key_names() {
    play("the matrix", async |house| {
        let keys = three_branches(house).await?;
        let cells = cells(&keys);
        let questions: Vec<_> = cells.iter().map(|cell| cell.question.clone()).collect();
        let replies = house.cast.ask(&questions).await?;
        let mut wrong = Vec::new();
        for (cell, reply) in cells.iter().zip(&replies) {
            let service = cell.question.to.split('.').next().unwrap_or_default();
            let branch = cell.counts.as_ref().map(|(branch, key)| (*branch, key.as_str()));
            let fits = versions(&reply.says) == Ok(expected::chain(service, branch));
            let told = reply.served_by.as_deref() == Some(&expected::version(service, branch));
            if !(reply.is_fine() && fits && told) {
                wrong.push(format!("{}: {reply:?}", cell.name));
            }
        }
        let connections: u32 = replies.iter().map(|reply| reply.connections).sum();
        house.steps.say(&format!("{} cells on {connections} connections, {} wrong", cells.len(), wrong.len()));
        within(wrong.is_empty(), format!("{} of {} cells, such as {:#?}", wrong.len(), cells.len(), wrong.first()))?;
        // One for each service and protocol, over all keys: the decision is taken for each request.
        within(connections as usize == SERVICES.len() * Protocol::ALL.len(), format!("{connections} connections"))
    });
}

#[test]
fn the_link_of_each_branch_shows_it_wherever_it_changed_the_shop() {
    play("links from outside", async |house| {
        for (branch, key) in three_branches(house).await? {
            let view = house.cast.plane.environment(&key).await?;
            let links = view["links"].as_array().cloned().unwrap_or_default();
            within(!links.is_empty(), format!("no link: {view}"))?;
            for link in &links {
                let answer = house.cast.open(link["url"].as_str().unwrap_or_default()).await?;
                let service = answer["service"].as_str().unwrap_or_default().to_owned();
                let fits = versions(&answer) == Ok(expected::chain(&service, Some((branch, &key))));
                within(fits, format!("{link} of {key}: {answer}"))?;
            }
        }
        let view = house.cast.plane.environment("staging").await?;
        let url = view.pointer("/links/0/url").and_then(|url| url.as_str()).unwrap_or_default();
        let answer = house.cast.open(url).await?;
        within(versions(&answer) == Ok(expected::chain("web", None)), answer.to_string())
    });
}

#[test]
fn a_stream_both_ways_stays_with_its_version() {
    play("streams", async |house| {
        let keys = three_branches(house).await?;
        let to = |service: &str| format!("{service}.{NAMESPACE}:{PORT}");
        let ask = |service: &str, key: &str| Question {
            protocol: Protocol::Grpc,
            to: to(service),
            what: What::Chat,
            headers: vec![("tracestate".to_owned(), format!("lapdev={key}"))],
        };
        let cases: Vec<_> = keys.iter().flat_map(|key| SERVICES.map(|service| (service, key))).collect();
        let questions: Vec<_> = cases.iter().map(|(service, (_, key))| ask(service, key)).collect();
        for ((service, (branch, key)), reply) in cases.iter().zip(house.cast.ask(&questions).await?) {
            let version = expected::version(service, Some((*branch, key)));
            let fits = reply.is_fine() && reply.says["version"] == version;
            within(fits, format!("{service} with {key}: {reply:?}"))?;
        }
        Ok(())
    });
}

/// All three, Ready.
pub async fn three_branches(house: &mut House) -> Result<Vec<(Branch, String)>, Error> {
    let mut keys = Vec::new();
    for branch in [CART, GOODS, FRONT] {
        keys.push((branch, house.open_branch(branch).await?));
    }
    Ok(keys)
}

fn cells(keys: &[(Branch, String)]) -> Vec<Cell> {
    let mut cells = Vec::new();
    for (number, (branch, key)) in keys.iter().enumerate() {
        let other = &keys[(number + 1) % keys.len()].1;
        for protocol in Protocol::ALL {
            for service in SERVICES {
                for (name, headers, counts) in HEADERS {
                    let value = |value: &str| value.replace("KEY", key).replace("OTHER", other);
                    cells.push(Cell {
                        name: format!("{protocol:?} {service} {name} of {}", branch.branch),
                        question: Question {
                            protocol,
                            to: format!("{service}.{NAMESPACE}:{PORT}"),
                            what: What::Chain,
                            headers: headers.iter().map(|(name, text)| ((*name).to_owned(), value(text))).collect(),
                        },
                        counts: counts.then(|| (*branch, key.clone())),
                    });
                }
            }
        }
    }
    cells
}
