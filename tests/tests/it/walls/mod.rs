//! I41, B40d: whatever the document lists, asked with another organization's token about ours. Routes and
//! parameters come from `docs/openapi.json`, so that one that is added later is asked as well.

mod asked;
mod ids;
mod postgres;

use std::time::Duration;

use reqwest::{Method, Response};
use serde_json::{Value, json};
use tests::{Answer, World, WorldBuilder, event, new_id, wait_until};
use uuid::Uuid;

use asked::{Asked, Caller, Question, questions};
pub(crate) use ids::Ids;

const DOCUMENT: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json"));
const ICON: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
/// How much of a stream that does not end is listened to.
const A_WHILE: Duration = Duration::from_millis(300);

#[tokio::test]
async fn i41_b40d_nothing_the_document_lists_leads_to_another_organization() {
    nothing_leads_there(World::builder()).await;
}

/// The same where the processes own nothing, and Postgres itself keeps organizations apart.
#[tokio::test]
async fn i41_b40d_nor_does_it_behind_the_second_wall() {
    nothing_leads_there(World::builder().walled()).await;
}

/// What somebody heard.
#[derive(Debug)]
struct Heard {
    status: u16,
    headers: Vec<String>,
    body: String,
    /// Whether it goes on for longer than it was listened to.
    is_stream: bool,
    /// What Postgres was asked for it, statement by statement.
    statements: Vec<String>,
}

async fn nothing_leads_there(builder: WorldBuilder) {
    let log = "info,sqlx::query=debug,api=debug";
    let world = builder.env("RUST_LOG", log).start().await;
    let document: Value = serde_json::from_str(DOCUMENT).expect("the document is JSON");
    let served = world.relay.send(world.relay.request(Method::GET, "/openapi.json")).await;
    assert_eq!(served.expect(200).json(), document, "docs/openapi.json is not what is served");
    let ours = inhabited(&world).await;
    let stranger = inhabited(&world).await;
    let secrets = ours.all();
    world.workers[0].kill9(); // Nothing moves from here on but what is asked for.
    let before = everything(&world, ours.org).await;
    let token = world.relay.admin_token(stranger.org);
    let questions = questions(&document);
    let operations: usize = document["paths"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(_, o)| o.as_object().map_or(0, serde_json::Map::len))
        .sum();
    assert!(questions.len() > operations && operations >= 52, "{operations} operations");
    let mut statements = 0;
    for question in &questions {
        let shown = question.shown();
        let nobodys = ours.beside();
        // Our organization where one is named, and all that is ours behind it; then one that never was.
        let about_ours = ask(&world, question, &token, ours.org, &ours, &document).await;
        let about_nobody = ask(&world, question, &token, nobodys.org, &nobodys, &document).await;
        if question.caller != Caller::Anybody {
            assert_alike(&shown, &about_ours, &about_nobody);
            assert_silent(&shown, &about_ours, &secrets);
        }
        let refused = match (question.caller, question.names_organization()) {
            (Caller::Core, _) => Some((401, "unauthorized")),
            (Caller::Person, true) => Some((404, "not_found")),
            (Caller::Person, false) if names_org_elsewhere(&question.path) => {
                Some((403, "not_a_member"))
            }
            _ => None,
        };
        if let Some((status, code)) = refused {
            let body: Value = serde_json::from_str(&about_ours.body).unwrap_or_default();
            assert_eq!((about_ours.status, body["code"].as_str()), (status, Some(code)), "{shown}");
        }
        // The stranger's own organization, and all that is ours behind it.
        let among_theirs = ask(&world, question, &token, stranger.org, &ours, &document).await;
        let among_nobodys = ask(&world, question, &token, stranger.org, &nobodys, &document).await;
        assert_alike(&shown, &among_theirs, &among_nobodys);
        statements += among_theirs.statements.len();
        assert_silent(&shown, &among_theirs, &secrets);
        if question.caller == Caller::Person && question.names_id() {
            // What is no such parameter at all is refused before anything is looked for.
            let is_misfit = !question.is_plain() && matches!(among_theirs.status, 400 | 422);
            assert!(among_theirs.status == 404 || is_misfit, "{shown}: {among_theirs:?}");
        }
    }
    assert!(statements > questions.len(), "{statements} statements: the log does not tell them");
    assert_eq!(everything(&world, ours.org).await, before, "nothing of ours was touched");
}

/// Where no path names the organization, the query or the body does.
fn names_org_elsewhere(path: &str) -> bool {
    path.ends_with("/install") || path.ends_with("/connect-pat")
}

