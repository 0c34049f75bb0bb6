//! Who may do what, on every route that there is: the list is the served OpenAPI document.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answered, World, event, new_id};
use uuid::Uuid;

/// A route of an organization, as the document has it.
struct Route {
    method: Method,
    /// With `{org}`, `{id}`, `{team}` and `{project}`.
    path: String,
}

impl Route {
    fn filled(&self, org: Uuid, ids: &Ids) -> String {
        let id = match self.path.split('/').nth(4) {
            Some("deliveries" | "notification-history") => ids.delivery,
            Some("events") => ids.event,
            Some("replays") => ids.replay,
            Some("teams") => ids.of_team,
            _ => ids.connection,
        };
        let asked = match self.path.ends_with("/why") {
            true => format!("?connection_id={}", ids.connection),
            false => String::new(),
        };
        let path = self
            .path
            .replace("{org}", &org.to_string())
            .replace("{team}", &ids.team.to_string())
            .replace("{project}", &ids.team.to_string())
            .replace("{id}", &id.to_string());
        path + &asked
    }

    /// Whether it changes nothing, so that members may; but what others did is for managers.
    fn is_a_look(&self) -> bool {
        let is_audit = self.path.ends_with("/audit");
        self.method == Method::GET && !is_audit || self.path.ends_with("/preview")
    }

    /// Good enough to be carried out by whoever may.
    fn body(&self) -> Option<Value> {
        match self.method.as_str() {
            "GET" | "DELETE" => None,
            "POST" if self.path.ends_with("custom-integrations") => Some(json!({
                "name": "Intruder", "type": "notification", "webhook_url": "https://example.com/x",
            })),
            "POST" if self.path.ends_with("/replays") => {
                Some(json!({ "selection": { "event": "a.b", "status": ["delivered"] } }))
            }
            "POST" => Some(json!({})),
            "PATCH" if self.path.contains("/replays/") => Some(json!({ "status": "cancelled" })),
            "PUT" if self.path.ends_with("/destination") => Some(json!({ "id": "C0INTRUDER" })),
            _ => Some(json!({ "name": "Intruder" })),
        }
    }
}

#[derive(Clone, Copy)]
struct Ids {
    team: Uuid,
    connection: Uuid,
    of_team: Uuid,
    delivery: Uuid,
    event: Uuid,
    replay: Uuid,
}

impl Ids {
    fn nobodys() -> Self {
        let [team, connection, of_team, delivery, event, replay] =
            std::array::from_fn(|_| new_id());
        Self { team, connection, of_team, delivery, event, replay }
    }
}

/// Every route of the document that belongs to an organization and wants a person's token.
async fn routes(world: &World) -> Vec<Route> {
    let request = world.relay.request(Method::GET, "/openapi.json");
    let document = world.relay.send(request).await.expect(200).json();
    let mut routes = Vec::new();
    for (path, operations) in document["paths"].as_object().expect("paths") {
        for (method, operation) in operations.as_object().expect("operations") {
            let is_public =
                operation["security"].as_array().is_some_and(|s| s.contains(&json!({})));
            if path.contains("{org}") && !is_public {
                let method = method.to_uppercase().parse().expect("a method");
                routes.push(Route { method, path: path.clone() });
            }
        }
    }
    assert!(routes.len() >= 20, "the document lists {} routes", routes.len());
    routes
}

async fn call(world: &World, route: &Route, path: &str, token: Option<&str>) -> Answered {
    let mut request = world.relay.request(route.method.clone(), path);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    if let Some(body) = route.body() {
        request = request.json(&body);
    }
    world.relay.send(request).await
}

/// An organization with a webhook of its own, one of a team, a settled delivery, and a replay of nothing.
async fn inhabited(world: &World, org: Uuid) -> Ids {
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let emitted = world.relay.emit(&event(org, "a.b", json!({ "marker": "theirs" }))).await;
    let delivery = world.relay.settled(org, emitted, hook.id, "delivered").await;
    let team = new_id();
    let path = format!("/api/organizations/{org}/teams/{team}/custom-integrations");
    let url = world.receiver.url("/team");
    let body = json!({ "name": "Team", "type": "ticketing", "webhook_url": url });
    let made = world.relay.admin(org, Method::POST, &path, Some(&body)).await.expect(200).json();
    let id = |value: &Value| value["id"].as_str().and_then(|id| id.parse().ok()).expect("a UUID");
    let path = format!("/api/organizations/{org}/replays");
    let body = json!({ "selection": { "event": "never.heard", "status": ["dead"] } });
    let replay = world.relay.admin(org, Method::POST, &path, Some(&body)).await.expect(202).json();
    Ids {
        team,
        connection: hook.id,
        of_team: id(&made),
        delivery: id(&delivery),
        event: emitted,
        replay: id(&replay),
    }
}

