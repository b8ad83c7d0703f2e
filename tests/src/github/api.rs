//! The endpoints of GitHub's REST API that lapdev uses, and a few that a person would look at.

use super::{
    auth::{Caller, caller},
    reply::{Query, Reply, page},
    shape,
    world::{Comment, Repository, Status, World, now},
};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use serde_json::{Value, json};

const LONGEST_COMMENT: usize = 65_536;
const LONGEST_DESCRIPTION: usize = 140;
const MOST_STATUSES: usize = 1_000;
const STATES: [&str; 4] = ["error", "failure", "pending", "success"];

/// A request to the API.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub method: Method,
    pub path: String,
    pub query: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// What is asked about one repository, once it is found and may be read.
struct Ask<'a> {
    call: &'a Call,
    id: u64,
    caller: &'a Caller,
    query: Query,
    /// `/api/v3` where GitHub Enterprise has it.
    prefix: &'a str,
}

type Answer = Result<Reply, Reply>;

/// Answers a request.
pub(super) fn answer(world: &mut World, call: &Call) -> Reply {
    let reply = route(world, call).unwrap_or_else(|error| error);
    let reply = if call.method == Method::GET { reply.conditional(&call.headers) } else { reply };
    let request_id = super::random_hex(16);
    let reset = (now().as_second() / 3600 + 1) * 3600;
    [
        ("x-github-request-id", request_id.as_str()),
        ("x-github-media-type", "github.v3; format=json"),
        ("x-github-api-version-selected", "2022-11-28"),
        ("x-ratelimit-limit", "5000"),
        ("x-ratelimit-remaining", "4999"),
        ("x-ratelimit-used", "1"),
        ("x-ratelimit-resource", "core"),
        ("x-ratelimit-reset", &reset.to_string()),
    ]
    .into_iter()
    .fold(reply, |reply, (name, value)| reply.with(http::HeaderName::from_static(name), value))
}

fn route(world: &mut World, call: &Call) -> Answer {
    if !call.headers.contains_key(header::USER_AGENT) {
        let message =
            "Request forbidden by administrative rules. Please make sure your request has a User-Agent header";
        return Err(Reply::error(StatusCode::FORBIDDEN, message));
    }
    let prefix = if call.path.starts_with("/api/v3/") { "/api/v3" } else { "" };
    let path = call.path.strip_prefix(prefix).unwrap_or(&call.path);
    let caller = caller(world, &call.headers)?;
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match (call.method.as_str(), parts.as_slice()) {
        ("GET", ["user"]) => user(world, &caller),
        ("GET", ["app"]) => app(world, &caller),
        ("POST", ["app", "installations", id, "access_tokens"]) => installation_token(world, &caller, id),
        (_, ["repos", owner, name, rest @ ..]) => {
            let full_name = format!("{owner}/{name}");
            let known = world.repository_id(&full_name);
            if let (None, Some(id)) = (known, world.former_names.get(&full_name.to_ascii_lowercase())) {
                let tail: String = rest.iter().map(|part| format!("/{part}")).collect();
                let query = if call.query.is_empty() { String::new() } else { format!("?{}", call.query) };
                let place = format!("{}{prefix}/repositories/{id}{tail}{query}", world.root);
                return Err(Reply::moved(&call.method, &place));
            }
            repository(world, call, &caller, prefix, known, rest)
        }
        (_, ["repositories", id, rest @ ..]) => repository(world, call, &caller, prefix, id.parse().ok(), rest),
        _ => Err(Reply::not_found()),
    }
}

