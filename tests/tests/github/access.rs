//! Which token, which installation, which address.

use crate::stage::{Failed, MARKER, Outcome, REPOSITORY, Stage};
use lapdev_forge::{
    Forge, ForgeError,
    github::{Credentials, GitHub, GitHubSettings},
};
use lapdev_tests::github::{Command, Double, Identity, NewPull, Options};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

#[tokio::test]
async fn a_replaced_token_is_read_again() -> Outcome {
    let stage = Stage::new().await?;
    let path = stage.folder.path().join("token");
    let old = std::fs::read_to_string(&path)?;
    stage.double.run(Command::RevokeToken { token: old.clone() })?;
    let error = stage.numbers().await.expect_err("revoked");
    assert!(matches!(error, ForgeError::Unauthorized { .. }), "{error}");
    let new = stage.double.create_token("lapdev-bot")?;
    std::fs::write(&path, format!("{new}\n"))?;
    assert_eq!(stage.numbers().await?, Vec::<u64>::new());
    for secret in [old, new] {
        assert!(!format!("{:?} {error} {error:?}", stage.forge).contains(&secret));
    }
    stage.fits_the_description()
}

#[tokio::test]
async fn a_token_that_may_not_write_or_see_is_told_apart() -> Outcome {
    let stage = Stage::new().await?;
    let number = stage.pull("feature")?;
    let path = stage.folder.path().join("token");
    let token = |read_only, owners: &[&str]| -> Outcome {
        let owners = Some(owners.iter().map(|owner| (*owner).to_owned()).collect());
        let (login, secret) = ("lapdev-bot".to_owned(), format!("secret-{read_only}-{}", owners.is_some()));
        stage.double.run(Command::CreateToken { login, token: Some(secret.clone()), read_only, owners })?;
        Ok(std::fs::write(&path, secret)?)
    };
    token(true, &["acme"])?;
    let forge = stage.again(Duration::from_secs(60))?;
    let refused = forge.upsert_comment(&stage.repository, number, None, MARKER, MARKER).await;
    assert!(matches!(refused, Err(ForgeError::Unauthorized { .. })), "{refused:?}");
    token(false, &["other"])?;
    let forge = stage.again(Duration::from_secs(60))?;
    let hidden = forge.open_pull_requests(&stage.repository).await;
    assert!(matches!(hidden, Err(ForgeError::NotFound { .. })), "{hidden:?}");
    stage.fits_the_description()
}

#[tokio::test]
async fn an_app_finds_its_installation_and_comments_as_itself() -> Outcome {
    let stage = Stage::new().await?;
    let number = stage.pull("feature")?;
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256)?;
    let key_file = stage.folder.path().join("app.pem");
    std::fs::write(&key_file, key.serialize_pem())?;
    let slug = "lapdev-acme".to_owned();
    let owners = vec!["acme".to_owned()];
    let made = stage.double.run(Command::CreateApp { slug, public_key_pem: key.public_key_pem(), owners })?;
    let app_id = made["id"].as_u64().expect("an id");
    let settings = GitHubSettings::new(stage.double.url().parse()?, Credentials::App { app_id, key_file });
    let forge = GitHub::new(&settings)?;

    assert_eq!(forge.open_pull_requests(&stage.repository).await?.len(), 1);
    let id = forge.upsert_comment(&stage.repository, number, None, MARKER, MARKER).await?;
    assert_eq!(forge.upsert_comment(&stage.repository, number, None, MARKER, MARKER).await?, id);
    assert_eq!(stage.double.comments(REPOSITORY, number)?[0].author, "lapdev-acme[bot]");
    assert_eq!(stage.answers("POST", "/access_tokens"), [201], "one token serves all calls");

    stage.double.run(Command::ReinstallApp { app: app_id, owner: "acme".to_owned() })?;
    assert_eq!(forge.open_pull_requests(&stage.repository).await?.len(), 1, "the new installation is found");
    let elsewhere = forge.open_pull_requests(&"other/shop".parse()?).await;
    assert!(matches!(elsewhere, Err(ForgeError::NotFound { .. })), "{elsewhere:?}");
    assert!(!format!("{forge:?}").contains("PRIVATE"));
    stage.fits_the_description()
}

