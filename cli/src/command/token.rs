//! `lapdev token`: the tokens that clusters' agents connect with.

use crate::{
    args::{Format, ServerArgs, Token},
    client::Client,
    exit::Failure,
    output::{Row, age, data, message, print},
};
use jiff::Timestamp;
use lapdev_api::view::TokenView;

/// Runs it.
pub async fn run(what: Token) -> Result<(), Failure> {
    match what {
        Token::Create { cluster, server } => create(&cluster, &server).await,
        Token::List { cluster, output, server } => list(&cluster, output, &server).await,
        Token::Revoke { cluster, id, all: _, server } => revoke(&cluster, id, &server).await,
    }
}

/// The secret alone goes to stdout, so that it can be piped into a file or a Secret.
async fn create(cluster: &str, server: &ServerArgs) -> Result<(), Failure> {
    let token: TokenView = Client::new(server)?.post(&["clusters", cluster, "tokens"]).await?;
    let secret = token.secret.ok_or_else(|| Failure::not_fine("the control plane's answer holds no token"))?;
    message(format_args!("token {} of cluster {cluster}; it is not shown again:", token.id));
    data(&format!("{secret}\n"))
}

async fn list(cluster: &str, output: Format, server: &ServerArgs) -> Result<(), Failure> {
    let tokens: Vec<TokenView> = Client::new(server)?.get(&["clusters", cluster, "tokens"]).await?;
    print(output, &tokens, &tokens)
}

async fn revoke(cluster: &str, id: Option<String>, server: &ServerArgs) -> Result<(), Failure> {
    let client = Client::new(server)?;
    let ids = match id {
        Some(id) => vec![id],
        None => {
            let tokens: Vec<TokenView> = client.get(&["clusters", cluster, "tokens"]).await?;
            tokens.into_iter().map(|token| token.id).collect()
        }
    };
    for id in ids {
        client.delete(&["clusters", cluster, "tokens", &id]).await?;
        message(format_args!("token {id} of cluster {cluster} is revoked"));
    }
    Ok(())
}

impl Row for TokenView {
    const HEAD: &'static [&'static str] = &["ID", "CLUSTER", "AGE", "LAST USED"];

    fn cells(&self) -> Vec<String> {
        let now = Timestamp::now();
        let used = self.last_used_at.map_or_else(|| "never".to_owned(), |at| age(at, now));
        vec![self.id.clone(), self.cluster.to_string(), age(self.created_at, now), used]
    }
}
