//! What every route of a kind may refuse, described once: the rest is said beside each handler.

use utoipa::openapi::{
    ContentBuilder, OpenApi, Ref, RefOr, Response, ResponseBuilder,
    path::{Operation, PathItem},
};

/// Where the database is asked.
const OF_DATABASE: [(&str, &str); 2] = [
    ("503", "`database_unavailable` or `auth_unavailable`: try again, as `Retry-After` says"),
    ("504", "`timeout`: it may still be done"),
];
/// Where that is a person.
const OF_PEOPLE: [(&str, &str); 1] = [("429", "`rate_limited`: wait as `Retry-After` says")];
/// Where something is sent along.
const OF_BODIES: [(&str, &str); 4] = [
    ("400", "`malformed_json` or `body_cut_off`"),
    ("408", "`body_timeout`: the body came too slowly"),
    ("413", "`body_too_large`"),
    ("415", "`content_encoding_unsupported`: send it as it is"),
];

/// Adds them to the routes that do not say the same in words of their own.
pub(super) fn add_to(document: &mut OpenApi) {
    for (path, item) in &mut document.paths.paths {
        let asks_database = path.starts_with("/api/") || path.starts_with("/internal/");
        for operation in operations(item) {
            add_to_operation(operation, asks_database);
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    [get, put, post, delete, patch].into_iter().flatten()
}

fn add_to_operation(operation: &mut Operation, asks_database: bool) {
    // A route that says nothing of who may call it takes a person's token.
    let is_persons = operation.security.is_none();
    let has_body = operation.request_body.is_some();
    let kinds =
        [(&OF_DATABASE[..], asks_database), (&OF_PEOPLE, is_persons), (&OF_BODIES, has_body)];
    for (refusals, _) in kinds.into_iter().filter(|(_, applies)| *applies) {
        for (status, description) in refusals {
            let responses = &mut operation.responses.responses;
            responses.entry((*status).to_owned()).or_insert_with(|| refusal(description));
        }
    }
}

fn refusal(description: &str) -> RefOr<Response> {
    let body = ContentBuilder::new().schema(Some(Ref::from_schema_name("ErrorBody"))).build();
    ResponseBuilder::new().description(description).content("application/json", body).build().into()
}
