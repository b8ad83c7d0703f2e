//! Complete listings: every page by `Link`, conditional by `ETag`, and read twice where a change between two pages
//! could have hidden an item.
//!
//! GitHub numbers pages by position. When an item leaves page 1 after it was read, the first item of page 2 moves to
//! page 1 and is in neither answer. So a listing of several pages counts only when it has every page but the last
//! as an earlier pass had it, and the last one begins as it did: then nothing crossed from one page to another. Where
//! that does not hold, another pass follows; unchanged pages answer 304 and cost nothing.

use super::{
    client::{Answer, Ask, Client},
    link,
};
use crate::{Complete, ForgeError, Listing, Page, Progress};
use http::{HeaderValue, StatusCode, header};
use lapdev_api::name::RepositoryName;
use std::time::Instant;

/// What is asked for, and the most that GitHub gives. A page with fewer items is the last one.
pub(super) const PAGE: usize = 100;
/// 100,000 items. A forge that goes on longer than that is broken.
const MOST_PAGES: usize = 1_000;
const MOST_PASSES: usize = 4;

/// One page of an earlier pass.
#[derive(Debug, Clone)]
pub(super) struct Remembered<T> {
    place: String,
    etag: Option<HeaderValue>,
    /// When its body was last seen, rather than confirmed.
    seen: Instant,
    page: Page<T>,
}

/// How the items of a page are read, each with its identity.
pub(super) type Read<T> = fn(&[u8]) -> Result<Vec<(u64, T)>, String>;

/// Which listing.
pub(super) struct Of<'a, T> {
    /// What is attempted and on what, for errors.
    pub(super) what: &'a str,
    pub(super) repository: &'a RepositoryName,
    /// Path and query of the first page.
    pub(super) place: String,
    pub(super) read: Read<T>,
}

/// Reads a whole listing. `memory` is what an earlier call left there, or nothing; it is left for a later one.
pub(super) async fn read<T: Clone>(
    client: &Client,
    of: &Of<'_, T>,
    memory: &mut Vec<Remembered<T>>,
) -> Result<Complete<Vec<T>>, ForgeError> {
    for _ in 0..MOST_PASSES {
        let (complete, pages) = pass(client, of, memory).await?;
        let settled = nothing_crossed(&pages, memory);
        *memory = if contradict(&pages) { Vec::new() } else { pages };
        if settled {
            return Ok(complete);
        }
    }
    let message = format!("it changed during each of {MOST_PASSES} readings");
    Err(ForgeError::Partial { what: of.what.to_owned(), message })
}

async fn pass<T: Clone>(
    client: &Client,
    of: &Of<'_, T>,
    memory: &[Remembered<T>],
) -> Result<(Complete<Vec<T>>, Vec<Remembered<T>>), ForgeError> {
    let partial = |message| ForgeError::Partial { what: of.what.to_owned(), message };
    let mut listing = Listing::starting_at(&of.place);
    let mut place = of.place.clone();
    let mut pages = Vec::new();
    while pages.len() < MOST_PAGES {
        let known = memory.iter().find(|remembered| remembered.place == place);
        let remembered = fetch(client, of, place, known).await?;
        let page = remembered.page.clone();
        pages.push(remembered);
        match listing.with_page(page).map_err(partial)? {
            Progress::Done(complete) => return Ok((complete, pages)),
            Progress::More(rest, next) => (listing, place) = (rest, next),
        }
    }
    Err(partial(format!("no end after {MOST_PAGES} pages")))
}

async fn fetch<T: Clone>(
    client: &Client,
    of: &Of<'_, T>,
    place: String,
    known: Option<&Remembered<T>>,
) -> Result<Remembered<T>, ForgeError> {
    let known = known.filter(|known| known.seen.elapsed() < client.remember && confirms_its_link(&known.page));
    let unless = known.and_then(|remembered| remembered.etag.as_ref());
    let ask = Ask { unless, ..Ask::get(of.what, place.clone()) };
    let answer = client.ask(of.repository, &ask).await?;
    if let (StatusCode::NOT_MODIFIED, Some(known)) = (answer.status, known) {
        return Ok(known.clone());
    }
    let etag = answer.headers.get(header::ETAG).cloned();
    let page =
        page(of, &answer, client).map_err(|message| ForgeError::Partial { what: of.what.to_owned(), message })?;
    Ok(Remembered { place, etag, seen: Instant::now(), page })
}