async fn ask(
    world: &World,
    question: &Question,
    token: &str,
    organization: Uuid,
    ids: &Ids,
    document: &Value,
) -> Heard {
    let asked = question.about(organization, ids, document);
    let id = new_id().to_string();
    let mut request = world.relay.request(question.method.clone(), &asked.path).bearer_auth(token);
    for (name, value) in &asked.headers {
        request = request.header(name, value);
    }
    if let Some((content_type, body)) = &asked.body {
        request = request.header("content-type", *content_type).body(body.clone());
    }
    let response = request.header("x-request-id", &id).send().await.expect("the API answers");
    let status = response.status().as_u16();
    let mut headers: Vec<String> = response.headers().keys().map(ToString::to_string).collect();
    headers.sort_unstable();
    let kind = response.headers().get("content-type");
    let is_stream = kind.is_some_and(|kind| kind == "text/event-stream");
    let body = blurred(&read(response, is_stream).await, &asked);
    // What follows an answer, such as the record of an export, is said before the log is read on.
    let statements = statements(&world.apis[0].log(), &id);
    Heard { status, headers, body, is_stream, statements }
}

/// All of an answer, or the beginning of one that does not end; where it leads is part of it.
async fn read(mut response: Response, is_stream: bool) -> String {
    let leads_to = response.headers().get("location");
    let mut body = leads_to.map(|to| to.as_bytes().to_vec()).unwrap_or_default();
    loop {
        let chunk = match is_stream {
            true => tokio::time::timeout(A_WHILE, response.chunk()).await.unwrap_or(Ok(None)),
            false => response.chunk().await,
        };
        match chunk.expect("the answer arrives") {
            Some(chunk) => body.extend_from_slice(&chunk),
            None => return String::from_utf8_lossy(&body).into_owned(),
        }
    }
}

/// An answer without what changes from one to the next: what was sent along, other ids, and instants.
fn blurred(body: &str, asked: &Asked) -> String {
    let mut text = body.to_owned();
    for sent in &asked.sent {
        text = text.replace(sent.as_str(), "<sent>");
    }
    let is_word = |c: char| c.is_ascii_alphanumeric() || "-:.+_".contains(c);
    let mut blurred = String::new();
    for piece in text.split_inclusive(|c| !is_word(c)) {
        let word = piece.trim_end_matches(|c| !is_word(c));
        let is_instant = chrono::DateTime::parse_from_rfc3339(word).is_ok();
        let stem = word.split('.').next().unwrap_or(word);
        let word_shown = match word {
            _ if Uuid::parse_str(stem).is_ok() => "<id>",
            _ if word.starts_with("whsec_") => "<secret>",
            _ if is_instant => "<instant>",
            _ => word,
        };
        blurred.push_str(word_shown);
        blurred.push_str(&piece[word.len()..]);
    }
    blurred
}

/// What the log says that Postgres was asked for one request, but for what opening a connection asks.
fn statements(log: &str, request: &str) -> Vec<String> {
    let of_request =
        log.lines().filter(|line| line.contains(request) && line.contains("sqlx::query"));
    let summaries = of_request.filter_map(|line| Some(line.split_once("summary=")?.1));
    let texts =
        summaries.map(|text| text.split(" db.statement=").next().unwrap_or(text).to_owned());
    texts.filter(|text| !text.contains("pg_get_userbyid") && !text.contains("pg_catalog")).collect()
}

/// Neither the answer nor what was done for it tells what is another's from what there never was.
#[track_caller]
fn assert_alike(shown: &str, theirs: &Heard, nobodys: &Heard) {
    let shown = format!("{shown}\n{}\n{}", theirs.body, nobodys.body);
    assert_eq!((theirs.status, &theirs.headers), (nobodys.status, &nobodys.headers), "{shown}");
    // What a stream tells in its first moments is chance; that it is silent of others is asked beside.
    if !theirs.is_stream {
        assert_eq!(theirs.body, nobodys.body, "{shown}");
        assert_eq!(theirs.statements, nobodys.statements, "{shown}");
    }
}

#[track_caller]
fn assert_silent(shown: &str, heard: &Heard, secrets: &[String]) {
    for secret in secrets {
        assert!(!heard.body.contains(secret.as_str()), "{shown} tells {secret}: {}", heard.body);
    }
    assert!(heard.status < 500 || heard.status == 504, "{shown}: {} {}", heard.status, heard.body);
}

