//! The questions that Linear is asked.
//!
//! <https://github.com/linear/linear/blob/master/packages/sdk/src/schema.graphql>

/// Whose token it is.
pub(super) const IDENTITY: &str = "query Identity {
  viewer { id name }
  organization { id name urlKey }
}";

/// A page of teams.
pub(super) const TEAMS: &str = "query TeamPicker($after: String, $filter: TeamFilter) {
  teams(first: 50, after: $after, filter: $filter, orderBy: updatedAt) {
    nodes { id key name private archivedAt }
    pageInfo { hasNextPage endCursor }
  }
}";

/// One team.
pub(super) const TEAM: &str = "query TeamDetails($id: String!) {
  team(id: $id) { id key name archivedAt }
}";

/// An issue with the workflow that it goes through.
pub(super) const ISSUE: &str = "query IssueById($id: String!) {
  issue(id: $id) {
    id identifier url trashed
    state { id name type }
    team { id states(first: 100) { nodes { id name type position } } }
  }
}";

/// Makes an issue.
pub(super) const ISSUE_CREATE: &str = "mutation IssueCreate($input: IssueCreateInput!) {
  issueCreate(input: $input) { success issue { id identifier url } }
}";

/// Changes an issue.
pub(super) const ISSUE_UPDATE: &str =
    "mutation IssueUpdate($id: String!, $input: IssueUpdateInput!) {
  issueUpdate(id: $id, input: $input) { success issue { id state { id type } } }
}";

/// Makes a comment.
pub(super) const COMMENT_CREATE: &str = "mutation CommentCreate($input: CommentCreateInput!) {
  commentCreate(input: $input) { success comment { id url } }
}";

/// Whether a comment is there.
pub(super) const COMMENT: &str = "query CommentById($id: String!) {
  comment(id: $id) { id }
}";
