//! The story that every disturbance is played against: the baseline comes up, a pull request opens, its branch moves,
//! the config repository changes the baseline, the pull request closes.

use crate::{
    difference::Dump,
    looks::{LIMIT, clean_audit, environment_of, gone, like, settled, steady, uid},
    scenario::scenario,
};
use lapdev_tests::stage::{Error, Playbill, Theatre, forge, until, within};
use tokio::sync::OnceCell;

/// The branch of the story.
pub const BRANCH: &str = "feature/louder-web";
/// The routing table of the baseline's namespace, the one object there that opening a branch changes.
const ROUTES: &str = "ConfigMap/lapdev-env-staging/lapdev-routes";
const STAGING: &str = "lapdev/environments/staging.yaml";

/// What happens in the story.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The baseline is applied for the first time.
    Staging,
    /// A pull request that changes one service is opened.
    Opened,
    /// Its branch gets a second commit.
    Moved,
    /// The config repository gives the baseline's cart two replicas.
    Configured,
    /// The pull request is closed.
    Closed,
}

/// When a disturbance may act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before it happens.
    Before(Step),
    /// It has happened, and is being worked on.
    During(Step),
    /// Its consequences are all there.
    After(Step),
}

/// What the cluster held in the end, and while the branch's environment lived.
#[derive(Debug, Clone)]
pub struct Played {
    live: Dump,
    end: Dump,
}

/// Plays the story in a theatre of its own, disturbed, and compares with the undisturbed run.
pub async fn disturbed(
    name: &str,
    playbill: &Playbill,
    disturb: impl AsyncFnMut(&mut Theatre, Moment) -> Result<(), Error>,
) {
    let reference = undisturbed().await;
    scenario(name, playbill, async |theatre| compared(theatre, reference, disturb).await).await;
}

/// The same, in a theatre that is open.
pub async fn compared(
    theatre: &mut Theatre,
    reference: &Played,
    disturb: impl AsyncFnMut(&mut Theatre, Moment) -> Result<(), Error>,
) -> Result<(), Error> {
    play(theatre, Some(reference), disturb).await.map(drop)
}

/// The undisturbed run, played once.
pub async fn undisturbed() -> &'static Played {
    static PLAYED: OnceCell<Option<Played>> = OnceCell::const_new();
    let play_it = || async {
        let mut played = None;
        let act = async |theatre: &mut Theatre| {
            played = Some(play(theatre, None, async |_, _| Ok(())).await?);
            Ok(())
        };
        scenario("the undisturbed run", &Playbill::default(), act).await;
        played
    };
    PLAYED.get_or_init(play_it).await.as_ref().expect("a scenario that fails panics")
}

async fn play(
    theatre: &mut Theatre,
    reference: Option<&Played>,
    mut disturb: impl AsyncFnMut(&mut Theatre, Moment) -> Result<(), Error>,
) -> Result<Played, Error> {
    use Moment::{After, Before, During};
    use Step::{Closed, Configured, Moved, Opened, Staging};

    disturb(theatre, During(Staging)).await?;
    settled(theatre, "staging", None).await?;
    disturb(theatre, After(Staging)).await?;

    disturb(theatre, Before(Opened)).await?;
    theatre.app.branch(BRANCH, "main")?;
    let head = theatre.app.write(BRANCH, "services/web/greeting.txt", "This is web, louder.\n")?;
    let number = forge::open_pull(&theatre.github, BRANCH, "A louder web")?;
    disturb(theatre, During(Opened)).await?;
    let name = environment_of(theatre, number).await?;
    let uid = uid(&settled(theatre, &name, Some(&head)).await?)?;
    disturb(theatre, After(Opened)).await?;

    disturb(theatre, Before(Moved)).await?;
    let head = theatre.app.write(BRANCH, "services/web/greeting.txt", "This is web, at the top of its voice.\n")?;
    forge::pushed(&theatre.github, forge::APP)?;
    disturb(theatre, During(Moved)).await?;
    settled(theatre, &name, Some(&head)).await?;
    disturb(theatre, After(Moved)).await?;

    disturb(theatre, Before(Configured)).await?;
    let old = theatre.config.read("main", STAGING)?;
    theatre.config.write("main", STAGING, &format!("{old}    - workload: cart\n      replicas: 2\n"))?;
    forge::pushed(&theatre.github, forge::CONFIG)?;
    disturb(theatre, During(Configured)).await?;
    cart_has_two(theatre).await?;
    settled(theatre, "staging", None).await?;
    disturb(theatre, After(Configured)).await?;
    let live = as_in(theatre, reference.map(|reference| &reference.live)).await?;
    one_comment(theatre, number, &head).await?;

    disturb(theatre, Before(Closed)).await?;
    forge::close_pull(&theatre.github, number)?;
    disturb(theatre, During(Closed)).await?;
    gone(theatre, &name, &uid).await?;
    disturb(theatre, After(Closed)).await?;
    let end = as_in(theatre, reference.map(|reference| &reference.end)).await?;
    clean_audit(theatre).await?;
    let comments = theatre.github.comments(forge::APP, number)?.len();
    within(comments == 1, format!("{comments} comments on the pull request"))?;
    Ok(Played { live, end })
}

async fn as_in(theatre: &Theatre, reference: Option<&Dump>) -> Result<Dump, Error> {
    match reference {
        None => steady(theatre).await,
        Some(wanted) => like(theatre, wanted).await.map(|()| wanted.clone()),
    }
}

async fn cart_has_two(theatre: &Theatre) -> Result<(), Error> {
    until("cart is to have two replicas", LIMIT, async || {
        let get = ["get", "deployment", "cart", "-n", "lapdev-env-staging", "-o", "jsonpath={.spec.replicas}"];
        let replicas = theatre.cluster.kubectl(&get, "").await?;
        within(replicas == "2", format!("{replicas} replicas"))
    })
    .await
}

/// The pull request has one comment, and it is about the newest commit.
pub async fn one_comment(theatre: &Theatre, number: u64, head: &str) -> Result<(), Error> {
    until("one comment about the newest commit", LIMIT, async || {
        let comments = theatre.github.comments(forge::APP, number)?;
        within(comments.len() == 1, format!("{} comments", comments.len()))?;
        within(comments[0].body.contains(&head[..7]), comments[0].body.clone())
    })
    .await
}

#[tokio::test]
async fn undisturbed_the_branch_adds_one_workload_and_leaves_nothing() {
    let Played { live, end } = undisturbed().await;
    let of = |dump: &Dump, kind: &str| dump.keys().filter(|name| name.starts_with(&format!("{kind}/"))).count();
    assert_eq!(of(end, "Deployment"), 6, "the shop has five services, and they have routers: {:?}", end.keys());
    let more: Vec<_> = live.keys().filter(|name| !end.contains_key(*name)).collect();
    let workloads: Vec<_> = more.iter().filter(|name| name.starts_with("Deployment/")).collect();
    assert_eq!(workloads.len(), 1, "one extra workload: {more:?}");
    assert!(workloads[0].starts_with("Deployment/lapdev-env-staging/web--feature-louder-"), "{workloads:?}");
    // Besides it: a copy of its Service, and the inventory's ConfigMap.
    assert_eq!(more.len(), 3, "{more:?}");
    let changed: Vec<_> = end.iter().filter(|(name, object)| live.get(*name) != Some(*object)).collect();
    let names: Vec<_> = changed.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, [ROUTES], "a branch touches nothing of its base but the routing table: {changed:?}");
}
