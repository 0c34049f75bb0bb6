//! Tests of Jira Cloud: the life of an issue.

mod choice;
mod refusals;

use serde_json::{Value, json};

use super::*;
use crate::{
    provider::{
        CheckStep, Hosts, Ticket, TokenRefused,
        contract_suite::{self, Sample, reply},
        ticket::fixture::{Case, DELIVERY_MARK, says, says_with, who},
    },
    secret::Secret,
};

fn case() -> Case {
    let id = "1324a887-45db-1bf4-1e99-ef0ff456d421";
    let metadata = json!({ "cloud_id": id, "site_url": "https://example.atlassian.net" });
    Case::new(&JIRA_CLOUD, id, metadata, destination())
}

fn destination() -> Destination {
    Destination {
        id: "10000".into(),
        name: "SEC — Security".into(),
        settings: json!({ "project_key": "SEC", "issue_type": "10004" }),
    }
}

fn ticket() -> Ticket {
    Ticket {
        external_id: "10024".into(),
        external_key: Some("SEC-24".into()),
        url: Some("https://example.atlassian.net/browse/SEC-24".into()),
        is_open: true,
    }
}

fn created() -> Reply {
    says(201, json!({ "id": "10024", "key": "SEC-24", "self": "https://x/issue/10024" }))
}

fn status(category: &str) -> Reply {
    let status = json!({ "name": "A status", "statusCategory": { "key": category } });
    says(200, json!({ "id": "10024", "key": "SEC-24", "fields": { "status": status } }))
}

fn transitions(steps: &[(&str, &str)]) -> Reply {
    let step = |(id, category): &(&str, &str)| {
        let to = json!({ "name": "Somewhere", "statusCategory": { "key": category } });
        json!({ "id": id, "name": "A step", "to": to })
    };
    says(200, json!({ "transitions": steps.iter().map(step).collect::<Vec<_>>() }))
}

fn gone() -> Reply {
    says(404, json!({ "errorMessages": ["Issue does not exist."], "errors": {} }))
}

fn is_in(ticket: &Ticket, is_open: bool, verdict: &Verdict) {
    match verdict {
        Verdict::Delivered(delivered) => {
            assert_eq!(delivered.external_id.as_deref(), Some("SEC-24"));
            assert_eq!(delivered.url, ticket.url);
            assert_eq!(delivered.ticket, Some(Ticket { is_open, ..ticket.clone() }));
        }
        other => panic!("{other:?}"),
    }
}

const API: &str =
    "https://api.atlassian.com/ex/jira/1324a887-45db-1bf4-1e99-ef0ff456d421/rest/api/3";
const STATUS: &str = "GET … /issue/10024?fields=status";
const STEPS: &str = "GET … /issue/10024/transitions?expand=transitions.fields";
const COMMENTS: &str = "GET … /issue/10024/comment?orderBy=-created";
const COMMENT: &str = "POST … /issue/10024/comment ";
const STEP: &str = "POST … /issue/10024/transitions ";
const CREATE: &str = "/issue {";

