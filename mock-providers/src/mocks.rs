//! All pretended providers of one test together.

use std::{sync::Arc, time::Duration};

use tokio::{net::TcpListener, task::JoinHandle};

use crate::{
    asana::Asana,
    bitbucket::Bitbucket,
    browser::visit,
    discord::Discord,
    github::GitHub,
    gitlab::GitLab,
    jira::{JiraCloud, JiraDataCenter},
    linear::Linear,
    mock::{Mock, Shared},
    oauth::Place,
    recorder::Recorded,
    server::{
        route::{Service, Urls},
        serve,
    },
    slack::Slack,
};

/// All pretended providers of one test. Dropping it ends them.
#[derive(Debug)]
pub struct MockProviders {
    shared: Arc<Shared>,
    slack: Arc<Mock<Slack>>,
    discord: Arc<Mock<Discord>>,
    jira_cloud: Arc<Mock<JiraCloud>>,
    jira_data_center: Arc<Mock<JiraDataCenter>>,
    linear: Arc<Mock<Linear>>,
    asana: Arc<Mock<Asana>>,
    github: Arc<Mock<GitHub>>,
    gitlab: Arc<Mock<GitLab>>,
    bitbucket: Arc<Mock<Bitbucket>>,
    serving: Vec<JoinHandle<()>>,
}

/// Runs the same for every provider.
macro_rules! each {
    ($mocks:expr, $mock:ident => $what:expr) => {{
        each!(@ $mocks, $mock => $what, slack, discord, jira_cloud, jira_data_center, linear, asana,
            github, gitlab, bitbucket)
    }};
    (@ $mocks:expr, $mock:ident => $what:expr, $($name:ident),*) => {
        [$({ let $mock = &$mocks.$name; $what }),*]
    };
}

impl MockProviders {
    /// Starts them all, each host on a free port of loopback.
    pub async fn start() -> Self {
        Self::start_at(&mut Ports::free()).await
    }

    pub(crate) async fn start_at(ports: &mut Ports) -> Self {
        let mut starting = Starting { ports, shared: Arc::default(), serving: Vec::new() };
        Self {
            slack: starting.service().await,
            jira_cloud: starting.service().await,
            discord: starting.service().await,
            jira_data_center: starting.service().await,
            linear: starting.service().await,
            asana: starting.service().await,
            github: starting.service().await,
            gitlab: starting.service().await,
            bitbucket: starting.service().await,
            shared: starting.shared,
            serving: starting.serving,
        }
    }

    /// Slack.
    #[must_use]
    pub fn slack(&self) -> &Mock<Slack> {
        &self.slack
    }

    /// Discord.
    #[must_use]
    pub fn discord(&self) -> &Mock<Discord> {
        &self.discord
    }

    /// Jira Cloud.
    #[must_use]
    pub fn jira_cloud(&self) -> &Mock<JiraCloud> {
        &self.jira_cloud
    }

    /// A server with Jira Data Center.
    #[must_use]
    pub fn jira_data_center(&self) -> &Mock<JiraDataCenter> {
        &self.jira_data_center
    }

    /// Linear.
    #[must_use]
    pub fn linear(&self) -> &Mock<Linear> {
        &self.linear
    }

    /// Asana.
    #[must_use]
    pub fn asana(&self) -> &Mock<Asana> {
        &self.asana
    }

    /// GitHub.
    #[must_use]
    pub fn github(&self) -> &Mock<GitHub> {
        &self.github
    }

    /// GitLab.
    #[must_use]
    pub fn gitlab(&self) -> &Mock<GitLab> {
        &self.gitlab
    }

    /// Bitbucket.
    #[must_use]
    pub fn bitbucket(&self) -> &Mock<Bitbucket> {
        &self.bitbucket
    }