/// An organization with something of everything, and a word of its own in all that it wrote.
pub(crate) async fn inhabited(world: &World) -> Ids {
    let mut ids = Ids::nobodys();
    let word = ids.word.clone();
    let admin = async |method: Method, path: String, body: &Value| {
        let answer = world.relay.admin(ids.org, method, &path, Some(body)).await;
        assert!(answer.status < 300, "{path}: {}", String::from_utf8_lossy(&answer.body));
        answer.json()
    };
    let (hook, failing) = (format!("/{word}/hook"), format!("/{word}/failing"));
    world.receiver.answer(&failing, vec![Answer::status(410); 4]);
    let more = json!({ "name": format!("{word} hook") });
    let hook = world.receiver.url(&hook);
    let connection = world.relay.create_custom_with(ids.org, &hook, &more).await.id;
    let gone = world.relay.create_custom_with(ids.org, &world.receiver.url(&failing), &more).await;
    let mut parts = Vec::new();
    for (part, whose) in [("teams", ids.team), ("projects", ids.project)] {
        let path = format!("/api/organizations/{}/{part}/{whose}/custom-integrations", ids.org);
        let url = world.receiver.url(&format!("/{word}/{part}"));
        let body =
            json!({ "name": format!("{word} {part}"), "type": "ticketing", "webhook_url": url });
        parts.push(id(&admin(Method::POST, path, &body).await));
    }
    let mut body = event(ids.org, &format!("{word}.seen"), json!({ "marker": word }));
    body["subject"] = json!(word);
    body["source"] = json!(word);
    body["idempotency_key"] = json!(word);
    let emitted = world.relay.emit(&body).await;
    let delivered = world.relay.settled(ids.org, emitted, connection, "delivered").await;
    world.relay.settled(ids.org, emitted, gone.id, "dead").await;
    let change = json!({ "headers": { "X-Word": word }, "paused": true });
    world.relay.change(ids.org, connection, &change).await.expect(200);
    world.relay.emit(&event(ids.org, &format!("{word}.missed"), json!({}))).await;
    let path = format!("/api/organizations/{}/replays", ids.org);
    let selection = json!({ "selection": { "event": format!("{word}.seen"), "status": ["dead"] }, "reason": word });
    let replay = id(&admin(Method::POST, path, &selection).await);
    // Somebody looked at what was reported, which is recorded.
    let path = format!("/api/organizations/{}/events/{emitted}", ids.org);
    world.relay.admin(ids.org, Method::GET, &path, None).await.expect(200);
    let path =
        format!("/api/integrations/organizations/{}/custom-integrations/upload-icon", ids.org);
    let request = world.relay.request(Method::POST, &path);
    let request = request.bearer_auth(world.relay.admin_token(ids.org));
    let url = world.relay.send(request.body(ICON)).await.expect(200).json()["url"].clone();
    let file = url.as_str().and_then(|url| url.rsplit('/').next()?.split('.').next());
    let icon = file.and_then(|id| id.parse().ok()).expect("the address ends with its id");
    (ids.connection, ids.of_team, ids.of_project) = (connection, parts[0], parts[1]);
    (ids.event, ids.delivery, ids.replay, ids.icon) = (emitted, id(&delivered), replay, icon);
    settled_replay(world, replay).await;
    ids
}

fn id(value: &Value) -> Uuid {
    value["id"].as_str().and_then(|id| id.parse().ok()).expect("a UUID")
}

async fn settled_replay(world: &World, replay: Uuid) {
    wait_until("the replay to end", tests::LONG, || async {
        let status: String =
            sqlx::query_scalar("select status from relay.replay_jobs where id = $1")
                .bind(replay)
                .fetch_one(world.sql())
                .await
                .expect("the database answers");
        matches!(status.as_str(), "completed" | "failed").then_some(())
    })
    .await;
}

/// Every row of an organization, in whatever table.
async fn everything(world: &World, org: Uuid) -> Vec<Value> {
    let tables: Vec<String> = sqlx::query_scalar(
        "select c.oid::regclass::text from pg_class c
         join pg_attribute a on a.attrelid = c.oid and a.attname = 'organization_id'
         where c.relnamespace = 'relay'::regnamespace and c.relkind in ('r', 'p')
           and not c.relispartition order by 1",
    )
    .fetch_all(world.sql())
    .await
    .expect("the database answers");
    let mut rows = Vec::new();
    for table in tables {
        let statement = format!(
            "select jsonb_build_object('table', $2::text, 'row', to_jsonb(r))
             from {table} r where organization_id = $1 order by to_jsonb(r)::text"
        );
        let of_table: Vec<Value> = sqlx::query_scalar(sqlx::AssertSqlSafe(statement))
            .bind(org)
            .bind(&table)
            .fetch_all(world.sql())
            .await
            .expect("the database answers");
        rows.extend(of_table);
    }
    assert!(rows.len() > 15, "{} rows", rows.len());
    rows
}
