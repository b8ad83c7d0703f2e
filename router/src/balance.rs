//! Which endpoint of a pool answers: the less loaded of two drawn at random, or the client's own where the Service asks
//! for affinity; and which are left out for a while because they do not accept connections. All of a pool are never left
//! out: then each may be tried.
//!
//! Affinity is by rendezvous hashing of client and endpoint, so that every router sends a client to the same endpoint
//! and a change of the pool moves only the clients of what left.

use crate::{
    limits::{EJECTED, EJECTED_MOST, FAILURES},
    table::{Endpoint, Pool},
};
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    net::IpAddr,
    sync::{Arc, LazyLock, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Milliseconds of the clock of [`Endpoint::ejected_until`]; never 0.
fn now() -> u64 {
    u64::try_from(BEGAN.elapsed().as_millis()).map_or(u64::MAX, |millis| millis.saturating_add(1))
}

/// A source of numbers that need only differ: xorshift.
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice that fall as `seed` wants.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// A number below `sides`, which is not 0.
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % sides
    }
}

/// One request's share of an endpoint's load, until it is dropped.
#[derive(Debug)]
pub struct Lease(Arc<Endpoint>);

impl Lease {
    /// Counts one more request under way.
    #[must_use]
    pub fn new(endpoint: &Arc<Endpoint>) -> Self {
        endpoint.load.fetch_add(1, Relaxed);
        Self(endpoint.clone())
    }

    /// The endpoint.
    #[must_use]
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.0
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.load.fetch_sub(1, Relaxed);
    }
}

/// Picks an endpoint that was not `tried` yet; none when all were.
pub fn pick<'a>(
    pool: &'a Pool,
    tried: &[Arc<Endpoint>],
    client: Option<IpAddr>,
    dice: &mut Dice,
) -> Option<&'a Arc<Endpoint>> {
    let all = &pool.endpoints[..];
    if let ([only], []) = (all, tried) {
        return Some(only);
    }
    let untried = |endpoint: &&Arc<Endpoint>| !tried.iter().any(|other| Arc::ptr_eq(other, endpoint));
    if let Some(client) = client {
        let usable = |endpoint: &&Arc<Endpoint>| untried(endpoint) && !is_ejected(endpoint);
        let own = |endpoint: &&Arc<Endpoint>| weight(client, endpoint);
        return all.iter().filter(usable).max_by_key(own).or_else(|| all.iter().filter(untried).max_by_key(own));
    }
    if let ([_, _, ..], []) = (all, tried) {
        let first = dice.roll(all.len());
        let second = (first + 1 + dice.roll(all.len() - 1)) % all.len();
        let (one, other) = (&all[first], &all[second]);
        match (is_ejected(one), is_ejected(other)) {
            (false, false) => return Some(less_loaded(one, other)),
            (false, true) => return Some(one),
            (true, false) => return Some(other),
            (true, true) => {}
        }
    }
    let least = |endpoint: &&Arc<Endpoint>| endpoint.load.load(Relaxed);
    let usable = all.iter().filter(untried).filter(|endpoint| !is_ejected(endpoint)).min_by_key(least);
    usable.or_else(|| all.iter().filter(untried).min_by_key(least))
}

fn less_loaded<'a>(one: &'a Arc<Endpoint>, other: &'a Arc<Endpoint>) -> &'a Arc<Endpoint> {
    if other.load.load(Relaxed) < one.load.load(Relaxed) { other } else { one }
}

fn weight(client: IpAddr, endpoint: &Endpoint) -> u64 {
    // Its keys are fixed, so that every router computes the same.
    let mut hasher = DefaultHasher::new();
    (client.to_canonical(), endpoint.address).hash(&mut hasher);
    hasher.finish()
}

fn is_ejected(endpoint: &Endpoint) -> bool {
    let until = endpoint.ejected_until.load(Relaxed);
    until != 0 && until > now()
}