/// All that belongs to an organization, to see that nothing was touched.
async fn state(world: &World, org: Uuid) -> Vec<Value> {
    sqlx::query_scalar(
        "select to_jsonb(c) from relay.organization_integrations c where organization_id = $1
         union all
         select to_jsonb(o) from relay.outbox o where organization_id = $1
         union all
         select to_jsonb(a) from relay.attempts a where organization_id = $1",
    )
    .bind(org)
    .fetch_all(world.sql())
    .await
    .expect("the database answers")
}

/// I41, B40d: to an admin of another organization nothing of ours exists, on no route: the answer is
/// the same 404, to the byte, as for what really does not exist; and nothing is done.
#[tokio::test]
async fn i41_b40d_another_organizations_ids_do_not_exist_on_any_route() {
    let world = World::start().await;
    let (ours, theirs, nowhere) = (new_id(), new_id(), new_id());
    let found = inhabited(&world, ours).await;
    inhabited(&world, theirs).await;
    let before = state(&world, ours).await;
    assert!(before.len() >= 3);
    let stranger = world.relay.admin_token(theirs);
    for route in routes(&world).await {
        let shown = format!("{} {}", route.method, route.path);
        // Our organization in the path, theirs in the token.
        let ours_there = call(&world, &route, &route.filled(ours, &found), Some(&stranger)).await;
        let none_there =
            call(&world, &route, &route.filled(nowhere, &Ids::nobodys()), Some(&stranger)).await;
        assert_eq!((ours_there.status, ours_there.code().as_str()), (404, "not_found"), "{shown}");
        assert_eq!((none_there.status, &none_there.body), (404, &ours_there.body), "{shown}");
        let names = |answer: &Answered| {
            let mut names: Vec<String> = answer.headers.keys().map(ToString::to_string).collect();
            names.sort_unstable();
            names
        };
        assert_eq!(names(&ours_there), names(&none_there), "{shown}");
        // Their organization in the path, our ids behind it.
        if route.path.contains("{id}") {
            let answer = call(&world, &route, &route.filled(theirs, &found), Some(&stranger)).await;
            let random =
                call(&world, &route, &route.filled(theirs, &Ids::nobodys()), Some(&stranger)).await;
            assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"), "{shown}");
            assert_eq!((random.status, &random.body), (404, &answer.body), "{shown}");
        }
    }
    // Filters by our ids find nothing of theirs, as filters by no one's do.
    let path = format!("/api/organizations/{theirs}/deliveries");
    for filter in [
        format!("connection_id={}", found.connection),
        format!("connection_id={}", new_id()),
        format!("cursor={}&event=x.y", found.delivery),
    ] {
        let request = world.relay.request(Method::GET, &format!("{path}?{filter}"));
        let answer = world.relay.send(request.bearer_auth(&stranger)).await.expect(200).json();
        assert_eq!(
            (&answer["items"], &answer["next_cursor"]),
            (&json!([]), &Value::Null),
            "{filter}"
        );
    }
    let listed = world.relay.deliveries(theirs).await;
    assert_eq!(listed.len(), 1, "only their own");
    assert_eq!(state(&world, ours).await, before, "nothing of ours was touched");
    assert_eq!(world.receiver.count("/hook"), 2, "one for each of them, and no replay or test");
}

/// Without a person's token nobody gets further than the door, on any route.
#[tokio::test]
async fn i42_every_route_wants_a_token() {
    let world = World::builder().workers(0).start().await;
    let org = new_id();
    let service_key = world.relay.service_key().to_owned();
    for route in routes(&world).await {
        let path = route.filled(org, &Ids::nobodys());
        for token in [None, Some("x"), Some("a.b.c"), Some(service_key.as_str())] {
            let answer = call(&world, &route, &path, token).await;
            let shown = format!("{} {} {token:?}", route.method, route.path);
            assert_eq!((answer.status, answer.code().as_str()), (401, "unauthorized"), "{shown}");
            assert!(answer.headers.contains_key("www-authenticate"), "{shown}");
        }
        // Nor do ids that are none lead anywhere else.
        let odd = route.path.replace("{org}", "x").replace(['{', '}'], "");
        assert_eq!(call(&world, &route, &odd, None).await.status, 401, "{odd}");
        let token = world.relay.admin_token(org);
        assert_eq!(call(&world, &route, &odd, Some(&token)).await.status, 404, "{odd}");
    }
    assert!(state(&world, org).await.is_empty());
}

