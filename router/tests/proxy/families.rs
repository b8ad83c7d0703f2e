//! IPv6 and IPv4 at the same router.

use super::{
    backend::{Backend, named_h2},
    ground::{Ground, KEY},
    talk::{Talk, get, get_of},
};
use lapdev_router::listen;
use std::{
    collections::BTreeSet,
    io::Write,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// Behind a router that listens everywhere.
async fn everywhere(affinity_seconds: Option<u32>) -> Ground {
    let free = listen::on((listen::everywhere(), 0).into()).expect("a free port").local_addr().expect("it is bound");
    Ground::at(free, 1, |table| {
        table.services.values_mut().for_each(|service| service.affinity_seconds = affinity_seconds);
    })
    .await
}

/// The loopback of each family that this machine has, and how `forwarded` and `x-forwarded-for` write it.
fn loopbacks() -> Vec<(IpAddr, &'static str, &'static str)> {
    let mut loopbacks = vec![(Ipv4Addr::LOCALHOST.into(), "for=127.0.0.1", "127.0.0.1")];
    if listen::everywhere().is_ipv6() {
        loopbacks.push((Ipv6Addr::LOCALHOST.into(), "for=\"[::1]\"", "::1"));
    } else {
        writeln!(std::io::stderr(), "IPv6 is off on this machine: only IPv4 is tried").expect("somebody reads");
    }
    loopbacks
}

#[tokio::test]
async fn clients_and_endpoints_of_either_family_find_each_other_and_each_address_is_written_as_its_own() {
    for (endpoint, ..) in loopbacks() {
        let mut ground = everywhere(None).await;
        let (http1, http2) =
            (Backend::named_at(endpoint, "base").await, Backend::http2_at(endpoint, named_h2, "").await);
        ground.baseline(&[http1.address]);
        ground.branch(KEY, &[http2.address]);
        for (client, element, plain) in loopbacks() {
            let web = SocketAddr::new(client, ground.web.port());
            let answer = Talk::to(web).await.ask(&get("")).await;
            let fields = format!("forwarded: {element}\r\nx-forwarded-for: {plain}\r\n");
            assert!(answer.text().contains(&fields), "{}", answer.text());
            let (answer, _) = super::http2::ask(&mut super::http2::connect_to(web).await, KEY, true).await;
            assert_eq!(answer.await.expect("it is answered").headers()["x-got"], element);
        }
    }
}

#[tokio::test]
async fn a_client_keeps_its_endpoint_whichever_way_its_address_is_written() {
    let mut endpoints = Vec::new();
    for name in "abcdefghijklmnopqrstuvwxyz".split("").filter(|name| !name.is_empty()) {
        endpoints.push(Backend::named(name).await);
    }
    let addresses: Vec<_> = endpoints.iter().map(|backend| backend.address).collect();
    let mut dual = everywhere(Some(60)).await;
    let mut single = Ground::with(|table| {
        table.services.values_mut().for_each(|service| service.affinity_seconds = Some(60));
    })
    .await;
    dual.baseline(&addresses);
    single.baseline(&addresses);
    let mut names = BTreeSet::new();
    for web in [SocketAddr::new(Ipv4Addr::LOCALHOST.into(), dual.web.port()), single.web] {
        for _ in 0..5 {
            // It connects from 127.0.0.1 to either.
            let answer = Talk::to(web).await.ask(&get_of("none-abc234")).await;
            names.insert(answer.text().lines().next().expect("a name").to_owned());
        }
    }
    assert_eq!(names.len(), 1, "{names:?}");
}
