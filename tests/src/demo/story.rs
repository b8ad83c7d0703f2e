//! The story that the demo tells: a pull request opens, is reached from inside and outside, moves, and closes.

use crate::stage::{Cast, Error, Playbill, Program, Steps, forge, until, within};
use serde_json::Value;
use std::time::Duration;

const BRANCH: &str = "feature/louder-cart";
const NAMESPACE: &str = "lapdev-env-staging";
/// The service that the branch changes: not the one that the link leads to.
const CHANGED: &str = "cart";
/// Asked without what lies behind it, so that the answer is short.
const CART: &str = "http://cart.lapdev-env-staging:8080/alone";
const LIMIT: Duration = Duration::from_secs(60);

/// Tells it. With `keep`, everything stays up until Ctrl-C.
pub async fn run(keep: bool) -> Result<(), Error> {
    let steps = Steps::default();
    // A long poll, so that it is webhooks that make things happen here.
    let cast = Cast::enter(&steps, &Playbill::default()).await?;
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
    reached(steps, cast, &name).await?;
    pushed(steps, cast, number, &name).await?;
    overridden(steps, cast).await?;
    if keep {
        look_around(steps, cast, &name).await?;
    }
    closed(steps, cast, number, &name).await
}

async fn baseline(steps: &Steps, cast: &Cast) -> Result<(), Error> {
    let what = "the Shared environment staging becomes Ready with real pods, two of them its routers";
    let view = steps.step(what, cast.ready("staging", None)).await?;
    steps.step("start a client's pod in the cluster", cast.invite()).await?;
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
    let head = push(cast, "This is cart, louder.\n").await?;
    let number = steps
        .step("open a pull request that changes one service; GitHub sends a signed webhook", async {
            forge::open_pull(&cast.github, BRANCH, "A louder cart")
        })
        .await?;
    let name = steps
        .step("its Branch environment becomes Ready", async {
            let name = cast.environment_of(number).await?;
            cast.ready(&name, Some(&head)).await?;
            Ok(name)
        })
        .await?;
    steps.show(&cast.cluster.kubectl(&["get", "pods", "-n", NAMESPACE, "-L", "lapdev.dev/branch"], "").await?);
    let comment =
        steps.step("the pull request carries one comment with the link", comment(cast, number, &head)).await?;
    steps.show(&comment);
    steps.show(&cast.plane.say(&["get", "environments"]).await?);
    Ok((number, name))
}