/// A member looks, and changes only with the permission; its owner may always.
#[tokio::test]
async fn a_member_without_the_permission_looks_and_changes_nothing() {
    let world = World::start().await;
    let org = new_id();
    let ids = inhabited(&world, org).await;
    let before = state(&world, org).await;
    let members = [
        json!({ "role": "member" }),
        json!({ "role": "member", "permissions": { "manage_integrations": false } }),
        json!({ "role": "member", "permissions": { "manage_integrations": "true" } }),
        json!({ "role": "admin", "permissions": { "manage_notifications": true } }),
        json!({ "role": "Owner" }),
    ];
    for route in routes(&world).await {
        let path = route.filled(org, &ids);
        for membership in &members {
            let token = world.relay.member_token(org, membership);
            if route.path.ends_with("/live") {
                // It does not end; tests/it/live.rs listens to it.
                continue;
            }
            let answer = call(&world, &route, &path, Some(&token)).await;
            let shown = format!("{} {path} {membership}", route.method);
            if route.path.ends_with("/destinations") {
                // Looked at like everything else, but a webhook has none to list.
                assert_eq!((answer.status, answer.code().as_str()), (422, "no_destinations"));
            } else if route.is_a_look() {
                assert_eq!(answer.status, 200, "{shown}");
            } else {
                assert_eq!((answer.status, answer.code().as_str()), (403, "forbidden"), "{shown}");
            }
        }
    }
    assert_eq!(state(&world, org).await, before);
    let permitted = json!({ "role": "member", "permissions": { "manage_integrations": true } });
    for membership in [permitted, json!({ "role": "owner", "permissions": {} })] {
        let token = world.relay.member_token(org, &membership);
        let path = format!("/api/organizations/{org}/connections/{}", ids.connection);
        let request = world.relay.request(Method::PATCH, &path).bearer_auth(token);
        let name = format!("By {membership}").chars().take(40).collect::<String>();
        world.relay.send(request.json(&json!({ "name": name }))).await.expect(200);
    }
}

/// The core's tables say who belongs where, and what a token claims of that is not looked at.
#[tokio::test]
async fn membership_can_come_from_the_cores_own_tables() {
    let world = World::builder().workers(0).env("RELAY_MEMBERSHIP", "postgres").start().await;
    for statement in [
        "create table public.organization_members
             (organization_id uuid, user_id uuid, role text)",
        "create table public.organization_roles
             (organization_id uuid, name text, permissions jsonb)",
        "grant select on public.organization_members, public.organization_roles to public",
    ] {
        sqlx::query(statement).execute(world.sql()).await.expect("the core's tables are made");
    }
    let org = new_id();
    let (owner, manager, viewer, stranger) =
        (Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4());
    sqlx::query(
        "insert into public.organization_members values
             ($1, $2, 'owner'), ($1, $3, 'lead'), ($1, $4, 'viewer'), ($6, $5, 'owner')",
    )
    .bind(org)
    .bind(owner)
    .bind(manager)
    .bind(viewer)
    .bind(stranger)
    .bind(new_id())
    .execute(world.sql())
    .await
    .expect("members join");
    sqlx::query(
        r#"insert into public.organization_roles values
             ($1, 'lead', '{"manage_integrations": true}'),
             ($1, 'viewer', '{"manage_integrations": false}'),
             (gen_random_uuid(), 'viewer', '{"manage_integrations": true}')"#,
    )
    .bind(org)
    .execute(world.sql())
    .await
    .expect("roles are made");
    let path = format!("/api/integrations/organizations/{org}/connections");
    let custom = format!("/api/integrations/organizations/{org}/custom-integrations");
    for (user, looks, changes) in
        [(owner, 200, 400), (manager, 200, 400), (viewer, 200, 403), (stranger, 404, 404)]
    {
        // A forged claim of ownership is worth nothing here.
        let token = world.relay.token(&json!({
            "sub": user, "app_metadata": { "organizations": { org.to_string(): { "role": "owner" } } },
        }));
        let request = world.relay.request(Method::GET, &path).bearer_auth(&token);
        assert_eq!(world.relay.send(request).await.status, looks, "{user}");
        let request =
            world.relay.request(Method::POST, &custom).bearer_auth(&token).json(&json!({}));
        assert_eq!(world.relay.send(request).await.status, changes, "{user}");
    }
}

/// While a service key is rotated both are taken, by either header; nothing else is.
#[tokio::test]
async fn service_keys_are_rotated_by_accepting_both() {
    let (new, old) = ("new-service-key-0123456789", "old-service-key-0123456789");
    let world = World::builder()
        .workers(0)
        .env("RELAY_SERVICE_KEY", "")
        .env("INTERNAL_API_KEY", &format!("{new}, {old}"))
        .start()
        .await;
    let org = new_id();
    let post = async |header: &str, value: &str| {
        let request = world.relay.request(Method::POST, "/v1/events").header(header, value);
        world.relay.send(request.body(event(org, "a.b", json!({})).to_string())).await
    };
    for key in [new, old] {
        post("x-internal-api-key", key).await.expect(202);
        post("authorization", &format!("Bearer {key}")).await.expect(202);
    }
    let admin = world.relay.admin_token(org);
    for (header, value) in [
        ("x-internal-api-key", ""),
        ("x-internal-api-key", "new-service-key-012345678"),
        ("x-internal-api-key", "new-service-key-0123456789, old-service-key-0123456789"),
        ("x-internal-api-key", &admin),
        ("authorization", &format!("Bearer {admin}")),
        ("authorization", &format!("Basic {new}")),
        ("x-other", new),
    ] {
        assert_eq!(post(header, value).await.expect(401).code(), "unauthorized", "{header}");
    }
    let log = world.apis[0].log();
    assert!(!log.contains(new) && !log.contains(old) && !log.contains(&admin));
}
