//! Which published file a request is compared with.

use std::path::Path;

use super::{adf, allowed, graphql, oauth, rest, slack};
use crate::server::request::Request;

/// An interface that is published as OpenAPI or Swagger.
struct Interface {
    provider: &'static str,
    host: &'static str,
    /// The folder and the file.
    file: &'static str,
    /// What every path begins with before the file's own paths: `{…}` is any part.
    below: &'static str,
}

const INTERFACES: &[Interface] = &[
    Interface {
        provider: "github",
        host: "api",
        file: "github/api.github.com.openapi.json",
        below: "",
    },
    Interface { provider: "gitlab", host: "web", file: "gitlab/gitlab-v4.openapi.json", below: "" },
    // A server of its own, below a path.
    Interface {
        provider: "gitlab",
        host: "web",
        file: "gitlab/gitlab-v4.openapi.json",
        below: "/gitlab",
    },
    Interface {
        provider: "bitbucket",
        host: "api",
        file: "bitbucket/bitbucket-cloud.swagger2.json",
        below: "/2.0",
    },
    Interface {
        provider: "discord",
        host: "web",
        file: "discord/discord-api-v10.openapi.json",
        below: "/api/v10",
    },
    Interface {
        provider: "jira_cloud",
        host: "api",
        file: "jira-cloud/jira-platform-v3.openapi.json",
        below: "/ex/jira/{cloud}",
    },
    // The file's paths begin with `/api/2`; the server may lie below a path.
    Interface {
        provider: "jira_data_center",
        host: "web",
        file: "jira-dc/jira-dc-10.3.openapi.json",
        below: "/rest",
    },
    Interface {
        provider: "jira_data_center",
        host: "web",
        file: "jira-dc/jira-dc-10.3.openapi.json",
        below: "/jira/rest",
    },
    Interface {
        provider: "asana",
        host: "web",
        file: "asana/asana.openapi.json",
        below: "/api/1.0",
    },
];

/// What is wrong with a request.
pub(super) fn problems(root: &Path, provider: &str, request: &Request) -> Vec<String> {
    if is_page(request) {
        return Vec::new();
    }
    if let Some(problems) = oauth::problems(root, provider, request) {
        return problems;
    }
    if let Some(problems) = slack::problems(root, provider, request) {
        return problems;
    }
    if provider == "linear" && request.path == "/graphql" {
        return graphql::problems(root, request);
    }
    for interface in INTERFACES {
        if interface.provider != provider || interface.host != request.host {
            continue;
        }
        let Some(path) = rest_of(&request.segments(), interface.below) else { continue };
        let mut problems = match rest::problems(root, interface.file, provider, &path, request) {
            Some(problems) => problems,
            None => continue,
        };
        if provider == "jira_cloud" {
            problems.extend(adf::problems(root, &request.json()));
        }
        return problems;
    }
    match allowed::operation(provider, request) {
        true => Vec::new(),
        false => vec!["neither a published file nor the list of exceptions has this".to_owned()],
    }
}

/// Whether it is for people: pages are in no file.
fn is_page(request: &Request) -> bool {
    let is_browser = request.header("accept").contains("text/html");
    let interfaces = ["api", "rest", "graphql", "token"];
    let parts = request.segments();
    let is_elsewhere = parts.iter().all(|part| !interfaces.contains(&part.as_str()));
    is_browser || request.method == "GET" && is_elsewhere && request.host != "api"
        // Sites of Jira Cloud, which have no host of their own here.
        || request.method == "GET" && parts.iter().any(|part| part == "browse")
}

/// What follows in a path; `None` if it does not begin so.
fn rest_of(path: &[String], below: &str) -> Option<Vec<String>> {
    let below: Vec<&str> = below.split('/').filter(|part| !part.is_empty()).collect();
    let begins = below.len() <= path.len()
        && below.iter().zip(path).all(|(known, given)| known.starts_with('{') || known == given);
    begins.then(|| path[below.len()..].to_vec())
}

#[cfg(test)]
mod paths {
    use super::rest_of;

    #[test]
    fn a_path_is_read_below_where_the_interface_begins() {
        let path = |text: &str| text.split('/').map(str::to_owned).collect::<Vec<_>>();
        let rest = rest_of(&path("ex/jira/c-1/rest/api/3/myself"), "/ex/jira/{cloud}");
        assert_eq!(rest, Some(path("rest/api/3/myself")));
        assert_eq!(rest_of(&path("oauth/token"), "/api/v10"), None);
        assert_eq!(rest_of(&path("ex"), "/ex/jira/{cloud}"), None);
    }
}
