//! Asana as a client meets it, over HTTP.

use serde_json::Value;

use super::*;
use crate::{
    Matcher, MockProviders,
    testing::{Back, Consenting, request, send, send_form},
};

const ALL: &str =
    "tasks:write tasks:read stories:write stories:read projects:read workspaces:read users:read";

struct World {
    mocks: MockProviders,
    /// The answer of the token endpoint.
    tokens: Value,
}

async fn consent(mocks: &MockProviders, scope: &str) -> Result<Back, String> {
    let asana = mocks.asana();
    let page = format!("{}/-/oauth_authorize", asana.url("web"));
    let token = format!("{}/-/oauth_token", asana.url("web"));
    let consenting =
        Consenting { page, token, client: asana.client(), provider: "asana", scope, fields: &[] };
    consenting.tokens(mocks).await
}

async fn world(scope: &str) -> World {
    let mocks = MockProviders::start().await;
    let tokens = consent(&mocks, scope).await.unwrap();
    assert_eq!(tokens.status, 200, "{tokens:?}");
    World { tokens: tokens.json, mocks }
}

impl World {
    async fn call(&self, method: &str, path: &str, data: Option<Value>) -> Back {
        let url = format!("{}/api/1.0{path}", self.mocks.asana().url("web"));
        let token = self.tokens["access_token"].as_str().unwrap();
        let request = request(method, &url).bearer_auth(token);
        send(match data {
            Some(data) => request.json(&json!({ "data": data })),
            None => request,
        })
        .await
    }

    async fn get(&self, path: &str) -> Back {
        self.call("GET", path, None).await
    }

    async fn post(&self, path: &str, data: Value) -> Back {
        self.call("POST", path, Some(data)).await
    }

    async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Back {
        let (id, secret) = self.mocks.asana().client();
        let mut all = vec![("client_id", id.as_str()), ("client_secret", secret.as_str())];
        all.extend(fields);
        let url = format!("{}{path}", self.mocks.asana().url("web"));
        send_form(request("POST", &url), &all).await
    }

    /// A task in Security; its gid.
    async fn task(&self, external: &str) -> Back {
        let project = self.mocks.asana().project("Security").gid;
        let data = json!({
            "name": "A finding", "html_notes": "<body><strong>High</strong></body>",
            "projects": [project], "external": { "gid": external, "data": "x" },
        });
        self.post("/tasks?opt_fields=completed,permalink_url", data).await
    }
}

#[tokio::test]
async fn a_refresh_token_is_told_once_and_stays() {
    let world = world(ALL).await;
    assert_eq!(world.tokens["expires_in"], 3600);
    assert_eq!(world.tokens["data"]["gid"], "9001");
    let refresh_token = world.tokens["refresh_token"].as_str().unwrap();
    world.mocks.advance(Duration::from_secs(3600));
    let late = world.get("/users/me").await;
    assert_eq!(late.status, 401);
    assert!(late.at("/errors/0/message").starts_with("The bearer token has expired"));
    for _ in 0..2 {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh_token)];
        let renewed = world.form("/-/oauth_token", &fields).await;
        assert_eq!((renewed.status, renewed.json.get("refresh_token")), (200, None));
    }
    assert!(consent(&world.mocks, "tasks:delete").await.is_err());
    world.mocks.finish().unwrap();
}

#[tokio::test]
async fn only_a_refresh_token_can_be_revoked() {
    let world = world(ALL).await;
    let token = |name: &str| world.tokens[name].as_str().unwrap();
    let revoke =
        async |token: &str| world.form("/-/oauth_revoke", &[("token", token)]).await.status;
    assert_eq!((revoke("unknown").await, world.mocks.asana().live_grants()), (200, 1));
    assert_eq!((revoke(token("refresh_token")).await, world.mocks.asana().live_grants()), (200, 0));
    assert_eq!(revoke(token("refresh_token")).await, 200);
    assert_eq!(world.get("/users/me").await.status, 401);
    world.mocks.finish().unwrap();
    assert_eq!(revoke(token("access_token")).await, 400);
    assert!(world.mocks.finish().is_err());
}

