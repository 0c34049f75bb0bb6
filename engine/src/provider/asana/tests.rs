//! Tests of Asana: the life of a task with an id of ours, and every kind of refusal.

use serde_json::{Value, json};

use super::*;
use crate::{
    provider::{
        Client, Hosts, Ticket, Verdict,
        contract_suite::{self, Markup, Sample},
        ticket::fixture::{Case, DELIVERY_MARK, says, says_with, who},
    },
    secret::Secret,
};

fn case() -> Case {
    let metadata = json!({ "workspace_gid": "12345", "workspace_name": "Acme" });
    Case::new(&ASANA, "12345", metadata, project())
}

fn project() -> Destination {
    Destination { id: "1200000000000001".into(), name: "Security".into(), settings: Value::Null }
}

fn ticket() -> Ticket {
    Ticket {
        external_id: "1200000000000099".into(),
        external_key: None,
        url: Some("https://app.asana.com/0/1/1200000000000099".into()),
        is_open: true,
    }
}

fn task(status: u16, completed: bool) -> Reply {
    let task = json!({
        "gid": "1200000000000099", "completed": completed, "permalink_url": ticket().url,
    });
    says(status, json!({ "data": task }))
}

fn fails(status: u16, message: &str) -> Reply {
    says(status, json!({ "errors": [{ "message": message, "help": "See the docs." }] }))
}

fn not_there() -> Reply {
    fails(404, "task: Not found")
}

fn said() -> Reply {
    says(201, json!({ "data": { "gid": "5" } }))
}

fn is_in(is_open: bool, verdict: &Verdict) {
    match verdict {
        Verdict::Delivered(delivered) => {
            assert_eq!(delivered.external_id.as_deref(), Some("1200000000000099"));
            assert_eq!(delivered.ticket, Some(Ticket { is_open, ..ticket() }));
        }
        other => panic!("{other:?}"),
    }
}

const LOOK: &str = "GET https://app.asana.com/api/1.0/tasks/external:deptex-";
const CREATE: &str =
    "POST https://app.asana.com/api/1.0/tasks?opt_fields=completed%2Cpermalink_url";
const TASK: &str = "GET … /tasks/1200000000000099?";
const STORY: &str = "POST … /tasks/1200000000000099/stories?";
const STORIES: &str = "GET … /tasks/1200000000000099/stories?limit=100&opt_fields=html_text";

