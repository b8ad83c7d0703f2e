//! What people see in place of an application: one sentence of what is, one of what to do. Self-contained, never cached.

use super::Failure;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use lapdev_api::{
    record::EnvironmentRecord,
    route,
    status::{EnvironmentStatus, Health, Phase},
};
use lapdev_tunnel::body::{self, Body};
use std::fmt::Write;

/// One page.
pub(super) struct Page {
    status: StatusCode,
    title: String,
    lines: Vec<String>,
    /// Whether waiting may help: browsers look again by themselves.
    again: bool,
}

/// Whether the client shows HTML.
pub(super) fn wants_html(headers: &HeaderMap) -> bool {
    headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).any(|v| v.contains("text/html"))
}

pub(super) fn unknown(host: &str) -> Page {
    let line = format!("No environment has the address {host}. Is it spelled as in the pull request's comment?");
    Page::new(StatusCode::NOT_FOUND, "No such preview", vec![line])
}

pub(super) fn refused() -> Page {
    let line = "This preview opens with the link in its pull request's comment, or the one that \
                `lapdev get environment` shows. In a new browser, follow that link once more.";
    Page::new(StatusCode::UNAUTHORIZED, "This preview needs its link", vec![line.to_owned()])
}

pub(super) fn queued(record: &EnvironmentRecord, reason: &str) -> Page {
    let title = format!("{} waits", record.identity.name);
    Page::waiting(title, vec![reason.to_owned()])
}

/// How to get a closed environment back depends on what it was.
pub(super) fn closed(record: &EnvironmentRecord) -> Page {
    let again = match &record.identity.branch {
        Some(branch) => format!(
            "It runs again when branch {} of {} is pushed with an open pull request, or the pull request is reopened.",
            branch.branch, branch.repository
        ),
        None => "It runs again when its file is back in the config repository.".to_owned(),
    };
    Page::new(StatusCode::GONE, format!("{} is closed", record.identity.name), vec![again])
}

pub(super) fn no_route(record: &EnvironmentRecord) -> Page {
    let line = format!("Environment {} has no service for this path.", record.identity.name);
    Page::new(StatusCode::NOT_FOUND, "Nothing here", vec![line])
}

pub(super) fn not_connected(record: &EnvironmentRecord) -> Page {
    let line = format!(
        "Cluster {} is not connected to the control plane now. What runs there goes on; this page works again when its \
         agent is back.",
        record.cluster
    );
    Page::waiting(format!("{} cannot be reached", record.identity.name), vec![line])
}

/// The request did not come through: because the environment is not ready yet, if that is so, else as it is.
pub(super) fn failed(record: &EnvironmentRecord, status: Option<&EnvironmentStatus>, failure: &Failure) -> Page {
    let name = &record.identity.name;
    match failure {
        Failure::Busy | Failure::Broken(_) => {
            Page::waiting(format!("{name} cannot be reached"), vec![sentence(&failure.to_string())])
        }
        Failure::Illegal => {
            Page::new(StatusCode::BAD_REQUEST, "Not a legal request", vec![sentence(&failure.to_string())])
        }
        Failure::Late => Page::new(
            StatusCode::GATEWAY_TIMEOUT,
            format!("{name} does not answer"),
            vec![sentence(&failure.to_string())],
        ),
        Failure::Agent { status: code, cause } => match status {
            Some(status) if status.phase != Phase::Ready => not_ready(record, status),
            Some(status) if status.generation < record.generation => {
                let line =
                    format!("Generation {} was published; its cluster has not applied it yet.", record.generation);
                Page::waiting(format!("{name} is being changed"), vec![line])
            }
            None => {
                Page::waiting(format!("{name} is being made"), vec!["Its cluster has not reported yet.".to_owned()])
            }
            Some(_) => Page::new(agents_status(*code), format!("{name} does not answer"), vec![sentence(cause)]),
        },
    }
}

/// Whether an answer is a router's, which held the request in vain: for a browser a page says more, and looks again by
/// itself.
pub(super) fn waits(headers: &HeaderMap) -> bool {
    headers.get(route::ERROR).is_some_and(|word| word == route::NOT_READY)
}