fn repository(world: &mut World, call: &Call, caller: &Caller, prefix: &str, id: Option<u64>, rest: &[&str]) -> Answer {
    let found = id.and_then(|id| world.repositories.get(&id)).ok_or_else(Reply::not_found)?;
    let id = found.id;
    if rest == ["installation"] {
        return installation(world, caller, id);
    }
    if !caller.may_read(found) {
        return Err(Reply::not_found());
    }
    if call.method != Method::GET && !caller.may_write(found) {
        return Err(match caller {
            Caller::Nobody => Reply::error(StatusCode::UNAUTHORIZED, "Requires authentication"),
            _ => Reply::error(StatusCode::FORBIDDEN, "Resource not accessible by personal access token"),
        });
    }
    let failed = |error: super::DoubleError| Reply::error(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string());
    world.follow_quietly(id).map_err(failed)?;
    let ask = Ask { call, id, caller, query: Query::parse(&call.query), prefix };
    match (call.method.as_str(), rest) {
        ("GET", []) => read(world, &ask, |world, found| Reply::ok(&shape::repository(world, found))),
        ("GET", ["branches"]) => branches(world, &ask),
        ("GET", ["pulls"]) => pulls(world, &ask),
        ("GET", ["pulls", number]) => pull(world, &ask, number),
        ("GET", ["issues", number, "comments"]) => comments(world, &ask, number),
        ("POST", ["issues", number, "comments"]) => create_comment(world, &ask, number),
        ("GET", ["issues", "comments", id]) => comment(world, &ask, id),
        ("PATCH", ["issues", "comments", id]) => edit_comment(world, &ask, id),
        ("DELETE", ["issues", "comments", id]) => delete_comment(world, &ask, id),
        ("POST", ["statuses", sha]) => create_status(world, &ask, sha),
        ("GET", ["commits", sha, "statuses"]) => statuses(world, &ask, sha),
        _ => Err(Reply::not_found()),
    }
}

fn user(world: &World, caller: &Caller) -> Answer {
    match caller {
        Caller::Holder(token) if !token.installation => {
            Ok(Reply::ok(&shape::private_user(world, &world.known_user(&token.login))))
        }
        Caller::Holder(_) => Err(Reply::error(StatusCode::FORBIDDEN, "Resource not accessible by integration")),
        _ => Err(Reply::error(StatusCode::UNAUTHORIZED, "Requires authentication")),
    }
}

fn app(world: &World, caller: &Caller) -> Answer {
    let Caller::App(id) = caller else {
        return Err(Reply::error(StatusCode::UNAUTHORIZED, "A JSON web token could not be decoded"));
    };
    let app = world.access.apps.get(id).ok_or_else(Reply::not_found)?;
    let owner = world.known_user("acme");
    Ok(Reply::ok(&json!({
        "id": app.id, "slug": app.slug, "node_id": "A_1", "client_id": format!("Iv1.{}", app.id),
        "owner": shape::user(world, &owner), "name": app.slug, "description": "", "external_url": world.root,
        "html_url": format!("{}/apps/{}", world.root, app.slug),
        "created_at": "2020-01-01T00:00:00Z", "updated_at": "2020-01-01T00:00:00Z",
        "permissions": {"pull_requests": "write", "statuses": "write", "contents": "read", "metadata": "read"},
        "events": ["push", "pull_request"], "installations_count": app.installations.len(),
    })))
}

fn installation(world: &World, caller: &Caller, repository_id: u64) -> Answer {
    let Caller::App(app) = caller else {
        return Err(Reply::error(StatusCode::UNAUTHORIZED, "A JSON web token could not be decoded"));
    };
    let app = world.access.apps.get(app).ok_or_else(Reply::not_found)?;
    let owner = world.repositories.get(&repository_id).map(|found| found.owner.clone()).unwrap_or_default();
    let id = app.installations.get(&owner.to_ascii_lowercase()).ok_or_else(Reply::not_found)?;
    let account = world.known_user(&owner);
    let root = &world.root;
    Ok(Reply::ok(&json!({
        "id": id, "app_id": app.id, "app_slug": app.slug, "target_id": account.id, "target_type": "Organization",
        "account": shape::user(world, &account), "repository_selection": "all",
        "access_tokens_url": format!("{root}/app/installations/{id}/access_tokens"),
        "repositories_url": format!("{root}/installation/repositories"),
        "html_url": format!("{root}/settings/installations/{id}"),
        "permissions": {"pull_requests": "write", "statuses": "write", "contents": "read", "metadata": "read"},
        "events": ["push", "pull_request"], "single_file_name": null,
        "created_at": "2020-01-01T00:00:00Z", "updated_at": "2020-01-01T00:00:00Z",
        "suspended_by": null, "suspended_at": null,
    })))
}