    /// What Relay's environment needs to reach them and to be known by them.
    #[must_use]
    pub fn settings(&self) -> Vec<(String, String)> {
        let mut all = vec![
            ("RELAY_SLACK_URL", self.slack.url("web").to_owned()),
            ("RELAY_DISCORD_URL", self.discord.url("web").to_owned()),
            ("RELAY_JIRA_AUTH_URL", self.jira_cloud.url("auth").to_owned()),
            ("RELAY_JIRA_API_URL", self.jira_cloud.url("api").to_owned()),
            ("RELAY_LINEAR_URL", self.linear.url("web").to_owned()),
            ("RELAY_LINEAR_API_URL", self.linear.url("api").to_owned()),
            ("RELAY_ASANA_URL", self.asana.url("web").to_owned()),
            ("RELAY_GITHUB_URL", self.github.url("web").to_owned()),
            ("RELAY_GITHUB_API_URL", self.github.url("api").to_owned()),
            ("RELAY_GITLAB_URL", self.gitlab.url("web").to_owned()),
            ("RELAY_BITBUCKET_URL", self.bitbucket.url("web").to_owned()),
            ("RELAY_BITBUCKET_API_URL", self.bitbucket.url("api").to_owned()),
            ("DISCORD_BOT_TOKEN", self.discord.inner().state.bot_token().to_owned()),
            ("GITHUB_APP_ID", self.github.app_id()),
            ("GITHUB_APP_NAME", self.github.app_name().to_owned()),
            ("GITHUB_APP_PRIVATE_KEY", self.github.private_key().to_owned()),
        ];
        for (id, secret, (client_id, client_secret)) in [
            ("SLACK_CLIENT_ID", "SLACK_CLIENT_SECRET", self.slack.client()),
            ("DISCORD_CLIENT_ID", "DISCORD_CLIENT_SECRET", self.discord.client()),
            ("JIRA_CLIENT_ID", "JIRA_CLIENT_SECRET", self.jira_cloud.client()),
            ("LINEAR_CLIENT_ID", "LINEAR_CLIENT_SECRET", self.linear.client()),
            ("ASANA_CLIENT_ID", "ASANA_CLIENT_SECRET", self.asana.client()),
            ("GITHUB_CLIENT_ID", "GITHUB_CLIENT_SECRET", self.github.client()),
            ("GITLAB_CLIENT_ID", "GITLAB_CLIENT_SECRET", self.gitlab.client()),
            ("BITBUCKET_CLIENT_ID", "BITBUCKET_CLIENT_SECRET", self.bitbucket.client()),
        ] {
            all.extend([(id, client_id), (secret, client_secret)]);
        }
        all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Plays a person who follows `redirect_url` to a consent page and agrees: the address that
    /// the browser is sent back to. It is not followed.
    ///
    /// # Panics
    /// When the page refuses; it says why.
    pub async fn consent(&self, redirect_url: &str) -> String {
        self.try_consent(redirect_url).await.unwrap_or_else(|why| panic!("no consent: {why}"))
    }

    /// The same, with what the page said where it refused.
    pub async fn try_consent(&self, redirect_url: &str) -> Result<String, String> {
        visit(redirect_url).await
    }

    /// Tells the providers where Relay is: redirect addresses elsewhere are refused from now on. The
    /// GitHub App can be installed only then.
    pub fn set_relay_url(&self, relay_url: &str) {
        self.set_place(relay_url, false);
    }

    pub(crate) fn set_place(&self, relay_url: &str, is_interactive: bool) {
        let relay_url = Some(relay_url.trim_end_matches('/').to_owned());
        let place = Place { relay_url, is_interactive };
        each!(self, mock => mock.set_place(place.clone()));
    }

    /// Moves the mocks' clock: tokens age, budgets are renewed.
    pub fn advance(&self, by: Duration) {
        let by = chrono::TimeDelta::from_std(by).expect("no test waits for an age of the world");
        self.shared.clock.advance(by);
    }

    /// Lets every held answer go, and those still to come.
    pub fn release(&self) {
        self.shared.released.send_replace(true);
    }

    /// Holds again what is marked so.
    pub fn hold_again(&self) {
        self.shared.released.send_replace(false);
    }

    /// Every request that came to any of them, in order.
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        self.shared.recorder.requests()
    }

    /// Everything that must not appear in a log: secrets, keys, and every token and code so far.
    #[must_use]
    pub fn secrets(&self) -> Vec<String> {
        let mut secrets = each!(self, mock => mock.inner().oauth.secrets()).concat();
        secrets.extend(self.discord.inner().state.secrets());
        secrets.extend(self.jira_data_center.inner().state.secrets());
        // A line out of the middle of the key: as a whole it would never be found.
        secrets.extend(self.github.private_key().lines().nth(5).map(str::to_owned));
        secrets
    }

    /// Requests that a published schema or a documented limit refuses.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        self.shared.recorder.violations()
    }

    /// Requests for what no provider has.
    #[must_use]
    pub fn unexpected(&self) -> Vec<String> {
        self.shared.recorder.unexpected_calls()
    }

    /// Forgets violations and unexpected requests, for tests that make them on purpose.
    pub fn forgive(&self) {
        self.shared.recorder.forgive();
    }

    /// Whether every request so far was in order; else what was not.
    pub fn finish(&self) -> Result<(), String> {
        let mut lines = self.violations();
        lines.extend(self.unexpected().iter().map(|line| format!("unexpected: {line}")));
        if lines.is_empty() { Ok(()) } else { Err(lines.join("\n")) }
    }
}

impl Drop for MockProviders {
    fn drop(&mut self) {
        self.serving.iter().for_each(JoinHandle::abort);
    }
}

/// The ports that hosts get, one after the other.
#[derive(Debug)]
pub(crate) struct Ports {
    /// The next one to try; `None` where any will do.
    next: Option<u16>,
}

impl Ports {
    fn free() -> Self {
        Self { next: None }
    }

    /// These in turn; where one is taken, any that is free.
    pub(crate) fn from(first: u16) -> Self {
        Self { next: Some(first) }
    }

    async fn bind(&mut self) -> TcpListener {
        if let Some(port) = self.next {
            self.next = port.checked_add(1);
            if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)).await {
                return listener;
            }
        }
        TcpListener::bind("127.0.0.1:0").await.expect("a free port exists")
    }
}

/// Providers on their way up.
#[derive(Debug)]
struct Starting<'a> {
    ports: &'a mut Ports,
    shared: Arc<Shared>,
    serving: Vec<JoinHandle<()>>,
}

impl Starting<'_> {
    async fn service<S: Service>(&mut self) -> Arc<Mock<S>> {
        let mut urls = Urls::new();
        let mut listeners = Vec::new();
        for &host in S::HOSTS {
            let listener = self.ports.bind().await;
            let address = listener.local_addr().expect("it is bound");
            urls.insert(host, format!("http://{address}"));
            listeners.push((host, listener));
        }
        let state = S::new(&urls);
        let mock = Arc::new(Mock::new(S::ID, urls, state, self.shared.clone()));
        for (host, listener) in listeners {
            self.serving.push(serve::spawn(mock.clone(), host, listener));
        }
        mock
    }
}
