//! The `Link` header (RFC 8288): where the next page is, as a path on the same host. Pure.

use http::{HeaderMap, header};
use url::Url;

/// The path and query of the page that `rel="next"` names; none on the last page.
///
/// # Errors
/// In words, when the header cannot be read or leads to another host: credentials must not follow it there.
pub(super) fn next(headers: &HeaderMap, base: &Url) -> Result<Option<String>, String> {
    let mut found = None;
    for value in headers.get_all(header::LINK) {
        let text = value.to_str().map_err(|_| "its Link header is not text".to_owned())?;
        for (target, parameters) in links(text)? {
            if is_next(parameters) && found.replace(local(target, base)?).is_some() {
                return Err("its Link header names two next pages".to_owned());
            }
        }
    }
    Ok(found)
}

/// The path and query of `target` if it is on the host of `base`.
pub(super) fn local(target: &str, base: &Url) -> Result<String, String> {
    let url = base.join(target).map_err(|error| format!("its link {target:?} is no address: {error}"))?;
    if url.origin() != base.origin() {
        return Err(format!("its link leads to another host, {}", url.origin().ascii_serialization()));
    }
    Ok(url[url::Position::BeforePath..url::Position::AfterQuery].to_owned())
}

/// Splits `<target>; a=b, <target>; c=d`. A comma or semicolon inside of the angle brackets is part of the address.
fn links(text: &str) -> Result<Vec<(&str, &str)>, String> {
    let unreadable = || format!("its Link header cannot be read: {text:?}");
    let mut rest = text.trim();
    let mut links = Vec::new();
    while !rest.is_empty() {
        let (target, after) = rest.strip_prefix('<').and_then(|r| r.split_once('>')).ok_or_else(unreadable)?;
        let (parameters, following) = after.split_once(", <").map_or((after, ""), |(p, _)| (p, &after[p.len() + 2..]));
        links.push((target, parameters));
        rest = following.trim();
    }
    Ok(links)
}

fn is_next(parameters: &str) -> bool {
    parameters.split(';').filter_map(|p| p.trim().split_once('=')).any(|(name, value)| {
        name.eq_ignore_ascii_case("rel") && value.trim_matches('"').split(' ').any(|r| r.eq_ignore_ascii_case("next"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(link: &str) -> Result<Option<String>, String> {
        let headers = HeaderMap::from_iter([(header::LINK, link.parse().expect("a header"))]);
        next(&headers, &"https://ghe.example.com/api/v3".parse().expect("an address"))
    }

    #[test]
    fn the_next_page_is_found_among_others() {
        let link = r#"<https://ghe.example.com/api/v3/repos/a/b/pulls?page=1>; rel="prev", <https://ghe.example.com/api/v3/repositories/1/pulls?q=a,b;c&page=3>; rel="next", <https://ghe.example.com/x?page=9>; rel="last""#;
        assert_eq!(read(link), Ok(Some("/api/v3/repositories/1/pulls?q=a,b;c&page=3".to_owned())));
        assert_eq!(read(r#"<https://ghe.example.com/x?page=9>; rel="prev""#), Ok(None));
    }

    #[test]
    fn a_link_to_another_host_or_a_garbled_one_is_an_error() {
        for link in [
            r#"<https://evil.example.com/x?page=2>; rel="next""#,
            r#"<http://ghe.example.com/x?page=2>; rel="next""#,
            r#"<//evil.example.com/x>; rel="next""#,
            r#"https://ghe.example.com/x?page=2; rel="next""#,
            r#"</a>; rel="next", </b>; rel="next""#,
        ] {
            assert!(read(link).is_err(), "{link}");
        }
    }
}
