//! Addresses of git repositories, as kustomizations write them: where to fetch, and the directory inside.

use super::query::Query;
use crate::path::TreePath;
use std::fmt;
use std::time::Duration;

/// A directory of a git repository at a ref.
///
/// ```
/// use lapdev_kustomize::Repository;
///
/// let base = Repository::parse("https://git.example.com/shop/web//deploy/base?ref=v1.2").ok_or("no repository")?;
/// assert_eq!(base.url, "https://git.example.com/shop/web");
/// assert_eq!(base.path.as_str(), "deploy/base");
/// assert_eq!(base.reference.as_deref(), Some("v1.2"));
/// # Ok::<(), &str>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Repository {
    /// What git is to fetch from; as written, so it may begin with anything but `-`.
    pub url: String,
    /// The directory with the kustomization, from the root of the repository.
    pub path: TreePath,
    /// A branch, a tag or a commit; the repository's own `HEAD` if there is none.
    pub reference: Option<String>,
    /// How long fetching may take.
    pub timeout: Duration,
    /// Whether submodules are wanted too.
    pub submodules: bool,
}

const SCHEMES: [&str; 4] = ["ssh://", "https://", "http://", "file://"];
const FILE: &str = "file://";

impl Repository {
    /// Reads an address as the reference does. `None` for what is no address of a repository, but perhaps a path.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.starts_with('/') {
            return None;
        }
        let (address, query) = text.split_once('?').unwrap_or((text, ""));
        let (host, rest) = host(without_prefix(address, "git::").unwrap_or(address))?;
        let (repository, path) = split_path(rest, host == FILE)?;
        let url = format!("{host}{repository}");
        let path = TreePath::parse(path.trim_start_matches('/'))?;
        let Query { reference, timeout, submodules } = Query::parse(query);
        (!repository.is_empty() && !url.starts_with('-')).then_some(Self { url, path, reference, timeout, submodules })
    }

    /// Whether it is a repository of this machine's disk.
    #[must_use]
    pub fn is_local(&self) -> bool {
        is_local(&self.url)
    }

    /// The ref, if it is the full id of a commit, whose content never changes.
    #[must_use]
    pub fn commit(&self) -> Option<&str> {
        let is_id = |text: &&str| matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit());
        self.reference.as_deref().filter(is_id)
    }
}

/// Whether an address is one of this machine's disk.
pub fn is_local(url: &str) -> bool {
    url.starts_with(FILE)
}

impl fmt::Display for Repository {
    /// The repository and the ref, fit for messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_password(&self.url))?;
        self.reference.as_ref().map_or(Ok(()), |reference| write!(f, "?ref={reference}"))
    }
}

/// An address without what stands between a user's name and its host.
pub fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let authority = rest.split('/').next().unwrap_or_default();
    match authority.rsplit_once('@') {
        Some((user, _)) if user.contains(':') => format!("{scheme}://…{}", &rest[user.len()..]),
        _ => url.to_owned(),
    }
}

/// The part that names the host, in git's spelling, and what follows it.
fn host(address: &str) -> Option<(String, &str)> {
    let found = SCHEMES.iter().find_map(|scheme| Some((*scheme, without_prefix(address, scheme)?)));
    let (scheme, rest) = found.unwrap_or(("", address));
    if scheme == FILE {
        return Some((FILE.to_owned(), rest));
    }
    let (user, rest) = rest.split_at(user_length(rest));
    let is_github = ["github.com/", "github.com:"].iter().any(|host| without_prefix(rest, host).is_some());
    // Without a scheme it is `user@host:path`, or nothing that git would know.
    let is_scp = scheme.is_empty() && (!user.is_empty() || is_github);
    if scheme.is_empty() && !is_scp {
        return None;
    }
    let (host, rest) = rest.split_at(separator(rest, is_scp).map_or(0, |at| at + 1));
    match (is_github, host) {
        (_, "" | "/" | ":") => None,
        (true, _) if scheme == "ssh://" || !user.is_empty() => Some((format!("{user}github.com:"), rest)),
        (true, _) => Some(("https://github.com/".to_owned(), rest)),
        (false, _) => Some((format!("{scheme}{user}{host}"), rest)),
    }
}

/// The length of `user@`, zero if there is none.
fn user_length(text: &str) -> usize {
    let name = text.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'-').count();
    match text.starts_with(|c: char| c.is_ascii_alphabetic()) && text[name..].starts_with('@') {
        true => name + 1,
        false => 0,
    }
}

/// Where the host ends: at the first slash, or at a colon before it.
fn separator(text: &str, is_scp: bool) -> Option<usize> {
    let slash = text.find('/');
    let colon = text.find(':').filter(|at| is_scp && slash.is_none_or(|slash| (1..slash).contains(at)));
    colon.or(slash)
}

/// The repository, and the directory in it: at `_git/`, at `//`, behind `.git`, or else behind the second part.
fn split_path(path: &str, is_file: bool) -> Option<(&str, &str)> {
    if let Some(at) = path.find("_git/") {
        let name = at + "_git/".len();
        let end = path[name..].find('/').map_or(path.len(), |length| name + length);
        return Some(path.split_at(end));
    }
    if let Some(parts) = path.split_once("//") {
        return Some(parts);
    }
    if let Some(end) = git_suffix(path) {
        return Some(path.split_at(end));
    }
    if is_file {
        return Some((path, ""));
    }
    let (owner, rest) = path.split_once('/')?;
    let end = rest.find('/').map_or(path.len(), |length| owner.len() + 1 + length);
    Some(path.split_at(end))
}

/// The end of the first part that ends with `.git`.
fn git_suffix(path: &str) -> Option<usize> {
    let ends = path.match_indices(".git").map(|(at, suffix)| at + suffix.len());
    ends.into_iter().find(|end| matches!(path.as_bytes().get(*end), None | Some(b'/')))
}

/// Whether the address itself says where the repository ends, so that it cannot be a file's.
pub fn is_marked(text: &str) -> bool {
    let address = text.split('?').next().unwrap_or_default();
    let path = host(address).map_or("", |(_, path)| path);
    path.contains("_git/") || path.contains("//") || git_suffix(path).is_some()
}

fn without_prefix<'t>(text: &'t str, prefix: &str) -> Option<&'t str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
}

#[cfg(test)]
#[path = "repository_tests.rs"]
mod tests;
