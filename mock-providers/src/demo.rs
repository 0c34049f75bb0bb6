//! The providers of `relay dev`: people look at their pages, and agree or refuse there.

use crate::mocks::{MockProviders, Ports};

/// The first port that is tried; the others follow.
const FIRST_PORT: u16 = 4700;

/// Starts every provider for people: each consent page asks, and each provider's page at `/` shows what
/// arrived, as a person would see it. Slack has the channel `#security`, Jira the project SEC whose
/// issues go from To Do over In Progress to Done.
///
/// The ports are the same each time, unless somebody else has them. `relay_url` is where Relay is.
pub async fn demo(relay_url: &str) -> MockProviders {
    let mocks = MockProviders::start_at(&mut Ports::from(FIRST_PORT)).await;
    mocks.set_place(relay_url, true);
    // It is there to be seen, not to be refused: nobody has to invite the app first.
    mocks.slack().set_member("security", true);
    mocks
}

impl MockProviders {
    /// Where people look, by the providers' names.
    #[must_use]
    pub fn pages(&self) -> Vec<(&'static str, String)> {
        let page = |url: &str| format!("{url}/");
        vec![
            ("Slack", page(self.slack().url("web"))),
            ("Jira Cloud", page(self.jira_cloud().url("api"))),
            ("Discord", page(self.discord().url("web"))),
            ("Jira Data Center", page(self.jira_data_center().url("web"))),
            ("Linear", page(self.linear().url("web"))),
            ("Asana", page(self.asana().url("web"))),
            ("GitHub", page(self.github().url("web"))),
            ("GitLab", page(self.gitlab().url("web"))),
            ("Bitbucket", page(self.bitbucket().url("web"))),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{parameter, request, send};

    #[tokio::test]
    async fn a_person_reads_what_is_asked_for_and_decides() {
        let mocks = demo("http://127.0.0.1:3001").await;
        let slack = mocks.slack();
        let callback = "http://127.0.0.1:3001/api/integrations/slack/org-callback";
        let page = format!(
            "{}/oauth/v2/authorize?response_type=code&client_id={}&redirect_uri={callback}\
             &scope=chat:write,incoming-webhook&state=s1",
            slack.url("web"),
            slack.client().0
        );
        let shown = send(request("GET", &page)).await;
        assert_eq!(shown.status, 200);
        assert!(shown.text.contains("<li>chat:write</li>"), "{}", shown.text);
        let links: Vec<String> = shown
            .text
            .split("href=\"")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap_or_default().replace("&amp;", "&"))
            .collect();
        let follow = |link: &str| send(request("GET", &format!("{}{link}", slack.url("web"))));
        let allowed = follow(&links[0]).await;
        assert!(parameter(allowed.header("location"), "code").is_some());
        let denied = follow(links.last().expect("a way out")).await;
        let error = parameter(denied.header("location"), "error");
        assert_eq!(error.as_deref(), Some("access_denied"));
        assert!(slack.channel("security").is_member);
        for (name, page) in mocks.pages() {
            let shown = send(request("GET", &page)).await;
            assert!(shown.status == 200 && shown.text.contains("<h1>"), "{name}");
        }
        mocks.finish().expect("people ask for nothing that is not there");
    }
}