#[tokio::test]
async fn a_person_sees_their_own_workspaces_and_what_was_asked_for() {
    let world = world(ALL).await;
    let me = world.get("/users/me?opt_fields=name,workspaces.name").await;
    let acme = json!({ "gid": world.mocks.asana().workspace_gid("Acme"), "name": "Acme" });
    assert_eq!(
        me.json,
        json!({ "data": { "gid": "9001", "name": "Ada Admin", "workspaces": [acme] } })
    );
    let globex = world.mocks.asana().workspace_gid("Globex");
    assert_eq!(world.get(&format!("/workspaces/{globex}/projects")).await.status, 403);
    let alerts = world.mocks.asana().project("Alerts").gid;
    assert_eq!(world.get(&format!("/projects/{alerts}")).await.status, 404);
    world.mocks.asana().choose_both_workspaces();
    let tokens = consent(&world.mocks, ALL).await.unwrap().json;
    let both = World { tokens, ..world };
    let project = both.get(&format!("/projects/{alerts}?opt_fields=archived,workspace.name")).await;
    let workspace = json!({ "gid": globex, "name": "Globex" });
    assert_eq!(
        project.json["data"],
        json!({ "gid": alerts, "archived": false, "workspace": workspace })
    );
}

#[tokio::test]
async fn projects_come_page_by_page_with_marks_that_nobody_makes_up() {
    let world = world(ALL).await;
    world.mocks.asana().add_project("Old");
    world.mocks.asana().change_project("Old", |project| project.is_archived = true);
    world.mocks.asana().add_project("New");
    let list = format!("/workspaces/{}/projects", world.mocks.asana().workspace_gid("Acme"));
    let list = format!("{list}?archived=false&opt_fields=name&limit=");
    let first = world.get(&format!("{list}2")).await;
    let names = |page: &Back| -> Vec<String> {
        let all = page.json["data"].as_array().unwrap().iter();
        all.map(|project| project["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&first), ["Security", "Web shop"]);
    let offset = first.at("/next_page/offset");
    let second = world.get(&format!("{list}2&offset={offset}")).await;
    assert_eq!((names(&second), &second.json["next_page"]), (vec!["New".to_owned()], &Value::Null));
    assert_eq!(world.get(&format!("{list}3&offset={offset}")).await.status, 400);
    assert_eq!(world.get(&format!("{list}2&offset=2")).await.status, 400);
    world.mocks.finish().unwrap();
    assert_eq!(world.get(&format!("{list}101")).await.status, 400);
    assert!(world.mocks.finish().is_err());
}

#[tokio::test]
async fn a_task_is_found_by_the_id_that_its_caller_gave_and_made_only_once() {
    let world = world(ALL).await;
    assert_eq!(world.get("/tasks/external:deptex-1").await.status, 404);
    let made = world.task("deptex-1").await;
    let gid = made.at("/data/gid").to_owned();
    assert_eq!((made.status, &made.json["data"]["completed"]), (201, &json!(false)));
    let url = made.at("/data/permalink_url");
    assert!(url.ends_with(&gid), "{url}");
    assert!(send(request("GET", url)).await.text.contains("<strong>High</strong>"));
    assert_eq!(world.task("deptex-1").await.status, 400);
    let found = world.get("/tasks/external:deptex-1?opt_fields=completed").await;
    assert_eq!(found.json["data"], json!({ "gid": gid, "completed": false }));
    let whole = world.get(&format!("/tasks/{gid}")).await;
    assert_eq!((whole.at("/data/notes"), whole.json["data"].get("external")), ("High", None));
    world.mocks.asana().delete_task(&gid);
    assert_eq!(world.get("/tasks/external:deptex-1").await.status, 404);
    assert_eq!(world.task("deptex-1").await.status, 400);
    assert_eq!(world.task("deptex-2").await.status, 201);
    world.mocks.finish().unwrap();
}

#[tokio::test]
async fn a_task_is_completed_and_talked_about() {
    let world = world(ALL).await;
    let gid = world.task("deptex-1").await.at("/data/gid").to_owned();
    let said = json!({ "html_text": "<body>again <a href=\"https://x.dev/#m\">View</a></body>" });
    let story = world.post(&format!("/tasks/{gid}/stories?opt_fields=created_at"), said).await;
    assert_eq!((story.status, story.json["data"].get("text")), (201, None));
    let list = world.get(&format!("/tasks/{gid}/stories?opt_fields=html_text&limit=1")).await;
    assert_eq!(list.json["data"][0].get("html_text"), None);
    let offset = list.at("/next_page/offset");
    let rest = format!("/tasks/{gid}/stories?opt_fields=html_text&limit=1&offset={offset}");
    assert!(world.get(&rest).await.at("/data/0/html_text").contains("#m"));
    assert_eq!(world.mocks.asana().stories()[0].rendered(), "again View (https://x.dev/#m)");
    let done = Some(json!({ "completed": true }));
    let moved = world.call("PUT", &format!("/tasks/{gid}?opt_fields=completed"), done).await;
    assert_eq!(moved.json["data"]["completed"], true);
    assert!(world.mocks.asana().tasks()[0].completed);
    world.mocks.asana().set_completed(&gid, false);
    assert!(!world.mocks.asana().tasks()[0].completed);
    world.mocks.finish().unwrap();
}

#[tokio::test]
async fn each_call_needs_its_scope_and_writing_is_not_reading() {
    let world = world("tasks:write projects:read").await;
    let gid = world.task("deptex-1").await.at("/data/gid").to_owned();
    for path in ["/tasks/external:deptex-1", "/users/me", "/workspaces"] {
        let refused = world.get(path).await;
        assert_eq!(refused.status, 403, "{path}");
        assert!(refused.at("/errors/0/message").contains("scope"), "{refused:?}");
    }
    let refused = world.post(&format!("/tasks/{gid}/stories"), json!({ "text": "a" })).await;
    assert_eq!(refused.status, 403);
}

#[tokio::test]
async fn mistakes_of_ours_fail_the_test_and_do_nothing() {
    let world = world(ALL).await;
    let project = world.mocks.asana().project("Security").gid;
    let rich = |html: &str| json!({ "name": "a", "projects": [project], "html_notes": html });
    let cases = [
        json!({ "name": "a" }),
        json!({ "name": "", "projects": [project] }),
        json!({ "name": "x".repeat(256), "projects": [project] }),
        json!({ "name": "a", "projects": project }),
        json!({ "name": "a", "projects": [project], "colour": "red" }),
        json!({ "name": "a", "projects": [project], "notes": "a", "html_notes": "<body>b</body>" }),
        json!({ "name": "a", "projects": [project], "external": "deptex-1" }),
        json!({ "name": "a", "projects": [project], "completed": "no" }),
        rich("plain"),
        rich("<body><p>a</p></body>"),
    ];
    for data in cases {
        assert_eq!(world.post("/tasks", data.clone()).await.status, 400, "{data}");
        // The published schema may refuse it as well.
        assert!(!world.mocks.violations().is_empty(), "{data}");
        world.mocks.forgive();
    }
    let url = format!("{}/api/1.0/tasks", world.mocks.asana().url("web"));
    let token = world.tokens["access_token"].as_str().unwrap();
    let bare = json!({ "name": "a", "projects": [project] });
    assert_eq!(send(request("POST", &url).bearer_auth(token).json(&bare)).await.status, 400);
    assert!(world.mocks.asana().tasks().is_empty());
}

#[tokio::test]
async fn refusals_and_limits_are_worded_as_asana_words_them() {
    let world = world(ALL).await;
    let asana = world.mocks.asana();
    for (project, message) in [
        ("1299", "projects: [0]: Unknown object: 1299"),
        ("nowhere", "projects: [0]: Not a recognized ID: \"nowhere\""),
    ] {
        let refused = world.post("/tasks", json!({ "name": "a", "projects": [project] })).await;
        assert_eq!((refused.status, refused.at("/errors/0/message")), (400, message));
        assert!(!refused.at("/errors/0/help").is_empty());
    }
    let gid = world.task("deptex-1").await.at("/data/gid").to_owned();
    asana.change_project("Security", |project| project.may_write = false);
    assert_eq!(world.task("deptex-2").await.status, 403);
    assert_eq!(
        world.post(&format!("/tasks/{gid}/stories"), json!({ "text": "a" })).await.status,
        403
    );
    asana.fail_next(Matcher::post("/api/1.0/tasks"), asana.rate_limited(Duration::from_secs(30)));
    let limited = world.task("deptex-3").await;
    assert_eq!((limited.status, limited.header("retry-after")), (429, "30"));
    asana.fail_next(Matcher::any(), asana.server_error());
    assert!(!world.get("/users/me").await.at("/errors/0/phrase").is_empty());
    asana.delete_project("Security");
    assert_eq!(asana.projects().len(), 2);
    assert!(asana.tasks()[0].projects.is_empty());
    world.mocks.finish().unwrap();
}
