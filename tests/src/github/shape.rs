//! GitHub's JSON for what the double knows, field by field as the published description demands. A test validates
//! every answer against that description, so that a field which is wrong here fails there.

use super::world::{Comment, Pull, Repository, Status, User, World};
use serde_json::{Map, Value, json};

/// Addresses of a repository's parts below its own API address: field, tail.
const REPOSITORY_LINKS: &[(&str, &str)] = &[
    ("archive_url", "/{archive_format}{/ref}"),
    ("assignees_url", "/assignees{/user}"),
    ("blobs_url", "/git/blobs{/sha}"),
    ("branches_url", "/branches{/branch}"),
    ("collaborators_url", "/collaborators{/collaborator}"),
    ("comments_url", "/comments{/number}"),
    ("commits_url", "/commits{/sha}"),
    ("compare_url", "/compare/{base}...{head}"),
    ("contents_url", "/contents/{+path}"),
    ("contributors_url", "/contributors"),
    ("deployments_url", "/deployments"),
    ("downloads_url", "/downloads"),
    ("events_url", "/events"),
    ("forks_url", "/forks"),
    ("git_commits_url", "/git/commits{/sha}"),
    ("git_refs_url", "/git/refs{/sha}"),
    ("git_tags_url", "/git/tags{/sha}"),
    ("hooks_url", "/hooks"),
    ("issue_comment_url", "/issues/comments{/number}"),
    ("issue_events_url", "/issues/events{/number}"),
    ("issues_url", "/issues{/number}"),
    ("keys_url", "/keys{/key_id}"),
    ("labels_url", "/labels{/name}"),
    ("languages_url", "/languages"),
    ("merges_url", "/merges"),
    ("milestones_url", "/milestones{/number}"),
    ("notifications_url", "/notifications{?since,all,participating}"),
    ("pulls_url", "/pulls{/number}"),
    ("releases_url", "/releases{/id}"),
    ("stargazers_url", "/stargazers"),
    ("statuses_url", "/statuses/{sha}"),
    ("subscribers_url", "/subscribers"),
    ("subscription_url", "/subscription"),
    ("tags_url", "/tags"),
    ("teams_url", "/teams"),
    ("trees_url", "/git/trees{/sha}"),
];

/// Addresses of an account's parts below its own API address: field, tail.
const USER_LINKS: &[(&str, &str)] = &[
    ("followers_url", "/followers"),
    ("following_url", "/following{/other_user}"),
    ("gists_url", "/gists{/gist_id}"),
    ("starred_url", "/starred{/owner}{/repo}"),
    ("subscriptions_url", "/subscriptions"),
    ("organizations_url", "/orgs"),
    ("repos_url", "/repos"),
    ("events_url", "/events{/privacy}"),
    ("received_events_url", "/received_events"),
];

/// The API's address of a repository.
pub(super) fn api(world: &World, repository: &Repository) -> String {
    format!("{}/repos/{}", world.root, repository.full_name())
}

/// A person, an organization or a bot.
pub(super) fn user(world: &World, user: &User) -> Value {
    let (root, login) = (&world.root, &user.login);
    // The login of a bot ends in `[bot]`, which is no part of an address as it stands.
    let part = login.replace('[', "%5B").replace(']', "%5D");
    let url = format!("{root}/users/{part}");
    let mut shape = json!({
        "login": login,
        "id": user.id,
        "node_id": node_id("U", user.id),
        "avatar_url": format!("{root}/avatars/{}", user.id),
        "gravatar_id": "",
        "html_url": format!("{root}/{part}"),
        "type": user.kind,
        "site_admin": false,
        "user_view_type": "public",
    });
    link(&mut shape, &url, USER_LINKS);
    shape["url"] = url.into();
    shape
}

/// The account that a token belongs to, as it sees itself.
pub(super) fn private_user(world: &World, account: &User) -> Value {
    let mut shape = user(world, account);
    let more = json!({
        "user_view_type": "private",
        "bio": null, "blog": "", "company": null, "email": null, "followers": 0, "following": 0, "hireable": null,
        "location": null, "name": account.login, "public_gists": 0, "public_repos": 0,
        "created_at": "2020-01-01T00:00:00Z", "updated_at": "2020-01-01T00:00:00Z",
        "collaborators": 0, "disk_usage": 0, "owned_private_repos": 0, "private_gists": 0, "total_private_repos": 0,
        "two_factor_authentication": true,
    });
    merge(&mut shape, more);
    shape
}

