//! The HTTP/1.1 client: one request after the other on a kept connection.

use super::{
    plan::{Plan, VersionFrom},
    source::{Pace, Source},
    tally::{Answer, Begun, Tally},
};
use std::{io, net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// How long a whole answer may take.
pub(super) const LIMIT: Duration = Duration::from_secs(30);
/// The longest version that a body may name.
pub(super) const LONGEST_VERSION: usize = 64;

/// Sends requests until there are no more.
pub(super) async fn drive(plan: &Plan, source: &Source, mut pace: Pace) -> Tally {
    let requests: Vec<Vec<u8>> = (0..plan.asks.len()).map(|kind| request(plan, kind)).collect();
    let (mut tally, mut connection) = (Tally::default(), None);
    let mut free = true;
    while let Some(kind) = source.next() {
        if let Some(due) = pace.due() {
            free = due > std::time::Instant::now();
            tokio::time::sleep_until(due.into()).await;
        }
        let begun = Begun { kind, at: pace.sent(free) };
        match timeout(LIMIT, ask(plan, &requests[kind], &mut connection, &mut tally)).await {
            Ok(Ok(answer)) => tally.answered(kind, &answer, begun.latency(source.counted_from)),
            Ok(Err(why)) => tally.failed(&why),
            Err(_) => {
                connection = None;
                tally.failed("no whole answer in time");
            }
        }
    }
    tally
}

/// One request, on the kept connection if there is one. If that was closed before a byte of the answer came, on a new one,
/// as every client does.
async fn ask(plan: &Plan, request: &[u8], kept: &mut Option<Connection>, tally: &mut Tally) -> Result<Answer, String> {
    let mut again = false;
    loop {
        let (mut connection, was_kept) = match kept.take() {
            Some(connection) => (connection, true),
            None => (Connection::open(plan.target).await.map_err(|error| format!("connect: {}", error.kind()))?, false),
        };
        match connection.exchange(request, plan.version_from).await {
            Ok((answer, stays)) => {
                *kept = stays.then_some(connection);
                return Ok(answer);
            }
            Err(Broken::Unanswered(_)) if was_kept && !again => {
                tally.retried += 1;
                again = true;
            }
            Err(Broken::Unanswered(why) | Broken::Amid(why)) => return Err(why),
        }
    }
}

/// The bytes of a request of that kind.
fn request(plan: &Plan, kind: usize) -> Vec<u8> {
    let mut text = format!("GET {} HTTP/1.1\r\nhost: {}\r\nuser-agent: lapdev-load\r\n", plan.path, plan.authority);
    for (name, value) in plan.asks[kind].headers() {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    text.into_bytes()
}

/// Why an exchange came to nothing.
enum Broken {
    /// Before a byte of the answer.
    Unanswered(String),
    Amid(String),
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(target: SocketAddr) -> io::Result<Self> {
        let stream = timeout(LIMIT, TcpStream::connect(target)).await??;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(16 << 10) })
    }

    /// The answer, and whether the connection can be used again.
    async fn exchange(&mut self, request: &[u8], from: VersionFrom) -> Result<(Answer, bool), Broken> {
        self.buffer.clear();
        let closed = |error: io::Error| Broken::Unanswered(format!("write: {}", error.kind()));
        self.stream.write_all(request).await.map_err(closed)?;
        loop {
            let read = self.stream.read_buf(&mut self.buffer).await;
            let why = match read {
                Ok(0) => "closed".to_owned(),
                Err(error) => format!("read: {}", error.kind()),
                Ok(_) => match parse(&self.buffer, from).map_err(Broken::Amid)? {
                    Some(parsed) => return Ok(parsed),
                    None => continue,
                },
            };
            return Err(match self.buffer.is_empty() {
                true => Broken::Unanswered(format!("{why} before an answer")),
                false => Broken::Amid(format!("{why} amid an answer")),
            });
        }
    }
}

