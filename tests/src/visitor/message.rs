//! What the visitor is told, and what it reports.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// How a service is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 with prior knowledge.
    Http2,
    /// gRPC.
    Grpc,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Http1, Self::Http2, Self::Grpc];
}

/// What a service of the shop is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// Itself and all behind it.
    Chain,
    /// Only itself.
    Alone,
    /// An error.
    Fail,
    /// gRPC only: a stream both ways, some messages long.
    Chat,
    /// HTTP/1.1 only: the headers that reached the service.
    Headers,
    /// HTTP/1.1 only: a WebSocket, on a connection of its own, with some messages and a close.
    Socket,
}

impl What {
    /// The path of such a request.
    #[must_use]
    pub fn path(self, protocol: Protocol) -> &'static str {
        match (self, protocol) {
            (Self::Chat, _) => "/shop.Shop/Chat",
            (Self::Headers, _) => "/headers",
            (Self::Socket, _) => "/socket",
            (Self::Chain, Protocol::Grpc) => "/shop.Shop/Ask",
            (Self::Alone, Protocol::Grpc) => "/shop.Shop/Alone",
            (Self::Fail, Protocol::Grpc) => "/shop.Shop/Fail",
            (Self::Chain, _) => "/",
            (Self::Alone, _) => "/alone",
            (Self::Fail, _) => "/fail",
        }
    }
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// How.
    pub protocol: Protocol,
    /// Whom: `host:port`.
    pub to: String,
    /// For what.
    pub what: What,
    /// Further headers, in order; a name may come twice.
    pub headers: Vec<(String, String)>,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The HTTP status; 0 when there was no answer.
    pub status: u16,
    /// gRPC's.
    pub grpc_status: Option<String>,
    /// `x-lapdev-served-by`.
    pub served_by: Option<String>,
    /// What the service said, or why nothing came.
    pub says: Value,
    /// How often it was sent anew because the other end had not begun with it.
    pub again: u32,
    /// How many connections were opened for it: none, where a kept one served.
    pub connections: u32,
}

impl Reply {
    /// Whether the service did what it was asked for.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        (200..300).contains(&self.status) && self.grpc_status.as_deref().is_none_or(|status| status == "0")
    }
}

/// Which version of each service answered, in an answer with the chain behind it.
///
/// # Errors
/// What is in place of an answer.
pub fn versions(says: &Value) -> Result<BTreeMap<String, String>, String> {
    let mut found = BTreeMap::new();
    collect(says, &mut found)?;
    Ok(found)
}

fn collect(says: &Value, found: &mut BTreeMap<String, String>) -> Result<(), String> {
    let text = |name: &str| says[name].as_str().map(str::to_owned).ok_or_else(|| says.to_string());
    found.insert(text("service")?, text("version")?);
    says["calls"].as_object().into_iter().flatten().try_for_each(|(_, call)| collect(call, found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_version_of_a_chain_is_found_and_a_call_that_failed_is_not_overlooked() {
        let stock = json!({"service": "stock", "version": "baseline", "calls": {}});
        let whole = json!({"service": "web", "version": "x-abc234", "calls": {"stock": stock}});
        let found: Vec<_> = versions(&whole).expect("it is whole").into_iter().collect();
        assert_eq!(found, [("stock", "baseline"), ("web", "x-abc234")].map(|(a, b)| (a.to_owned(), b.to_owned())));
        let broken = json!({"service": "web", "version": "x-abc234", "calls": {"stock": {"error": "503"}}});
        assert_eq!(versions(&broken), Err(r#"{"error":"503"}"#.to_owned()));
    }
}
