//! From the button to the stored connection: the eight callbacks, and everything that may not pass.

use engine::connection::room::CONNECTIONS_MAX;
use reqwest::{Method, header};
use serde_json::{Value, json};
use tests::{FRONTEND_URL, World, new_id};

/// Every provider that an admin is sent to.
const VISITED: [&str; 8] =
    ["github", "gitlab", "bitbucket", "slack", "discord", "jira", "linear", "asana"];

/// How many accounts one consent gives: at Bitbucket, each workspace of the person.
fn at_once(provider: &str) -> usize {
    if provider == "bitbucket" { 2 } else { 1 }
}

async fn world() -> World {
    World::builder().providers().workers(0).start().await
}

/// The whole way for each of them, with what the frontend reads afterwards.
#[tokio::test]
async fn every_provider_connects_and_lands_where_the_frontend_expects_it() {
    let world = world().await;
    for provider in VISITED {
        let org = new_id();
        let visit = world.relay.visit(org, provider, &[]).await;
        let landing = world.relay.go_through(world.mocks(), &visit).await;
        assert_eq!(landing.query.get("connected").map(String::as_str), Some(provider));
        let page = match provider {
            "gitlab" | "bitbucket" => format!("/organizations/{org}/settings"),
            _ => format!("/organizations/{org}/settings/integrations"),
        };
        assert_eq!(landing.url.path(), page, "{provider}");
        let connections = world.relay.connections(org).await;
        assert_eq!(connections.len(), at_once(provider), "{provider}: {connections:?}");
        for connection in &connections {
            assert_eq!(connection["provider"], provider);
            assert_eq!(connection["status"], "connected");
            for name in ["id", "installation_id", "display_name", "connected_at", "created_at"] {
                assert!(connection[name].as_str().is_some_and(|text| !text.is_empty()), "{name}");
            }
        }
    }
}

/// Connecting the same account again is the same connection, and it works again.
#[tokio::test]
async fn reconnecting_keeps_the_connections_id() {
    let world = world().await;
    for provider in VISITED {
        let org = new_id();
        let first = world.relay.connect(world.mocks(), org, provider).await;
        let second = world.relay.connect(world.mocks(), org, provider).await;
        assert_eq!(first["id"], second["id"], "{provider}");
        assert_eq!(world.relay.connections(org).await.len(), at_once(provider), "{provider}");
    }
}