/// The answer that these bytes are, with whether the connection stays; none while it is not whole. More bytes than that are
/// an error: nobody asked for them.
fn parse(bytes: &[u8], from: VersionFrom) -> Result<Option<(Answer, bool)>, String> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let (head, body) = (&bytes[..end], &bytes[end + 4..]);
    let head = std::str::from_utf8(head).map_err(|_| "a head that is no text")?;
    let mut lines = head.split("\r\n");
    let status =
        lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")).and_then(|rest| rest.get(..3)?.parse().ok());
    let status = status.ok_or("no HTTP/1.1 status line")?;
    let (mut length, mut chunked, mut stays, mut served_by) = (None, false, true, None);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            length = value.parse::<usize>().ok();
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            chunked = value.eq_ignore_ascii_case("chunked");
        } else if name.eq_ignore_ascii_case("connection") {
            stays = !value.eq_ignore_ascii_case("close");
        } else if name.eq_ignore_ascii_case("x-lapdev-served-by") {
            served_by = Some(value.as_bytes());
        }
    }
    let unchunked;
    let body = match (chunked, length) {
        (true, _) => match unchunk(body)? {
            Some(whole) => {
                unchunked = whole;
                unchunked.as_slice()
            }
            None => return Ok(None),
        },
        (false, Some(length)) if body.len() < length => return Ok(None),
        (false, Some(length)) if body.len() > length => return Err("more bytes than the answer's length".to_owned()),
        (false, Some(_)) => body,
        (false, None) => return Err("an answer without a length".to_owned()),
    };
    let version = match from {
        VersionFrom::Body => first_line(body).to_vec(),
        VersionFrom::Header => served_by.unwrap_or_default().to_vec(),
    };
    Ok(Some((Answer { status, grpc_status: None, version }, stays)))
}

/// The beginning of a body up to its first line end.
pub(super) fn first_line(body: &[u8]) -> &[u8] {
    let start = &body[..body.len().min(LONGEST_VERSION)];
    start.split(|byte| *byte == b'\n').next().unwrap_or_default()
}

/// The body that the chunks make; none while the last is missing.
fn unchunk(mut bytes: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let mut body = Vec::new();
    loop {
        let Some(end) = bytes.windows(2).position(|two| two == b"\r\n") else { return Ok(None) };
        let size = std::str::from_utf8(&bytes[..end]).ok().and_then(|text| usize::from_str_radix(text, 16).ok());
        let size = size.ok_or("a chunk without a size")?;
        let Some(chunk) = bytes.get(end + 2..end + 4 + size) else { return Ok(None) };
        body.extend_from_slice(&chunk[..size]);
        bytes = &bytes[end + 4 + size..];
        if size == 0 {
            return if bytes.is_empty() { Ok(Some(body)) } else { Err("more bytes than the chunks".to_owned()) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str, from: VersionFrom) -> (Answer, bool) {
        for cut in 0..text.len() {
            assert_eq!(parse(&text.as_bytes()[..cut], from), Ok(None), "cut at {cut}");
        }
        assert!(parse(format!("{text}x").as_bytes(), from).is_err(), "a byte too many is noticed");
        parse(text.as_bytes(), from).expect("legal").expect("whole")
    }

    #[test]
    fn an_answer_is_known_by_its_length_and_names_its_version() {
        let text =
            "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nx-lapdev-served-by: web\r\nConnection: close\r\n\r\nbase\nxx";
        let answer = |version: &str| Answer { status: 200, grpc_status: None, version: version.into() };
        assert_eq!(whole(text, VersionFrom::Body), (answer("base"), false));
        assert_eq!(whole(text, VersionFrom::Header), (answer("web"), false));
    }

    #[test]
    fn chunks_are_one_body() {
        let text = "HTTP/1.1 503 No\r\ntransfer-encoding: chunked\r\n\r\n3\r\nbas\r\n4\r\ne\nxx\r\n0\r\n\r\n";
        let (answer, stays) = whole(text, VersionFrom::Body);
        assert_eq!((answer.status, answer.version.as_slice(), stays), (503, b"base".as_slice(), true));
    }
}
