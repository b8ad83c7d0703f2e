//! The way to a server: straight, or through the proxy that the settings name for it.

use super::watch::{BoxError, Connecting, Watched, Watching};
use hyper::Uri;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::{
    legacy::connect::proxy::Tunnel,
    proxy::matcher::{Intercept, Matcher},
};
use rustls::ClientConfig;
use std::{
    sync::Arc,
    task::{Context, Poll},
};
use tower_service::Service;

/// Connects to the host of an address. TLS with that host is put over it elsewhere.
#[derive(Clone)]
pub(super) struct Route {
    pub tcp: Watching,
    pub proxy: Arc<Matcher>,
    pub tls: Arc<ClientConfig>,
}

impl Service<Uri> for Route {
    type Response = MaybeHttpsStream<Watched>;
    type Error = BoxError;
    type Future = Connecting<Self::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tcp.poll_ready(cx)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        if let Some(proxy) = self.proxy.intercept(&to) {
            return self.through(&proxy, to);
        }
        let connecting = self.tcp.call(to);
        Box::pin(async move { Ok(MaybeHttpsStream::Http(connecting.await?)) })
    }
}

impl Route {
    /// What TLS protects is tunnelled; plain requests are the proxy's to pass on.
    fn through(&self, proxy: &Intercept, to: Uri) -> Connecting<MaybeHttpsStream<Watched>> {
        let is_tunnel = to.scheme_str() == Some("https");
        let tcp = Watching { to_proxy: !is_tunnel, ..self.tcp.clone() };
        let mut connector = HttpsConnector::from((tcp, Arc::clone(&self.tls)));
        if !is_tunnel {
            return connector.call(proxy.uri().clone());
        }
        let mut tunnel = Tunnel::new(proxy.uri().clone(), connector);
        if let Some(credentials) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(credentials.clone());
        }
        let connecting = tunnel.call(to);
        Box::pin(async move { connecting.await.map_err(Into::into) })
    }
}
