//! Mixed requests on kept connections without a pause, while everything moves: none lost, none to a wrong version.

use crate::{
    house::{Branch, CART, FRONT, GOODS, House, LIMIT, NAMESPACE, PORT, play},
    matrix::three_branches,
    timeline::{Standing, Timeline},
};
use lapdev_tests::{
    stage::{Error, SERVICES, forge, until, within},
    visitor::{Plan, Protocol, Record},
};
use std::{collections::BTreeMap, time::Duration};

/// How many requests there are at least.
const TOTAL: usize = 100_000;
/// How many pass between two changes.
const BETWEEN: usize = 4_000;
/// For the requests between two changes. A machine that does nothing else needs a minute for all of them; one that builds
/// and measures beside it needed five.
const PATIENCE: Duration = Duration::from_secs(600);
const STAGING: &str = "lapdev/environments/staging.yaml";

#[test]
fn a_hundred_thousand_requests_come_through_while_branches_open_roll_and_close_and_a_router_is_replaced() {
    play("the soak", async |house| {
        let keys = three_branches(house).await?;
        house.close_branch(FRONT).await?;
        let mut timeline = Timeline::default();
        for (branch, key) in &keys {
            timeline.now(*branch, key, if *branch == FRONT { Standing::Closed } else { Standing::Open });
        }
        let key_of = |wanted: Branch| keys.iter().find(|(branch, _)| *branch == wanted).map_or("", |(_, key)| key);
        let mut soak = house.cast.soak(&plan(&SERVICES, keys.iter().map(|(_, key)| key.clone()).collect()))?;

        soak.more(BETWEEN, PATIENCE).await?;
        opens(house, &mut timeline, FRONT, key_of(FRONT)).await?;
        soak.more(BETWEEN, PATIENCE).await?;
        branch_rolls(house, CART, key_of(CART)).await?;
        soak.more(BETWEEN, PATIENCE).await?;
        router_is_replaced(house).await?;
        soak.more(BETWEEN, PATIENCE).await?;
        closes(house, &mut timeline, GOODS, key_of(GOODS)).await?;
        soak.more(BETWEEN, PATIENCE).await?;
        base_rolls(house).await?;
        soak.more(BETWEEN, PATIENCE).await?;
        opens(house, &mut timeline, GOODS, key_of(GOODS)).await?;
        soak.more(TOTAL.saturating_sub(soak.so_far()).max(BETWEEN), PATIENCE).await?;
        judge(house, &timeline, &soak.end().await?, TOTAL)
    });
}

/// What to ask of these services.
pub fn plan(services: &[&str], keys: Vec<String>) -> Plan {
    Plan {
        namespace: NAMESPACE.to_owned(),
        services: services.iter().map(|service| (*service).to_owned()).collect(),
        port: PORT,
        keys,
        tasks: Protocol::ALL.map(|protocol| (protocol, 4)).into(),
    }
}

/// No record may be objected to; says what there was.
pub fn judge(house: &House, timeline: &Timeline, records: &[Record], at_least: usize) -> Result<(), Error> {
    let objections: Vec<_> = records
        .iter()
        .filter_map(|record| timeline.objection(record).map(|why| format!("{why}: {record:?}")))
        .collect();
    let mut by_protocol = BTreeMap::<Protocol, usize>::new();
    records.iter().for_each(|record| *by_protocol.entry(record.protocol).or_default() += 1);
    let mut took: Vec<_> = records.iter().map(|record| record.answered - record.sent).collect();
    took.sort_unstable();
    let millis = |part: usize| took.get(took.len() * part / 1000).map_or(0.0, |micros| *micros as f64 / 1000.0);
    let connections: u32 = records.iter().map(|record| record.connections).sum();
    let again = records.iter().filter(|record| record.again > 0).count();
    house.steps.say(&format!(
        "{} requests {by_protocol:?} on {connections} connections: {} not right, {again} sent anew after a refusal; p50 {:.1} ms, p99 {:.1} ms, p99.9 {:.1} ms",
        records.len(),
        objections.len(),
        millis(500),
        millis(990),
        millis(999),
    ));
    let some: Vec<_> = objections.iter().take(10).collect();
    within(objections.is_empty(), format!("{} of {} are not right: {some:#?}", objections.len(), records.len()))?;
    within(records.len() >= at_least, format!("{} requests", records.len()))?;
    // Each was kept as long as its router stood, or there would be nothing to see of routing by request.
    within(
        connections as usize * 10 < records.len(),
        format!("{connections} connections for {} requests", records.len()),
    )
}

async fn opens(house: &mut House, timeline: &mut Timeline, branch: Branch, key: &str) -> Result<(), Error> {
    timeline.now(branch, key, Standing::Changing);
    let same = house.open_branch(branch).await?;
    timeline.now(branch, key, Standing::Open);
    within(same == key, format!("the key of {} was {key} and is {same}", branch.branch))
}

async fn closes(house: &mut House, timeline: &mut Timeline, branch: Branch, key: &str) -> Result<(), Error> {
    timeline.now(branch, key, Standing::Changing);
    house.close_branch(branch).await?;
    timeline.now(branch, key, Standing::Closed);
    Ok(())
}

async fn branch_rolls(house: &House, branch: Branch, key: &str) -> Result<(), Error> {
    let head = house.push(branch).await?;
    forge::pushed(&house.cast.github, forge::APP)?;
    house.cast.ready(key, Some(&head)).await.map(drop)
}

async fn router_is_replaced(house: &House) -> Result<(), Error> {
    const ROUTERS: &str = "lapdev.dev/router=true";
    let before = house.so_many_pods(ROUTERS, 2).await?;
    house.cast.cluster.kubectl(&["delete", "pod", "-n", NAMESPACE, "--wait=false", &before[0]], "").await?;
    until("another router takes its place", LIMIT, async || {
        let now = house.pods(ROUTERS).await?;
        within(now.len() == 2 && !now.contains(&before[0]), format!("{before:?}, then {now:?}"))
    })
    .await?;
    // The old one still has connections to hand over.
    let gone = ["wait", "--for=delete", "-n", NAMESPACE, &format!("pod/{}", before[0]), "--timeout=90s"];
    Ok(house.cast.cluster.kubectl(&gone, "").await.map(drop)?)
}

/// The config repository changes what pricing runs with, in the baseline and so in every copy.
async fn base_rolls(house: &House) -> Result<(), Error> {
    let old = house.cast.config.read("main", STAGING)?;
    let round = old.matches("ROUND").count();
    let with = format!("{old}    - workload: pricing\n      env:\n        ROUND: \"{round}\"\n");
    house.cast.config.write("main", STAGING, &with)?;
    forge::pushed(&house.cast.github, forge::CONFIG)?;
    until("the new baseline of pricing is applied", LIMIT, async || {
        let spec =
            house.cast.cluster.kubectl(&["get", "deployment", "pricing", "-n", NAMESPACE, "-o", "json"], "").await?;
        within(spec.contains("\"ROUND\""), "not yet")
    })
    .await?;
    let rolled = ["rollout", "status", "deployment/pricing", "-n", NAMESPACE, "--timeout=90s"];
    Ok(house.cast.cluster.kubectl(&rolled, "").await.map(drop)?)
}