#[tokio::test]
async fn a_renamed_repository_is_followed() -> Outcome {
    let stage = Stage::new().await?;
    let number = stage.pull("feature")?;
    let before = stage.forge.repository(&stage.repository).await?;
    stage.double.run(Command::RenameRepository { repository: REPOSITORY.to_owned(), name: "store".to_owned() })?;
    let after = stage.forge.repository(&stage.repository).await?;
    assert_eq!((after.name.as_str(), &after.id), ("acme/store", &before.id));
    assert_eq!(stage.numbers().await?, [number]);
    stage.comment(number, None, "one").await?;
    assert_eq!(stage.double.comments("acme/store", number)?.len(), 1);
    stage.fits_the_description()
}

#[tokio::test]
async fn github_enterprise_has_a_path_and_an_authority_of_its_own() -> Outcome {
    let folder = tempfile::tempdir()?;
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned(), "localhost".to_owned()])?;
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&certificate, made.cert.pem())?;
    std::fs::write(&key, made.signing_key.serialize_pem())?;
    let identity = Some(Identity { certificate: certificate.clone(), key });
    let double = Double::start(Options { identity, ..Options::new(folder.path()) }).await?;
    double.create_repository(REPOSITORY)?;
    for i in 0..120 {
        double.commit(REPOSITORY, &format!("b{i}"), &[("x", &i.to_string())])?;
        double.open_pull(REPOSITORY, NewPull { head: format!("b{i}"), ..NewPull::default() })?;
    }
    let token = folder.path().join("token");
    std::fs::write(&token, double.create_token("lapdev-bot")?)?;
    let address = format!("{}/api/v3", double.url()).parse()?;
    let mut settings = GitHubSettings::new(address, Credentials::TokenFile(token));
    let stranger = GitHub::new(&settings)?.open_pull_requests(&REPOSITORY.parse()?).await;
    assert!(matches!(stranger, Err(ForgeError::Unavailable { .. })), "{stranger:?}");
    settings.ca_file = Some(certificate);
    let pulls = GitHub::new(&settings)?.open_pull_requests(&REPOSITORY.parse()?).await?;
    assert_eq!(pulls.len(), 120);
    assert!(double.exchanges().iter().all(|exchange| exchange.path.starts_with("/api/v3/")));
    Ok(())
}

#[tokio::test]
async fn setup_says_which_file_is_wrong() -> Outcome {
    let folder = tempfile::tempdir()?;
    let (missing, empty) = (folder.path().join("missing"), folder.path().join("empty"));
    std::fs::write(&empty, "")?;
    let url: url::Url = "https://api.example.com".parse()?;
    let refuse = |credentials, ca_file| -> String {
        let settings = GitHubSettings { ca_file, ..GitHubSettings::new(url.clone(), credentials) };
        GitHub::new(&settings).expect_err("wrong on purpose").to_string()
    };
    let said = [
        refuse(Credentials::TokenFile(missing.clone()), None),
        refuse(Credentials::TokenFile(empty.clone()), None),
        refuse(Credentials::App { app_id: 1, key_file: empty.clone() }, None),
        refuse(Credentials::TokenFile(url_token(folder.path())?), Some(empty)),
    ];
    assert!(said[0].contains("cannot read the access token") && said[0].contains("missing"), "{said:?}");
    assert!(said[1].contains("holds no access token"), "{said:?}");
    assert!(said[2].contains("holds no RSA private key"), "{said:?}");
    assert!(said[3].contains("holds no certificate authorities"), "{said:?}");
    Ok(())
}

fn url_token(folder: &Path) -> Result<PathBuf, Failed> {
    let path = folder.join("token");
    std::fs::write(&path, "github_pat_x")?;
    Ok(path)
}