fn page<T>(of: &Of<'_, T>, answer: &Answer, client: &Client) -> Result<Page<T>, String> {
    if answer.status != StatusCode::OK {
        return Err(format!("a page came with status {}", answer.status));
    }
    let next = link::next(&answer.headers, &client.base)?;
    let items = (of.read)(&answer.body).map_err(|error| format!("a page cannot be read: {error}"))?;
    Ok(Page { items, next })
}

/// Whether an unchanged body proves that `next` is unchanged, too. An `ETag` is that of the body, and the body of a full
/// last page stays as it is when another page begins behind it.
fn confirms_its_link<T>(page: &Page<T>) -> bool {
    page.next.is_some() || page.items.len() < PAGE
}

/// Whether the last page is empty though another one led to it: that one's link is older than its items, and must not
/// be confirmed again.
fn contradict<T>(pages: &[Remembered<T>]) -> bool {
    pages.len() > 1 && pages.last().is_some_and(|last| last.page.items.is_empty())
}

/// Whether no item can have moved from one page to the one before it while `pages` were read one by one.
fn nothing_crossed<T>(pages: &[Remembered<T>], memory: &[Remembered<T>]) -> bool {
    let Some((last, others)) = pages.split_last() else { return true };
    if others.is_empty() {
        return true;
    }
    let same_others = memory.len() > others.len()
        && others.iter().zip(memory).all(|(page, earlier)| identities(page).eq(identities(earlier)));
    same_others
        && memory.get(others.len()).is_some_and(|earlier| {
            // An empty last page says nothing about what was at its beginning.
            identities(last).next().is_some() && identities(last).next() == identities(earlier).next()
        })
}

fn identities<T>(remembered: &Remembered<T>) -> impl Iterator<Item = u64> {
    remembered.page.items.iter().map(|(identity, _)| *identity)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(identities: &[&[u64]]) -> Vec<Remembered<()>> {
        let page = |items: &&[u64]| Page { items: items.iter().map(|i| (*i, ())).collect(), next: None };
        let remembered = |page| Remembered { place: String::new(), etag: None, seen: Instant::now(), page };
        identities.iter().map(page).map(remembered).collect()
    }

    fn crossed(now: &[&[u64]], earlier: &[&[u64]]) -> bool {
        !nothing_crossed(&pages(now), &pages(earlier))
    }

    #[test]
    fn a_change_within_the_last_page_crosses_no_border() {
        assert!(!crossed(&[&[1]], &[]));
        assert!(!crossed(&[&[1, 2], &[3, 4]], &[&[1, 2], &[3, 4]]));
        assert!(!crossed(&[&[1, 2], &[3, 5]], &[&[1, 2], &[3, 4]]));
        assert!(!crossed(&[&[1, 2], &[3]], &[&[1, 2], &[3, 4], &[5]]));
    }

    #[test]
    fn a_full_last_page_may_have_got_a_successor_that_its_etag_does_not_show() {
        let page = |items: usize, next: Option<&str>| Page {
            items: (0..items as u64).map(|i| (i, ())).collect(),
            next: next.map(str::to_owned),
        };
        assert!(!confirms_its_link(&page(PAGE, None)));
        assert!(confirms_its_link(&page(PAGE, Some("/2"))) && confirms_its_link(&page(PAGE - 1, None)));
    }

    #[test]
    fn an_empty_page_that_another_led_to_is_no_reason_to_remember_that_one() {
        assert!(contradict(&pages(&[&[1, 2], &[]])));
        assert!(!contradict(&pages(&[&[]])) && !contradict(&pages(&[&[1, 2], &[3]])));
    }

    #[test]
    fn whatever_else_changed_may_have_crossed_one() {
        assert!(crossed(&[&[1, 2], &[3]], &[]));
        assert!(crossed(&[&[1, 2], &[4]], &[&[1, 2], &[3, 4]]));
        assert!(crossed(&[&[1, 3], &[4]], &[&[1, 2], &[3, 4]]));
        assert!(crossed(&[&[1, 2], &[3, 4], &[5]], &[&[1, 2], &[3, 4]]));
        assert!(crossed(&[&[1, 2], &[]], &[&[1, 2], &[3]]));
    }
}
