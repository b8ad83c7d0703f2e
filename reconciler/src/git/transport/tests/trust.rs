//! Whom TLS trusts.

use super::*;

#[tokio::test]
async fn an_authority_of_our_own_is_believed_by_those_who_name_it_and_by_nobody_else() {
    let (repository, ours, other) = (Repository::new(), Authority::new(), Authority::new());
    let (root, config) = (repository.root(), ours.server("127.0.0.1"));
    let server =
        Server::start(move |socket| answer_tls(&config, socket, |request, answer| serve(request, answer, &root)));
    let url = format!("https://{}/repo.git", server.address);

    let (_folder, trusting) = ours.settings();
    let listing = fetch(trusting.clone(), &url).await.expect("it is trusted");
    assert!(has_main(&listing), "{listing:?}");
    // In the same process: trust is not the first one's for all.
    let (_folder, strange) = other.settings();
    for distrusting in [strange, settings()] {
        let error = fetch(distrusting, &url).await.expect_err("it is not trusted");
        assert!(matches!(error, GitError::Untrusted { .. }), "{error:?}");
        assert!(error_chain(&error).contains("invalid peer certificate"), "{}", error_chain(&error));
    }

    let config = ours.server("b.example");
    let misnamed = Server::start(move |socket| answer_tls(&config, socket, |_, _| None));
    let error = fetch(trusting, &format!("https://{}/repo.git", misnamed.address)).await.expect_err("another name");
    assert!(matches!(error, GitError::Untrusted { .. }), "{error:?}");
}

#[test]
fn a_file_without_an_authority_is_refused_at_once() {
    let home = TempDir::new().expect("a temporary folder");
    let open = |file: &Path| {
        let settings = GitSettings { ca_file: Some(file.to_owned()), ..settings() };
        Mirrors::open(home.path().join("mirrors"), settings).expect_err("no authority")
    };
    let file = home.path().join("ca.pem");
    assert!(matches!(open(&file), GitError::SettingFile { .. }));
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for content in ["", "not PEM", broken] {
        std::fs::write(&file, content).expect("a file");
        let error = open(&file);
        assert!(matches!(error, GitError::Authority { .. }), "{content:?}: {error:?}");
    }
}
