//! The program inside the test cluster's own test pods. `testpod serve PORT` answers every HTTP request with the pod's
//! host name; `testpod get HOST PORT` fetches once and prints the body, with exit status 1 if it cannot.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, ToSocketAddrs as _};
use std::process::ExitCode;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(3);

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["serve", port] => serve(port),
        ["get", host, port] => get(host, port),
        _ => Err(std::io::Error::other("usage: testpod serve PORT | testpod get HOST PORT")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "testpod: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(port: &str) -> std::io::Result<()> {
    let name = std::fs::read_to_string("/etc/hostname")?;
    let listener = TcpListener::bind(format!("0.0.0.0:{port}"))?;
    for stream in listener.incoming() {
        // One caller's failure is no reason to end.
        if let Err(error) = answer(stream?, name.trim()) {
            let _ = writeln!(std::io::stderr(), "testpod: {error}");
        }
    }
    Ok(())
}

fn answer(mut stream: TcpStream, name: &str) -> std::io::Result<()> {
    stream.set_read_timeout(Some(LIMIT))?;
    let mut request = [0; 4096];
    let _ = stream.read(&mut request)?;
    let length = name.len();
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{name}");
    stream.write_all(answer.as_bytes())
}

fn get(host: &str, port: &str) -> std::io::Result<()> {
    let address = format!("{host}:{port}")
        .to_socket_addrs()?
        .next()
        .ok_or_else(|| std::io::Error::other(format!("{host} has no address")))?;
    let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    // In one write: the server answers after one read.
    stream.write_all(format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    writeln!(std::io::stdout(), "{body}")
}
