//! The backend's HTTP/1.1.

use super::Speak;

pub(super) struct Speaker {
    answer: Vec<u8>,
}

impl Speaker {
    pub(super) fn new(body: &[u8]) -> Self {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length: ";
        let mut answer = format!("{head}{}\r\n\r\n", body.len()).into_bytes();
        answer.extend_from_slice(body);
        Self { answer }
    }
}

impl Speak for Speaker {
    fn receive(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<usize, String> {
        let mut rest = bytes;
        while let Some(after) = after_request(rest)? {
            out.extend_from_slice(&self.answer);
            rest = after;
        }
        Ok(bytes.len() - rest.len())
    }
}

/// What follows the first request; none when it is not whole.
fn after_request(bytes: &[u8]) -> Result<Option<&[u8]>, String> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| "a head that is no text")?;
    let mut length = 0;
    for (name, value) in head.split("\r\n").filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().map_err(|_| "a length that is no number")?;
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            return Err("this backend takes no chunked request".to_owned());
        }
    }
    Ok(bytes.get(end + 4 + length..))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_whole_request_is_answered_once() {
        let mut speaker = Speaker::new(b"web\n");
        let two = b"GET / HTTP/1.1\r\nhost: a\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET";
        let mut out = Vec::new();
        assert_eq!(speaker.receive(two, &mut out), Ok(two.len() - 3));
        assert_eq!(String::from_utf8_lossy(&out).matches("\r\n\r\nweb\n").count(), 2);
        out.clear();
        assert_eq!(speaker.receive(&two[..two.len() - 4], &mut out).map(|_| out.len()), Ok(speaker.answer.len()));
    }
}
