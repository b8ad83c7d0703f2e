//! What GitHub sends by itself, and that lapdev understands it.

use crate::stage::{Failed, Outcome, REPOSITORY, Stage, installed};
use lapdev_forge::Forge;
use lapdev_tests::github::{Command, Webhook, WebhookPolicy, signature};
use std::sync::Arc;

/// Takes deliveries as lapdev would, and keeps them.
struct Receiver {
    url: String,
    got: Arc<std::sync::Mutex<Vec<(http::HeaderMap, bytes::Bytes)>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Receiver {
    async fn start() -> Result<Self, Failed> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/webhooks/github", listener.local_addr()?);
        let got: Arc<std::sync::Mutex<Vec<_>>> = Arc::default();
        let kept = got.clone();
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let kept = kept.clone();
                let service = hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
                    let kept = kept.clone();
                    async move {
                        let (parts, body) = request.into_parts();
                        let body = http_body_util::BodyExt::collect(body).await?.to_bytes();
                        kept.lock().expect("no panic").push((parts.headers, body));
                        let mut response = http::Response::new(http_body_util::Empty::<bytes::Bytes>::new());
                        *response.status_mut() = http::StatusCode::ACCEPTED;
                        Ok::<_, hyper::Error>(response)
                    }
                });
                connections.spawn(async move {
                    let stream = hyper_util::rt::TokioIo::new(stream);
                    let _ = hyper::server::conn::http1::Builder::new().serve_connection(stream, service).await;
                });
            }
        });
        Ok(Self { url, got, task })
    }

    /// Event, action and id of each delivery, in the order of arrival.
    fn events(&self) -> Vec<(String, String, String)> {
        let text = |headers: &http::HeaderMap, name: &str| {
            headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
        };
        let action = |body: &[u8]| -> String {
            let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
            body["action"].as_str().unwrap_or_default().to_owned()
        };
        let got = self.got.lock().expect("no panic");
        let event = |(headers, body): &(http::HeaderMap, bytes::Bytes)| {
            (text(headers, "x-github-event"), action(body), text(headers, "x-github-delivery"))
        };
        got.iter().map(event).collect()
    }

    /// Event and action alone, and then nothing is left.
    fn take(&self) -> Vec<String> {
        let events = self.events().into_iter().map(|(event, action, _)| format!("{event} {action}"));
        let events = events.map(|event| event.trim().to_owned()).collect();
        self.got.lock().expect("no panic").clear();
        events
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test]
async fn webhooks_are_signed_and_go_wrong_as_told() -> Outcome {
    let stage = Stage::new().await?;
    let receiver = Receiver::start().await?;
    let double = &stage.double;
    let run = |command| double.run(command);
    let webhook = Webhook { url: receiver.url.clone(), secret: "s3cret".to_owned(), ca_file: None };
    run(Command::Webhook(webhook))?;
    let number = stage.pull("feature")?;
    double.commit(REPOSITORY, "feature", &[("more", "1")])?;
    let repository = || REPOSITORY.to_owned();
    run(Command::LabelPull { repository: repository(), number, label: "preview".to_owned() })?;
    run(Command::UnlabelPull { repository: repository(), number, label: "preview".to_owned() })?;
    run(Command::DraftPull { repository: repository(), number })?;
    run(Command::ReadyPull { repository: repository(), number })?;
    run(Command::ClosePull { repository: repository(), number })?;
    run(Command::ReopenPull { repository: repository(), number })?;
    run(Command::MergePull { repository: repository(), number })?;
    double.delivered().await;
    {
        let got = receiver.got.lock().expect("no panic");
        for (headers, body) in got.iter() {
            assert_eq!(headers["x-hub-signature-256"].to_str()?, signature("s3cret", body));
        }
    }
    let expected = "ping, push, pull_request opened, push, pull_request synchronize, pull_request labeled, \
        pull_request unlabeled, pull_request converted_to_draft, pull_request ready_for_review, \
        pull_request closed, pull_request reopened, push, pull_request closed";
    assert_eq!(receiver.take().join(", "), expected);

    let policy = |policy| run(Command::WebhookPolicy(policy));
    policy(WebhookPolicy { drop: true, ..WebhookPolicy::default() })?;
    double.commit(REPOSITORY, "lost", &[("a", "1")])?;
    policy(WebhookPolicy { duplicates: 1, ..WebhookPolicy::default() })?;
    double.commit(REPOSITORY, "twice", &[("a", "1")])?;
    double.delivered().await;
    let twice = receiver.events();
    assert_eq!((twice.len(), &twice[0]), (2, &twice[1]), "the same id both times");
    receiver.take();
    policy(WebhookPolicy { hold: true, ..WebhookPolicy::default() })?;
    let second = stage.pull("second")?;
    run(Command::ClosePull { repository: repository(), number: second })?;
    double.delivered().await;
    assert_eq!(receiver.take(), Vec::<String>::new());
    run(Command::ReleaseWebhooks { reversed: true })?;
    double.delivered().await;
    assert_eq!(receiver.take(), ["pull_request closed", "pull_request opened", "push"]);
    policy(WebhookPolicy { delay_milliseconds: 150, ..WebhookPolicy::default() })?;
    double.commit(REPOSITORY, "late", &[("a", "1")])?;
    policy(WebhookPolicy::default())?;
    let repository = REPOSITORY.to_owned();
    run(Command::ReopenPull { repository, number: second })?;
    double.delivered().await;
    assert_eq!(receiver.take(), ["pull_request reopened", "push"]);
    stage.fits_the_description()
}

#[tokio::test]
async fn every_published_sample_and_every_delivery_of_the_double_is_understood() -> Outcome {
    let samples = installed()?.join("node_modules/@octokit/webhooks-examples/api.github.com/index.json");
    let events: serde_json::Value = serde_json::from_slice(&std::fs::read(samples)?)?;
    let mut count = 0;
    for event in events.as_array().expect("a list of events") {
        let name = event["name"].as_str().expect("a name");
        for example in event["examples"].as_array().expect("examples") {
            let facts = lapdev_webhook::facts(name, example.to_string().as_bytes())?;
            assert_eq!(facts.is_some(), ["ping", "push", "pull_request"].contains(&name), "{name}");
            count += 1;
        }
    }
    assert_eq!(count, 329);

    let stage = Stage::new().await?;
    let number = stage.pull("feature")?;
    stage.double.run(Command::ClosePull { repository: REPOSITORY.to_owned(), number })?;
    let info = stage.forge.repository(&stage.repository).await?;
    let deliveries = stage.double.deliveries();
    assert_eq!(deliveries.len(), 4);
    for delivery in deliveries {
        let facts = lapdev_webhook::facts(&delivery.event, delivery.payload.as_bytes())?.expect("facts");
        let repository = facts.repository().expect("a repository");
        assert_eq!((&repository.id, &repository.name), (&info.id, &info.name));
        assert_eq!(facts.action(), delivery.action.as_deref());
        assert!(facts.matters());
    }
    Ok(())
}