/// A repository, with every field of the longest of its shapes.
pub(super) fn repository(world: &World, repository: &Repository) -> Value {
    let (url, html) = (api(world, repository), html(world, repository));
    let host = world.root.split("://").nth(1).unwrap_or_default();
    let owner = world.known_user(&repository.owner);
    let open = repository.pulls.values().filter(|pull| pull.open).count();
    let forks = world.repositories.values().filter(|other| other.parent == Some(repository.id)).count();
    let mut shape = json!({
        "id": repository.id,
        "node_id": node_id("R", repository.id),
        "name": repository.name,
        "full_name": repository.full_name(),
        "owner": user(world, &owner),
        "private": repository.private,
        "visibility": if repository.private { "private" } else { "public" },
        "description": null,
        "fork": repository.parent.is_some(),
        "html_url": html,
        "clone_url": format!("{html}.git"),
        "git_url": format!("git://{host}/{}.git", repository.full_name()),
        "ssh_url": format!("git@{host}:{}.git", repository.full_name()),
        "svn_url": html,
        "mirror_url": null,
        "default_branch": repository.default_branch,
    });
    let more = json!({
        "homepage": null, "language": null, "license": null, "topics": [],
        "archived": false, "disabled": false, "allow_forking": true, "is_template": false,
        "web_commit_signoff_required": false,
        "has_issues": true, "has_projects": true, "has_wiki": true, "has_pages": false, "has_downloads": true,
        "has_discussions": false,
        "size": 0, "forks": forks, "forks_count": forks, "watchers": 0, "watchers_count": 0, "stargazers_count": 0,
        "open_issues": open, "open_issues_count": open, "network_count": forks, "subscribers_count": 0,
        "created_at": repository.created_at.to_string(),
        "updated_at": repository.pushed_at.to_string(),
        "pushed_at": repository.pushed_at.to_string(),
    });
    merge(&mut shape, more);
    link(&mut shape, &url, REPOSITORY_LINKS);
    shape["url"] = url.into();
    shape
}

/// A pull request as listings have it.
pub(super) fn pull_simple(world: &World, repository: &Repository, pull: &Pull) -> Value {
    let (api, html, number) = (api(world, repository), html(world, repository), pull.number);
    let url = format!("{api}/pulls/{number}");
    let page = format!("{html}/pull/{number}");
    let issue = format!("{api}/issues/{number}");
    let statuses = format!("{api}/statuses/{}", pull.head_sha);
    let href = |target: &str| json!({"href": target});
    let links = json!({
        "self": href(&url), "html": href(&page), "issue": href(&issue),
        "comments": href(&format!("{issue}/comments")), "review_comments": href(&format!("{url}/comments")),
        "review_comment": href(&format!("{api}/pulls/comments{{/number}}")),
        "commits": href(&format!("{url}/commits")), "statuses": href(&statuses),
    });
    json!({
        "id": pull.id,
        "node_id": node_id("PR", pull.id),
        "number": number,
        "url": url,
        "html_url": page,
        "diff_url": format!("{page}.diff"),
        "patch_url": format!("{page}.patch"),
        "issue_url": issue,
        "commits_url": format!("{url}/commits"),
        "review_comments_url": format!("{url}/comments"),
        "review_comment_url": format!("{api}/pulls/comments{{/number}}"),
        "comments_url": format!("{issue}/comments"),
        "statuses_url": statuses,
        "state": if pull.open { "open" } else { "closed" },
        "locked": false,
        "title": pull.title,
        "user": user(world, &world.known_user(&pull.author)),
        "body": pull.body,
        "labels": pull.labels.iter().map(|name| label(&api, repository, name)).collect::<Vec<_>>(),
        "milestone": null, "assignee": null, "assignees": [], "requested_reviewers": [], "requested_teams": [],
        "active_lock_reason": null, "auto_merge": null,
        "created_at": pull.created_at.to_string(),
        "updated_at": pull.updated_at.to_string(),
        "closed_at": pull.closed_at.map(|time| time.to_string()),
        "merged_at": pull.merged_at.map(|time| time.to_string()),
        "merge_commit_sha": pull.merge_commit,
        "draft": pull.draft,
        "author_association": "CONTRIBUTOR",
        "head": end(world, pull.head_repository, &pull.head_owner, &pull.head_ref, &pull.head_sha),
        "base": end(world, Some(repository.id), &repository.owner, &pull.base_ref, &pull.base_sha),
        "_links": links,
    })
}