fn installation_token(world: &mut World, caller: &Caller, id: &str) -> Answer {
    let Caller::App(app) = caller else {
        return Err(Reply::error(StatusCode::UNAUTHORIZED, "A JSON web token could not be decoded"));
    };
    let id = id.parse().map_err(|_| Reply::not_found())?;
    let (token, expires_at) = world.installation_token(*app, id).ok_or_else(Reply::not_found)?;
    let body = json!({
        "token": token, "expires_at": expires_at.to_string(), "repository_selection": "all",
        "permissions": {"pull_requests": "write", "statuses": "write", "contents": "read", "metadata": "read"},
    });
    Ok(Reply::json(StatusCode::CREATED, &body))
}

fn branches(world: &World, ask: &Ask<'_>) -> Answer {
    read_listing(world, ask, "/branches", |world, found| {
        let commit = |sha: &String| json!({"sha": sha, "url": format!("{}/commits/{sha}", shape::api(world, found))});
        let shape = |(name, sha)| json!({"name": name, "commit": commit(sha), "protected": false});
        found.seen.iter().map(shape).collect()
    })
}

fn pulls(world: &World, ask: &Ask<'_>) -> Answer {
    let state = ask.query.get("state").unwrap_or("open");
    if !["open", "closed", "all"].contains(&state) {
        return Err(Reply::invalid("PullRequest", "state", "invalid", "state is not one of open, closed, all"));
    }
    let (head, base) = (ask.query.get("head"), ask.query.get("base"));
    read_listing(world, ask, "/pulls", |world, found| {
        let mut pulls: Vec<_> = found
            .pulls
            .values()
            .filter(|pull| state == "all" || pull.open == (state == "open"))
            .filter(|pull| head.is_none_or(|head| head == format!("{}:{}", pull.head_owner, pull.head_ref)))
            .filter(|pull| base.is_none_or(|base| base == pull.base_ref))
            .collect();
        if ask.query.get("sort") == Some("updated") {
            pulls.sort_by_key(|pull| (pull.updated_at, pull.number));
        }
        if ask.query.get("direction") != Some("asc") {
            pulls.reverse();
        }
        pulls.into_iter().map(|pull| shape::pull_simple(world, found, pull)).collect()
    })
}

fn pull(world: &World, ask: &Ask<'_>, number: &str) -> Answer {
    let number = parse(number)?;
    read(world, ask, |world, found| match found.pulls.get(&number) {
        Some(pull) => Reply::ok(&shape::pull(world, found, pull)),
        None => Reply::not_found(),
    })
}

fn comments(world: &World, ask: &Ask<'_>, number: &str) -> Answer {
    let number = parse(number)?;
    if world.repositories.get(&ask.id).is_none_or(|found| !found.pulls.contains_key(&number)) {
        return Err(Reply::not_found());
    }
    read_listing(world, ask, &format!("/issues/{number}/comments"), |world, found| {
        let here = found.comments.values().filter(|comment| comment.number == number);
        here.map(|comment| shape::comment(world, found, comment)).collect()
    })
}

fn comment(world: &World, ask: &Ask<'_>, id: &str) -> Answer {
    let id = parse(id)?;
    read(world, ask, |world, found| match found.comments.get(&id) {
        Some(comment) => Reply::ok(&shape::comment(world, found, comment)),
        None => Reply::not_found(),
    })
}

fn create_comment(world: &mut World, ask: &Ask<'_>, number: &str) -> Answer {
    let number = parse(number)?;
    let body = comment_body(&ask.call.body)?;
    let (id, time) = (world.new_id(), now());
    let author = ask.caller.login().unwrap_or_default().to_owned();
    let found = repository_of(world, ask)?;
    if !found.pulls.contains_key(&number) {
        return Err(Reply::not_found());
    }
    let comment = Comment { id, number, author, body, created_at: time, updated_at: time, edits: 0 };
    found.comments.insert(id, comment.clone());
    let reply =
        read(world, ask, |world, found| Reply::json(StatusCode::CREATED, &shape::comment(world, found, &comment)))?;
    Ok(reply)
}

fn edit_comment(world: &mut World, ask: &Ask<'_>, id: &str) -> Answer {
    let number = parse(id)?;
    let comment = repository_of(world, ask)?.comments.get_mut(&number).ok_or_else(Reply::not_found)?;
    comment.body = comment_body(&ask.call.body)?;
    comment.updated_at = now();
    comment.edits += 1;
    self::comment(world, ask, id)
}

