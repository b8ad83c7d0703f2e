//! Desired state goes to the cluster, its word comes back, whatever happens to the wire.

use crate::{
    lab::{Agent, Environment, Lab, until},
    relay::Relay,
};
use lapdev_agent::tunnel::TunnelState;
use lapdev_api::{name::Generation, record::Life, status::Phase};
use serde_json::json;
use std::sync::{Arc, atomic::Ordering};

#[tokio::test]
async fn an_environment_travels_to_its_cluster_and_back_to_its_end() {
    let lab = Lab::start().await;
    let mut agent = lab.agent("dev").await;
    agent.synced().await;
    let environment = Environment::new('a', "staging");
    lab.show(&agent, &environment).await;
    agent.memory.outbox.status(environment.status(1, Phase::Ready, ""));
    let ready = async || {
        let status = lab.store.status(&environment.uid).await.expect("read");
        status.is_some_and(|status| status.phase == Phase::Ready && status.generation == Generation(1))
    };
    until("the status", ready).await;
    lab.close(&environment, 2).await;
    let closed = async || {
        let record = lab.store.environment(&environment.uid).await.expect("read").expect("kept");
        matches!(record.life, Life::Closed { .. })
    };
    until("the end", closed).await;
    let session = &lab.store.sessions().await.expect("read")[0];
    assert_eq!((session.connected, session.kubernetes.as_deref()), (true, Some("v1.34.0")));
    assert_eq!(agent.memory.begun.lock().expect("sound")[0].namespace_prefix, "lapdev-env-");
}

#[tokio::test]
async fn after_a_reconnect_only_what_differs_moves() {
    let lab = Lab::start().await;
    let mut agent = lab.agent("dev").await;
    let environments = ['a', 'b', 'c'].map(|letter| Environment::new(letter, &format!("env-{letter}")));
    for environment in &environments {
        let digest = lab.publish(environment, 1).await;
        until("a bundle", async || agent.memory.holds(&environment.uid, digest)).await;
    }
    agent.epoch.send_replace(None);
    agent.reaches("stand-by", |state| *state == TunnelState::StandBy).await;
    let mut changed = environments[1].clone();
    changed.objects.push(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "new"}}));
    let digest = lab.publish(&changed, 2).await;
    agent.epoch.send_replace(Some(1));
    until("the changed bundle", async || agent.memory.holds(&changed.uid, digest)).await;
    agent.synced().await;
    assert_eq!(agent.memory.received.lock().expect("sound").len(), 4);
}

#[tokio::test]
async fn a_bundle_that_is_cut_off_comes_again_whole() {
    let lab = Lab::start().await;
    let relay = Relay::to(lab.address).await;
    let mut agent = Agent::start(&lab, "dev", relay.address, 1, Arc::default()).await;
    agent.synced().await;
    // gzip must not shrink it below the cut, so it is noise.
    let mut state = 7_u64;
    let noise: String = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{state:016x}")
    })
    .take(200_000)
    .collect();
    let mut environment = Environment::new('a', "staging");
    environment.objects.push(
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "noise"}, "data": {"noise": noise}}),
    );
    relay.cut_after(500_000);
    let digest = lab.show(&agent, &environment).await;
    assert_eq!(relay.connections.load(Ordering::SeqCst), 2);
    assert_eq!(agent.memory.received.lock().expect("sound").as_slice(), [digest]);
}

#[tokio::test]
async fn a_slow_agent_holds_up_no_other() {
    let lab = Lab::start().await;
    let mut slow = lab.agent("other").await;
    let mut quick = lab.agent("dev").await;
    slow.synced().await;
    quick.synced().await;
    let stuck = slow.memory.clone();
    let stuck = stuck.assigning.lock().await;
    for (n, letter) in ('a'..='z').enumerate() {
        let environment = Environment { cluster: "other".to_owned(), ..Environment::new(letter, &format!("slow-{n}")) };
        lab.publish(&environment, 1).await;
    }
    let mut environment = Environment::new('2', "staging");
    for generation in 1..=5 {
        environment
            .objects
            .push(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": format!("s{generation}")}}));
        let digest = lab.publish(&environment, generation).await;
        until("the quick agent's bundle", async || quick.memory.holds(&environment.uid, digest)).await;
    }
    assert!(slow.memory.bundles.lock().expect("sound").is_empty());
    drop(stuck);
    until("the slow agent's bundles", async || slow.memory.bundles.lock().expect("sound").len() == 26).await;
}

#[tokio::test]
async fn an_agents_word_counts_for_its_own_cluster_only() {
    let lab = Lab::start().await;
    let mut agent = lab.agent("dev").await;
    agent.synced().await;
    let foreign = Environment { cluster: "other".to_owned(), ..Environment::new('a', "foreign") };
    let digest = lab.publish(&foreign, 1).await;
    agent.memory.outbox.need(digest);
    agent.memory.outbox.status(foreign.status(1, Phase::Failed, "a lie"));
    lab.close(&foreign, 2).await;
    agent.memory.outbox.gone(&foreign.uid, Generation(2));
    // Asked for and said last, so all before was taken in, and a bundle that was asked for earlier would be here.
    let own = Environment::new('b', "own");
    let own_digest = lab.publish(&own, 1).await;
    until("the own bundle", async || agent.memory.holds(&own.uid, own_digest)).await;
    agent.memory.outbox.status(own.status(1, Phase::Ready, ""));
    until("the own status", async || lab.store.status(&own.uid).await.expect("read").is_some()).await;
    assert_eq!(lab.store.status(&foreign.uid).await.expect("read"), None);
    let record = lab.store.environment(&foreign.uid).await.expect("read").expect("kept");
    assert!(matches!(record.life, Life::Closing { .. }), "{:?}", record.life);
    assert!(!agent.memory.bundles.lock().expect("sound").contains_key(&digest));
}

#[tokio::test]
async fn a_hub_that_lost_its_store_adopts_what_the_agent_holds() {
    let first = Lab::start().await;
    let mut agent = first.agent("dev").await;
    agent.synced().await;
    let environment = Environment::new('a', "staging");
    let digest = first.publish(&environment, 4).await;
    until("the bundle", async || agent.memory.holds(&environment.uid, digest)).await;
    let second = Lab::start().await;
    let mut again = Agent::start(&second, "dev", second.address, 1, agent.memory.clone()).await;
    again.synced().await;
    let record = second.store.environment(&environment.uid).await.expect("read").expect("adopted");
    assert_eq!((record.life, record.generation), (Life::Live, Generation(4)));
    let sessions = second.store.sessions().await.expect("read");
    assert!(sessions[0].adopted, "that this was all is known too");
    assert!(again.memory.holds(&environment.uid, digest));
}
