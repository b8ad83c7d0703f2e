//! Listings that prove their own completeness. A page knows whether another follows; only the last one, added to all
//! before it, yields a [`Complete`]. There is no other way to make one, so that no error can pass for an empty listing.

use std::{collections::BTreeSet, ops::Deref};

/// A value that was put together from every page of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complete<T>(T);

impl<T> Complete<T> {
    /// The value, which from here on no longer proves anything.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Complete<Vec<Option<T>>> {
    /// Leaves out what lapdev cannot speak of; for forges alone, who know that nothing else is left out.
    pub(crate) fn flatten(self) -> Complete<Vec<T>> {
        Complete(self.0.into_iter().flatten().collect())
    }
}

impl<T> Deref for Complete<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

/// One page, as a forge answered it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// Its items, each with an identity that no two items of a listing share.
    pub items: Vec<(u64, T)>,
    /// Where the next page is; none on the last one.
    pub next: Option<String>,
}

/// A listing of which not all pages were seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing<T> {
    items: Vec<T>,
    identities: BTreeSet<u64>,
    places: BTreeSet<String>,
}

/// What a listing is after one more page.
#[derive(Debug)]
pub enum Progress<T> {
    /// Another page follows, at this place.
    More(Listing<T>, String),
    /// That was the last one.
    Done(Complete<Vec<T>>),
}

impl<T> Listing<T> {
    /// Nothing seen yet; the first page is at `place`.
    #[must_use]
    pub fn starting_at(place: &str) -> Self {
        Self { items: Vec::new(), identities: BTreeSet::new(), places: BTreeSet::from([place.to_owned()]) }
    }

    /// Adds the next page.
    ///
    /// # Errors
    /// In words, when the page leads back to one that was seen, or repeats an item. The latter happens as well when
    /// the listing shifts between two pages; then another item may have been missed, so it is an error all the same.
    pub fn with_page(mut self, page: Page<T>) -> Result<Progress<T>, String> {
        for (identity, item) in page.items {
            if !self.identities.insert(identity) {
                return Err(format!("item {identity} came twice"));
            }
            self.items.push(item);
        }
        match page.next {
            None => Ok(Progress::Done(Complete(self.items))),
            Some(next) if self.places.insert(next.clone()) => Ok(Progress::More(self, next)),
            Some(next) => Err(format!("page {next} follows itself")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(items: &[u64], next: Option<&str>) -> Page<u64> {
        Page { items: items.iter().map(|i| (*i, *i)).collect(), next: next.map(str::to_owned) }
    }

    #[test]
    fn only_the_last_page_completes_a_listing() {
        let listing = Listing::starting_at("/1");
        let Ok(Progress::More(listing, next)) = listing.with_page(page(&[1, 2], Some("/2"))) else {
            panic!("a page follows");
        };
        assert_eq!(next, "/2");
        let Ok(Progress::Done(complete)) = listing.with_page(page(&[3], None)) else { panic!("the last page") };
        assert_eq!(*complete, vec![1, 2, 3]);
    }

    #[test]
    fn a_loop_or_a_repeated_item_is_an_error() {
        let circle = Listing::starting_at("/1").with_page(page(&[1], Some("/1")));
        assert_eq!(circle.err().as_deref(), Some("page /1 follows itself"));
        let twice = Listing::starting_at("/1").with_page(page(&[1, 1], None));
        assert_eq!(twice.err().as_deref(), Some("item 1 came twice"));
    }
}