#[test]
fn a_finding_makes_a_task_unless_one_with_its_mark_is_there() {
    let mark = case().lend(|out| out.mark());
    let look = format!("GET https://app.asana.com/api/1.0/tasks/external:{mark}?");
    let create = format!(r#"{CREATE} … "gid":"{mark}" … "projects":["1200000000000001"]"#);
    is_in(true, &case().play(&[(&look, not_there()), (&create, task(201, false))]));
    let unknown = fails(400, "external: Not a recognized ID");
    is_in(true, &case().play(&[(&look, unknown), (&create, task(201, false))]));
    is_in(true, &case().again().play(&[(&look, task(200, false))]));
    is_in(false, &case().again().play(&[(&look, task(200, true))]));
    let nameless = case().play(&[(LOOK, not_there()), (CREATE, says(201, json!({})))]);
    assert_eq!(nameless, Verdict::Retry { after: None, hold: None });
}

#[test]
fn a_repeated_finding_is_a_comment_and_opens_what_is_completed() {
    let again = "stories?opt_fields=created_at … Reported again.";
    let open = case().with(&ticket(), true);
    is_in(true, &open.play(&[(TASK, task(200, false)), (again, said())]));
    let opens = r#"PUT … /tasks/1200000000000099? … {"data":{"completed":false}}"#;
    let reopened = "/stories … Deptex reopened this ticket";
    let script = [(TASK, task(200, true)), (opens, task(200, false)), (reopened, said())];
    is_in(true, &case().with(&ticket(), false).play(&script));
    let stays = "/stories … no step that reopens";
    let script = [(TASK, task(200, true)), (opens, fails(400, "no")), (stays, said())];
    is_in(false, &case().with(&ticket(), false).play(&script));
}

#[test]
fn a_resolution_is_a_comment_and_completes_the_task() {
    let resolved = || case().of("vulnerability.resolved").with(&ticket(), true);
    let closes = "/stories … Deptex closes this ticket.";
    let completes = r#"PUT … /tasks/1200000000000099? … {"data":{"completed":true}}"#;
    let script = [(TASK, task(200, false)), (closes, said()), (completes, task(200, true))];
    is_in(false, &resolved().play(&script));
    let refused = [(TASK, task(200, false)), (closes, said()), (completes, fails(400, "no"))];
    assert_eq!(resolved().play(&refused), Verdict::Rejected("transition_refused".into()));
    let already = [(TASK, task(200, true)), ("is closed already", said())];
    is_in(false, &resolved().play(&already));
}

#[test]
fn a_repeat_looks_through_the_comments_before_it_makes_one() {
    let page = |text: &str, offset: Value| {
        let next = json!({ "offset": offset });
        says(200, json!({ "data": [{ "gid": "1", "html_text": text }], "next_page": next }))
    };
    let mark = format!("<body><a href=\"https://d/#{DELIVERY_MARK}\">…</a></body>");
    let found = case().with(&ticket(), true).again();
    let second = "/stories?limit=100&opt_fields=html_text&offset=o1";
    let script = [
        (TASK, task(200, false)),
        (STORIES, page("other", json!("o1"))),
        (second, page(&mark, Value::Null)),
    ];
    is_in(true, &found.play(&script));
    let script = [(TASK, task(200, false)), (STORIES, page("other", Value::Null)), (STORY, said())];
    is_in(true, &found.play(&script));
    let endless = || page("other", json!("o1"));
    let script = [
        (TASK, task(200, false)),
        (STORIES, endless()),
        (second, endless()),
        (second, endless()),
        (STORY, said()),
    ];
    is_in(true, &found.play(&script));
}

#[test]
fn a_task_that_people_removed_is_made_anew_under_another_mark() {
    let mark = case().lend(|out| out.mark());
    let found = || case().with(&ticket(), true);
    let script = [(TASK, not_there()), (LOOK, not_there()), (CREATE, task(201, false))];
    is_in(true, &found().play(&script));
    let look = found().lend(|out| match (ASANA.advance)(out, &[not_there()]) {
        crate::provider::Step::Call(call) => call.url.to_string(),
        end => panic!("{end:?}"),
    });
    assert!(look.contains("external:deptex-") && !look.contains(&mark), "{look}");
    let resolved = found().of("vulnerability.resolved");
    assert_eq!(resolved.play(&[(TASK, not_there())]), Verdict::NothingToDo("ticket_gone"));
    let script = [(TASK, task(200, false)), (STORIES, not_there())];
    let verdict = found().of("vulnerability.resolved").again().play(&script);
    assert_eq!(verdict, Verdict::NothingToDo("ticket_gone"));
}

#[test]
fn every_refusal_has_its_verdict() {
    let dest = |code: &'static str| Verdict::WrongDestination(code.into());
    let hold = |seconds| Verdict::hold(Duration::from_secs(seconds), SharedBy::Installation);
    for (reply, expected) in [
        (fails(400, "projects: Unknown object: 12"), dest("not_found")),
        (fails(400, "html_notes: XML is invalid"), Verdict::Rejected("http_400".into())),
        (fails(401, "The bearer token has expired."), Verdict::Unauthorized),
        (fails(402, "Upgrade"), dest("payment_required")),
        (fails(403, "Forbidden"), dest("forbidden")),
        (
            fails(403, "Your app lacks the scope tasks:write"),
            Verdict::Reauth("missing_scope".into()),
        ),
        (not_there(), dest("not_found")),
        (fails(500, "Server error"), Verdict::Retry { after: None, hold: None }),
        (says_with(429, &[("retry-after", "30")], json!({})), hold(30)),
        (fails(429, "You are going too fast"), hold(60)),
    ] {
        let shown = format!("{reply:?}");
        assert_eq!(case().play(&[(LOOK, not_there()), (CREATE, reply)]), expected, "{shown}");
    }
}

#[test]
fn each_workspace_becomes_an_account() {
    let granted = |reply: Reply| {
        let tokens = Tokens {
            access_token: Secret::new("a-new-token"),
            refresh_token: None,
            expires_in: None,
            answer: Value::Null,
        };
        let hosts = Hosts::of(&ASANA, |_| None);
        let newcomer = Newcomer { tokens: &tokens, own: None, hosts: &hosts };
        let ask =
            "GET https://app.asana.com/api/1.0/users/me?opt_fields=name%2Cemail%2Cworkspaces.name";
        who(|replies| account(&newcomer, replies), &[(ask, reply)])
    };
    let workspaces = json!([{ "gid": "1", "name": "Acme" }, { "gid": "2", "name": "" }]);
    let AccountStep::Accounts(accounts) =
        granted(says(200, json!({ "data": { "gid": "7", "workspaces": workspaces } })))
    else {
        panic!("accounts")
    };
    let names: Vec<_> = accounts.iter().map(|account| account.display_name.as_str()).collect();
    assert_eq!(names, ["Acme", "Asana Workspace"]);
    assert_eq!(accounts[0].metadata, json!({ "workspace_gid": "1", "workspace_name": "Acme" }));
    for reply in [says(200, json!({ "data": { "workspaces": [] } })), fails(500, "later")] {
        assert!(matches!(granted(reply), AccountStep::Unreadable(_)));
    }
}

#[test]
fn projects_come_page_by_page_and_are_checked_when_chosen() {
    let page = |offset: Value| {
        let next = json!({ "offset": offset, "path": "/x", "uri": "https://x" });
        says(200, json!({ "data": [{ "gid": "9", "name": "Security" }], "next_page": next }))
    };
    let ask = "/workspaces/12345/projects?archived=false&limit=100&opt_fields=name";
    let first = case().pick(None, None, &[(ask, page(json!("o1")))]);
    let PickStep::Page(projects, next) = first else { panic!("{first:?}") };
    assert_eq!((projects[0].name.as_str(), next.as_deref()), ("Security", Some("o1")));
    let last = says(200, json!({ "data": [], "next_page": null }));
    let last = case().pick(Some("o1"), None, &[("&offset=o1", last)]);
    assert!(matches!(last, PickStep::Page(_, None)), "{last:?}");

    let check = |workspace: &str, archived: bool| {
        let workspace = json!({ "gid": workspace, "name": "W" });
        let project =
            json!({ "gid": "9", "name": "S", "archived": archived, "workspace": workspace });
        case().check("9", None, &[("/projects/9?", says(200, json!({ "data": project })))])
    };
    assert!(matches!(check("12345", false), CheckStep::Fine(_)));
    assert!(matches!(check("99999", false), CheckStep::Unusable(_)));
    assert!(matches!(check("12345", true), CheckStep::Unusable(_)));
    let gone = case().check("9", None, &[("/projects/9", not_there())]);
    assert!(matches!(gone, CheckStep::Unusable(_)), "{gone:?}");
    let traversal = case().check("../users/me", None, &[]);
    assert!(matches!(traversal, CheckStep::Unusable(_)), "{traversal:?}");
}

#[test]
fn disconnecting_ends_the_refresh_token() {
    let hosts = Hosts::of(&ASANA, |_| None);
    let client = Client { id: "id".into(), secret: Secret::new("secret") };
    let (access, refresh) = (Secret::new("at"), Secret::new("rt"));
    let mut revocation = Revocation {
        access_token: Some(&access),
        refresh_token: Some(&refresh),
        client: &client,
        metadata: &Value::Null,
        hosts: &hosts,
    };
    let call = revoke(&revocation).expect("there is a refresh token");
    assert_eq!(call.url.as_str(), "https://app.asana.com/-/oauth_revoke");
    assert_eq!(call.body, "client_id=id&client_secret=secret&token=rt");
    revocation.refresh_token = None;
    assert!(revoke(&revocation).is_none(), "Asana takes no access token");
}

#[test]
fn it_holds_to_the_contract() {
    contract_suite::check(
        &ASANA,
        &Sample {
            metadata: case().metadata,
            destination: Some(project()),
            ticket: Some(ticket()),
            answer: |call| match (call.method.as_str(), call.url.path()) {
                ("GET", path) if path.contains("external:") => not_there(),
                ("GET", path) if path.ends_with("/stories") => says(200, json!({ "data": [] })),
                ("POST", path) if path.ends_with("/stories") => said(),
                ("POST", _) => task(201, false),
                _ => task(200, false),
            },
            limits: &[("/data/name", 255), ("/data/html_notes", 65_535)],
            markup: &[("/data/html_notes", Markup::Html), ("/data/html_text", Markup::Html)],
            ..Sample::default()
        },
    );
}
