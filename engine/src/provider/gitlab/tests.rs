//! Tests of what is asked of GitLab, and of what its answers mean.

use super::*;
use crate::{
    provider::{
        Client, Step,
        code_host::fixture::{Case, ON_A_COMMIT, ON_A_PULL_REQUEST, SHA, finding, reply, ticket},
        contract_suite::{self, Markup, Sample},
    },
    secret::Secret,
};

const MARK: &str = "deptex-019c94ab9a0070008000000000000009";
const HERE: &str = "/api/v4/projects/278964";
const REPOSITORY_READ: &str = "GET /api/v4/projects/278964";

fn shop() -> Destination {
    Destination {
        id: "278964".into(),
        name: "acme/web/shop".into(),
        settings: json!({ "full_name": "acme/web/shop" }),
    }
}

fn case(kind: &str, more: &Value) -> Case {
    Case::new(&GITLAB, kind, &finding(more), shop())
}

fn found() -> Case {
    case("vulnerability.found", &json!({}))
}

fn issue(state: &str) -> Value {
    let url = "https://gitlab.com/acme/web/shop/-/issues/12";
    json!({ "id": 9_000, "iid": 12, "state": state, "description": "", "web_url": url })
}

#[test]
fn a_commit_gets_a_status() {
    let found = case("vulnerability.found", &json!({ "commit_sha": SHA }));
    let (_, verdict) = found.play(&[(201, json!({ "id": 93 }))]);
    let Verdict::Delivered(delivered) = verdict else { panic!("{verdict:?}") };
    assert_eq!(delivered.external_id.as_deref(), Some("93"));
    let page = format!("https://gitlab.com/acme/web/shop/-/commit/{SHA}");
    assert_eq!(delivered.url.as_deref(), Some(page.as_str()));
    let resolved = case("vulnerability.resolved", &json!({ "commit_sha": SHA }));
    let (calls, _) = resolved.play(&[(200, json!({}))]);
    assert!(calls[0].contains(r#""state": "success""#), "{}", calls[0]);
}

#[test]
fn a_commit_that_is_not_there_is_no_fault_of_the_project() {
    let found = case("vulnerability.found", &json!({ "commit_sha": SHA }));
    let missing = || (404, json!({ "message": "404 Commit Not Found" }));
    let (calls, verdict) = found.order(&[missing(), (200, json!({ "id": 278_964 }))]);
    assert_eq!(verdict, Verdict::Rejected("commit_not_found".into()));
    assert_eq!(calls[1], REPOSITORY_READ);
    let gone = (404, json!({ "message": "404 Project Not Found" }));
    let (_, verdict) = found.play(&[missing(), gone]);
    assert_eq!(verdict, Verdict::WrongDestination("not_found".into()));
}

#[test]
fn the_last_request_of_a_minute_says_so() {
    let spent = |remaining| {
        let headers = [("ratelimit-remaining", remaining), ("ratelimit-reset", "1772020830")];
        budget(&reply(201, &headers, "{}"))
    };
    let hold = Hold { wait: Duration::from_secs(30), shared_by: SharedBy::Installation };
    assert_eq!((spent("0"), spent("1"), spent("")), (Some(hold), None, None));
}

#[test]
fn a_status_that_says_so_already_is_done() {
    let found = case("vulnerability.found", &json!({ "commit_sha": SHA }));
    let so = json!({ "message": "Cannot transition status via :drop from :failed" });
    assert!(matches!(found.play(&[(400, so)]).1, Verdict::Delivered(_)));
    let other = json!({ "message": "ref does not exist" });
    assert_eq!(found.play(&[(400, other)]).1, Verdict::Rejected("http_400".into()));
    let busy = (409, json!({ "message": "Another update is running" }));
    assert_eq!(found.play(&[busy]).1, Verdict::Retry { after: None, hold: None });
}

#[test]
fn a_merge_request_gets_one_comment_however_often_it_is_sent() {
    let mut case = case("vulnerability.found", &json!({ "pull_request": { "iid": 7 } }));
    let (_, verdict) = case.play(&[(201, json!({ "id": 99, "body": "" }))]);
    let Verdict::Delivered(delivered) = verdict else { panic!("{verdict:?}") };
    let page = "https://gitlab.com/acme/web/shop/-/merge_requests/7#note_99";
    assert_eq!(delivered.url.as_deref(), Some(page));
    case.unheard_for = Some(Duration::ZERO);
    let ours = json!([{ "id": 3, "body": format!("… <!-- deptex:{MARK} -->") }]);
    let (calls, verdict) = case.play(&[(200, ours)]);
    assert!(calls[0].contains("notes?order_by=created_at&sort=desc"), "{}", calls[0]);
    assert!(matches!(verdict, Verdict::Delivered(ref d) if d.external_id.as_deref() == Some("3")));
    let (calls, _) = case.order(&[(200, json!([])), (201, json!({ "id": 4 }))]);
    assert_eq!(calls[1], format!("POST {HERE}/merge_requests/7/notes"));
    case.unheard_for = None;
    let missing = || (404, json!({ "message": "404 Not found" }));
    let (calls, verdict) = case.order(&[missing(), (200, json!({}))]);
    assert_eq!(verdict, Verdict::Rejected("pull_request_not_found".into()));
    assert_eq!(calls[1], REPOSITORY_READ);
    let (_, verdict) = case.play(&[missing(), missing()]);
    assert_eq!(verdict, Verdict::WrongDestination("not_found".into()), "of the repository");
}

#[test]
fn a_finding_without_a_commit_becomes_an_issue_once() {
    let mut case = found();
    let (_, verdict) = case.play(&[(201, issue("opened"))]);
    let Verdict::Delivered(delivered) = verdict else { panic!("{verdict:?}") };
    let ticket = delivered.ticket.expect("a ticket");
    assert_eq!((ticket.external_id.as_str(), ticket.is_open), ("278964#12", true));
    case.unheard_for = Some(Duration::ZERO);
    let mut ours = issue("closed");
    ours["description"] = json!(format!("… <!-- deptex:{} -->", case.out().mark()));
    let (calls, verdict) = case.play(&[(200, json!([issue("opened"), ours]))]);
    assert!(calls[0].contains("issues?labels=deptex&state=all&order_by=created_at&sort=desc"));
    let Verdict::Delivered(delivered) = verdict else { panic!("{verdict:?}") };
    assert!(!delivered.ticket.expect("a ticket").is_open, "it is told as it is");
    let (calls, _) = case.order(&[(200, json!([])), (201, issue("opened"))]);
    assert_eq!(calls[1], format!("POST {HERE}/issues"));
}

#[test]
fn an_issue_lives_and_closes_with_its_finding() {
    let (state, say) = (format!("GET {HERE}/issues/12"), format!("POST {HERE}/issues/12/notes"));
    let (turn, create) = (format!("PUT {HERE}/issues/12"), format!("POST {HERE}/issues"));
    let said = (201, json!({ "id": 1 }));
    let turned = (200, json!({}));
    let gone = (404, json!({ "message": "404 Issue Not Found" }));
    for (kind, was_open, answers, expected, is_open) in [
        ("found", true, vec![(200, issue("opened")), said.clone()], vec![&state, &say], Some(true)),
        (
            "found",
            false,
            vec![(200, issue("closed")), turned.clone(), said.clone()],
            vec![&state, &turn, &say],
            Some(true),
        ),
        (
            "resolved",
            true,
            vec![(200, issue("opened")), said.clone(), turned.clone()],
            vec![&state, &say, &turn],
            Some(false),
        ),
        (
            "found",
            true,
            vec![gone.clone(), (201, issue("opened"))],
            vec![&state, &create],
            Some(true),
        ),
        ("resolved", true, vec![gone], vec![&state], None),
        ("resolved", false, vec![], vec![], None),
    ] {
        let mut case = case(&format!("vulnerability.{kind}"), &json!({}));
        case.ticket = Some(ticket("278964#12", was_open));
        let (calls, verdict) = case.order(&answers);
        assert_eq!(calls.iter().collect::<Vec<_>>(), expected, "{kind} {was_open}");
        let told = match verdict {
            Verdict::Delivered(delivered) => delivered.ticket.map(|ticket| ticket.is_open),
            _ => None,
        };
        assert_eq!(told, is_open, "{kind} {was_open}");
    }
    let mut moved = found();
    moved.ticket = Some(ticket("77#12", true));
    let (calls, _) = moved.order(&[(200, issue("opened")), (201, json!({ "id": 1 }))]);
    assert_eq!(calls[1], "POST /api/v4/projects/77/issues/12/notes");
}

#[test]
fn each_answer_means_what_gitlab_says_it_does() {
    let wait = |s| Verdict::hold(Duration::from_secs(s), SharedBy::Installation);
    let again = Verdict::Retry { after: None, hold: None };
    let scope = r#"{"error":"insufficient_scope","error_description":"…","scope":"api"}"#;
    for (status, headers, body, expected) in [
        (200, &[][..], "{}", Verdict::delivered()),
        (201, &[], "{}", Verdict::delivered()),
        (401, &[], r#"{"error":"invalid_token"}"#, Verdict::Unauthorized),
        (403, &[], scope, Verdict::Reauth("insufficient_scope".into())),
        (403, &[], r#"{"message":"403 Forbidden"}"#, Verdict::WrongDestination("forbidden".into())),
        (403, &[], "Forbidden\n", Verdict::hold(Duration::from_secs(600), SharedBy::Provider)),
        (
            404,
            &[],
            r#"{"message":"404 Project Not Found"}"#,
            Verdict::WrongDestination("not_found".into()),
        ),
        (400, &[], "{}", Verdict::Rejected("http_400".into())),
        (422, &[], "{}", Verdict::Rejected("http_422".into())),
        (409, &[], "{}", again.clone()),
        (429, &[("retry-after", "30")], "Retry later\n", wait(30)),
        (429, &[], "Retry later\n", wait(60)),
        (302, &[], "", Verdict::OperatorFault("redirected")),
        (500, &[], "", again.clone()),
        (502, &[], "<html>", again),
    ] {
        assert_eq!(verdict(&reply(status, headers, body)), expected, "{status} {body}");
    }
}

fn on(server: Option<&str>) -> Hosts {
    Hosts::of(&GITLAB, |_| server.map(|server| Url::parse(server).expect("a URL")))
}

fn tokens() -> Tokens {
    let answer =
        r#"{"access_token":"a","refresh_token":"r","expires_in":7200,"scope":"api read_user"}"#;
    Tokens::standard(&reply(200, &[], answer)).expect("tokens")
}

#[test]
fn the_account_is_the_users_and_of_its_server() {
    let user = r#"{"id":42,"username":"ada","name":"Ada L","avatar_url":"https://x/y.png"}"#;
    let tokens = tokens();
    for (server, id, address) in [
        (None, "42", "https://gitlab.com"),
        (Some("https://gitlab.com/"), "42", "https://gitlab.com"),
        (Some("https://git.example.com"), "git.example.com:42", "https://git.example.com"),
        (
            Some("https://example.com/gitlab/"),
            "example.com/gitlab:42",
            "https://example.com/gitlab",
        ),
        (Some("http://127.0.0.1:8080"), "127.0.0.1:8080:42", "http://127.0.0.1:8080"),
    ] {
        let hosts = on(server);
        let newcomer = Newcomer { tokens: &tokens, own: None, hosts: &hosts };
        let AccountStep::Call(call) = account(&newcomer, &[]) else { panic!("a call") };
        assert_eq!(call.url.as_str(), format!("{address}/api/v4/user"));
        let AccountStep::Accounts(accounts) = account(&newcomer, &[reply(200, &[], user)]) else {
            panic!("an account");
        };
        let [account] = accounts.as_slice() else { panic!("one account") };
        assert_eq!(account.installation_id, id);
        assert_eq!(account.display_name, "ada");
        assert_eq!(account.metadata["gitlab_url"], address);
        assert_eq!(account.metadata["scope"], "api read_user");
        assert!(!account.metadata.to_string().contains("access_token"));
    }
    let hosts = on(None);
    let newcomer = Newcomer { tokens: &tokens, own: None, hosts: &hosts };
    for refused in [reply(401, &[], user), reply(200, &[], "{}")] {
        assert!(matches!(account(&newcomer, &[refused]), AccountStep::Unreadable(_)));
    }
}

#[test]
fn an_authorization_is_taken_back_at_its_server() {
    let client = Client { id: "our-id".into(), secret: Secret::new("our-secret") };
    let (access, refresh) = (Secret::new("acc"), Secret::new("ref"));
    let hosts = on(Some("https://git.example.com"));
    let revocation = Revocation {
        access_token: Some(&access),
        refresh_token: Some(&refresh),
        client: &client,
        metadata: &json!({}),
        hosts: &hosts,
    };
    let call = revoke(&revocation).expect("there are tokens");
    assert_eq!(call.url.as_str(), "https://git.example.com/oauth/revoke");
    assert_eq!(&*call.body, b"client_id=our-id&client_secret=our-secret&token=ref");
    let by_hand = revoke_url(&hosts, &json!({}));
    let expected = "https://git.example.com/-/user_settings/applications";
    assert_eq!(by_hand.as_deref(), Some(expected));
}

#[test]
fn projects_are_listed_in_pages() {
    let case = found();
    let ask = |page, search, replies: &[Reply]| list(&case.picking(page, search), replies);
    let PickStep::Call(call) = ask(Some("2"), Some(" sh&op "), &[]) else { panic!("a call") };
    assert_eq!(
        call.url.as_str(),
        "https://gitlab.com/api/v4/projects?membership=true&min_access_level=30&simple=true\
         &archived=false&per_page=50&search=sh%26op&page=2"
    );
    let projects = r#"[{"id":278964,"path_with_namespace":"acme/web/shop"},{"id":"?"}]"#;
    let link = r#"<https://evil.example/api?page=1>; rel="first", <https://evil.example/api?page=4&x=1>; rel="next""#;
    for (headers, expected) in [
        (&[("x-next-page", "3")][..], Some("3")),
        (&[("x-next-page", "")], None),
        (&[("x-next-page", "https://evil.example")], None),
        (&[("link", link)], Some("4")),
        (&[], None),
    ] {
        let PickStep::Page(found, next) = ask(None, None, &[reply(200, headers, projects)]) else {
            panic!("a page");
        };
        assert_eq!(found, [shop()]);
        assert_eq!(next.as_deref(), expected, "{headers:?}");
    }
    let PickStep::Refused(verdict) = ask(None, None, &[reply(401, &[], "")]) else {
        panic!("a refusal");
    };
    assert_eq!(verdict, Verdict::Unauthorized);
}

#[test]
fn a_choice_is_read_before_it_is_taken() {
    let case = found();
    let ask = |id, replies: &[Reply]| check(&case.choosing(id), replies);
    let CheckStep::Call(call) = ask("278964", &[]) else { panic!("a call") };
    assert_eq!(call.url.path(), HERE);
    for bad in ["", "../user", "acme/shop", "-1"] {
        assert!(matches!(ask(bad, &[]), CheckStep::Unusable(_)), "{bad}");
    }
    let project =
        |more: &str| format!(r#"{{"id":278964,"path_with_namespace":"acme/web/shop"{more}}}"#);
    let level = |level: u8| {
        project(&format!(
            r#","permissions":{{"project_access":null,"group_access":{{"access_level":{level}}}}}"#
        ))
    };
    for (status, body, is_fine) in [
        (200, project(""), true),
        (200, level(30), true),
        (200, level(20), false),
        (200, project(r#","archived":true"#), false),
        (404, "{}".to_owned(), false),
    ] {
        match ask("278964", &[reply(status, &[], &body)]) {
            CheckStep::Fine(found) => assert!(is_fine && found == shop(), "{body}"),
            CheckStep::Unusable(why) => assert!(!is_fine && why.ends_with('.'), "{body}: {why}"),
            step => panic!("{body}: {step:?}"),
        }
    }
    assert!(matches!(ask("278964", &[reply(502, &[], "")]), CheckStep::Refused(_)));
}

#[test]
fn every_call_goes_to_the_operators_own_server() {
    let data = serde_json::from_str(ON_A_COMMIT).expect("JSON");
    let mut case = Case::new(&GITLAB, "vulnerability.found", &data, shop());
    case.hosts = on(Some("https://example.com/gitlab"));
    let Step::Call(call) = (GITLAB.advance)(&case.out(), &[]) else { panic!("a call") };
    let expected = format!("https://example.com/gitlab{HERE}/statuses/{SHA}");
    assert_eq!(call.url.as_str(), expected);
}

fn answer(call: &Call) -> Reply {
    let body = match (call.method.as_str(), call.url.path()) {
        ("GET", path) if path.ends_with("/notes") => json!([]),
        ("GET", path) if path.ends_with("/issues") => json!([]),
        ("GET" | "PUT", path) if path.ends_with("/12") => issue("opened"),
        ("POST", path) if path.ends_with("/issues") => issue("opened"),
        ("POST", _) => json!({ "id": 1 }),
        _ => return reply(404, &[], "{}"),
    };
    reply(if call.method == "POST" { 201 } else { 200 }, &[], &body.to_string())
}

#[test]
fn gitlab_holds_to_the_contract() {
    let sample = Sample {
        installation_id: "42",
        destination: Some(shop()),
        ticket: Some(ticket("278964#12", true)),
        events: &[
            ("a commit", "vulnerability.found", ON_A_COMMIT),
            ("a merge request", "vulnerability.found", ON_A_PULL_REQUEST),
        ],
        answer,
        limits: &[
            ("/title", 255),
            ("/body", 1_000_000),
            ("/description", 1_000_000),
            ("/name", 255),
        ],
        markup: &[("/body", Markup::Markdown)],
        ..Sample::default()
    };
    contract_suite::check(&GITLAB, &sample);
}
