//! Who we are in a call: one session for a token, one for each installation of an App. A session also remembers until
//! when GitHub wants to be left alone, because its limits count by credentials.

use super::{
    answer::LONGEST_LIMIT,
    settings::{Credentials, GitHubSettings, SetupError},
    transport,
};
use crate::ForgeError;
use jiff::Timestamp;
use lapdev_api::name::RepositoryName;
use octocrab::{
    AuthState, Octocrab,
    auth::{AppAuth, EncodingKey},
    models::{AppId, InstallationId},
    secrecy::{ExposeSecret, SecretString},
};
use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::OnceCell;

/// Calls with the same credentials.
pub(super) struct Session {
    pub(super) octocrab: Octocrab,
    /// Our login, once it was asked for.
    pub(super) login: OnceCell<String>,
    closed_until: Mutex<Option<Timestamp>>,
    token: Option<SecretString>,
}

impl Session {
    fn new(octocrab: Octocrab, token: Option<SecretString>) -> Arc<Self> {
        Arc::new(Self { octocrab, login: OnceCell::new(), closed_until: Mutex::new(None), token })
    }

    /// Refuses a call that GitHub would refuse, and count against us.
    pub(super) fn admit(&self, what: &str, now: Timestamp) -> Result<(), ForgeError> {
        match locked(&self.closed_until).filter(|until| is_in_force(*until, now)) {
            Some(until) => Err(ForgeError::RateLimited { what: what.to_owned(), until }),
            None => Ok(()),
        }
    }

    /// No calls before then.
    pub(super) fn close_until(&self, until: Timestamp) {
        let mut closed = locked(&self.closed_until);
        *closed = (*closed).max(Some(until));
    }
}

/// No limit lasts longer than the longest, so one that seems to was noted before the clock was set back.
fn is_in_force(until: Timestamp, now: Timestamp) -> bool {
    now < until && until.duration_since(now) <= LONGEST_LIMIT
}

/// All sessions of one set of credentials.
pub(super) enum Sessions {
    /// One for everything.
    Token { path: PathBuf, current: Mutex<Arc<Session>> },
    /// The App's own, which may only ask about itself, and one for each installation.
    App {
        app: Arc<Session>,
        installations: Mutex<HashMap<RepositoryName, InstallationId>>,
        sessions: Mutex<HashMap<InstallationId, Arc<Session>>>,
    },
}

impl Sessions {
    /// Reads the credentials' files. Needs a tokio runtime to be entered.
    pub(super) fn open(settings: &GitHubSettings) -> Result<Self, SetupError> {
        match &settings.credentials {
            Credentials::TokenFile(path) => {
                let token = read_token(path)?;
                let anonymous = transport::connect(settings, AuthState::None)?;
                Ok(Self::Token { path: path.clone(), current: Mutex::new(with_token(&anonymous, token)) })
            }
            Credentials::App { app_id, key_file } => {
                let auth = AppAuth { app_id: AppId(*app_id), key: read_key(key_file)? };
                let app = Session::new(transport::connect(settings, AuthState::App(auth))?, None);
                Ok(Self::App { app, installations: Mutex::default(), sessions: Mutex::default() })
            }
        }
    }

    /// The session for a repository, if it is known already.
    pub(super) fn known(&self, repository: &RepositoryName) -> Option<Arc<Session>> {
        match self {
            Self::Token { current, .. } => Some(locked(current).clone()),
            Self::App { installations, sessions, .. } => {
                let installation = *locked(installations).get(repository)?;
                locked(sessions).get(&installation).cloned()
            }
        }
    }

    /// The session that may ask which installation a repository belongs to, and what the App is called.
    pub(super) fn of_app(&self) -> Option<Arc<Session>> {
        match self {
            Self::Token { .. } => None,
            Self::App { app, .. } => Some(app.clone()),
        }
    }

    /// Remembers the installation of a repository and returns its session.
    pub(super) fn installed(&self, repository: &RepositoryName, id: u64) -> Option<Arc<Session>> {
        let Self::App { app, installations, sessions } = self else { return None };
        let id = InstallationId(id);
        let fresh = app.octocrab.installation(id).ok()?;
        locked(installations).insert(repository.clone(), id);
        Some(locked(sessions).entry(id).or_insert_with(|| Session::new(fresh, None)).clone())
    }

    /// Forgets the installation of a repository, which may have been removed and made anew.
    pub(super) fn forget(&self, repository: &RepositoryName) {
        if let Self::App { installations, .. } = self {
            locked(installations).remove(repository);
        }
    }

    /// A session with the token that is in the file now, if it is another one than was refused.
    pub(super) async fn renewed(&self, refused: &Session) -> Option<Arc<Session>> {
        let Self::Token { path, current } = self else { return None };
        let text = tokio::fs::read_to_string(path).await.ok()?;
        let token = parse_token(&text, path).ok()?;
        if refused.token.as_ref().is_some_and(|old| old.expose_secret() == token.expose_secret()) {
            return None;
        }
        let fresh = with_token(&refused.octocrab, token);
        locked(current).clone_from(&fresh);
        Some(fresh)
    }
}

fn with_token(octocrab: &Octocrab, token: SecretString) -> Arc<Session> {
    // It only fails in its signature: it copies the client and puts the token beside it.
    let authorized = octocrab.user_access_token(token.clone()).unwrap_or_else(|_| octocrab.clone());
    Session::new(authorized, Some(token))
}

fn read_token(path: &Path) -> Result<SecretString, SetupError> {
    let what = "access token";
    let text = fs::read_to_string(path).map_err(|source| SetupError::File { what, path: path.to_owned(), source })?;
    parse_token(&text, path)
}

fn parse_token(text: &str, path: &Path) -> Result<SecretString, SetupError> {
    let token = text.trim();
    if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
        let message = "expected one line of letters, digits and signs".to_owned();
        return Err(SetupError::Content { what: "access token", path: path.to_owned(), message });
    }
    Ok(SecretString::from(token))
}

fn read_key(path: &Path) -> Result<EncodingKey, SetupError> {
    let what = "RSA private key";
    let pem = fs::read(path).map_err(|source| SetupError::File { what, path: path.to_owned(), source })?;
    EncodingKey::from_rsa_pem(&pem).map_err(|error| SetupError::Content {
        what,
        path: path.to_owned(),
        message: error.to_string(),
    })
}

/// A panic elsewhere leaves these maps whole: each is changed by one call.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_ends_when_it_said_or_when_the_clock_was_set_back_before_it_began() {
        let second = |second| Timestamp::from_second(second).expect("a time");
        let until = second(1_700_003_600);
        assert!(is_in_force(until, second(1_700_000_000)));
        assert!(!is_in_force(until, until));
        assert!(!is_in_force(until, second(1_600_000_000)), "else nothing is asked for years");
    }
}