fn delete_comment(world: &mut World, ask: &Ask<'_>, id: &str) -> Answer {
    let id = parse(id)?;
    repository_of(world, ask)?.comments.remove(&id).ok_or_else(Reply::not_found)?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

fn create_status(world: &mut World, ask: &Ask<'_>, sha: &str) -> Answer {
    let body = object(&ask.call.body)?;
    let text = |field: &str| body.get(field).and_then(Value::as_str).map(str::to_owned);
    let state = text("state").filter(|state| STATES.contains(&state.as_str()));
    let state =
        state.ok_or_else(|| Reply::invalid("Status", "state", "custom", "state is not included in the list"))?;
    let description = text("description");
    if description.as_ref().is_some_and(|text| text.chars().count() > LONGEST_DESCRIPTION) {
        let message = "description is too long (maximum is 140 characters)";
        return Err(Reply::invalid("Status", "description", "custom", message));
    }
    let target_url = text("target_url");
    if target_url.as_ref().is_some_and(|url| !url.starts_with("http://") && !url.starts_with("https://")) {
        let message = "target_url must use http(s) scheme";
        return Err(Reply::invalid("Status", "target_url", "custom", message));
    }
    let (id, created_at) = (world.new_id(), now());
    let context = text("context").unwrap_or_else(|| "default".to_owned());
    let creator = ask.caller.login().unwrap_or_default().to_owned();
    let found = repository_of(world, ask)?;
    if !super::git::has_commit(&found.path, sha) {
        return Err(Reply::error(StatusCode::UNPROCESSABLE_ENTITY, &format!("No commit found for SHA: {sha}")));
    }
    if found.statuses.iter().filter(|status| status.sha == sha && status.context == context).count() >= MOST_STATUSES {
        let message = "This SHA and context has reached the maximum number of statuses.";
        return Err(Reply::invalid("Status", "context", "custom", message));
    }
    let sha = sha.to_owned();
    let status = Status { id, sha, state, context, description, target_url, creator, created_at };
    found.statuses.push(status.clone());
    read(world, ask, |world, found| Reply::json(StatusCode::CREATED, &shape::status(world, found, &status)))
}

fn statuses(world: &World, ask: &Ask<'_>, sha: &str) -> Answer {
    read_listing(world, ask, &format!("/commits/{sha}/statuses"), |world, found| {
        let here = found.statuses.iter().rev().filter(|status| status.sha == sha);
        here.map(|status| shape::status(world, found, status)).collect()
    })
}

fn read(world: &World, ask: &Ask<'_>, shape: impl Fn(&World, &Repository) -> Reply) -> Answer {
    world.repositories.get(&ask.id).map(|found| shape(world, found)).ok_or_else(Reply::not_found)
}

fn read_listing(world: &World, ask: &Ask<'_>, tail: &str, items: impl Fn(&World, &Repository) -> Vec<Value>) -> Answer {
    let url = format!("{}{}/repositories/{}{tail}", world.root, ask.prefix, ask.id);
    read(world, ask, |world, found| page(&items(world, found), &ask.query, &url))
}

fn repository_of<'w>(world: &'w mut World, ask: &Ask<'_>) -> Result<&'w mut Repository, Reply> {
    world.repositories.get_mut(&ask.id).ok_or_else(Reply::not_found)
}

fn parse(number: &str) -> Result<u64, Reply> {
    number.parse().map_err(|_| Reply::not_found())
}

fn object(body: &[u8]) -> Result<Value, Reply> {
    let problem = |_| Reply::error(StatusCode::BAD_REQUEST, "Problems parsing JSON");
    let value: Value = serde_json::from_slice(body).map_err(problem)?;
    if value.is_object() {
        return Ok(value);
    }
    Err(Reply::error(StatusCode::BAD_REQUEST, "Body should be a JSON object"))
}

fn comment_body(body: &[u8]) -> Result<String, Reply> {
    let invalid = |message: &str| Reply::invalid("IssueComment", "body", "unprocessable", message);
    let body = object(body)?;
    let text = body.get("body").and_then(Value::as_str).ok_or_else(|| invalid("body is missing or not a string"))?;
    if text.trim().is_empty() {
        return Err(invalid("Body cannot be blank"));
    }
    if text.chars().count() > LONGEST_COMMENT {
        return Err(invalid("Body is too long (maximum is 65536 characters)"));
    }
    Ok(text.to_owned())
}
