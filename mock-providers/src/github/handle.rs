//! What tests see and do at GitHub.

use std::time::Duration;

use serde_json::json;

use super::{CheckRun, Comment, GitHub, Issue, Status, key::app_key};
use crate::{breakage::Answer, mock::Mock};

impl Mock<GitHub> {
    /// The id of our app, `GITHUB_APP_ID`.
    #[must_use]
    pub fn app_id(&self) -> String {
        self.inner().state.app.id.to_string()
    }

    /// The name of our app in addresses, `GITHUB_APP_NAME`.
    #[must_use]
    pub fn app_name(&self) -> &'static str {
        self.inner().state.app.slug
    }

    /// What our app signs with, PEM.
    #[must_use]
    pub fn private_key(&self) -> &'static str {
        &app_key().pem
    }

    /// Replaces our app's key, so that the one in Relay's settings is wrong.
    pub fn replace_private_key(&self) {
        self.inner().state.app.is_key_replaced = true;
    }

    /// Who is signed in from now on: `octo-admin` at first, or `mallory`.
    pub fn sign_in(&self, user: &str) {
        self.inner().state.user = user.to_owned();
    }

    /// Whether whoever installs the app is asked who they are on the way; they are at first.
    pub fn ask_user_while_installing(&self, is_on: bool) {
        self.inner().state.app.asks_user = is_on;
    }

    /// The next person may not install the app, and asks an owner to.
    pub fn only_request_next(&self) {
        self.inner().state.app.only_requests = true;
    }

    /// The number of an account's installation.
    #[must_use]
    pub fn installation_id(&self, login: &str) -> u64 {
        self.inner().state.account_mut(login).id
    }

    /// Adds an account with the app installed, for whoever is signed in; the installation's number.
    pub fn add_account(&self, login: &str) -> u64 {
        let mut inner = self.inner();
        let user = inner.state.user.clone();
        inner.state.add_account(login, &user)
    }

    /// Lets somebody read a repository of an account; GitHub then lists its installation for them.
    pub fn add_reader(&self, login: &str, user: &str) {
        self.inner().state.account_mut(login).readers.push(user.to_owned());
    }

    /// Suspends an installation, or lets it go on.
    pub fn set_suspended(&self, login: &str, is_suspended: bool) {
        let at = is_suspended.then(|| self.now());
        self.inner().state.account_mut(login).suspended_at = at;
    }

    /// Removes the app from an account.
    pub fn uninstall(&self, login: &str) {
        self.inner().state.uninstall(login);
    }

    /// Takes a permission away from an installation, such as `checks`.
    pub fn forbid(&self, login: &str, permission: &str) {
        self.inner().state.account_mut(login).permissions.remove(permission);
    }

    /// How many requests an installation may still make within the hour.
    pub fn set_remaining(&self, login: &str, remaining: u32) {
        let resets_at = self.now() + chrono::TimeDelta::hours(1);
        let mut inner = self.inner();
        let limit = &mut inner.state.account_mut(login).limit;
        limit.remaining = remaining;
        limit.resets_at = resets_at;
    }

    /// Adds a repository, `acme/api`, and gives it to the account's installation; its id.
    pub fn add_repository(&self, full_name: &str) -> u64 {
        self.inner().state.add_repository(full_name)
    }

    /// The id of a repository.
    #[must_use]
    pub fn repository_id(&self, full_name: &str) -> u64 {
        self.inner().state.named(full_name).id
    }

    /// Gives a repository another name, or another owner. The old one redirects.
    pub fn rename_repository(&self, full_name: &str, new: &str) {
        let (owner, name) = new.split_once('/').expect("an owner and a name");
        let mut inner = self.inner();
        let repository = inner.state.named_mut(full_name);
        repository.former.push(full_name.to_owned());
        repository.owner = owner.to_owned();
        repository.name = name.to_owned();
    }

    /// Archives a repository: it can only be read.
    pub fn archive_repository(&self, full_name: &str) {
        self.inner().state.named_mut(full_name).is_archived = true;
    }

    /// Takes a repository away from the installation, or gives it back.
    pub fn set_given(&self, full_name: &str, is_given: bool) {
        self.inner().state.named_mut(full_name).is_given = is_given;
    }

    /// Switches a repository's issues off.
    pub fn disable_issues(&self, full_name: &str) {
        self.inner().state.named_mut(full_name).has_issues = false;
    }

    /// Takes a commit out of a repository. All others are there.
    pub fn forget_commit(&self, full_name: &str, sha: &str) {
        self.inner().state.named_mut(full_name).missing_commits.insert(sha.to_owned());
    }

    /// Deletes an issue.
    pub fn delete_issue(&self, full_name: &str, number: u64) {
        self.change(full_name, number, |issue| issue.is_deleted = true);
    }

    /// Closes an issue or opens it, as a person does.
    pub fn set_issue_open(&self, full_name: &str, number: u64, is_open: bool) {
        self.change(full_name, number, |issue| issue.is_open = is_open);
    }

    /// Locks an issue: nobody may comment any more.
    pub fn lock_issue(&self, full_name: &str, number: u64) {
        self.change(full_name, number, |issue| issue.is_locked = true);
    }

    fn change(&self, full_name: &str, number: u64, how: impl FnOnce(&mut Issue)) {
        let mut inner = self.inner();
        let mut issues = inner.state.named_mut(full_name).issues.iter_mut();
        let issue = issues.find(|issue| issue.number == number);
        how(issue.expect("the test named an issue that is there"));
    }

    /// Every status of a repository's commits, in order. The latest of each context counts.
    #[must_use]
    pub fn statuses(&self, full_name: &str) -> Vec<Status> {
        self.inner().state.named(full_name).statuses.clone()
    }

    /// Every check run of a repository's commits, in order.
    #[must_use]
    pub fn check_runs(&self, full_name: &str) -> Vec<CheckRun> {
        self.inner().state.named(full_name).runs.clone()
    }

    /// Every issue of a repository that is there, without pull requests.
    #[must_use]
    pub fn issues(&self, full_name: &str) -> Vec<Issue> {
        let inner = self.inner();
        let all = inner.state.named(full_name).issues.iter();
        all.filter(|issue| !issue.is_pull_request && !issue.is_deleted).cloned().collect()
    }

    /// What was said on a pull request, in order.
    #[must_use]
    pub fn pull_request_comments(&self, full_name: &str, number: u64) -> Vec<Comment> {
        let inner = self.inner();
        let mut all = inner.state.named(full_name).issues.iter();
        let found = all.find(|issue| issue.is_pull_request && issue.number == number);
        found.map(|issue| issue.comments.clone()).unwrap_or_default()
    }

    /// A refusal as GitHub words it.
    #[must_use]
    pub fn error(&self, status: u16, message: &str) -> Answer {
        let link = "https://docs.github.com/rest";
        let status_text = status.to_string();
        let body = json!({ "message": message, "documentation_url": link, "status": status_text });
        Answer::json(status, &body)
    }

    /// The hour's requests are used up: 403, and the end of the hour in epoch seconds.
    #[must_use]
    pub fn primary_limit(&self, wait: Duration) -> Answer {
        let wait = i64::try_from(wait.as_secs()).unwrap_or(i64::MAX);
        self.error(403, "API rate limit exceeded for installation ID 1001.")
            .header("x-ratelimit-limit", 5_000)
            .header("x-ratelimit-remaining", 0)
            .header("x-ratelimit-used", 5_000)
            .header("x-ratelimit-reset", self.now().timestamp().saturating_add(wait))
            .header("x-ratelimit-resource", "core")
    }

    /// Too much at once: 403, and seconds to wait, or nothing but the message.
    #[must_use]
    pub fn secondary_limit(&self, wait: Option<Duration>) -> Answer {
        let answer = self.error(
            403,
            "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
        );
        match wait {
            Some(wait) => answer.header("retry-after", wait.as_secs()),
            None => answer,
        }
    }
}
