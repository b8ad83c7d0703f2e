//! Who calls: tokens of people, Apps by their signed assertions, and the installation tokens that Apps get for them.

use super::{
    reply::Reply,
    world::{Repository, World, now},
};
use http::{HeaderMap, StatusCode, header};
use jiff::{SignedDuration, Timestamp};
use octocrab::jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde::Deserialize;
use std::collections::{HashMap, HashSet};

/// Tokens and Apps.
#[derive(Default)]
pub(super) struct Access {
    pub tokens: HashMap<String, Token>,
    pub apps: HashMap<u64, App>,
}

#[derive(Debug, Clone)]
pub(super) struct Token {
    pub login: String,
    pub write: bool,
    /// Owners whose private repositories it reads; none: everybody's.
    pub owners: Option<HashSet<String>>,
    pub expires_at: Option<Timestamp>,
    /// Whether it belongs to an installation, which is nobody at `GET /user`.
    pub installation: bool,
}

pub(super) struct App {
    pub id: u64,
    pub slug: String,
    pub public_key_pem: String,
    /// Owner, in lower case, → installation.
    pub installations: HashMap<String, u64>,
}

/// Who makes a request.
#[derive(Debug, Clone)]
pub(super) enum Caller {
    Nobody,
    Holder(Token),
    App(u64),
}

impl Caller {
    pub fn may_read(&self, repository: &Repository) -> bool {
        match self {
            Self::Holder(token) => !repository.private || token.reaches(repository),
            Self::Nobody | Self::App(_) => !repository.private,
        }
    }

    pub fn may_write(&self, repository: &Repository) -> bool {
        matches!(self, Self::Holder(token) if token.write && token.reaches(repository))
    }

    pub fn login(&self) -> Option<&str> {
        match self {
            Self::Holder(token) => Some(&token.login),
            Self::Nobody | Self::App(_) => None,
        }
    }
}

impl Token {
    fn reaches(&self, repository: &Repository) -> bool {
        self.owners.as_ref().is_none_or(|owners| owners.contains(&repository.owner.to_ascii_lowercase()))
    }
}

#[derive(Deserialize)]
struct Claims {
    iss: serde_json::Value,
    iat: i64,
    exp: i64,
}

/// Who calls, or the 401 that GitHub answers.
pub(super) fn caller(world: &World, headers: &HeaderMap) -> Result<Caller, Reply> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(Caller::Nobody) };
    let value = value.to_str().unwrap_or_default();
    let bad = || Reply::error(StatusCode::UNAUTHORIZED, "Bad credentials");
    let (scheme, secret) = value.split_once(' ').ok_or_else(bad)?;
    let token = match scheme.to_ascii_lowercase().as_str() {
        "bearer" | "token" => secret.trim().to_owned(),
        // Git sends its token as the password of whichever user.
        "basic" => password(secret).ok_or_else(bad)?,
        _ => return Err(bad()),
    };
    if token.matches('.').count() == 2 {
        return assertion(world, &token).map(Caller::App);
    }
    let found = world.access.tokens.get(&token).filter(|token| token.expires_at.is_none_or(|end| now() < end));
    found.cloned().map(Caller::Holder).ok_or_else(bad)
}

fn password(basic: &str) -> Option<String> {
    let decoded = data_encoding::BASE64.decode(basic.trim().as_bytes()).ok()?;
    String::from_utf8(decoded).ok()?.split_once(':').map(|(_, password)| password.to_owned())
}

/// The App that signed this, by GitHub's rules: RS256, at most ten minutes, not from the future.
fn assertion(world: &World, token: &str) -> Result<u64, Reply> {
    let refused = |why: &str| Reply::error(StatusCode::UNAUTHORIZED, why);
    let mut rules = Validation::new(Algorithm::RS256);
    rules.validate_aud = false;
    for app in world.access.apps.values() {
        let Ok(key) = DecodingKey::from_rsa_pem(app.public_key_pem.as_bytes()) else { continue };
        let Ok(verified) = decode::<Claims>(token, &key, &rules) else { continue };
        let claims = verified.claims;
        if claims.iss.to_string().trim_matches('"') != app.id.to_string() {
            return Err(refused("'Issuer' claim ('iss') must be the App's id"));
        }
        if claims.exp > now().as_second() + 600 {
            return Err(refused("'Expiration time' claim ('exp') is too far in the future"));
        }
        if claims.iat > now().as_second() {
            return Err(refused(
                "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued",
            ));
        }
        return Ok(app.id);
    }
    Err(refused("A JSON web token could not be decoded"))
}

impl World {
    /// A token for an installation, good for an hour.
    pub fn installation_token(&mut self, app: u64, installation: u64) -> Option<(String, Timestamp)> {
        let secret = format!("ghs_{}", super::random_hex(20));
        let app = self.access.apps.get(&app)?;
        let owner = app.installations.iter().find(|(_, id)| **id == installation)?.0.clone();
        let login = format!("{}[bot]", app.slug);
        let expires_at = now() + SignedDuration::from_hours(1);
        let token = Token {
            login: login.clone(),
            write: true,
            owners: Some(HashSet::from([owner])),
            expires_at: Some(expires_at),
            installation: true,
        };
        self.access.tokens.insert(secret.clone(), token);
        self.user(&login);
        Some((secret, expires_at))
    }
}