/// The same Service, asked without and with the key, from inside; and by the link, from outside.
async fn reached(steps: &Steps, cast: &Cast, name: &str) -> Result<(), Error> {
    let header = format!("tracestate: lapdev={name}");
    let plain = async {
        let answer = cast.curl(&[CART]).await?;
        within(answer.contains(r#""version":"baseline""#), answer.clone())?;
        Ok(answer)
    };
    let keyed = async {
        let answer = cast.curl(&["-H", &header, CART]).await?;
        within(answer.contains(&format!(r#""version":"{name}""#)), answer.clone())?;
        Ok(answer)
    };
    let answer = steps.step("inside the cluster, the Service cart answers as always", plain).await?;
    steps.show(&format!("$ kubectl exec visitor -- curl {CART}\n{answer}"));
    let answer =
        steps.step("and a request that carries the branch's key is answered by the branch's pod", keyed).await?;
    steps.show(&format!("$ kubectl exec visitor -- curl -H '{header}' {CART}\n{answer}"));
    answers(steps, cast, name, "This is cart, louder.").await?;
    let trace = steps.step("lapdev trace sends a probe through the services", traced(cast, name)).await?;
    steps.show(&format!("$ lapdev trace {name}\n{trace}"));
    let explained = steps.step("lapdev explain says what was answered so far", counted(cast, name)).await?;
    steps.show(&format!("$ lapdev explain {name}\n{explained}"));
    Ok(())
}

/// The probe comes through: every service passed the key on.
async fn traced(cast: &Cast, name: &str) -> Result<String, Error> {
    let trace = cast.plane.say(&["trace", name]).await?;
    within(trace.contains(CHANGED), trace.clone())?;
    Ok(trace)
}

/// The agent asks the routers for their counters now and then.
async fn counted(cast: &Cast, name: &str) -> Result<String, Error> {
    until("the counters reach explain", LIMIT, async || {
        let explained = cast.plane.say(&["explain", name]).await?;
        within(explained.contains(" requests"), explained.clone())?;
        Ok(explained)
    })
    .await
}

async fn pushed(steps: &Steps, cast: &Cast, number: u64, name: &str) -> Result<(), Error> {
    let head = push(cast, "This is cart, at the top of its voice.\n").await?;
    forge::pushed(&cast.github, forge::APP)?;
    steps.step("a second commit rolls the same workload", cast.ready(name, Some(&head))).await?;
    steps.step("and edits the same comment", comment(cast, number, &head)).await?;
    answers(steps, cast, name, "This is cart, at the top of its voice.").await
}

async fn overridden(steps: &Steps, cast: &Cast) -> Result<(), Error> {
    const FILE: &str = "lapdev/environments/staging.yaml";
    const GET: [&str; 7] = ["get", "deployment", "stock", "-n", NAMESPACE, "-o", "jsonpath={.status.readyReplicas}"];
    let old = cast.config.read("main", FILE)?;
    cast.config.write("main", FILE, &format!("{old}    - workload: stock\n      replicas: 2\n"))?;
    forge::pushed(&cast.github, forge::CONFIG)?;
    let two = until("stock has two ready pods", LIMIT, async || {
        let ready = cast.cluster.kubectl(&GET, "").await?;
        within(ready == "2", format!("{ready} ready"))
    });
    steps.step("a replica override in the config repository takes effect on staging", two).await
}

async fn closed(steps: &Steps, cast: &Cast, number: u64, name: &str) -> Result<(), Error> {
    forge::close_pull(&cast.github, number)?;
    steps.step("the pull request is closed: everything of it goes", cast.gone(NAMESPACE, name)).await?;
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
    let lapdev = Program::Lapdev.path()?;
    steps.show(&format!("{} get environments\n{0} trace {name}", lapdev.display()));
    steps.show(&format!("kubectl exec visitor -- curl -H 'tracestate: lapdev={name}' {CART}"));
    let link = link(&cast.plane.environment(name).await?)?;
    steps.show(&format!("curl --location --cookie-jar /dev/null --cacert $LAPDEV_CA_FILE '{link}'"));
    // The program ends everything at Ctrl-C, here as in any other step.
    std::future::pending().await
}

/// Commits the greeting and builds its image, as the team's CI does. The branch is made at the first time.
async fn push(cast: &Cast, greeting: &str) -> Result<String, Error> {
    if cast.app.head(BRANCH).is_err() {
        cast.app.branch(BRANCH, "main")?;
    }
    let head = cast.app.write(BRANCH, &format!("services/{CHANGED}/greeting.txt"), greeting)?;
    cast.images().service(&cast.app, BRANCH, CHANGED, &head).await?;
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

/// The link leads to the baseline's web; behind it answers the branch's cart, and behind that the baseline again.
async fn answers(steps: &Steps, cast: &Cast, name: &str, greeting: &str) -> Result<(), Error> {
    let link = link(&cast.plane.environment(name).await?)?;
    let answer = steps
        .step("curl of the link, from outside: the branch's own pod answers behind the baseline's", async {
            let answer = cast.open(&link).await?;
            let cart = &answer["calls"][CHANGED];
            let branch = cart["version"] == name && cart["greeting"] == greeting;
            let others = [&answer["version"], &cart["calls"]["pricing"]["version"]];
            within(branch && others.iter().all(|version| *version == "baseline"), answer.to_string())?;
            Ok(answer)
        })
        .await?;
    steps.show(&format!("$ curl --location '{link}'"));
    steps.show(&answer.to_string());
    Ok(())
}

fn link(view: &Value) -> Result<String, Error> {
    let url = view.pointer("/links/0/url").and_then(Value::as_str);
    Ok(url.ok_or_else(|| format!("no link: {view}"))?.to_owned())
}
