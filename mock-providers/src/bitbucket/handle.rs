//! What tests see and do at Bitbucket.

use std::time::Duration;

use serde_json::json;

use super::{Bitbucket, BuildStatus, Comment};
use crate::{breakage::Answer, mock::Mock};

impl Mock<Bitbucket> {
    /// The uuid of a workspace, braces included.
    #[must_use]
    pub fn workspace_uuid(&self, slug: &str) -> String {
        let inner = self.inner();
        let found = inner.state.workspace(slug);
        found.expect("the test named a workspace that is there").uuid.clone()
    }

    /// Adds a workspace that a user administers; its uuid.
    pub fn add_workspace(&self, slug: &str, username: &str) -> String {
        self.inner().state.add_workspace(slug, username, true)
    }

    /// Gives a workspace another slug.
    pub fn rename_workspace(&self, slug: &str, new: &str) {
        let mut inner = self.inner();
        let found = inner.state.workspaces.iter_mut().find(|known| known.slug == slug);
        found.expect("the test named a workspace that is there").slug = new.to_owned();
    }

    /// Adds a repository, `acme/api`, that everybody in its workspace sees; its uuid.
    pub fn add_repository(&self, full_name: &str) -> String {
        self.inner().state.add_repository(full_name)
    }

    /// The uuid of a repository, braces included.
    #[must_use]
    pub fn repository_uuid(&self, full_name: &str) -> String {
        self.inner().state.named_mut(full_name).uuid.clone()
    }

    /// Gives a repository another slug.
    pub fn rename_repository(&self, full_name: &str, slug: &str) {
        self.inner().state.named_mut(full_name).slug = slug.to_owned();
    }

    /// Takes a repository out of a user's sight.
    pub fn hide_repository(&self, full_name: &str, username: &str) {
        self.inner().state.named_mut(full_name).readers.retain(|known| known != username);
    }

    /// Takes a commit out of a repository. All others are there.
    pub fn forget_commit(&self, full_name: &str, sha: &str) {
        self.inner().state.named_mut(full_name).missing_commits.insert(sha.to_owned());
    }

    /// Changes what the consumer may.
    pub fn set_scopes(&self, scopes: &[&str]) {
        self.inner().state.scopes = scopes.iter().map(|&scope| scope.to_owned()).collect();
    }

    /// Whether the token answer calls its scopes by the name of before May 2026.
    pub fn name_scopes_as_before(&self, is_on: bool) {
        self.inner().state.names_scopes_as_before = is_on;
    }

    /// The statuses of a repository's commits, one of each commit and key.
    #[must_use]
    pub fn statuses(&self, full_name: &str) -> Vec<BuildStatus> {
        self.inner().state.named_mut(full_name).statuses.clone()
    }

    /// What was said on a pull request, in order.
    #[must_use]
    pub fn pull_request_comments(&self, full_name: &str, id: u64) -> Vec<Comment> {
        let mut inner = self.inner();
        let all = &inner.state.named_mut(full_name).pull_requests;
        let found = all.iter().find(|request| request.id == id);
        found.map(|request| request.comments.clone()).unwrap_or_default()
    }

    /// A refusal as Bitbucket words it.
    #[must_use]
    pub fn error(&self, status: u16, message: &str) -> Answer {
        Answer::json(status, &json!({ "type": "error", "error": { "message": message } }))
    }

    /// The hour's requests of the consumer are used up: 429, and perhaps seconds to wait.
    #[must_use]
    pub fn rate_limited(&self, wait: Option<Duration>) -> Answer {
        let answer = self.error(429, "Rate limit for this resource has been exceeded");
        match wait {
            Some(wait) => answer.header("retry-after", wait.as_secs()),
            None => answer,
        }
    }
}
