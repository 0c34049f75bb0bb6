//! Tests of Jira Data Center: who a token is, and what differs from Jira Cloud.

use serde_json::json;

use super::*;
use crate::{
    provider::{
        CheckStep, Ticket,
        contract_suite::{self, Markup, Sample},
        ticket::fixture::{Case, says, says_with, who as play},
    },
    secret::Secret,
};

fn case() -> Case {
    let base_url = "https://jira.example.com/jira";
    let metadata = json!({ "type": "data_center", "base_url": base_url });
    Case::new(&JIRA_DATA_CENTER, "dc:https://jira.example.com/jira", metadata, destination())
}

fn destination() -> Destination {
    Destination {
        id: "10000".into(),
        name: "SEC — Security".into(),
        settings: json!({ "project_key": "SEC", "issue_type": "10004" }),
    }
}

fn created() -> Reply {
    says(201, json!({ "id": "10024", "key": "SEC-24" }))
}

fn page() -> Reply {
    says_with(200, &[("content-type", "text/html;charset=UTF-8")], json!("<html>Log in</html>"))
}

const CREATE: &str = "POST https://jira.example.com/jira/rest/api/2/issue {";

#[test]
fn an_issue_has_wiki_markup_and_is_found_by_its_label() {
    let verdict = case().play(&[(CREATE, created())]);
    let Verdict::Delivered(delivered) = verdict else { panic!("{verdict:?}") };
    assert_eq!(delivered.url.as_deref(), Some("https://jira.example.com/jira/browse/SEC-24"));
    let mark = case().lend(|out| out.mark());
    let look =
        format!("POST https://jira.example.com/jira/rest/api/2/search … labels = \\\"{mark}\\\"");
    let nothing = says(200, json!({ "issues": [], "total": 0 }));
    let mut later = case().again();
    later.unheard_for = Some(Duration::from_secs(60));
    let verdict = later.play(&[(&look, nothing), (CREATE, created())]);
    assert!(matches!(verdict, Verdict::Delivered(_)), "{verdict:?}");
}

#[test]
fn the_last_token_of_the_bucket_is_followed_by_a_wait() {
    let after = |headers: &[_]| budget(&says_with(201, headers, json!({})));
    let hold = |seconds| {
        Some(Hold { wait: Duration::from_secs(seconds), shared_by: SharedBy::Installation })
    };
    let (left, none) = (("x-ratelimit-remaining", "9"), ("x-ratelimit-remaining", "0"));
    assert_eq!(after(&[left, ("retry-after", "0")]), None);
    assert_eq!(after(&[none, ("retry-after", "4")]), hold(4));
    assert_eq!(after(&[none, ("x-ratelimit-interval-seconds", "20")]), hold(20));
    assert_eq!(after(&[]), None, "no limit is set");
}

#[test]
fn every_refusal_has_its_verdict() {
    let dest = |code: &'static str| Verdict::WrongDestination(code.into());
    let retry =
        |after: Option<u64>, hold| Verdict::Retry { after: after.map(Duration::from_secs), hold };
    let all = Some(SharedBy::Installation);
    let interval = ("x-ratelimit-interval-seconds", "20");
    for (reply, expected) in [
        (says(401, json!({})), Verdict::Reauth("unauthorized".into())),
        (says(403, json!({})), dest("forbidden")),
        (says(404, json!({})), dest("not_found")),
        (says(302, json!({})), dest("login_page")),
        (page(), dest("login_page")),
        (says(400, json!({ "errors": { "project": "gone" } })), dest("field_project")),
        (
            says(400, json!({ "errors": { "summary": "too long" } })),
            Verdict::Rejected("http_400".into()),
        ),
        (says(413, json!({})), Verdict::Rejected("too_large".into())),
        (says(422, json!({})), dest("unprocessable")),
        (says(409, json!({})), retry(None, None)),
        (says(503, json!({})), retry(None, None)),
        (says_with(429, &[("retry-after", "12")], json!({})), retry(Some(12), all)),
        (says_with(429, &[interval], json!({})), retry(Some(20), all)),
        (says(429, json!({})), retry(Some(60), all)),
    ] {
        let shown = format!("{reply:?}");
        assert_eq!(case().play(&[(CREATE, reply)]), expected, "{shown}");
    }
}

fn linked(base_url: &str, myself: Reply, server: Option<Reply>) -> AccountStep {
    let base_url = Url::parse(base_url).expect("a URL");
    let token = Secret::new("the-pat");
    let access = NewAccess { base_url: &base_url, token: &token };
    let mut script = vec![("/rest/api/2/myself", myself)];
    script.extend(server.map(|server| ("/rest/api/2/serverInfo", server)));
    play(|replies| account(&access, replies), &script)
}