#[test]
fn a_finding_makes_an_issue_with_a_mark() {
    let mark = case().lend(|out| out.mark());
    let call = [
        &format!("POST {API}/issue {{"),
        &format!(r#""labels":["deptex","severity-critical","{mark}"]"#),
        r#""project":{"id":"10000"}"#,
        r#""issuetype":{"id":"10004"}"#,
        r#""key":"deptex.delivery","value":{"id":"01890000-"#,
    ];
    is_in(&ticket(), true, &case().play(&[(&call.join(" … "), created())]));
}

#[test]
fn a_repeat_looks_for_the_issue_before_it_makes_one() {
    let mark = case().lend(|out| out.mark());
    let look = format!("POST {API}/search/jql … labels = \\\"{mark}\\\"");
    let found = |category: &str| says(200, json!({ "issues": [status(category).json()] }));
    is_in(&ticket(), true, &case().again().play(&[(&look, found("new"))]));
    is_in(&ticket(), false, &case().again().play(&[(&look, found("done"))]));
    let nothing = || says(200, json!({ "issues": [] }));
    for (unheard_for, left) in [(0, 30), (12, 18)] {
        let mut early = case().again();
        early.attempt = 3;
        early.unheard_for = Some(Duration::from_secs(unheard_for));
        let after = Some(Duration::from_secs(left));
        let verdict = early.play(&[(&look, nothing())]);
        assert_eq!(verdict, Verdict::Retry { after, hold: None }, "the index may lag behind");
    }
    let mut late = case().again();
    late.unheard_for = Some(Duration::from_secs(30));
    is_in(&ticket(), true, &late.play(&[(&look, nothing()), (CREATE, created())]));
    let mut refused_before = case();
    refused_before.attempt = 2;
    is_in(&ticket(), true, &refused_before.play(&[(&look, nothing()), (CREATE, created())]));
}

#[test]
fn a_repeated_finding_is_a_comment_and_opens_what_was_closed() {
    let open = case().with(&ticket(), true);
    let again = "POST … /issue/10024/comment … Reported again.";
    let said = || says(201, json!({ "id": "1" }));
    is_in(&ticket(), true, &open.play(&[(STATUS, status("new")), (again, said())]));

    let closed = || case().with(&ticket(), false);
    let steps = || transitions(&[("31", "done"), ("11", "new")]);
    let reopened = "POST … /issue/10024/comment … Deptex reopened this ticket";
    let step = r#"POST … /issue/10024/transitions {"transition":{"id":"11"}}"#;
    is_in(
        &ticket(),
        true,
        &closed().play(&[
            (STATUS, status("done")),
            (STEPS, steps()),
            (step, says(204, Value::Null)),
            (reopened, said()),
        ]),
    );
    let stays = "POST … /issue/10024/comment … no step that reopens this ticket";
    for (steps, refused) in [(transitions(&[("31", "done")]), None), (steps(), Some(400))] {
        let mut script = vec![(STATUS, status("done")), (STEPS, steps)];
        script.extend(refused.map(|status| (step, says(status, json!({})))));
        script.push((stays, said()));
        is_in(&ticket(), false, &closed().play(&script));
    }
    is_in(&ticket(), true, &closed().play(&[(STATUS, status("new")), (again, said())]));
}

#[test]
fn a_resolution_is_a_comment_and_closes_by_the_workflow() {
    let case = || case().of("vulnerability.resolved").with(&ticket(), true);
    let said = || says(201, json!({ "id": "1" }));
    let closes = "POST … /issue/10024/comment … Deptex closes this ticket.";
    let step = r#"POST … /issue/10024/transitions {"transition":{"id":"31"}}"#;
    let steps = || transitions(&[("11", "new"), ("31", "done")]);
    let begin = || vec![(STATUS, status("indeterminate")), (STEPS, steps()), (closes, said())];
    let mut script = begin();
    script.push((step, says(204, Value::Null)));
    is_in(&ticket(), false, &case().play(&script));

    let mut refused = begin();
    refused.push((step, says(400, json!({ "errorMessages": ["A reviewer is missing."] }))));
    assert_eq!(case().play(&refused), Verdict::Rejected("transition_refused".into()));

    let stays = "POST … /issue/10024/comment … no step that closes this ticket";
    let none = transitions(&[("11", "new")]);
    let script = [(STATUS, status("new")), (STEPS, none), (stays, said())];
    is_in(&ticket(), true, &case().play(&script));

    let already = "POST … /issue/10024/comment … is closed already";
    is_in(&ticket(), false, &case().play(&[(STATUS, status("done")), (already, said())]));
}

#[test]
fn a_repeat_does_not_comment_twice() {
    let mark =
        json!({ "comments": [{ "body": { "href": format!("https://d/#{DELIVERY_MARK}") } }] });
    let found = case().with(&ticket(), true).again();
    let script = [(STATUS, status("new")), (COMMENTS, says(200, mark.clone()))];
    is_in(&ticket(), true, &found.play(&script));
    let other = says(200, json!({ "comments": [{ "body": "deptex-0" }] }));
    let said = says(201, json!({ "id": "1" }));
    is_in(
        &ticket(),
        true,
        &found.play(&[(STATUS, status("new")), (COMMENTS, other), (COMMENT, said)]),
    );

    let resolved = case().of("vulnerability.resolved").with(&ticket(), true).again();
    let script = [
        (STATUS, status("new")),
        (STEPS, transitions(&[("31", "done")])),
        (COMMENTS, says(200, mark)),
        (STEP, says(204, Value::Null)),
    ];
    is_in(&ticket(), false, &resolved.play(&script));
}

#[test]
fn an_issue_that_people_removed_is_made_anew_or_left() {
    let found = || case().with(&ticket(), true);
    let mark = found().lend(ticket::ticket_mark);
    assert_ne!(mark, case().lend(|out| out.mark()), "the removed one keeps its own");
    let create = format!("{CREATE} … {mark}");
    is_in(&ticket(), true, &found().play(&[(STATUS, gone()), (&create, created())]));
    let script = [(STATUS, status("new")), (COMMENT, gone()), (&create, created())];
    is_in(&ticket(), true, &found().play(&script));
    let resolved = || found().of("vulnerability.resolved");
    assert_eq!(resolved().play(&[(STATUS, gone())]), Verdict::NothingToDo("ticket_gone"));
    let script = [(STATUS, status("done")), (COMMENT, gone())];
    assert_eq!(resolved().play(&script), Verdict::NothingToDo("ticket_gone"));
}

#[test]
fn what_is_closed_or_was_never_there_needs_nothing() {
    let resolved = || case().of("vulnerability.resolved");
    assert_eq!(resolved().play(&[]), Verdict::NothingToDo("no_ticket"));
    let closed = resolved().with(&ticket(), false);
    assert_eq!(closed.play(&[]), Verdict::NothingToDo("already_closed"));
    let mut waiting = resolved();
    waiting.destination = None;
    assert_eq!(waiting.play(&[]), Verdict::NoDestination, "it stays behind the finding");
    let mut nowhere = case();
    (nowhere.metadata, nowhere.installation_id) = (json!({}), "../admin");
    assert_eq!(nowhere.play(&[]), Verdict::Reauth("place_unknown".into()));
}

#[test]
fn an_answer_that_does_not_name_the_issue_is_looked_behind() {
    let verdict = case().play(&[(CREATE, says(201, json!({ "self": "https://x" })))]);
    assert_eq!(verdict, Verdict::Retry { after: None, hold: None });
}

/// The fixture's answers come at 12:00:03.
#[test]
fn the_last_fifth_of_the_hours_points_is_spread_over_what_is_left_of_it() {
    let spread = |remaining, near| {
        let reset = ("x-ratelimit-reset", "2026-02-25T12:40:03Z");
        let headers =
            [("x-ratelimit-remaining", remaining), ("x-ratelimit-nearlimit", near), reset];
        budget(&says_with(201, &headers, json!({})))
    };
    let hold = |seconds: f64| {
        Some(Hold { wait: Duration::from_secs_f64(seconds), shared_by: SharedBy::Installation })
    };
    for (remaining, near, expected) in [
        ("60000", "false", None),
        ("12000", "true", hold(1.0)),
        ("50", "true", hold(240.0)),
        ("3", "true", hold(2_400.0)),
        ("0", "false", hold(2_400.0)),
        ("?", "true", None),
    ] {
        assert_eq!(spread(remaining, near), expected, "{remaining} {near}");
    }
    assert_eq!(budget(&says(201, json!({}))), None);
}

#[test]
fn it_holds_to_the_contract() {
    contract_suite::check(
        &JIRA_CLOUD,
        &Sample {
            metadata: case().metadata,
            destination: Some(destination()),
            ticket: Some(ticket()),
            answer: |call| match (call.method.as_str(), call.url.path()) {
                ("GET", path) if path.ends_with("/transitions") => {
                    transitions(&[("11", "new"), ("31", "done")])
                }
                ("GET", path) if path.ends_with("/comment") => says(200, json!({ "comments": [] })),
                ("GET", _) => status("indeterminate"),
                ("POST", path) if path.ends_with("/search/jql") => {
                    says(200, json!({ "issues": [] }))
                }
                ("POST", path) if path.ends_with("/transitions") => says(204, Value::Null),
                ("POST", path) if path.ends_with("/comment") => says(201, json!({ "id": "1" })),
                _ => created(),
            },
            limits: &[
                ("/fields/summary", 255),
                ("/fields/description/content/1/content/0/text", 32_767),
            ],
            body_bytes_max: 32_767,
            ..Sample::default()
        },
    );
}
