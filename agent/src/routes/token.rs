//! By what routers know their agent. The token of each namespace follows from one secret of the agent's own, so an agent that
//! starts anew has the same; routers are told its digest, beside the table. Pure, but for [`AdminKey::random`].

use lapdev_api::{digest::Digest, name::Namespace};
use std::fmt;

/// What every token follows from. Never leaves the agent.
#[derive(Clone)]
pub struct AdminKey(Digest);

/// The token for the routers of one namespace: those of another must not learn it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl AdminKey {
    /// From what only the agent and its control plane know.
    #[must_use]
    pub fn from_secret(secret: &[u8]) -> Self {
        Self(Digest::of(&[b"lapdev-router-admin\0", secret].concat()))
    }

    /// One that nobody has again: each start writes every table anew.
    #[must_use]
    pub fn random() -> Self {
        let mut bytes = [0; 32];
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        provider.secure_random.fill(&mut bytes).expect("the system gives random bytes, or TLS would not work either");
        Self::from_secret(&bytes)
    }

    /// The token for the routers of a namespace.
    #[must_use]
    pub fn token(&self, namespace: &Namespace) -> Token {
        // Twice, so that from a token no other one can be computed.
        let inner = Digest::of(format!("{} {namespace}", self.0).as_bytes());
        Token(Digest::of(inner.to_string().as_bytes()).to_string())
    }
}

impl Token {
    /// What routers are told of it.
    #[must_use]
    pub fn digest(&self) -> String {
        Digest::of(self.0.as_bytes()).to_string()
    }

    /// The header's value.
    #[must_use]
    pub fn bearer(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl fmt::Debug for AdminKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminKey(…)")
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_the_same_after_a_restart_and_of_one_namespace_alone_and_is_never_printed() {
        let (shop, other): (Namespace, Namespace) = ("shop".parse().expect("legal"), "other".parse().expect("legal"));
        let token = |secret: &[u8], namespace| AdminKey::from_secret(secret).token(namespace);
        assert_eq!(token(b"x", &shop), token(b"x", &shop));
        assert_ne!(token(b"x", &shop), token(b"x", &other));
        assert_ne!(token(b"x", &shop), token(b"y", &shop));
        assert_ne!(AdminKey::random().token(&shop), AdminKey::random().token(&shop));
        let bearer = token(b"x", &shop).bearer();
        let said = bearer.strip_prefix("Bearer ").expect("as HTTP has it");
        assert_eq!(Digest::of(said.as_bytes()).to_string(), token(b"x", &shop).digest());
        assert_eq!(format!("{:?} {:?}", token(b"x", &shop), AdminKey::from_secret(b"x")), "Token(…) AdminKey(…)");
    }
}
