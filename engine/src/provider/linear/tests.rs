//! Tests of Linear: the life of an issue with ids of ours, and failures that look like successes.

mod linking;

use serde_json::{Value, json};

use super::*;
use crate::provider::{
    Client, Hold, Step, Ticket, Verdict,
    contract_suite::{self, Markup, Sample},
    ticket::fixture::{Case, says, says_with, who},
};

fn case() -> Case {
    Case::new(&LINEAR, "org-1", json!({ "linear_org_id": "org-1" }), destination())
}

fn destination() -> Destination {
    Destination { id: "team-1".into(), name: "SEC — Security".into(), settings: Value::Null }
}

fn ticket() -> Ticket {
    Ticket {
        external_id: "11111111-2222-4333-8444-555555555555".into(),
        external_key: Some("SEC-7".into()),
        url: Some("https://linear.app/acme/issue/SEC-7".into()),
        is_open: true,
    }
}

fn issue(kind: &str) -> Value {
    let state = |id: &str, kind: &str, position: f64| json!({ "id": id, "name": id, "type": kind, "position": position });
    let states = json!([
        state("canceled", "canceled", 0.0),
        state("later", "completed", 9.0),
        state("done", "completed", 3.0),
        state("doing", "started", 2.0),
        state("todo", "unstarted", 1.0),
        state("backlog", "backlog", 0.0),
    ]);
    json!({
        "id": ticket().external_id, "identifier": "SEC-7", "url": ticket().url, "trashed": null,
        "state": state("s", kind, 1.0), "team": { "id": "team-1", "states": { "nodes": states } },
    })
}

fn shows(kind: &str) -> Reply {
    says(200, json!({ "data": { "issue": issue(kind) } }))
}

fn made(what: &str) -> Reply {
    says(200, json!({ "data": { what: { "success": true, "issue": issue("unstarted") } } }))
}

fn fails(status: u16, kind: &str, message: &str) -> Reply {
    let extensions = json!({ "type": kind, "code": kind, "userError": true });
    says(
        status,
        json!({ "errors": [{ "message": message, "extensions": extensions }], "data": null }),
    )
}

fn not_there() -> Reply {
    fails(200, "invalid input", "Entity not found: Issue")
}

fn is_in(is_open: bool, verdict: &Verdict) {
    match verdict {
        Verdict::Delivered(delivered) => {
            assert_eq!(delivered.external_id.as_deref(), Some("SEC-7"));
            assert_eq!(delivered.ticket, Some(Ticket { is_open, ..ticket() }));
        }
        other => panic!("{other:?}"),
    }
}

const CREATE: &str = "POST https://api.linear.app/graphql … mutation IssueCreate";
const ISSUE: &str = "query IssueById";
const COMMENT: &str = "mutation CommentCreate";
const UPDATE: &str = "mutation IssueUpdate";

