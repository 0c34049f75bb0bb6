//! Tests of what is asked of Bitbucket, and of what its answers mean.

use super::*;
use crate::provider::{
    code_host::fixture::{Case, ON_A_COMMIT, ON_A_PULL_REQUEST, SHA, finding, reply},
    contract_suite::{self, Markup, Sample},
};

const WORKSPACE: &str = "{470c176d-3574-44ea-bb41-89e8638bcca4}";
const REPOSITORY: &str = "{ef9f1c31-b0c7-4ae5-a1aa-0a3e8c9d4b11}";
const HERE: &str = "/2.0/repositories/%7B470c176d-3574-44ea-bb41-89e8638bcca4%7D\
                    /%7Bef9f1c31-b0c7-4ae5-a1aa-0a3e8c9d4b11%7D";

fn shop() -> Destination {
    Destination {
        id: REPOSITORY.into(),
        name: "acme/shop".into(),
        settings: json!({ "full_name": "acme/shop" }),
    }
}

fn case(kind: &str, data: &Value) -> Case {
    let mut case = Case::new(&BITBUCKET, kind, data, shop());
    case.installation_id = WORKSPACE;
    case
}

fn finding_on(more: &Value) -> Case {
    case("vulnerability.found", &finding(more))
}

#[test]
fn a_commit_gets_a_build_status_of_its_findings_own_key() {
    let found = finding_on(&json!({ "commit_sha": SHA }));
    let (_, verdict) = found.play(&[(201, json!({}))]);
    let Verdict::Delivered(delivered) = verdict else { panic!("{verdict:?}") };
    let key = delivered.external_id.expect("a key");
    assert!(key.len() <= 40 && key.starts_with("deptex-"), "{key}");
    let page = format!("https://bitbucket.org/acme/shop/commits/{SHA}");
    assert_eq!(delivered.url.as_deref(), Some(page.as_str()));
    let resolved = case("vulnerability.resolved", &finding(&json!({ "commit_sha": SHA })));
    let (calls, verdict) = resolved.play(&[(201, json!({}))]);
    assert!(calls[0].contains(r#""state": "SUCCESSFUL""#), "{}", calls[0]);
    assert!(matches!(verdict, Verdict::Delivered(d) if d.external_id.as_deref() == Some(&*key)));
}

#[test]
fn a_pull_request_gets_one_comment_however_often_it_is_sent() {
    let mut case = finding_on(&json!({ "pull_request": { "id": 7 } }));
    let href = "https://bitbucket.org/acme/shop/pull-requests/7/_/diff#comment-99";
    let made = json!({ "id": 99, "links": { "html": { "href": href } } });
    let (calls, verdict) = case.play(&[(201, made)]);
    let Verdict::Delivered(delivered) = verdict else { panic!("{verdict:?}") };
    assert_eq!(delivered.url.as_deref(), Some(href));
    assert!(!calls[0].contains("<!--"), "Bitbucket would show it: {}", calls[0]);
    case.unheard_for = Some(Duration::ZERO);
    let raw = "… [View in Deptex](https://app.deptex.io/x#deptex-019c94ab9a0070008000000000000009)";
    let ours = json!({ "values": [
        { "id": 1, "content": { "raw": "Hello" } },
        { "id": 3, "content": { "raw": raw } },
    ] });
    let (calls, verdict) = case.play(&[(200, ours)]);
    assert!(calls[0].contains("comments?sort=-created_on"), "{}", calls[0]);
    assert!(matches!(verdict, Verdict::Delivered(d) if d.external_id.as_deref() == Some("3")));
    let (calls, _) = case.order(&[(200, json!({ "values": [] })), (201, json!({ "id": 4 }))]);
    assert_eq!(calls[1], format!("POST {HERE}/pullrequests/7/comments"));
    let (_, verdict) = case.play(&[(200, json!("cut short"))]);
    assert_eq!(verdict, Verdict::Retry { after: None, hold: None });
    case.unheard_for = None;
    let missing = || (404, json!({}));
    let (calls, verdict) = case.order(&[missing(), (200, json!({}))]);
    assert_eq!(verdict, Verdict::Rejected("pull_request_not_found".into()));
    assert_eq!(calls[1], format!("GET {HERE}"));
    let (_, verdict) = case.play(&[missing(), missing()]);
    assert_eq!(verdict, Verdict::WrongDestination("not_found".into()), "of the repository");
}

#[test]
fn a_commit_that_is_not_there_is_no_fault_of_the_repository() {
    let found = finding_on(&json!({ "commit_sha": SHA }));
    let missing = || (404, json!({ "type": "error", "error": { "message": "Commit not found" } }));
    let (calls, verdict) = found.order(&[missing(), (200, json!({}))]);
    assert_eq!(verdict, Verdict::Rejected("commit_not_found".into()));
    assert_eq!(calls[1], format!("GET {HERE}"));
    let (_, verdict) = found.play(&[missing(), missing()]);
    assert_eq!(verdict, Verdict::WrongDestination("not_found".into()));
}

#[test]
fn what_names_nothing_marks_nothing() {
    let nothing = Verdict::NothingToDo("nothing_to_mark");
    assert_eq!(finding_on(&json!({})).play(&[]).1, nothing);
    let mut waiting = finding_on(&json!({}));
    waiting.destination = None;
    assert_eq!(waiting.play(&[]).1, Verdict::NoDestination);
    assert_eq!(case("test.ping", &json!({})).play(&[]).1, nothing);
}

#[test]
fn each_answer_means_what_bitbucket_says_it_does() {
    let wait = |s| Verdict::hold(Duration::from_secs(s), SharedBy::Provider);
    let scope = r#"{"type":"error","error":{"message":"Your credentials lack one or more required privilege scopes.","detail":{"granted":["account"],"required":["pullrequest:write"]}}}"#;
    let limited = "Rate limit for this resource has been exceeded";
    for (status, headers, body, expected) in [
        (201, &[][..], "{}", Verdict::delivered()),
        (401, &[], r#"{"error":{"message":"Access token expired."}}"#, Verdict::Unauthorized),
        (403, &[], scope, Verdict::Reauth("insufficient_scope".into())),
        (
            403,
            &[],
            r#"{"error":{"message":"Access denied"}}"#,
            Verdict::WrongDestination("forbidden".into()),
        ),
        (404, &[], "{}", Verdict::WrongDestination("not_found".into())),
        (400, &[], "{}", Verdict::Rejected("http_400".into())),
        (429, &[], limited, wait(300)),
        (429, &[("retry-after", "30")], limited, wait(30)),
        (500, &[], "", Verdict::Retry { after: None, hold: None }),
        (
            503,
            &[("retry-after", "9")],
            "",
            Verdict::Retry { after: Some(Duration::from_secs(9)), hold: None },
        ),
    ] {
        assert_eq!(verdict(&reply(status, headers, body)), expected, "{status} {body}");
    }
}

#[test]
fn each_workspace_is_an_account() {
    let hosts = Hosts::of(&BITBUCKET, |_| None);
    let answer = |name: &str| {
        let body = format!(
            r#"{{"access_token":"a","refresh_token":"r","expires_in":7200,"{name}":"account"}}"#
        );
        Tokens::standard(&reply(200, &[], &body)).expect("tokens")
    };
    let user = reply(
        200,
        &[],
        r#"{"username":"ada","display_name":"Ada L","uuid":"{u}","links":{"avatar":{"href":"https://x/y.png"}}}"#,
    );
    let entry = |slug: &str, uuid: &str, administrator: bool| json!({ "administrator": administrator, "workspace": { "slug": slug, "uuid": uuid } });
    let listed = json!({ "values": [
        entry("guests", REPOSITORY, false),
        entry("acme", WORKSPACE, true),
        entry("odd", "../user", true),
    ] });
    let listed = reply(200, &[], &listed.to_string());
    for tokens in [answer("scope"), answer("scopes")] {
        let newcomer = Newcomer { tokens: &tokens, own: None, hosts: &hosts };
        let ask = |replies: &[Reply]| account(&newcomer, replies);
        let path = |step| match step {
            AccountStep::Call(call) => call.url.path().to_owned(),
            step => panic!("{step:?}"),
        };
        assert_eq!(path(ask(&[])), "/2.0/user");
        assert_eq!(path(ask(std::slice::from_ref(&user))), "/2.0/user/workspaces");
        let AccountStep::Accounts(accounts) = ask(&[user.clone(), listed.clone()]) else {
            panic!("accounts");
        };
        let names: Vec<_> = accounts.iter().map(|a| a.display_name.as_str()).collect();
        assert_eq!(names, ["acme", "guests"], "the user's own comes first");
        assert_eq!(accounts[0].installation_id, WORKSPACE);
        assert_eq!(
            accounts[0].metadata,
            json!({
                "username": "ada",
                "display_name": "Ada L",
                "avatar_url": "https://x/y.png",
                "workspace": "acme",
                "uuid": "{u}",
                "scope": "account",
            })
        );
        let none = reply(200, &[], r#"{"values":[]}"#);
        for replies in [
            vec![reply(401, &[], "{}")],
            vec![user.clone(), reply(500, &[], "")],
            vec![user.clone(), none],
        ] {
            assert!(matches!(ask(&replies), AccountStep::Unreadable(_)), "{replies:?}");
        }
    }
}

#[test]
fn repositories_are_listed_in_pages_of_ours() {
    let case = finding_on(&json!({}));
    let ask = |page, search, replies: &[Reply]| list(&case.picking(page, search), replies);
    let PickStep::Call(call) = ask(Some("2"), Some(r#"sh"op\"#), &[]) else { panic!("a call") };
    let (_, query) = call.url.as_str().split_once('?').expect("a query");
    assert_eq!(query, "role=member&pagelen=50&q=name+%7E+%22shop%22&page=2");
    let page = |next: Value| {
        let repository = json!({ "uuid": REPOSITORY, "full_name": "acme/shop" });
        let broken = json!({ "uuid": "x", "full_name": "acme/broken" });
        let body = json!({ "values": [repository, broken], "next": next });
        ask(None, None, &[reply(200, &[], &body.to_string())])
    };
    for (next, expected) in [
        (json!("https://evil.example/steal?page=3&pagelen=10"), Some("3")),
        (json!("https://api.bitbucket.org/2.0/x"), None),
        (Value::Null, None),
    ] {
        let PickStep::Page(found, mark) = page(next.clone()) else { panic!("a page") };
        assert_eq!(found, [shop()]);
        assert_eq!(mark.as_deref(), expected, "{next}");
    }
    let PickStep::Refused(verdict) = ask(None, None, &[reply(404, &[], "")]) else {
        panic!("a refusal");
    };
    assert_eq!(verdict, Verdict::WrongDestination("not_found".into()));
}

#[test]
fn a_choice_is_read_before_it_is_taken() {
    let case = finding_on(&json!({}));
    let ask = |id, replies: &[Reply]| check(&case.choosing(id), replies);
    let CheckStep::Call(call) = ask(REPOSITORY, &[]) else { panic!("a call") };
    assert_eq!(call.url.path(), HERE);
    for bad in ["", "..", "acme/shop", "{x}", "a b"] {
        assert!(matches!(ask(bad, &[]), CheckStep::Unusable(_)), "{bad}");
    }
    let repository = json!({ "uuid": REPOSITORY, "full_name": "acme/shop" }).to_string();
    let CheckStep::Fine(found) = ask("shop", &[reply(200, &[], &repository)]) else {
        panic!("fine");
    };
    assert_eq!(found, shop());
    assert!(matches!(ask(REPOSITORY, &[reply(404, &[], "{}")]), CheckStep::Unusable(_)));
    assert!(matches!(ask(REPOSITORY, &[reply(200, &[], "{}")]), CheckStep::Refused(_)));
}

#[test]
fn people_are_told_where_to_remove_the_app() {
    let hosts = Hosts::of(&BITBUCKET, |_| None);
    let expected = "https://bitbucket.org/account/settings/applications/";
    assert_eq!(revoke_url(&hosts, &json!({})).as_deref(), Some(expected));
}

fn answer(call: &Call) -> Reply {
    match (call.method.as_str(), call.url.path()) {
        ("GET", path) if path.ends_with("/comments") => reply(200, &[], r#"{"values":[]}"#),
        ("GET", _) => reply(200, &[], "{}"),
        _ => reply(201, &[], r#"{"id":1}"#),
    }
}

#[test]
fn bitbucket_holds_to_the_contract() {
    let sample = Sample {
        installation_id: WORKSPACE,
        destination: Some(shop()),
        events: &[
            ("a commit", "vulnerability.found", ON_A_COMMIT),
            ("a pull request", "vulnerability.found", ON_A_PULL_REQUEST),
        ],
        answer,
        limits: &[("/key", 40), ("/name", 255), ("/description", 255), ("/content/raw", 32_768)],
        markup: &[("/content/raw", Markup::Markdown)],
        ..Sample::default()
    };
    contract_suite::check(&BITBUCKET, &sample);
}
