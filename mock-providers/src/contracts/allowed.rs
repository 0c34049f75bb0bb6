//! What is asked of providers although no published file has it, each with the reason.

use crate::server::{
    request::{Request, parts},
    route::params,
};

/// An operation that the files lack.
struct Operation {
    provider: &'static str,
    method: &'static str,
    path: &'static str,
    /// Why it is asked for all the same.
    _why: &'static str,
}

const fn operation_of(
    provider: &'static str,
    method: &'static str,
    path: &'static str,
    why: &'static str,
) -> Operation {
    Operation { provider, method, path, _why: why }
}

/// Each is documented by its provider; the files were cut down to fewer operations.
const OPERATIONS: &[Operation] = &[
    // Paths by id are looked up as paths by name, see `rest`.
    operation_of(
        "github",
        "GET",
        "/user",
        "whose a personal account is: docs.github.com/en/rest/users/users",
    ),
    operation_of(
        "github",
        "GET",
        "/user/memberships/orgs/{org}",
        "whether somebody owns an organization: docs.github.com/en/rest/orgs/members",
    ),
    operation_of(
        "github",
        "GET",
        "/repos/{owner}/{repo}/issues",
        "a repeat looks for the issue that it may have made: docs.github.com/en/rest/issues/issues",
    ),
    operation_of(
        "github",
        "GET",
        "/repos/{owner}/{repo}/issues/{number}",
        "whether a person closed the issue: docs.github.com/en/rest/issues/issues",
    ),
    operation_of(
        "github",
        "PATCH",
        "/repos/{owner}/{repo}/issues/{number}",
        "closes and opens an issue: docs.github.com/en/rest/issues/issues#update-an-issue",
    ),
    operation_of(
        "github",
        "GET",
        "/repos/{owner}/{repo}/issues/{number}/comments",
        "a repeat looks for its comment: docs.github.com/en/rest/issues/comments",
    ),
    operation_of(
        "github",
        "GET",
        "/repos/{owner}/{repo}/commits/{sha}/check-runs",
        "a repeat looks for its check run: docs.github.com/en/rest/checks/runs",
    ),
    operation_of(
        "github",
        "POST",
        "/login/oauth/access_token",
        "on the pages' host, which is not in the file: docs.github.com/en/apps/creating-github-apps",
    ),
    operation_of(
        "gitlab",
        "GET",
        "/api/v4/projects/{id}/issues",
        "a repeat looks for the issue that it may have made: docs.gitlab.com/api/issues",
    ),
    operation_of(
        "gitlab",
        "GET",
        "/api/v4/projects/{id}/issues/{iid}",
        "whether a person closed the issue: docs.gitlab.com/api/issues",
    ),
    operation_of(
        "gitlab",
        "PUT",
        "/api/v4/projects/{id}/issues/{iid}",
        "closes and opens an issue: docs.gitlab.com/api/issues/#edit-an-issue",
    ),
    operation_of(
        "gitlab",
        "GET",
        "/api/v4/projects/{id}/issues/{iid}/notes",
        "a repeat looks for its comment: docs.gitlab.com/api/notes",
    ),
    operation_of(
        "gitlab",
        "GET",
        "/api/v4/projects/{id}/merge_requests/{iid}/notes",
        "a repeat looks for its comment: docs.gitlab.com/api/notes",
    ),
    operation_of(
        "gitlab",
        "GET",
        "/oauth/token/info",
        "beside the interface: docs.gitlab.com/api/oauth2/#retrieve-the-token-information",
    ),
    operation_of(
        "bitbucket",
        "GET",
        "/2.0/repositories/{workspace}/{repo}/pullrequests/{id}/comments",
        "a repeat looks for its comment: developer.atlassian.com/cloud/bitbucket/rest",
    ),
    operation_of(
        "jira_cloud",
        "GET",
        "/oauth/token/accessible-resources",
        "beside the interface; its answer is `identity` in oauth.json",
    ),
    operation_of(
        "asana",
        "PUT",
        "/api/1.0/tasks/{task}",
        "completes a task: developers.asana.com/reference/updatetask",
    ),
    operation_of(
        "slack",
        "GET",
        "/api/conversations.history",
        "a repeat looks for its message: docs.slack.dev/reference/methods/conversations.history",
    ),
];

/// Whether a request is one of the exceptions.
pub(super) fn operation(provider: &str, request: &Request) -> bool {
    let path = canonical(provider, &request.path);
    OPERATIONS.iter().any(|known| {
        known.provider == provider
            && known.method == request.method
            && params(known.path, &path).is_some()
    })
}

/// The parts of a path as they would be on the provider's own host, by name.
fn canonical(provider: &str, path: &str) -> Vec<String> {
    let mut path = parts(path);
    if provider == "gitlab" && path.first().is_some_and(|part| part == "gitlab") {
        path.remove(0);
    }
    by_name(provider, path)
}

/// GitHub's redirects of renamed repositories lead to `/repositories/{id}/…`, which has all that
/// `/repos/{owner}/{repo}/…` has. It is not in the file, for it is a hint and no operation:
/// <https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#follow-redirects>.
pub(super) fn by_name(provider: &str, mut path: Vec<String>) -> Vec<String> {
    if provider == "github" && path.len() >= 2 && path[0] == "repositories" {
        path[0] = "repos".to_owned();
        let id = path[1].clone();
        path.insert(1, id);
    }
    path
}

/// Parameters of the query that an operation takes although its entry does not list them.
pub(super) fn parameter(provider: &str, name: &str) -> bool {
    match provider {
        // Every list of Bitbucket's has pages, filters and an order, by one page of the guide:
        // developer.atlassian.com/cloud/bitbucket/rest/intro/#pagination.
        "bitbucket" => ["page", "pagelen", "q", "sort", "fields"].contains(&name),
        // The transitions of an issue tell their fields with `expand=transitions.fields`: the file says
        // so in the words of the operation, and leaves it out of its parameters.
        "jira_data_center" => name == "expand",
        _ => false,
    }
}