#[test]
fn a_token_is_linked_by_the_whole_address_of_its_server() {
    let ada = || says(200, json!({ "name": "ada", "key": "JIRAUSER1", "displayName": "Ada" }));
    let server = || Some(says(200, json!({ "version": "10.3.2", "deploymentType": "Server" })));
    let account = |base_url: &str| match linked(base_url, ada(), server()) {
        AccountStep::Accounts(mut accounts) => accounts.remove(0),
        other => panic!("{other:?}"),
    };
    let one = account("https://JIRA.example.com:443/jira/");
    assert_eq!(one.installation_id, "dc:https://jira.example.com/jira");
    assert_eq!(one.display_name, "Ada");
    assert_eq!(
        one.metadata,
        json!({
            "type": "data_center", "base_url": "https://jira.example.com/jira",
            "username": "ada", "display_name": "Ada",
        })
    );
    let beside = account("https://jira.example.com/jira-of-another-department");
    assert_ne!(one.installation_id, beside.installation_id);
}

#[test]
fn what_is_not_a_jira_data_center_is_told_to_the_admin() {
    let ada = || says(200, json!({ "name": "ada" }));
    for (myself, server, expected) in [
        (says(401, json!({})), None, "token"),
        (says(403, json!({})), None, "token"),
        (says(302, json!({})), None, "login page"),
        (page(), None, "login page"),
        (says(404, json!({})), None, "address"),
        (says(502, json!({})), None, "later"),
        (
            ada(),
            Some(says(200, json!({ "version": "1", "deploymentType": "Cloud" }))),
            "Jira Cloud",
        ),
        (ada(), Some(says(200, json!({}))), "not a Jira"),
        (says(200, json!({})), Some(says(200, json!({ "version": "10" }))), "not a Jira"),
    ] {
        match linked("https://jira.example.com", myself, server) {
            AccountStep::Unreadable(why) => assert!(why.contains(expected), "{why}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn projects_that_come_all_at_once_are_shown_in_pages() {
    let project = |n: usize| json!({ "id": n.to_string(), "key": format!("P{n}"), "name": "Shop" });
    let mut projects: Vec<_> = (0..150).map(project).collect();
    projects.push(json!({ "id": "900", "key": "OLD", "name": "Shop", "archived": true }));
    let all = || says(200, json!(projects));
    let ask = "GET https://jira.example.com/jira/rest/api/2/project ";
    let PickStep::Page(first, next) = case().pick(None, Some("shop"), &[(ask, all())]) else {
        panic!("a page");
    };
    assert_eq!((first.len(), first[0].name.as_str()), (100, "P0 — Shop"));
    let PickStep::Page(second, end) = case().pick(next.as_deref(), None, &[(ask, all())]) else {
        panic!("a page");
    };
    assert_eq!((second.len(), second[0].id.as_str(), end), (50, "100", None));
    let PickStep::Page(none, _) = case().pick(None, Some("zzz"), &[(ask, all())]) else {
        panic!("a page");
    };
    assert!(none.is_empty());
}

#[test]
fn a_project_is_checked_in_the_words_of_data_center() {
    let fields = ["summary", "description", "labels"];
    let fields = fields.map(|id| json!({ "fieldId": id, "name": id, "required": false }));
    let types = json!([{ "id": "1", "name": "Bug", "subtask": false }]);
    let step = case().check(
        "SEC",
        None,
        &[
            (
                "/rest/api/2/project/SEC",
                says(200, json!({ "id": "10000", "key": "SEC", "name": "S" })),
            ),
            (
                "/issue/createmeta/10000/issuetypes?",
                says(200, json!({ "values": types, "isLast": true })),
            ),
            (
                "/issuetypes/1?startAt=0&",
                says(200, json!({ "values": fields[..2], "isLast": false })),
            ),
            (
                "/issuetypes/1?startAt=2&",
                says(200, json!({ "values": fields[2..], "isLast": true })),
            ),
        ],
    );
    let CheckStep::Fine(chosen) = step else { panic!("{step:?}") };
    assert_eq!(chosen.settings["issue_type"], "1");
    let gone = case().check("NOPE", None, &[("/project/NOPE", says(404, json!({})))]);
    assert!(matches!(gone, CheckStep::Unusable(_)), "{gone:?}");
}

#[test]
fn it_holds_to_the_contract() {
    contract_suite::check(
        &JIRA_DATA_CENTER,
        &Sample {
            metadata: case().metadata,
            destination: Some(destination()),
            ticket: Some(Ticket {
                external_id: "10024".into(),
                external_key: Some("SEC-24".into()),
                url: None,
                is_open: true,
            }),
            own_hosts: &["https://jira.example.com"],
            answer: |call| match (call.method.as_str(), call.url.path()) {
                ("GET", path) if path.ends_with("/transitions") => {
                    let to = json!({ "name": "Done", "statusCategory": { "key": "done" } });
                    says(200, json!({ "transitions": [{ "id": "31", "name": "Done", "to": to }] }))
                }
                ("GET", path) if path.ends_with("/comment") => says(200, json!({ "comments": [] })),
                ("GET", _) => says(200, json!({ "id": "10024", "key": "SEC-24" })),
                ("POST", path) if path.ends_with("/search") => says(200, json!({ "issues": [] })),
                ("POST", path) if path.ends_with("/transitions") => says(204, Value::Null),
                ("POST", path) if path.ends_with("/comment") => says(201, json!({ "id": "1" })),
                _ => created(),
            },
            limits: &[("/fields/summary", 255), ("/fields/description", 32_767)],
            markup: &[("/fields/description", Markup::Wiki)],
            ..Sample::default()
        },
    );
}
