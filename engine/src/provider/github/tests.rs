//! Tests of what is asked of GitHub, and of what its answers mean.

mod answers;

use super::*;
use crate::provider::{
    CheckStep, Delivered, PickStep, Step,
    code_host::fixture::{Case, ON_A_COMMIT, ON_A_PULL_REQUEST, SHA, finding, reply, ticket},
    contract_suite::{self, Markup, Sample},
};

const REPOSITORY_READ: &str = "GET /repos/acme/shop";
const MARK: &str = "deptex-019c94ab9a0070008000000000000009";

fn shop() -> Destination {
    Destination {
        id: "1296269".into(),
        name: "acme/shop".into(),
        settings: json!({ "full_name": "acme/shop" }),
    }
}

fn case(kind: &str, more: &Value) -> Case {
    Case::new(&GITHUB, kind, &finding(more), shop())
}

fn found() -> Case {
    case("vulnerability.found", &json!({}))
}

fn issue(state: &str) -> Value {
    json!({ "number": 12, "state": state, "body": "", "html_url": "https://github.com/acme/shop/issues/12" })
}

#[test]
fn a_commit_gets_a_status_and_a_check_run() {
    let run = json!({ "id": 5, "html_url": "https://github.com/acme/shop/runs/5" });
    let (_, verdict) = case("vulnerability.found", &json!({ "commit_sha": SHA }))
        .play(&[(201, json!({})), (201, run.clone())]);
    let delivered = Delivered {
        external_id: Some("5".into()),
        url: Some("https://github.com/acme/shop/runs/5".into()),
        ticket: None,
    };
    assert_eq!(verdict, Verdict::Delivered(delivered));
    let (calls, _) = case("vulnerability.resolved", &json!({ "commit_sha": SHA }))
        .play(&[(201, json!({})), (201, run)]);
    assert!(calls[0].contains(r#""state": "success""#), "{}", calls[0]);
    assert!(calls[1].contains(r#""conclusion": "success""#), "{}", calls[1]);
}

#[test]
fn a_repeated_check_run_changes_the_one_that_is_there() {
    let mut again = case("vulnerability.found", &json!({ "commit_sha": SHA }));
    again.unheard_for = Some(Duration::ZERO);
    let ours = json!({ "check_runs": [
        { "id": 4, "external_id": "another" },
        { "id": 5, "external_id": again.out().mark() },
    ] });
    let (calls, _) = again.play(&[(201, json!({})), (200, ours), (200, json!({ "id": 5 }))]);
    assert!(calls[1].contains("check-runs?check_name=deptex%2Fscan%3A+CVE"), "{}", calls[1]);
    assert!(calls[2].starts_with("PATCH https://api.github.com/repos/acme/shop/check-runs/5\n"));
    assert!(!calls[2].contains("head_sha"), "{}", calls[2]);
    let none = json!({ "check_runs": [] });
    let (calls, _) = again.play(&[(201, json!({})), (200, none), (201, json!({ "id": 6 }))]);
    assert!(calls[2].starts_with("POST") && calls[2].contains("(creates)"), "{}", calls[2]);
    let (_, verdict) = again.play(&[(201, json!({})), (200, json!("cut short"))]);
    assert_eq!(verdict, Verdict::Retry { after: None, hold: None });
}

#[test]
fn a_pull_request_gets_one_comment_however_often_it_is_sent() {
    let mut case = case("vulnerability.found", &json!({ "pull_request": { "number": 7 } }));
    let made =
        json!({ "id": 99, "html_url": "https://github.com/acme/shop/pull/7#issuecomment-99" });
    let (_, verdict) = case.play(&[(201, made)]);
    assert!(matches!(verdict, Verdict::Delivered(ref d) if d.external_id.as_deref() == Some("99")));
    case.unheard_for = Some(Duration::ZERO);
    let others = json!([{ "id": 1, "body": "Hello" }, { "id": 2, "body": null }]);
    let (calls, _) = case.order(&[(200, others), (201, json!({ "id": 3 }))]);
    assert_eq!(
        calls,
        ["GET /repos/acme/shop/issues/7/comments", "POST /repos/acme/shop/issues/7/comments",]
    );
    let ours = json!([{ "id": 3, "body": format!("… <!-- deptex:{MARK} -->") }]);
    let (calls, verdict) = case.play(&[(200, ours)]);
    assert!(calls[0].contains("since=2026-02-25T11%3A00%3A00Z"), "{}", calls[0]);
    assert!(matches!(verdict, Verdict::Delivered(ref d) if d.external_id.as_deref() == Some("3")));
    case.unheard_for = None;
    let missing = || (404, json!({ "message": "Not Found" }));
    let (calls, verdict) = case.order(&[missing(), (200, json!({}))]);
    assert_eq!(verdict, Verdict::Rejected("pull_request_not_found".into()));
    assert_eq!(calls[1], REPOSITORY_READ);
    let (_, verdict) = case.play(&[missing(), missing()]);
    assert_eq!(verdict, Verdict::WrongDestination("not_found".into()), "of the repository");
}

#[test]
fn a_finding_without_a_commit_becomes_an_issue() {
    let (_, verdict) = found().play(&[(201, issue("open"))]);
    let Verdict::Delivered(delivered) = verdict else { panic!("{verdict:?}") };
    let ticket = delivered.ticket.expect("a ticket");
    assert_eq!((ticket.external_id.as_str(), ticket.is_open), ("1296269#12", true));
    assert_eq!(ticket.external_key.as_deref(), Some("#12"));
    assert_eq!(delivered.url.as_deref(), Some("https://github.com/acme/shop/issues/12"));
}

#[test]
fn a_lost_answer_never_makes_a_second_issue() {
    let mut again = found();
    again.unheard_for = Some(Duration::ZERO);
    let mut ours = issue("open");
    ours["body"] = json!(format!("… <!-- deptex:{} -->", again.out().mark()));
    let mut forged = ours.clone();
    forged["pull_request"] = json!({});
    forged["number"] = json!(13);
    let (calls, verdict) = again.play(&[(200, json!([forged, ours.clone()]))]);
    assert!(calls[0].contains("issues?labels=deptex&state=all&sort=created&direction=desc"));
    let Verdict::Delivered(delivered) = verdict else { panic!("{verdict:?}") };
    assert_eq!(delivered.ticket.expect("a ticket").external_id, "1296269#12");
    let full = json!(vec![issue("open"); 30]);
    let (calls, _) = again.order(&[(200, full.clone()), (200, json!([ours]))]);
    assert_eq!(calls.len(), 2, "the second page is read as well");
    let (calls, _) = again.order(&[(200, full.clone()), (200, full), (201, issue("open"))]);
    assert_eq!(calls[2], "POST /repos/acme/shop/issues");
    let (_, verdict) = again.play(&[(200, Value::Null)]);
    assert_eq!(verdict, Verdict::Retry { after: None, hold: None }, "no proof of anything");
}

#[test]
fn an_issue_lives_and_closes_with_its_finding() {
    let resolved = |ticket| {
        let mut case = case("vulnerability.resolved", &json!({}));
        case.ticket = ticket;
        case
    };
    let again = |ticket| {
        let mut case = found();
        case.ticket = Some(ticket);
        case
    };
    let here = "/repos/acme/shop/issues/12";
    let (state, say, turn) =
        (format!("GET {here}"), format!("POST {here}/comments"), format!("PATCH {here}"));
    let create = "POST /repos/acme/shop/issues".to_owned();
    let (ok, gone) =
        ((201, json!({ "id": 1 })), (410, json!({ "message": "This issue was deleted" })));
    let is_open = |verdict: &Verdict| match verdict {
        Verdict::Delivered(delivered) => delivered.ticket.as_ref().map(|ticket| ticket.is_open),
        _ => None,
    };
    let ours = "1296269#12";
    for (case, answers, expected, open) in [
        (
            again(ticket(ours, true)),
            vec![(200, issue("open")), ok.clone()],
            vec![&state, &say],
            Some(true),
        ),
        (
            again(ticket(ours, false)),
            vec![(200, issue("closed")), (200, json!({})), ok.clone()],
            vec![&state, &turn, &say],
            Some(true),
        ),
        (
            again(ticket(ours, true)),
            vec![gone.clone(), (201, issue("open"))],
            vec![&state, &create],
            Some(true),
        ),
        (again(ticket("nonsense", true)), vec![(201, issue("open"))], vec![&create], Some(true)),
        (
            resolved(Some(ticket(ours, true))),
            vec![(200, issue("open")), ok.clone(), (200, json!({}))],
            vec![&state, &say, &turn],
            Some(false),
        ),
        (resolved(Some(ticket(ours, true))), vec![gone.clone()], vec![&state], None),
        (resolved(Some(ticket(ours, false))), vec![], vec![], None),
        (resolved(None), vec![], vec![], None),
    ] {
        let (calls, verdict) = case.order(&answers);
        assert_eq!(calls.iter().collect::<Vec<_>>(), expected);
        assert_eq!(is_open(&verdict), open, "{verdict:?}");
    }
    let code = |case: &Case, answers: &[(u16, Value)]| case.order(answers).1;
    assert_eq!(code(&resolved(None), &[]), Verdict::NothingToDo("no_ticket"));
    assert_eq!(
        code(&resolved(Some(ticket(ours, false))), &[]),
        Verdict::NothingToDo("already_closed")
    );
    assert_eq!(
        code(&resolved(Some(ticket(ours, true))), &[gone]),
        Verdict::NothingToDo("ticket_gone")
    );
}

#[test]
fn a_ticket_stays_in_the_repository_that_it_was_opened_in() {
    let mut moved = found();
    moved.ticket = Some(ticket("77#12", true));
    let (calls, _) = moved.order(&[(200, issue("open")), (201, json!({ "id": 1 }))]);
    assert_eq!(calls[1], "POST /repositories/77/issues/12/comments");
}

#[test]
fn a_resolved_finding_marks_its_commit_and_closes_its_issue() {
    let mut case = case("vulnerability.resolved", &json!({ "commit_sha": SHA, "pull_request": 7 }));
    case.ticket = Some(ticket("1296269#12", true));
    let (calls, verdict) = case.order(&[
        (201, json!({})),
        (201, json!({ "id": 5 })),
        (200, issue("open")),
        (201, json!({ "id": 1 })),
        (200, json!({})),
    ]);
    assert_eq!(calls.last().map(String::as_str), Some("PATCH /repos/acme/shop/issues/12"));
    let Verdict::Delivered(delivered) = verdict else { panic!("{verdict:?}") };
    assert!(!delivered.ticket.expect("a ticket").is_open);
    case.ticket = None;
    let (calls, _) =
        case.order(&[(201, json!({})), (201, json!({ "id": 5 })), (201, json!({ "id": 1 }))]);
    assert_eq!(calls[2], "POST /repos/acme/shop/issues/7/comments");
}

#[test]
fn a_fold_never_makes_more_than_eight_calls() {
    let mut case = case("vulnerability.resolved", &json!({ "commit_sha": SHA, "pull_request": 7 }));
    case.ticket = Some(ticket("1296269#12", true));
    case.unheard_for = Some(Duration::ZERO);
    let full = json!(vec![json!({ "id": 1, "body": "Hello" }); 30]);
    let (calls, _) = case.order(&[
        (201, json!({})),
        (200, json!({ "check_runs": [] })),
        (201, json!({ "id": 5 })),
        (200, issue("open")),
        (200, full.clone()),
        (200, full),
        (201, json!({ "id": 1 })),
        (200, json!({})),
    ]);
    assert_eq!(calls.len(), 8);
}

#[test]
fn without_a_destination_it_waits() {
    let mut case = found();
    case.destination = None;
    assert_eq!(case.play(&[]).1, Verdict::NoDestination);
}

#[test]
fn every_call_names_the_version_and_follows_a_renamed_repository() {
    let case = found();
    let Step::Call(call) = (GITHUB.advance)(&case.out(), &[]) else { panic!("a call") };
    assert_eq!(call.headers["accept"], "application/vnd.github+json");
    assert_eq!(call.headers["x-github-api-version"], "2022-11-28");
    assert!(call.follows);
}

fn page(names: &[&str], total: u64) -> Reply {
    let repositories: Vec<Value> = names
        .iter()
        .enumerate()
        .map(|(at, name)| json!({ "id": at, "full_name": name, "archived": name.ends_with("old") }))
        .collect();
    reply(200, &[], &json!({ "total_count": total, "repositories": repositories }).to_string())
}

#[test]
fn repositories_are_listed_in_pages() {
    let case = found();
    let ask = |page, replies: &[Reply]| list(&case.picking(page, None), replies);
    let PickStep::Call(call) = ask(Some("3"), &[]) else { panic!("a call") };
    assert_eq!(
        call.url.as_str(),
        "https://api.github.com/installation/repositories?per_page=50&page=3"
    );
    let PickStep::Page(found, next) = ask(Some("1"), &[page(&["acme/shop", "acme/old"], 51)])
    else {
        panic!("a page");
    };
    assert_eq!(found.iter().map(|f| f.name.as_str()).collect::<Vec<_>>(), ["acme/shop"]);
    assert_eq!(next.as_deref(), Some("2"));
    let PickStep::Page(_, next) = ask(Some("2"), &[page(&["acme/b"], 51)]) else {
        panic!("a page");
    };
    assert_eq!(next, None);
    let refused = |reply| matches!(ask(None, &[reply]), PickStep::Refused(_));
    assert!(refused(reply(401, &[], "")) && refused(reply(200, &[], "cut short")));
}

#[test]
fn a_choice_is_read_before_it_is_taken() {
    let case = found();
    let ask = |id, replies: &[Reply]| check(&case.choosing(id), replies);
    for (id, path) in [("1296269", "/repositories/1296269"), ("acme/shop", "/repos/acme/shop")] {
        let CheckStep::Call(call) = ask(id, &[]) else { panic!("a call") };
        assert_eq!(call.url.path(), path);
    }
    for bad in ["", "../user", "acme", "acme/..", "acme/shop/issues", "acme/sh op", "1296269?x"] {
        assert!(matches!(ask(bad, &[]), CheckStep::Unusable(_)), "{bad}");
    }
    let repository = r#"{"id":1296269,"full_name":"acme/shop","archived":false}"#;
    let CheckStep::Fine(found) = ask("1296269", &[reply(200, &[], repository)]) else {
        panic!("fine");
    };
    assert_eq!(found, shop());
    let archived = repository.replace("false", "true");
    for (status, body) in [(200, archived.as_str()), (404, "{}")] {
        assert!(matches!(ask("1296269", &[reply(status, &[], body)]), CheckStep::Unusable(_)));
    }
    assert!(matches!(ask("1296269", &[reply(502, &[], "")]), CheckStep::Refused(_)));
}

#[test]
fn github_holds_to_the_contract() {
    contract_suite::check(&GITHUB, &sample());
}

fn answer(call: &Call) -> Reply {
    let body = match (call.method.as_str(), call.url.path()) {
        ("GET", path) if path.ends_with("/check-runs") => json!({ "check_runs": [] }),
        ("GET", path) if path.ends_with("/comments") => json!([]),
        ("GET", path) if path.ends_with("/issues") => json!([]),
        ("GET" | "PATCH", path) if path.ends_with("/12") => issue("open"),
        ("POST", path) if path.ends_with("/issues") => issue("open"),
        ("POST", _) => json!({ "id": 1, "html_url": "https://github.com/acme/shop/runs/1" }),
        _ => return reply(404, &[], "{}"),
    };
    reply(if call.method == "POST" { 201 } else { 200 }, &[], &body.to_string())
}

fn sample() -> Sample {
    Sample {
        installation_id: "42",
        destination: Some(shop()),
        ticket: Some(ticket("1296269#12", true)),
        events: &[
            ("a commit", "vulnerability.found", ON_A_COMMIT),
            ("a pull request", "vulnerability.found", ON_A_PULL_REQUEST),
        ],
        answer,
        limits: &[
            ("/title", 255),
            ("/body", 65_536),
            ("/description", 140),
            ("/context", 255),
            ("/output/summary", 65_535),
        ],
        markup: &[("/body", Markup::Markdown), ("/output/summary", Markup::Markdown)],
        ..Sample::default()
    }
}