/// The router held the request until it had no more patience.
pub(super) fn held(record: &EnvironmentRecord, status: Option<&EnvironmentStatus>) -> Page {
    match status.filter(|status| status.phase != Phase::Ready) {
        Some(status) => not_ready(record, status),
        None => {
            let line =
                "Pods that should answer this are not ready. They may be starting, or being replaced.".to_owned();
            Page::waiting(format!("{} is not ready", record.identity.name), vec![line])
        }
    }
}

/// An agent's refusal to dial is no fault of the client's.
fn agents_status(code: StatusCode) -> StatusCode {
    if code.is_server_error() { code } else { StatusCode::BAD_GATEWAY }
}

fn not_ready(record: &EnvironmentRecord, status: &EnvironmentStatus) -> Page {
    let mut lines = vec![sentence(&status.message)];
    for workload in status.workloads.iter().filter(|workload| workload.health != Health::Current) {
        let because = workload.message.as_deref().or(workload.reason.as_deref()).unwrap_or("not ready yet");
        let (kind, name, ready, desired) = (&workload.kind, &workload.name, workload.ready, workload.desired);
        lines.push(format!("{kind} {name}: {ready} of {desired} ready; {because}"));
    }
    Page::waiting(format!("{} is not ready: {}", record.identity.name, status.phase), lines)
}

/// With a capital and a full stop, as sentences on a page are.
fn sentence(text: &str) -> String {
    let text = text.trim();
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    let stop = if text.is_empty() || text.ends_with(['.', '?', '!']) { "" } else { "." };
    format!("{first}{}{stop}", chars.as_str())
}

impl Page {
    fn new(status: StatusCode, title: impl Into<String>, lines: Vec<String>) -> Self {
        Self { status, title: title.into(), lines, again: false }
    }

    fn waiting(title: impl Into<String>, lines: Vec<String>) -> Self {
        Self { again: true, ..Self::new(StatusCode::SERVICE_UNAVAILABLE, title, lines) }
    }

    /// As HTML, or as plain text for what is no browser.
    pub(super) fn response(&self, html: bool) -> Response<Body> {
        let (text, kind) = if html { (self.html(), "text/html") } else { (self.text(), "text/plain") };
        let mut response = Response::new(body::full(text));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        let kind = format!("{kind}; charset=utf-8");
        headers.insert(header::CONTENT_TYPE, HeaderValue::try_from(kind).expect("a legal type"));
        for (name, value) in [
            (header::CACHE_CONTROL, "no-store"),
            (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "no-referrer"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        if self.again {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }

    fn text(&self) -> String {
        format!("{}\n\n{}\n", self.title, self.lines.join("\n"))
    }

    fn html(&self) -> String {
        let refresh = if self.again { "<meta http-equiv=\"refresh\" content=\"5\">" } else { "" };
        let title = escape(&self.title);
        let mut lines = String::new();
        for line in self.lines.iter().filter(|line| !line.is_empty()) {
            let _ = write!(lines, "<p>{}</p>", escape(line));
        }
        format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\">{refresh}<title>{title}</title>\
             <style>:root{{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}}\
             body{{max-width:38rem;margin:15vh auto;padding:0 1rem}}h1{{font-size:1.4rem}}</style></head>\
             <body><main><h1>{title}</h1>{lines}</main></body></html>\n"
        )
    }
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_page_says_is_text_not_markup() {
        let page = unknown("<script>\"'&.preview.example");
        assert!(page.html().contains("&lt;script&gt;&quot;&#39;&amp;.preview.example"));
        assert!(!page.html().contains("<script>"));
        let response = page.response(true);
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
    }

    #[test]
    fn a_sentence_begins_large_and_ends() {
        assert_eq!(sentence("the tunnel broke"), "The tunnel broke.");
        assert_eq!(sentence("Is it?"), "Is it?");
        assert_eq!(sentence(""), "");
    }
}
