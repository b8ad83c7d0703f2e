//! The GitHub double, furnished as the stage needs it: the two repositories, lapdev's account, the webhook.

use super::{ControlPlane, Error, Repository};
use crate::github::{Command, Double, NewPull, Webhook};

/// The token of lapdev's account at the forge.
pub const TOKEN: &str = "lapdev-bot-token";
/// What webhooks are signed with.
pub const SECRET: &str = "a webhook secret";
/// The config repository.
pub const CONFIG: &str = "acme/environments";
/// The application repository.
pub const APP: &str = "acme/shop";

/// Gives the double the two repositories and lapdev's account.
pub fn furnish(github: &Double, config: &Repository, app: &Repository) -> Result<(), Error> {
    for (name, repository) in [(CONFIG, config), (APP, app)] {
        let path = Some(repository.path().to_owned());
        github.run(Command::CreateRepository { repository: name.to_owned(), private: true, path })?;
    }
    let (login, token) = ("lapdev-bot".to_owned(), Some(TOKEN.to_owned()));
    github.run(Command::CreateToken { login, token, read_only: false, owners: None })?;
    Ok(())
}

/// Points the double's webhook at a control plane, reached at `url`.
pub fn aim(github: &Double, plane: &ControlPlane, url: &str) -> Result<(), Error> {
    let url = format!("{url}/webhooks/github");
    github.run(Command::Webhook(Webhook { url, secret: SECRET.to_owned(), ca_file: Some(plane.ca_file()) }))?;
    Ok(())
}

/// Opens a pull request of `branch` onto `main` of the application repository.
pub fn open_pull(github: &Double, branch: &str, title: &str) -> Result<u64, Error> {
    let pull = NewPull {
        head: branch.to_owned(),
        base: "main".to_owned(),
        title: title.to_owned(),
        author: "dana".to_owned(),
        ..NewPull::default()
    };
    Ok(github.open_pull(APP, pull)?)
}

/// Closes a pull request of the application repository.
pub fn close_pull(github: &Double, number: u64) -> Result<(), Error> {
    github.run(Command::ClosePull { repository: APP.to_owned(), number })?;
    Ok(())
}

/// Announces what was pushed to a repository's folder.
pub fn pushed(github: &Double, repository: &str) -> Result<(), Error> {
    github.run(Command::Pushed { repository: repository.to_owned() })?;
    Ok(())
}
