//! Git over HTTP, by git's own `http-backend`: clones, fetches and pushes of the double's repositories.

use super::{
    Shared,
    api::Call,
    auth::{self, Caller},
    reply::Reply,
    world::World,
};
use http::{HeaderName, HeaderValue, StatusCode, header};
use std::{io, path::PathBuf, process::Stdio};
use tokio::{io::AsyncWriteExt, process::Command};

/// What a git client asks for.
#[derive(Debug)]
pub(super) struct GitCall {
    full_name: String,
    /// `/info/refs`, `/git-upload-pack` or `/git-receive-pack`.
    tail: &'static str,
    writes: bool,
}

impl GitCall {
    /// Recognizes git's own paths, `/owner/name[.git]/…`.
    pub fn parse(path: &str, query: &str) -> Option<Self> {
        let tails = ["/info/refs", "/git-upload-pack", "/git-receive-pack"];
        let tail = tails.into_iter().find(|tail| path.ends_with(tail))?;
        let name = path.strip_suffix(tail)?.trim_matches('/');
        let full_name = name.strip_suffix(".git").unwrap_or(name).to_owned();
        let writes = tail == "/git-receive-pack" || query.contains("service=git-receive-pack");
        Some(Self { full_name, tail, writes })
    }
}

/// Answers a git client, and announces what it pushed.
pub(super) async fn answer(shared: &Shared, git: &GitCall, call: &Call) -> Reply {
    let place = match permit(&shared.world(), git, call) {
        Ok(place) => place,
        Err(reply) => return reply,
    };
    let reply = backend(&place, git, call)
        .await
        .unwrap_or_else(|error| Reply::error(StatusCode::INTERNAL_SERVER_ERROR, &format!("git http-backend: {error}")));
    if git.tail == "/git-receive-pack" && shared.pushed(&git.full_name).is_err() {
        return Reply::error(StatusCode::INTERNAL_SERVER_ERROR, "the push could not be announced");
    }
    reply
}

/// Where the repository is, if the caller may do that to it.
fn permit(world: &World, git: &GitCall, call: &Call) -> Result<(PathBuf, Option<String>), Reply> {
    let ask = || {
        let reply = Reply::error(StatusCode::UNAUTHORIZED, "Repository not found.");
        reply.with(header::WWW_AUTHENTICATE, "Basic realm=\"GitHub\"")
    };
    let caller = auth::caller(world, &call.headers).map_err(|_| ask())?;
    let former = world.former_names.get(&git.full_name.to_ascii_lowercase()).copied();
    let id = world.repository_id(&git.full_name).or(former);
    let found = id.and_then(|id| world.repositories.get(&id));
    let found = match (found, &caller) {
        (Some(found), _) if caller.may_read(found) => found,
        (_, Caller::Nobody) => return Err(ask()),
        _ => return Err(Reply::not_found()),
    };
    if git.writes && !caller.may_write(found) {
        return Err(if matches!(caller, Caller::Nobody) {
            ask()
        } else {
            Reply::error(StatusCode::FORBIDDEN, "Write access to repository not granted.")
        });
    }
    Ok((found.path.clone(), caller.login().map(str::to_owned)))
}

async fn backend(place: &(PathBuf, Option<String>), git: &GitCall, call: &Call) -> io::Result<Reply> {
    let (path, user) = place;
    let header = |name: HeaderName| call.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut command = Command::new("git");
    command
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", path)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*")
        .env("PATH_INFO", git.tail)
        .env("QUERY_STRING", &call.query)
        .env("REQUEST_METHOD", call.method.as_str())
        .env("CONTENT_TYPE", header(header::CONTENT_TYPE))
        .env("CONTENT_LENGTH", call.body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header(header::CONTENT_ENCODING))
        .env("GIT_PROTOCOL", header(HeaderName::from_static("git-protocol")))
        .env("REMOTE_ADDR", "127.0.0.1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    // http-backend permits pushes to those whom the server authenticated.
    if let Some(user) = user {
        command.env("REMOTE_USER", user);
    }
    let mut child = command.spawn()?;
    let mut stdin = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let body = call.body.clone();
    // Both at once, since the backend may answer before it has read everything.
    let feed = async move {
        let _ = stdin.write_all(&body).await;
        drop(stdin);
    };
    let (output, ()) = tokio::join!(child.wait_with_output(), feed);
    parse(&output?.stdout)
}

/// Reads a CGI answer: header lines, an empty line, the body.
fn parse(output: &[u8]) -> io::Result<Reply> {
    let end = output.windows(4).position(|window| window == b"\r\n\r\n");
    let end = end.ok_or_else(|| io::Error::other("its answer has no head"))?;
    let mut reply = Reply::empty(StatusCode::OK);
    reply.body = output[end + 4..].to_vec().into();
    for line in String::from_utf8_lossy(&output[..end]).lines() {
        let Some((name, value)) = line.split_once(": ") else { continue };
        if name.eq_ignore_ascii_case("status") {
            let code = value.split(' ').next().and_then(|code| code.parse().ok());
            reply.status = code.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        } else if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            reply.headers.insert(name, value);
        }
    }
    Ok(reply)
}
