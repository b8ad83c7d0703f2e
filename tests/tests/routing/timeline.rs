//! What was true of each branch when, and what an answer may therefore be. Pure.
//!
//! A request that was under way while a branch opened or closed may have been answered by either version: who sent it
//! could not know. At every other time there is one right answer.

use crate::{
    expected::{chain, version},
    house::{Branch, is_known},
};
use lapdev_tests::visitor::Record;
use std::{
    collections::BTreeMap,
    time::{SystemTime, UNIX_EPOCH},
};

/// How a branch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is Ready, rolling or not.
    Open,
    /// Nothing of it is left, or it was not opened yet.
    Closed,
    /// Between them.
    Changing,
}

/// What happened to each branch.
#[derive(Debug, Default)]
pub struct Timeline(BTreeMap<String, (Branch, Vec<(u64, Standing)>)>);

impl Timeline {
    /// From now on, a branch stands like this.
    pub fn now(&mut self, branch: Branch, key: &str, standing: Standing) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64);
        self.at(now, branch, key, standing);
    }

    fn at(&mut self, at: u64, branch: Branch, key: &str, standing: Standing) {
        self.0.entry(key.to_owned()).or_insert_with(|| (branch, Vec::new())).1.push((at, standing));
    }

    /// Why an answer is not right; none when it is.
    pub fn objection(&self, record: &Record) -> Option<String> {
        let answer = match &record.answer {
            Ok(answer) => answer,
            Err(error) => return Some(format!("lost: {error}")),
        };
        if !answer.contains_key(&record.service) || answer.keys().any(|service| !is_known(service)) {
            return Some("an answer of somebody else".to_owned());
        }
        let (branch, standing) = self.during(record);
        let wrong = answer.iter().find(|(service, found)| {
            let (own, base) = (version(service, branch), version(service, None));
            match standing {
                Standing::Open => **found != own,
                Standing::Closed => **found != base,
                Standing::Changing => **found != own && **found != base,
            }
        });
        let whole = answer.len() == 1
            || *answer.keys().collect::<Vec<_>>() == chain(&record.service, None).keys().collect::<Vec<_>>();
        match wrong {
            Some((service, found)) => Some(format!("wrong: {service} was answered by {found} while {standing:?}")),
            None if !whole => Some("a part of the chain is missing".to_owned()),
            None => None,
        }
    }

    /// How the branch of a request stood from its sending to its answer.
    fn during(&self, record: &Record) -> (Option<(Branch, &str)>, Standing) {
        let Some((key, (branch, events))) = record.key.as_ref().and_then(|key| self.0.get_key_value(key)) else {
            return (None, Standing::Closed);
        };
        let mut standing = Standing::Closed;
        let mut seen = Vec::new();
        for (at, next) in events {
            if *at > record.sent && seen.is_empty() {
                seen.push(standing);
            }
            standing = *next;
            if *at > record.sent && *at <= record.answered {
                seen.push(standing);
            }
        }
        let first = seen.first().copied().unwrap_or(standing);
        let throughout = seen.iter().all(|standing| *standing == first);
        (Some((*branch, key)), if throughout { first } else { Standing::Changing })
    }
}

#[test]
fn an_answer_is_judged_by_how_its_branch_stood_from_sending_to_answer() {
    use crate::house::CART;
    use Standing::{Changing, Closed, Open};
    use lapdev_tests::visitor::Protocol;
    let mut timeline = Timeline::default();
    for (at, standing) in [(100, Changing), (200, Open), (300, Changing), (400, Closed)] {
        timeline.at(at, CART, "cart-abc234", standing);
    }
    let record = |sent, answered, key: Option<&str>, found: &str| Record {
        sent,
        answered,
        protocol: Protocol::Http2,
        service: "cart".to_owned(),
        key: key.map(str::to_owned),
        answer: Ok(BTreeMap::from([("cart".to_owned(), found.to_owned())])),
        again: 0,
        connections: 0,
    };
    let key = Some("cart-abc234");
    for (sent, answered, base, branch) in [
        (10, 20, true, false),
        (90, 110, true, true),
        (150, 160, true, true),
        (190, 210, true, true),
        (210, 290, false, true),
        (290, 310, true, true),
        (390, 410, true, true),
        (410, 420, true, false),
        (10, 420, true, true),
    ] {
        let right = |found| timeline.objection(&record(sent, answered, key, found)).is_none();
        assert_eq!((right("baseline"), right("cart-abc234")), (base, branch), "from {sent} to {answered}");
        assert!(!right("another-abc234"), "from {sent} to {answered}");
    }
    assert!(timeline.objection(&record(250, 260, None, "baseline")).is_none());
    assert!(timeline.objection(&record(250, 260, None, "cart-abc234")).is_some(), "it carried no key");
    let lost = Record { answer: Err("reset".to_owned()), ..record(150, 160, key, "") };
    assert_eq!(timeline.objection(&lost), Some("lost: reset".to_owned()));
    let half = Record { service: "web".to_owned(), ..record(250, 260, key, "cart-abc234") };
    assert!(timeline.objection(&half).is_some(), "web did not answer");
}