/// I47: where an organization has no room left, no account is connected, and the admin is told why; one that
/// is connected already can be connected again.
#[tokio::test]
async fn i47_where_there_is_no_room_an_account_is_only_connected_again() {
    let world = world().await;
    let org = new_id();
    let slack = world.relay.connect(world.mocks(), org, "slack").await;
    let id = slack["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
    crate::floods::fill(&world, id, CONNECTIONS_MAX).await;
    let visit = world.relay.visit(org, "linear", &[]).await;
    let landing = world.relay.go_through(world.mocks(), &visit).await;
    assert_eq!(landing.query.get("error").map(String::as_str), Some("linear"));
    assert!(landing.query["message"].contains("Remove one first"), "{landing:?}");
    assert_eq!(world.relay.connections(org).await.len(), CONNECTIONS_MAX as usize);
    let again = world.relay.connect(world.mocks(), org, "slack").await;
    assert_eq!(again["id"], slack["id"]);
    world.relay.delete_connection(org, id).await.expect(200);
    world.relay.connect(world.mocks(), org, "linear").await;
    // Now there is no room for the one that was removed.
    let visit = world.relay.visit(org, "slack", &[]).await;
    let landing = world.relay.go_through(world.mocks(), &visit).await;
    assert_eq!(landing.query.get("error").map(String::as_str), Some("slack"));
    assert_eq!(world.relay.connections(org).await.len(), CONNECTIONS_MAX as usize);
}

/// No token is shown by any route, nor kept in clear anywhere in the database.
#[tokio::test]
async fn tokens_are_sealed_and_never_shown() {
    let world = world().await;
    let org = new_id();
    for provider in VISITED {
        world.relay.connect(world.mocks(), org, provider).await;
    }
    let shown = json!(world.relay.connections(org).await).to_string();
    let secrets = world.mocks().secrets();
    assert!(secrets.len() > VISITED.len(), "there are tokens to look for");
    let stored = everything_stored(&world).await;
    for secret in &secrets {
        assert!(!shown.contains(secret.as_str()), "shown");
        assert!(!stored.contains(secret.as_str()), "stored in clear");
    }
}

/// Every row of every table as text.
async fn everything_stored(world: &World) -> String {
    let tables: Vec<String> = sqlx::query_scalar(
        "select format('%I.%I', schemaname, tablename) from pg_tables where schemaname = 'relay'",
    )
    .fetch_all(world.sql())
    .await
    .expect("the database answers");
    let mut all = String::new();
    for table in tables {
        let sql = sqlx::AssertSqlSafe(format!(
            "select coalesce(string_agg(t::text, E'\\n'), '') from {table} t"
        ));
        let rows: String =
            sqlx::query_scalar(sql).fetch_one(world.sql()).await.expect("a table can be read");
        all.push_str(&rows);
    }
    all
}

fn location(answer: &tests::Answered) -> String {
    answer.headers[header::LOCATION].to_str().expect("an address").to_owned()
}

/// I43: a callback without a state, with an unknown one, with one that was used, with another
/// provider's: no connection is made, and the admin is told on a page of the frontend.
#[tokio::test]
async fn i43_a_callback_that_answers_no_question_connects_nothing() {
    let world = world().await;
    let org = new_id();
    let visit = world.relay.visit(org, "slack", &[]).await;
    let back = world.mocks().consent(&visit.redirect_url).await;
    let cookie = visit.cookie.as_deref();
    for wrong in ["?code=x", "?code=x&state=guessed", "?state=&code=", ""] {
        let answer = world
            .relay
            .come_back(&format!("http://x/api/integrations/slack/org-callback{wrong}"), cookie)
            .await;
        let to = location(&answer.expect(302));
        assert!(to.starts_with(FRONTEND_URL) && to.contains("error=slack"), "{to}");
    }
    let elsewhere = back.replace("/slack/", "/linear/");
    let to = location(&world.relay.come_back(&elsewhere, cookie).await.expect(302));
    assert!(to.contains("error=linear"), "{to}");
    assert_eq!(world.relay.connections(org).await, Vec::<Value>::new());

    // A state that was shown to the wrong provider is spent; a fresh one works, once.
    let visit = world.relay.visit(org, "slack", &[]).await;
    let back = world.mocks().consent(&visit.redirect_url).await;
    let cookie = visit.cookie.as_deref();
    let to = location(&world.relay.come_back(&back, cookie).await.expect(302));
    assert!(to.contains("connected=slack"), "{to}");
    let to = location(&world.relay.come_back(&back, cookie).await.expect(302));
    assert!(to.contains("error=slack"), "a replay: {to}");
    assert_eq!(world.relay.connections(org).await.len(), 1);
}

/// I43: somebody who says no, and somebody who was sent back elsewhere than where we asked.
#[tokio::test]
async fn i43_a_refusal_at_the_provider_is_told_and_connects_nothing() {
    let world = world().await;
    let org = new_id();
    world.mocks().linear().deny_next();
    let visit = world.relay.visit(org, "linear", &[]).await;
    let landing = world.relay.go_through(world.mocks(), &visit).await;
    assert_eq!(landing.query.get("error").map(String::as_str), Some("linear"));
    assert!(landing.query.get("message").is_some_and(|message| !message.is_empty()));
    assert_eq!(world.relay.connections(org).await, Vec::<Value>::new());
}

/// I43: a code that was used, a code of somebody else's consent (whose verifier of PKCE is not ours), and
/// an answer that names another issuer connect nothing; who was connected stays so, and each refusal is
/// counted.
#[tokio::test]
async fn i43_a_used_or_stolen_code_and_a_foreign_issuer_connect_nothing() {
    let world = world().await;
    let (org, victim) = (new_id(), new_id());
    let kept = world.relay.connect(world.mocks(), org, "linear").await;
    let change = |back: &str, name: &str, value: &str| {
        let mut url = reqwest::Url::parse(back).expect("an address");
        let others: Vec<(String, String)> =
            url.query_pairs().into_owned().filter(|(other, _)| other != name).collect();
        url.query_pairs_mut().clear().extend_pairs(others).append_pair(name, value);
        url.to_string()
    };
    let code_of = |back: &str| {
        let url = reqwest::Url::parse(back).expect("an address");
        let found = url.query_pairs().find(|(name, _)| name == "code").map(|(_, code)| code.into());
        let code: String = found.expect("a code");
        code
    };
    let fresh = async |org| {
        let visit = world.relay.visit(org, "linear", &[]).await;
        (world.mocks().consent(&visit.redirect_url).await, visit.cookie)
    };
    let (used, cookie) = fresh(org).await;
    world.relay.come_back(&used, cookie.as_deref()).await.expect(302);
    let (theirs, _) = fresh(victim).await;
    for (what, name, value) in [
        ("a used code", "code", code_of(&used)),
        ("a stolen code", "code", code_of(&theirs)),
        ("another issuer", "iss", "https://evil.example".to_owned()),
    ] {
        let elsewhere = new_id();
        let (back, cookie) = fresh(elsewhere).await;
        let before = world.apis[0].metric("relay_callbacks_refused_total").await;
        let back = change(&back, name, &value);
        let to = location(&world.relay.come_back(&back, cookie.as_deref()).await.expect(302));
        assert!(to.starts_with(FRONTEND_URL) && to.contains("error=linear"), "{what}: {to}");
        assert_eq!(world.relay.connections(elsewhere).await, Vec::<Value>::new(), "{what}");
        let after = world.apis[0].metric("relay_callbacks_refused_total").await;
        assert!(after > before, "{what} is counted");
    }
    assert_eq!(world.relay.connections(victim).await, Vec::<Value>::new());
    let still = world.relay.connections(org).await;
    assert_eq!((still.len(), &still[0]["id"]), (1, &kept["id"]));
    assert_eq!(still[0]["status"], "connected");
}

/// An open redirect is what phishing lives on: only pages of the frontend are gone to.
#[tokio::test]
async fn a_success_redirect_elsewhere_is_refused() {
    let world = world().await;
    let org = new_id();
    for elsewhere in [
        "https://evil.example/",
        "http://frontend.example.evil.example/",
        "http://frontend.example@evil.example/",
        "//evil.example",
        "javascript:alert(1)",
        "http://frontend.example:8080/",
    ] {
        let answer = world.relay.install(org, "gitlab", &[("success_redirect", elsewhere)]).await;
        assert_eq!(answer.status, 400, "{elsewhere}");
    }
    let wanted = format!("{FRONTEND_URL}/organizations/{org}/new-project");
    let visit = world.relay.visit(org, "gitlab", &[("success_redirect", &wanted)]).await;
    let landing = world.relay.go_through(world.mocks(), &visit).await;
    assert!(landing.url.as_str().starts_with(&wanted), "{}", landing.url);
}

/// The texts and statuses that the frontend shows are the core's.
#[tokio::test]
async fn install_refuses_in_the_cores_words() {
    let world = world().await;
    let org = new_id();
    let token = world.relay.admin_token(org);
    let ask = |query: String, token: String| {
        let path = format!("/api/integrations/slack/install{query}");
        let request = world.relay.request(Method::GET, &path).bearer_auth(token);
        world.relay.send(request)
    };
    let none = ask(String::new(), token.clone()).await.expect(400);
    assert_eq!(none.json()["error"], "Organization ID is required");
    let other = ask(format!("?org_id={}", new_id()), token.clone()).await.expect(403);
    assert_eq!(other.json()["error"], "Not a member of this organization");
    let weak = world.relay.member_token(org, &json!({ "role": "member", "permissions": {} }));
    ask(format!("?org_id={org}"), weak).await.expect(403);
    let nobody =
        world.relay.request(Method::GET, &format!("/api/integrations/slack/install?org_id={org}"));
    world.relay.send(nobody).await.expect(401);

    let bare = World::builder().workers(0).start().await;
    let answer = bare.relay.install(org, "slack", &[]).await.expect(500);
    assert_eq!(answer.json()["error"], "Slack client ID not configured");
}

/// What belongs to a team or a project says so.
#[tokio::test]
async fn a_team_and_a_project_connect_their_own() {
    let world = world().await;
    let (org, team, project) = (new_id(), new_id(), new_id());
    let visit = world.relay.visit(org, "slack", &[("team_id", &team.to_string())]).await;
    let landing = world.relay.go_through(world.mocks(), &visit).await;
    let page = format!("/organizations/{org}/teams/{team}/settings/notifications");
    assert_eq!(landing.url.path(), page);
    let visit = world.relay.visit(org, "linear", &[("project_id", &project.to_string())]).await;
    let landing = world.relay.go_through(world.mocks(), &visit).await;
    assert_eq!(landing.url.path(), format!("/organizations/{org}/projects/{project}/settings"));
    let scopes: Vec<(Option<uuid::Uuid>, Option<uuid::Uuid>)> = sqlx::query_as(
        "select team_id, project_id from relay.organization_integrations
         where organization_id = $1 order by created_at",
    )
    .bind(org)
    .fetch_all(world.sql())
    .await
    .expect("the database answers");
    assert_eq!(scopes, [(Some(team), None), (None, Some(project))]);
}

/// Removing a connection ends its authorization where the provider has a way, and tells where not.
#[tokio::test]
async fn disconnecting_revokes_and_forgets() {
    let world = world().await;
    for (provider, revokes) in
        [("slack", true), ("gitlab", true), ("linear", true), ("asana", true), ("jira", false)]
    {
        let org = new_id();
        let connection = world.relay.connect(world.mocks(), org, provider).await;
        let id = connection["id"].as_str().and_then(|id| id.parse().ok()).expect("a UUID");
        let answer = world.relay.delete_connection(org, id).await.expect(200).json();
        assert_eq!(answer["success"], true);
        assert_eq!(answer["provider"], provider);
        let kept: i64 =
            sqlx::query_scalar("select count(*) from relay.secrets where connection_id = $1")
                .bind(id)
                .fetch_one(world.sql())
                .await
                .expect("the database answers");
        assert_eq!(kept, 0, "{provider}");
        let live = match provider {
            "slack" => world.mocks().slack().live_grants(),
            "gitlab" => world.mocks().gitlab().live_grants(),
            "linear" => world.mocks().linear().live_grants(),
            "asana" => world.mocks().asana().live_grants(),
            _ => 1,
        };
        assert_eq!(live, usize::from(!revokes), "{provider}");
    }
}