#[test]
fn a_finding_makes_an_issue_under_an_id_of_ours() {
    let id = case().lend(|out| ticket::as_v4(out.ticket_key()).to_string());
    let call = format!(r#"{CREATE} … "id":"{id}" … "priority":1 … "teamId":"team-1""#);
    is_in(true, &case().play(&[(&call, made("issueCreate"))]));
    is_in(true, &case().again().play(&[(&call, made("issueCreate"))]));
    assert!(
        matches!(case().lend(|out| (LINEAR.advance)(out, &[])), Step::Call(call) if !call.creates)
    );
}

#[test]
fn a_refusal_may_mean_that_the_issue_is_there() {
    let taken = || fails(400, "invalid input", "conflict on insert of Issue: record exists");
    is_in(true, &case().again().play(&[(CREATE, taken()), (ISSUE, shows("started"))]));
    is_in(false, &case().again().play(&[(CREATE, taken()), (ISSUE, shows("completed"))]));
    let verdict = case().play(&[(CREATE, taken()), (ISSUE, not_there())]);
    assert_eq!(verdict, Verdict::Rejected("invalid_input".into()));
    // A repeat that is refused by what looks like trouble of Linear's own.
    let trouble = || fails(200, "internal error", "Internal server error");
    is_in(true, &case().again().play(&[(CREATE, trouble()), (ISSUE, shows("started"))]));
    let retry = Verdict::Retry { after: None, hold: None };
    assert_eq!(case().again().play(&[(CREATE, trouble()), (ISSUE, not_there())]), retry);
    assert_eq!(case().play(&[(CREATE, trouble())]), retry, "nothing was made before");
    let mut trashed = issue("started");
    trashed["trashed"] = json!(true);
    let trashed = says(200, json!({ "data": { "issue": trashed } }));
    let verdict = case().play(&[(CREATE, taken()), (ISSUE, trashed)]);
    assert_eq!(verdict, Verdict::Rejected("invalid_input".into()), "nobody looks there");
}

#[test]
fn a_repeated_finding_is_a_comment_and_opens_what_is_done() {
    let comment_id = case().lend(|out| ticket::as_v4(out.delivery_id.0).to_string());
    let again = format!(r#"{COMMENT} … Reported again. … "id":"{comment_id}""#);
    let open = case().with(&ticket(), true);
    is_in(true, &open.play(&[(ISSUE, shows("started")), (&again, made("commentCreate"))]));
    for kind in ["completed", "canceled", "duplicate"] {
        let script = [
            (ISSUE, shows(kind)),
            (r#"IssueUpdate … "stateId":"todo""#, made("issueUpdate")),
            ("CommentCreate … Deptex reopened this ticket", made("commentCreate")),
        ];
        is_in(true, &case().with(&ticket(), false).play(&script));
    }
    let stays = [
        (ISSUE, shows("completed")),
        (UPDATE, fails(200, "invalid input", "no")),
        ("CommentCreate … no step that reopens", made("commentCreate")),
    ];
    is_in(false, &case().with(&ticket(), false).play(&stays));
}

#[test]
fn a_comment_that_is_there_already_is_not_made_twice() {
    let taken = fails(400, "invalid input", "duplicate");
    let script = [
        (ISSUE, shows("started")),
        (COMMENT, taken.clone()),
        ("query CommentById", says(200, json!({ "data": { "comment": { "id": "x" } } }))),
    ];
    is_in(true, &case().with(&ticket(), true).again().play(&script));
    let script = [
        (ISSUE, shows("started")),
        (COMMENT, fails(200, "internal error", "Internal server error")),
        ("query CommentById", says(200, json!({ "data": { "comment": { "id": "x" } } }))),
    ];
    is_in(true, &case().with(&ticket(), true).again().play(&script));
    let script = [(ISSUE, shows("started")), (COMMENT, taken), ("query CommentById", not_there())];
    let verdict = case().with(&ticket(), true).play(&script);
    assert_eq!(verdict, Verdict::Rejected("invalid_input".into()));
}

#[test]
fn a_resolution_is_a_comment_and_closes_by_the_teams_workflow() {
    let resolved = || case().of("vulnerability.resolved").with(&ticket(), true);
    let closes = "CommentCreate … Deptex closes this ticket.";
    let script = [
        (ISSUE, shows("started")),
        (closes, made("commentCreate")),
        (r#"IssueUpdate … "stateId":"done""#, made("issueUpdate")),
    ];
    is_in(false, &resolved().play(&script));
    let refused = [
        (ISSUE, shows("started")),
        (closes, made("commentCreate")),
        (UPDATE, says(200, json!({ "data": { "issueUpdate": { "success": false } } }))),
    ];
    assert_eq!(resolved().play(&refused), Verdict::Rejected("transition_refused".into()));
    let already = [(ISSUE, shows("canceled")), ("is closed already", made("commentCreate"))];
    is_in(false, &resolved().play(&already));
    let mut nowhere = issue("started");
    nowhere["team"]["states"]["nodes"] = json!([]);
    let script = [
        (ISSUE, says(200, json!({ "data": { "issue": nowhere } }))),
        ("no step that closes", made("commentCreate")),
    ];
    is_in(true, &resolved().play(&script));
}

#[test]
fn an_issue_that_people_removed_is_made_anew_under_another_id() {
    let first = case().lend(|out| ticket::as_v4(out.ticket_key()).to_string());
    let found = || case().with(&ticket(), true);
    let mut trashed = issue("started");
    trashed["trashed"] = json!(true);
    for state in [not_there(), says(200, json!({ "data": { "issue": trashed } }))] {
        is_in(true, &found().play(&[(ISSUE, state.clone()), (CREATE, made("issueCreate"))]));
        let verdict = found().of("vulnerability.resolved").play(&[(ISSUE, state)]);
        assert_eq!(verdict, Verdict::NothingToDo("ticket_gone"));
    }
    let second = found().lend(|out| match (LINEAR.advance)(out, &[not_there()]) {
        Step::Call(call) => String::from_utf8_lossy(&call.body).into_owned(),
        end => panic!("{end:?}"),
    });
    assert!(second.contains("IssueCreate") && !second.contains(&first), "{second}");
    let script = [(ISSUE, shows("started")), (COMMENT, not_there()), (CREATE, made("issueCreate"))];
    is_in(true, &found().play(&script));
}

#[test]
fn every_refusal_has_its_verdict_whatever_its_status() {
    let dest = |code: &'static str| Verdict::WrongDestination(code.into());
    let retry = Verdict::Retry { after: None, hold: None };
    for (kind, message, expected) in [
        ("AuthenticationError", "", Verdict::Unauthorized),
        ("AUTHENTICATION_ERROR", "", Verdict::Unauthorized),
        ("authentication error", "", Verdict::Unauthorized),
        ("forbidden", "", dest("forbidden")),
        ("feature not accessible", "", dest("feature_not_accessible")),
        ("FeatureNotAccessible", "", dest("feature_not_accessible")),
        ("invalid input", "Entity not found: Team - could not find", dest("not_found")),
        ("InternalError", "", retry.clone()),
        ("INTERNAL_SERVER_ERROR", "", retry.clone()),
        ("lock timeout", "", retry.clone()),
        ("BootstrapError", "", retry.clone()),
        ("network error", "", retry.clone()),
        ("something new", "", retry.clone()),
        ("UsageLimitExceeded", "", Verdict::Suspended("usage_limit_exceeded")),
    ] {
        for status in [200, 400] {
            let verdict = case().play(&[(CREATE, fails(status, kind, message))]);
            assert_eq!(verdict, expected, "{kind} {status}");
        }
    }
    for (kind, code) in [
        ("invalid input", "invalid_input"),
        ("UserError", "user_error"),
        ("graphql error", "graphql_error"),
        ("GRAPHQL_VALIDATION_FAILED", "graphql_error"),
    ] {
        let verdict = case().play(&[(CREATE, fails(400, kind, "no")), (ISSUE, not_there())]);
        assert_eq!(verdict, Verdict::Rejected(code.into()), "{kind}");
    }
    for (reply, expected) in [
        (says(401, json!({})), Verdict::Unauthorized),
        (says(403, json!({})), dest("forbidden")),
        (says(502, json!("<html>")), retry.clone()),
        (says(200, json!("<html>")), retry.clone()),
        (
            says(200, json!({ "data": { "issueCreate": { "success": true, "issue": null } } })),
            retry,
        ),
    ] {
        assert_eq!(case().play(&[(CREATE, reply)]), expected);
    }
}

#[test]
fn of_several_errors_the_gravest_counts() {
    let rank = ["authentication error", "usage limit exceeded", "ratelimited", "forbidden"];
    let rank = rank.iter().chain(&["invalid input", "internal error"]).copied();
    let errors: Vec<Value> = rank
        .map(|kind| json!({ "message": "no", "extensions": { "type": kind, "code": kind } }))
        .collect();
    let verdict_on = |errors: &[Value]| verdict(&says(200, json!({ "errors": errors })));
    for (place, graver) in errors.iter().enumerate() {
        let expected = verdict_on(std::slice::from_ref(graver));
        for other in &errors[place..] {
            for pair in [[graver.clone(), other.clone()], [other.clone(), graver.clone()]] {
                assert_eq!(verdict_on(&pair), expected, "{pair:?}");
            }
        }
    }
}

/// The fixture's answers come at 12:00:03.
#[test]
fn rate_limits_are_told_in_milliseconds_and_held_by_the_workspace() {
    let at = |time: &str| {
        let at: crate::clock::Timestamp = format!("2026-02-25T{time}Z").parse().expect("a time");
        at.timestamp_millis().to_string()
    };
    let (soon, late) = (at("12:10:03"), at("12:40:03"));
    let requests =
        [("x-ratelimit-requests-remaining", "0"), ("x-ratelimit-requests-reset", &*soon)];
    let complexity =
        [("x-ratelimit-complexity-remaining", "0.5"), ("x-ratelimit-complexity-reset", &*late)];
    let left = [("x-ratelimit-requests-remaining", "12"), ("x-ratelimit-requests-reset", &*late)];
    let endpoint = [
        ("x-ratelimit-endpoint-requests-remaining", "0"),
        ("x-ratelimit-endpoint-requests-reset", &*soon),
    ];
    let limited =
        json!({ "errors": [{ "message": "slow down", "extensions": { "code": "RATELIMITED" } }] });
    for (headers, seconds) in [
        (requests.to_vec(), 600),
        ([requests, complexity].concat(), 2_400),
        ([left, endpoint].concat(), 600),
        (left.to_vec(), 60),
        (vec![("retry-after", "90")], 90),
        (vec![], 60),
    ] {
        let expected = Verdict::hold(Duration::from_secs(seconds), SharedBy::Installation);
        for status in [200, 400, 429] {
            let verdict = case().play(&[(CREATE, says_with(status, &headers, limited.clone()))]);
            assert_eq!(verdict, expected, "{status} {headers:?}");
        }
    }
    let bare = says_with(400, &requests, json!("limited"));
    let expected = Verdict::hold(Duration::from_secs(600), SharedBy::Installation);
    assert_eq!(case().play(&[(CREATE, bare)]), expected, "without a body that says so");

    let spared = |headers: &[_]| budget(&says_with(200, headers, json!({})));
    let hold = |seconds| {
        Some(Hold { wait: Duration::from_secs(seconds), shared_by: SharedBy::Installation })
    };
    assert_eq!(spared(&requests), hold(600));
    assert_eq!(spared(&[requests, complexity].concat()), hold(2_400));
    assert_eq!((spared(&left), spared(&[])), (None, None));
    let heeds = case().lend(|out| match (LINEAR.advance)(out, &[]) {
        Step::Call(call) => call.heeds,
        end => panic!("{end:?}"),
    });
    assert_eq!(heeds(&says_with(200, &requests, json!({}))), hold(600));
}

#[test]
fn it_holds_to_the_contract() {
    contract_suite::check(
        &LINEAR,
        &Sample {
            metadata: case().metadata,
            destination: Some(destination()),
            ticket: Some(ticket()),
            answer: |call| {
                let body = String::from_utf8_lossy(&call.body);
                match ["IssueCreate", "IssueUpdate", "CommentCreate"]
                    .iter()
                    .find(|name| body.contains(&format!("mutation {name}")))
                {
                    Some(name) => made(&format!("{}{}", name[..1].to_lowercase(), &name[1..])),
                    None => shows("started"),
                }
            },
            limits: &[("/variables/input/title", 255), ("/variables/input/description", 10_000)],
            markup: &[("/variables/input/description", Markup::Markdown)],
            ..Sample::default()
        },
    );
}
