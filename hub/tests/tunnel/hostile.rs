//! What an application or a browser may do to the tunnel that it shares with everybody else in the cluster: nothing.

use crate::{
    app,
    browser::{ask, get, http2},
    lab::{Agent, Environment, Lab, until},
    relay::Relay,
};
use http::Request;
use lapdev_tunnel::body;
use std::sync::{Arc, atomic::Ordering};

async fn shown() -> (Lab, Relay, Agent, Environment) {
    let lab = Lab::start().await;
    let relay = Relay::to(lab.address).await;
    let mut agent = Agent::start(&lab, "dev", relay.address, 1, Arc::default()).await;
    agent.synced().await;
    let (environment, _) = lab.show_web(&agent).await;
    (lab, relay, agent, environment)
}

/// The first session goes on, and serves.
async fn unharmed(lab: &Lab, relay: &Relay, environment: &Environment) {
    assert_eq!(ask(lab, get(&environment.host(), "/still")).await.text(), "web /still");
    assert_eq!(relay.connections.load(Ordering::SeqCst), 1, "the tunnel was dialled again");
}

#[tokio::test]
async fn headers_that_grow_on_the_way_pass_or_end_their_own_request() {
    let (lab, relay, _agent, environment) = shown().await;
    let answered = ask(&lab, get(&environment.host(), "/heavy")).await;
    assert_eq!(answered.status, 200);
    assert!(answered.headers.get("x-heavy") == Some(&app::heavy()), "not as it was sent");
    unharmed(&lab, &relay, &environment).await;
    let asked = ask(&lab, get(&environment.host(), "/asked").header("x-heavy", app::heavy())).await;
    assert_eq!((asked.status.as_u16(), asked.text().as_str()), (200, "web /asked"));
    unharmed(&lab, &relay, &environment).await;
}

#[tokio::test]
async fn requests_that_are_given_up_while_the_wire_stalls_harm_no_other() {
    let (lab, relay, _agent, environment) = shown().await;
    let sender = http2(&lab).await;
    relay.hold(true);
    let grows = async |what: &str, act: &mut dyn FnMut()| {
        let before = relay.came.load(Ordering::SeqCst);
        act();
        until(what, async || relay.came.load(Ordering::SeqCst) > before).await;
    };
    for _ in 0..40 {
        let mut sender = sender.clone();
        let uri = format!("https://{}/deaf", environment.host());
        let mut asked = None;
        grows("the request on the wire", &mut || {
            let request = Request::get(&uri).body(body::empty()).expect("legal");
            asked = Some(tokio::spawn(sender.send_request(request)));
        })
        .await;
        grows("its end on the wire", &mut || asked.iter().for_each(tokio::task::JoinHandle::abort)).await;
    }
    relay.hold(false);
    unharmed(&lab, &relay, &environment).await;
}
