//! Agents' tokens: made for a declared cluster, shown once, revoked by id. Sessions watch the store and end by themselves.

use super::answers::Failure;
use crate::hub::Hub;
use jiff::Timestamp;
use lapdev_api::{name::ClusterName, view::TokenView};

/// Makes one; the secret is in this answer only.
pub(super) async fn create(hub: &Hub, name: &str) -> Result<TokenView, Failure> {
    let cluster: ClusterName = name.parse()?;
    let declared = hub.store.clusters().await?.iter().any(|declared| declared.name == cluster);
    if !declared {
        let lists = "lapdev get clusters".to_owned();
        return Err(Failure::NotFound { what: "cluster", name: name.to_owned(), lists });
    }
    let token = hub.store.create_token(&cluster, Timestamp::now()).await?;
    tracing::info!(%cluster, id = token.id, "made a token for an agent");
    Ok(token)
}

/// A cluster's tokens, without their secrets.
pub(super) async fn list(hub: &Hub, name: &str) -> Result<Vec<TokenView>, Failure> {
    Ok(hub.store.list_tokens(&name.parse()?).await?)
}

/// Ends one, and the session that was opened with it.
pub(super) async fn revoke(hub: &Hub, name: &str, id: &str) -> Result<(), Failure> {
    let cluster: ClusterName = name.parse()?;
    if !hub.store.revoke_token(&cluster, id).await? {
        let lists = format!("lapdev token list {cluster}");
        return Err(Failure::NotFound { what: "token", name: id.to_owned(), lists });
    }
    tracing::info!(%cluster, id, "revoked an agent's token");
    Ok(())
}