/// A pull request by itself, or in an event.
pub(super) fn pull(world: &World, repository: &Repository, pull: &Pull) -> Value {
    let mut shape = pull_simple(world, repository, pull);
    let merged = pull.merged_at.is_some();
    let by = merged.then(|| user(world, &world.known_user(&repository.owner)));
    let comments = repository.comments.values().filter(|comment| comment.number == pull.number).count();
    let more = json!({
        "merged": merged, "merged_by": by, "mergeable": pull.open.then_some(true), "rebaseable": pull.open.then_some(true),
        "mergeable_state": if pull.draft { "draft" } else { "clean" },
        "comments": comments, "review_comments": 0, "maintainer_can_modify": false,
        "commits": 1, "additions": 1, "deletions": 0, "changed_files": 1,
    });
    merge(&mut shape, more);
    shape
}

/// A label of a repository.
pub(super) fn label(api: &str, repository: &Repository, name: &str) -> Value {
    let id = repository.labels.get(name).copied().unwrap_or_default();
    json!({
        "id": id, "node_id": node_id("LA", id), "url": format!("{api}/labels/{name}"),
        "name": name, "description": "", "color": "ededed", "default": false,
    })
}

/// A comment.
pub(super) fn comment(world: &World, repository: &Repository, comment: &Comment) -> Value {
    let (api, html) = (api(world, repository), html(world, repository));
    json!({
        "id": comment.id,
        "node_id": node_id("IC", comment.id),
        "url": format!("{api}/issues/comments/{}", comment.id),
        "html_url": format!("{html}/pull/{}#issuecomment-{}", comment.number, comment.id),
        "issue_url": format!("{api}/issues/{}", comment.number),
        "user": user(world, &world.known_user(&comment.author)),
        "body": comment.body,
        "created_at": comment.created_at.to_string(),
        "updated_at": comment.updated_at.to_string(),
        "author_association": "CONTRIBUTOR",
        "performed_via_github_app": null,
        "reactions": {
            "url": format!("{api}/issues/comments/{}/reactions", comment.id), "total_count": 0,
            "+1": 0, "-1": 0, "laugh": 0, "hooray": 0, "confused": 0, "heart": 0, "rocket": 0, "eyes": 0,
        },
    })
}

/// A commit status.
pub(super) fn status(world: &World, repository: &Repository, status: &Status) -> Value {
    json!({
        "id": status.id,
        "node_id": node_id("SC", status.id),
        "url": format!("{}/statuses/{}", api(world, repository), status.sha),
        "avatar_url": format!("{}/avatars/{}", world.root, status.id),
        "state": status.state,
        "context": status.context,
        "description": status.description,
        "target_url": status.target_url,
        "creator": user(world, &world.known_user(&status.creator)),
        "created_at": status.created_at.to_string(),
        "updated_at": status.created_at.to_string(),
    })
}

/// Where people look at a repository.
pub(super) fn html(world: &World, repository: &Repository) -> String {
    format!("{}/{}", world.root, repository.full_name())
}

fn end(world: &World, repository_id: Option<u64>, owner: &str, branch: &str, sha: &str) -> Value {
    let found = repository_id.and_then(|id| world.repositories.get(&id));
    json!({
        "label": format!("{owner}:{branch}"),
        "ref": branch,
        "sha": sha,
        "user": user(world, &world.known_user(owner)),
        "repo": found.map(|found| repository(world, found)),
    })
}

fn node_id(kind: &str, id: u64) -> String {
    format!("{kind}_{}", data_encoding::BASE64URL_NOPAD.encode(&id.to_be_bytes()))
}

fn link(shape: &mut Value, url: &str, links: &[(&str, &str)]) {
    for (field, tail) in links {
        shape[*field] = format!("{url}{tail}").into();
    }
}

pub(super) fn merge(shape: &mut Value, more: Value) {
    let more: Map<String, Value> = serde_json::from_value(more).unwrap_or_default();
    if let Some(fields) = shape.as_object_mut() {
        fields.extend(more);
    }
}
