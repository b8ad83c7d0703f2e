//! A WebSocket of its own: some messages, each after the answer to the one before, and a close from this side.

use super::{
    connection::{LIMIT, chained, reply},
    message::{Question, Reply},
};
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::{HeaderMap, header::HeaderName};
use serde_json::{Value, json};
use std::error::Error;
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{
        self, Message,
        client::IntoClientRequest as _,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

/// Messages of one connection.
const CHAT: usize = 5;
/// What comes back as it is.
const BYTES: &[u8] = b"\0\xff a WebSocket carries bytes too";

type Socket = WebSocketStream<TcpStream>;

/// Asks for a WebSocket, talks and closes. The answer says what was heard last.
pub(super) async fn ask(question: &Question) -> Reply {
    let failed = |says| Reply { connections: 1, ..reply(0, &HeaderMap::new(), &HeaderMap::new(), says) };
    match timeout(LIMIT, talk(question)).await {
        Ok(Ok(reply)) => reply,
        Ok(Err(error)) => failed(chained(error.as_ref())),
        Err(_) => failed(json!({"error": format!("no end within {LIMIT:?}")})),
    }
}

async fn talk(question: &Question) -> Result<Reply, Box<dyn Error + Send + Sync>> {
    let path = question.what.path(question.protocol);
    let mut request = format!("ws://{}{path}", question.to).into_client_request()?;
    for (name, value) in &question.headers {
        request.headers_mut().append(name.parse::<HeaderName>()?, value.parse()?);
    }
    let stream = TcpStream::connect(&question.to).await?;
    let (mut socket, head) = match client_async(request, stream).await {
        Ok(opened) => opened,
        Err(tungstenite::Error::Http(refused)) => {
            let says = refused.body().as_deref().map(String::from_utf8_lossy).unwrap_or_default();
            return Ok(reply(refused.status().as_u16(), refused.headers(), &HeaderMap::new(), says.into()));
        }
        Err(error) => return Err(error.into()),
    };
    let says = chat(&mut socket).await?;
    close(&mut socket).await?;
    Ok(Reply { connections: 1, ..reply(head.status().as_u16(), head.headers(), &HeaderMap::new(), says) })
}

async fn chat(socket: &mut Socket) -> Result<Value, Box<dyn Error + Send + Sync>> {
    let mut says = Value::Null;
    for number in 0..CHAT {
        socket.send(Message::text(number.to_string())).await?;
        let Some(Message::Text(text)) = socket.next().await.transpose()? else { return Err("no text came".into()) };
        let heard: Value = serde_json::from_str(&text)?;
        let same = says.is_null() || heard["version"] == says["version"];
        if heard["heard"].as_str() != Some(&number.to_string()) || !same {
            return Err(format!("message {number} was answered by {heard} after {says}").into());
        }
        says = heard;
    }
    socket.send(Message::binary(BYTES)).await?;
    match socket.next().await.transpose()? {
        Some(Message::Binary(bytes)) if bytes == BYTES => Ok(says),
        other => Err(format!("bytes were answered by {other:?}").into()),
    }
}

/// Closes, and waits until the other end did so too: its close comes back with the same code, and then the connection ends.
async fn close(socket: &mut Socket) -> Result<(), Box<dyn Error + Send + Sync>> {
    socket.close(Some(CloseFrame { code: CloseCode::Library(4001), reason: "enough".into() })).await?;
    match socket.next().await.transpose()? {
        Some(Message::Close(Some(frame))) if frame.code == CloseCode::Library(4001) => {}
        other => return Err(format!("a close was answered by {other:?}").into()),
    }
    match socket.next().await {
        None => Ok(()),
        Some(more) => Err(format!("after the close came {more:?}").into()),
    }
}
