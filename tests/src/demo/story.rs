//! The story that the demo tells: a pull request opens, moves, and closes.

use super::{
    cast::{Cast, LIMIT},
    steps::Steps,
};
use crate::stage::{Error, forge, until, within};
use serde_json::Value;

const BRANCH: &str = "feature/louder-cart";

/// Tells it. With `keep`, everything stays up until Ctrl-C.
pub async fn run(keep: bool) -> Result<(), Error> {
    let steps = Steps::default();
    let cast = Cast::enter(&steps).await?;
    if let Err(error) = acts(&steps, &cast, keep).await {
        steps.show(&cast.logs().await);
        return Err(error);
    }
    steps.step("take everything down", cast.leave()).await?;
    steps.done();
    Ok(())
}

async fn acts(steps: &Steps, cast: &Cast, keep: bool) -> Result<(), Error> {
    steps.step("install the agent in the cluster, from its chart: it dials out", cast.agent()).await?;
    baseline(steps, cast).await?;
    let (number, name) = opened(steps, cast).await?;
    pushed(steps, cast, number, &name).await?;
    overridden(steps, cast).await?;
    if keep {
        look_around(steps, cast, &name).await?;
    }
    closed(steps, cast, number, &name).await
}

async fn baseline(steps: &Steps, cast: &Cast) -> Result<(), Error> {
    let what = "the Shared environment staging becomes Ready with real pods";
    let view = steps.step(what, cast.ready("staging", None)).await?;
    let link = link(&view)?;
    // A node's rules for a Service follow its ready pods by a moment: the whole chain answers when all are there.
    let whole_chain = until("no call in the chain fails", LIMIT, async || {
        let answer = cast.open(&link).await?;
        within(!answer.to_string().contains("\"error\""), answer.to_string())?;
        Ok(answer)
    });
    let answer = steps.step("its link answers, through the control plane and the agent's tunnel", whole_chain).await?;
    steps.show(&answer.to_string());
    Ok(())
}

async fn opened(steps: &Steps, cast: &Cast) -> Result<(u64, String), Error> {
    let head = push(cast, "This is web, louder.\n").await?;
    let number = steps
        .step("open a pull request that changes one service; GitHub sends a signed webhook", async {
            forge::open_pull(&cast.github, BRANCH, "A louder web")
        })
        .await?;
    let name = steps
        .step("its Branch environment becomes Ready", async {
            let name = environment_of(cast, number).await?;
            cast.ready(&name, Some(&head)).await?;
            Ok(name)
        })
        .await?;
    steps.show(
        &cast.cluster.kubectl(&["get", "pods", "-n", "lapdev-env-staging", "-L", "lapdev.dev/branch"], "").await?,
    );
    let comment =
        steps.step("the pull request carries one comment with the link", comment(cast, number, &head)).await?;
    steps.show(&comment);
    let link = link(&cast.plane.environment(&name).await?)?;
    answers(steps, cast, &link, &name, "This is web, louder.").await?;
    steps.show(&cast.plane.say(&["get", "environments"]).await?);
    steps.show(&cast.plane.say(&["explain", &name]).await?);
    Ok((number, name))
}

async fn pushed(steps: &Steps, cast: &Cast, number: u64, name: &str) -> Result<(), Error> {
    let head = push(cast, "This is web, at the top of its voice.\n").await?;
    forge::pushed(&cast.github, forge::APP)?;
    steps.step("a second commit rolls the same workload", cast.ready(name, Some(&head))).await?;
    steps.step("and edits the same comment", comment(cast, number, &head)).await?;
    let link = link(&cast.plane.environment(name).await?)?;
    answers(steps, cast, &link, name, "This is web, at the top of its voice.").await
}

async fn overridden(steps: &Steps, cast: &Cast) -> Result<(), Error> {
    const FILE: &str = "lapdev/environments/staging.yaml";
    let old = cast.config.read("main", FILE)?;
    cast.config.write("main", FILE, &format!("{old}    - workload: cart\n      replicas: 2\n"))?;
    forge::pushed(&cast.github, forge::CONFIG)?;
    steps
        .step(
            "a replica override in the config repository takes effect on staging",
            until("cart has two ready pods", LIMIT, async || {
                let ready = cast
                    .cluster
                    .kubectl(
                        &[
                            "get",
                            "deployment",
                            "cart",
                            "-n",
                            "lapdev-env-staging",
                            "-o",
                            "jsonpath={.status.readyReplicas}",
                        ],
                        "",
                    )
                    .await?;
                within(ready == "2", format!("{ready} ready"))
            }),
        )
        .await
}

