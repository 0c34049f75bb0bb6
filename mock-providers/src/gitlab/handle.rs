//! What tests see and do at GitLab.

use std::time::Duration;

use chrono::TimeDelta;
use serde_json::json;

use super::{CommitStatus, GitLab, Issue, Note, access};
use crate::{breakage::Answer, mock::Mock};

impl Mock<GitLab> {
    /// The same server below a path, as self-managed ones lie: everything is there as well.
    #[must_use]
    pub fn url_below_path(&self) -> String {
        format!("{}/gitlab", self.url("web"))
    }

    /// Adds a project, `acme/api`, that a user has an access level in, 30 for a developer; its id.
    pub fn add_project(&self, path: &str, username: &str, level: u64) -> u64 {
        self.inner().state.add_project(path, username, level)
    }

    /// The id of a project.
    #[must_use]
    pub fn project_id(&self, path: &str) -> u64 {
        self.inner().state.named(path).id
    }

    /// Moves a project, or gives it another name.
    pub fn rename_project(&self, path: &str, new: &str) {
        self.inner().state.named_mut(path).path = new.to_owned();
    }

    /// Archives a project: it can only be read.
    pub fn archive_project(&self, path: &str) {
        self.inner().state.named_mut(path).is_archived = true;
    }

    /// Changes what a user may in a project; `None` takes it out of their sight.
    pub fn set_level(&self, path: &str, username: &str, level: Option<u64>) {
        let mut inner = self.inner();
        let members = &mut inner.state.named_mut(path).members;
        members.retain(|(known, _)| known != username);
        members.extend(level.map(|level| (username.to_owned(), level)));
    }

    /// Switches a project's issues off.
    pub fn disable_issues(&self, path: &str) {
        self.inner().state.named_mut(path).has_issues = false;
    }

    /// Takes a commit out of a project. All others are there.
    pub fn forget_commit(&self, path: &str, sha: &str) {
        self.inner().state.named_mut(path).missing_commits.insert(sha.to_owned());
    }

    /// Deletes an issue.
    pub fn delete_issue(&self, path: &str, iid: u64) {
        self.change(path, iid, |issue| issue.is_deleted = true);
    }

    /// Closes an issue or opens it, as a person does.
    pub fn set_issue_open(&self, path: &str, iid: u64, is_open: bool) {
        self.change(path, iid, |issue| issue.is_open = is_open);
    }

    fn change(&self, path: &str, iid: u64, how: impl FnOnce(&mut Issue)) {
        let mut inner = self.inner();
        let mut issues = inner.state.named_mut(path).issues.iter_mut();
        let issue = issues.find(|issue| issue.iid == iid);
        how(issue.expect("the test named an issue that is there"));
    }

    /// The statuses of a project's commits, one of each commit and name.
    #[must_use]
    pub fn statuses(&self, path: &str) -> Vec<CommitStatus> {
        self.inner().state.named(path).statuses.clone()
    }

    /// Every issue of a project that is there.
    #[must_use]
    pub fn issues(&self, path: &str) -> Vec<Issue> {
        let inner = self.inner();
        let all = inner.state.named(path).issues.iter();
        all.filter(|issue| !issue.is_deleted).cloned().collect()
    }

    /// What was said on a merge request, in order.
    #[must_use]
    pub fn merge_request_notes(&self, path: &str, iid: u64) -> Vec<Note> {
        let inner = self.inner();
        let mut all = inner.state.named(path).merge_requests.iter();
        let found = all.find(|request| request.iid == iid);
        found.map(|request| request.notes.clone()).unwrap_or_default()
    }

    /// Too many requests: 429, plain text, and seconds to wait.
    #[must_use]
    pub fn rate_limited(&self, wait: Duration) -> Answer {
        let wait = TimeDelta::from_std(wait).unwrap_or(TimeDelta::MAX);
        let until = self.now() + wait;
        Answer::status(429)
            .body("Retry later\n")
            .header("content-type", "text/plain")
            .header("retry-after", wait.num_seconds())
            .header("ratelimit-limit", 2_000)
            .header("ratelimit-name", "throttle_authenticated_api")
            .header("ratelimit-observed", 2_001)
            .header("ratelimit-remaining", 0)
            .header("ratelimit-reset", until.timestamp())
            .header("ratelimit-resettime", until.format("%a, %d %b %Y %H:%M:%S GMT"))
    }

    /// A limit of the application itself, such as that of notes: 429, and no word of how long.
    #[must_use]
    pub fn application_limit(&self) -> Answer {
        let why = "This endpoint has been requested too many times. Try again later.";
        Answer::json(429, &json!({ "message": { "error": why } }))
    }

    /// The address is shut out for a while: 403 to everything, and plain text.
    #[must_use]
    pub fn shut_out(&self) -> Answer {
        Answer::status(403).body("Forbidden\n").header("content-type", "text/plain")
    }

    /// The token does not reach so far.
    #[must_use]
    pub fn insufficient_scope(&self) -> Answer {
        let reply = access::insufficient_scope("api");
        Answer::status(reply.status).body(reply.body).header("content-type", "application/json")
    }

    /// A status cannot become what it was to become: 400.
    #[must_use]
    pub fn cannot_transition(&self) -> Answer {
        let why = "Cannot transition status via :drop from :failed (Reason(s): Status cannot \
                   transition via \"drop\")";
        Answer::json(400, &json!({ "message": why }))
    }
}
