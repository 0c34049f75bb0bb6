//! The one endpoint: who asks, what is asked, and how refusals are worded.

use serde_json::{Map, Value, json};

use super::{
    Linear,
    errors::{ErrorType, Refusal},
    resolve, schema,
    syntax::{self, Field, Operation},
    workspace::Workspace,
};
use crate::{
    oauth::Access,
    server::{
        reply::{Outcome, Reply},
        route::Turn,
    },
};

/// What a resolver works with.
pub(super) struct Asking<'t> {
    pub(super) workspace: &'t mut Workspace,
    pub(super) access: &'t Access,
    /// What an id that is taken is refused as.
    pub(super) twin_error: ErrorType,
    pub(super) sync_id: u64,
}

pub(super) fn answer(turn: &mut Turn<'_, Linear>) -> Outcome {
    let access = access(turn).map_err(|refusal| refusal.reply(None))?;
    let body = turn.json()?;
    let operation = read(&body).map_err(|refusal| refusal.reply(None))?;
    let state = &mut *turn.state;
    let workspace = state.workspaces.iter_mut().find(|known| known.id == access.account);
    let workspace = workspace.expect("grants are for workspaces that are there");
    state.sync_id += 1;
    let (twin_error, sync_id) = (state.twin_error, state.sync_id);
    let mut asking = Asking { workspace, access: &access, twin_error, sync_id };
    let mut data = Map::new();
    for field in &operation.fields {
        // No root field may be null, so one refusal leaves no data.
        let value = resolved(&mut asking, &operation, field);
        let value = value.map_err(|refusal| refusal.reply(Some(&field.alias)))?;
        data.insert(field.alias.clone(), value);
    }
    Ok(Reply::json(200, &json!({ "data": data })))
}

/// Whose token it is.
fn access(turn: &Turn<'_, Linear>) -> Result<Access, Refusal> {
    let kind = ErrorType::AuthenticationError;
    let required = "Authentication required, not authenticated";
    let credential = turn.request.authorization("Bearer");
    if credential.is_none() && !turn.request.header("authorization").is_empty() {
        // Linear's own keys go without; what OAuth gave does not.
        return Err(Refusal::mistake(kind, "the token was sent without Bearer"));
    }
    turn.oauth.bearer(credential, turn.now).map_err(|_| Refusal::new(kind, required))
}

fn read(body: &Value) -> Result<Operation, Refusal> {
    let operation = syntax::read(body).and_then(|operation| {
        schema::check(&operation)?;
        Ok(operation)
    });
    operation.map_err(|why| Refusal::mistake(ErrorType::GraphqlError, why))
}

fn resolved(
    asking: &mut Asking<'_>,
    operation: &Operation,
    field: &Field,
) -> Result<Value, Refusal> {
    let resolve: fn(&mut Asking<'_>, &Field) -> Result<Value, Refusal> = match field.name.as_str() {
        "__typename" => |_, _| Ok(Value::Null),
        "viewer" => resolve::viewer,
        "organization" => resolve::organization,
        "teams" => resolve::teams,
        "team" => resolve::team,
        "issue" => resolve::issue,
        "comment" => resolve::comment,
        "issueCreate" => resolve::issue_create,
        "issueUpdate" => resolve::issue_update,
        "commentCreate" => resolve::comment_create,
        other => unreachable!("the schema has no root field {other}"),
    };
    Ok(schema::cut(operation, field, resolve(asking, field)?))
}
