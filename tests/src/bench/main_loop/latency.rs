//! From a webhook to the API server: the time that a developer waits before anything starts.

use super::{branch, table::Times, watch::Watch};
use crate::stage::{Error, Theatre, forge};
use std::time::Instant;

/// Pushes to so many branches, one after the other; each time from the webhook being sent until the API server shows
/// the branch's Deployment with the pushed commit's image.
pub async fn pushes(theatre: &Theatre, watch: &mut Watch, times: usize) -> Result<Times, Error> {
    let mut measured = Vec::new();
    for number in 0..times {
        let commit = theatre.app.write(&branch(number), "services/web/greeting.txt", &format!("push {number}\n"))?;
        let begun = Instant::now();
        forge::pushed(&theatre.github, forge::APP)?;
        measured.push(watch.sees("web--", &commit).await? - begun);
    }
    Ok(Times::of(measured))
}
