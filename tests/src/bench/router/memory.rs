//! What each proxy holds in memory.

use super::{ground::Ground, measure::idle, program::Memory, proxy::Proxy};
use crate::stage::Error;

/// By proxy.
pub type Memories = Vec<(&'static str, Memory)>;

/// As they are now.
pub fn now(proxies: &[&Proxy]) -> Result<Memories, Error> {
    let running = proxies.iter().filter_map(|proxy| Some((proxy.name, proxy.program.as_ref()?)));
    running.map(|(name, program)| Ok((name, program.memory()?))).collect()
}

/// With so many idle connections open to each, one proxy after the other.
pub async fn with_idle_connections(ground: &Ground, proxies: &[&Proxy], count: usize) -> Result<Memories, Error> {
    let mut all = Memories::new();
    for proxy in proxies.iter().filter(|proxy| proxy.program.is_some()) {
        let mut held = idle(ground, proxy, count).await?;
        all.extend(now(&[proxy])?);
        held.kill().await?;
    }
    Ok(all)
}