/// It accepted a connection.
pub fn accepted(endpoint: &Endpoint) {
    if endpoint.failures.load(Relaxed) != 0 {
        endpoint.failures.store(0, Relaxed);
        endpoint.ejected_until.store(0, Relaxed);
    }
}

/// It did not accept a connection. Whether it is left out from now on.
pub fn failed(endpoint: &Endpoint) -> bool {
    let failures = endpoint.failures.fetch_add(1, Relaxed).saturating_add(1);
    if failures < FAILURES || is_ejected(endpoint) {
        return false;
    }
    let doubled = EJECTED.saturating_mul(1 << (failures - FAILURES).min(10));
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    endpoint.ejected_until.store(now().saturating_add(millis(doubled.min(EJECTED_MOST))), Relaxed);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn pool(count: u16) -> Pool {
        let endpoint = |port| Arc::new(Endpoint::new(([10, 0, 0, 1], port).into()));
        Pool { endpoints: (1..=count).map(endpoint).collect() }
    }

    fn spread(pool: &Pool, clients: impl Iterator<Item = Option<IpAddr>>) -> BTreeMap<u16, u32> {
        let (mut dice, mut picked) = (Dice::new(7), BTreeMap::new());
        for client in clients {
            let endpoint = pick(pool, &[], client, &mut dice).expect("there are some");
            *picked.entry(endpoint.address.port()).or_default() += 1;
        }
        picked
    }

    #[test]
    fn requests_spread_and_avoid_the_loaded_one() {
        let pool = pool(4);
        let even = spread(&pool, (0..4000).map(|_| None));
        assert!(even.len() == 4 && even.values().all(|count| (800..1200).contains(count)), "{even:?}");
        let _busy: Vec<Lease> = (0..5).map(|_| Lease::new(&pool.endpoints[2])).collect();
        assert!(!spread(&pool, (0..4000).map(|_| None)).contains_key(&3), "one of two drawn is always less loaded");
    }

    #[test]
    fn an_endpoint_that_fails_is_left_out_ever_longer_but_never_all() {
        let pool = pool(2);
        let [one, other] = &pool.endpoints[..] else { panic!("there are two") };
        assert!(!failed(one) && !failed(one), "twice is no pattern");
        assert!(failed(one));
        assert_eq!(spread(&pool, (0..100).map(|_| None)).into_keys().collect::<Vec<_>>(), [2]);
        let first = one.ejected_until.load(Relaxed);
        one.ejected_until.store(1, Relaxed);
        assert!(failed(one) && one.ejected_until.load(Relaxed) >= first + 900, "its second time is longer");
        let _ = (failed(other), failed(other), failed(other));
        assert_eq!(spread(&pool, (0..100).map(|_| None)).values().sum::<u32>(), 100, "all are bad: all are tried");
        accepted(one);
        assert_eq!(spread(&pool, (0..100).map(|_| None)).into_keys().collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn a_client_stays_with_its_endpoint_and_moves_only_if_that_goes() {
        let all = pool(5);
        let client = |n: u8| Some(IpAddr::from([10, 9, 8, n]));
        let mut dice = Dice::new(1);
        let mut of = |pool: &Pool, n| pick(pool, &[], client(n), &mut dice).expect("there are some").address;
        let fewer = Pool { endpoints: all.endpoints[1..].to_vec() };
        for n in 0..=255 {
            let own = of(&all, n);
            assert_eq!(of(&all, n), own);
            if own != all.endpoints[0].address {
                assert_eq!(of(&fewer, n), own);
            }
        }
        assert_eq!(spread(&all, (0..=255).map(client)).len(), 5);
    }

    #[test]
    fn what_was_tried_is_not_tried_again() {
        let pool = pool(3);
        let (mut dice, mut tried) = (Dice::new(3), Vec::new());
        while let Some(endpoint) = pick(&pool, &tried, None, &mut dice) {
            tried.push(endpoint.clone());
        }
        assert_eq!(tried.len(), 3);
        assert!(pick(&Pool::default(), &[], None, &mut dice).is_none());
    }
}