async fn closed(steps: &Steps, cast: &Cast, number: u64, name: &str) -> Result<(), Error> {
    forge::close_pull(&cast.github, number)?;
    steps
        .step(
            "the pull request is closed: everything of it goes",
            until("nothing of it is left", LIMIT, async || {
                let left = cast
                    .cluster
                    .kubectl(
                        &[
                            "get",
                            "all,configmaps",
                            "-n",
                            "lapdev-env-staging",
                            "-l",
                            &format!("lapdev.dev/branch={name}"),
                            "-o",
                            "name",
                        ],
                        "",
                    )
                    .await?;
                within(left.is_empty(), left)?;
                let all = cast.plane.environments().await?.to_string();
                within(!all.contains(name), all.clone())
            }),
        )
        .await?;
    let audit = steps.step("lapdev audit finds nothing left behind", cast.plane.lapdev(&["audit"])).await?;
    steps.show(&audit.2);
    within(audit.0 == 0, format!("lapdev audit exited {}: {}{}", audit.0, audit.1, audit.2))
}

async fn look_around(steps: &Steps, cast: &Cast, name: &str) -> Result<(), Error> {
    steps.say("KEEP=1: everything stays up until you press Ctrl-C. To look around:");
    for (variable, value) in cast.plane.client_environment() {
        steps.show(&format!("export {variable}={value}"));
    }
    steps.show(&format!("export KUBECONFIG={}", cast.cluster.kubeconfig_path().display()));
    steps.show(&format!("{} get environments", crate::stage::Program::Lapdev.path()?.display()));
    steps.show(&format!(
        "curl --location --cookie-jar /dev/null --cacert $LAPDEV_CA_FILE '{}'",
        link(&cast.plane.environment(name).await?)?
    ));
    // The program ends everything at Ctrl-C, here as in any other step.
    std::future::pending().await
}

/// Commits the greeting and builds its image, as the team's CI does. The branch is made at the first time.
async fn push(cast: &Cast, greeting: &str) -> Result<String, Error> {
    if cast.app.head(BRANCH).is_err() {
        cast.app.branch(BRANCH, "main")?;
    }
    let head = cast.app.write(BRANCH, "services/web/greeting.txt", greeting)?;
    cast.image(BRANCH, "web", &head).await?;
    Ok(head)
}

/// The one comment of the pull request, once it says that this commit is Ready.
async fn comment(cast: &Cast, number: u64, head: &str) -> Result<String, Error> {
    until("the comment says that the commit is ready", LIMIT, async || {
        let comments = cast.github.comments(forge::APP, number)?;
        within(comments.len() == 1, format!("{} comments", comments.len()))?;
        let body = comments[0].body.clone();
        within(body.contains("is ready") && body.contains(head), body.clone())?;
        Ok(body)
    })
    .await
}

async fn answers(steps: &Steps, cast: &Cast, link: &str, key: &str, greeting: &str) -> Result<(), Error> {
    let answer = steps
        .step("curl of the link is answered by the branch's own pod", async {
            let answer = cast.open(link).await?;
            within(answer["version"] == key && answer["greeting"] == greeting, answer.to_string())?;
            Ok(answer)
        })
        .await?;
    steps.show(&format!("$ curl --location '{link}'"));
    steps.show(&answer.to_string());
    Ok(())
}

async fn environment_of(cast: &Cast, number: u64) -> Result<String, Error> {
    until("the pull request has an environment", LIMIT, async || {
        let all = cast.plane.environments().await?;
        let items = all["items"].as_array().into_iter().flatten();
        let of_it = |item: &&Value| item.pointer("/branch/pullRequests/0").and_then(Value::as_u64) == Some(number);
        let found = items.clone().find(of_it).and_then(|item| item["name"].as_str());
        Ok(found.ok_or_else(|| all.to_string())?.to_owned())
    })
    .await
}

fn link(view: &Value) -> Result<String, Error> {
    let url = view.pointer("/links/0/url").and_then(Value::as_str);
    Ok(url.ok_or_else(|| format!("no link: {view}"))?.to_owned())
}
