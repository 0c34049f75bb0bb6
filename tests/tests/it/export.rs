//! Deliveries as a CSV file.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, LONG, World, event, new_id, wait_until};
use uuid::Uuid;

async fn export(world: &World, org: Uuid, query: &str) -> Vec<Vec<String>> {
    let path = format!("/api/organizations/{org}/deliveries/export?{query}");
    let answer = world.relay.admin(org, Method::GET, &path, None).await.expect(200);
    assert_eq!(answer.headers["content-type"], "text/csv; charset=utf-8; header=present");
    rows(std::str::from_utf8(&answer.body).expect("it is UTF-8"))
}

/// Reads CSV as RFC 4180 has it.
fn rows(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                cell.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut cell)),
            '\r' if !quoted => {}
            '\n' if !quoted => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            character => cell.push(character),
        }
    }
    assert!(!quoted && row.is_empty() && cell.is_empty(), "it ends with a whole row");
    rows
}

fn column(rows: &[Vec<String>], name: &str) -> Vec<String> {
    let place = rows[0].iter().position(|column| column == name).expect(name);
    rows[1..].iter().map(|row| row[place].clone()).collect()
}

/// The file holds what the list shows, page after page, by the same filters.
#[tokio::test]
async fn a_file_holds_what_the_list_shows() {
    let world = World::start().await;
    let org = new_id();
    let one = world.relay.create_custom(org, &world.receiver.url("/one")).await;
    world.relay.create_custom(org, &world.receiver.url("/two")).await;
    let body = |n: usize| event(org, "a.b", json!({ "marker": n.to_string() }));
    world.relay.emit_batch(&(0..230).map(body).collect::<Vec<_>>()).await;
    world.relay.emit(&event(new_id(), "a.b", json!({ "marker": "stranger" }))).await;
    world.run_until_idle().await;
    for (query, count) in [
        (String::new(), 460),
        (format!("connection_id={}&status=delivered", one.id), 230),
        ("status=dead".to_owned(), 0),
    ] {
        let file = export(&world, org, &query).await;
        let listed = world.relay.deliveries_where(org, &query).await;
        assert_eq!((file.len(), listed.len()), (count + 1, count), "{query}");
        assert!(file.iter().all(|row| row.len() == file[0].len()));
        let ids: Vec<&str> = listed.iter().filter_map(|item| item["id"].as_str()).collect();
        assert_eq!(column(&file, "id"), ids, "{query}");
    }
    for query in ["cursor=x", "limit=5", "state=dead"] {
        let path = format!("/api/organizations/{org}/deliveries/export?{query}");
        let refused = world.relay.admin(org, Method::GET, &path, None).await.expect(422);
        assert_eq!(refused.code(), "unknown_filter", "{query}");
    }
}

/// I46: what customers, reporters and receivers write is text in a spreadsheet, and steers no terminal.
#[tokio::test]
async fn i46_no_cell_is_a_formula() {
    let world = World::builder().env("RELAY_RETRY_SCHEDULE", "").start().await;
    let org = new_id();
    world.receiver.answer("/bad", [Answer::status(500).body("=1+1")]);
    let names = [
        "=HYPERLINK(\"http://x\")",
        "+1",
        "-1",
        "@SUM(A1)",
        "<script>alert(1)</script>",
        "a, \"b\"",
    ];
    for (n, name) in names.iter().enumerate() {
        let path = if n == 0 { "/bad".to_owned() } else { format!("/hook-{n}") };
        let url = world.receiver.url(&path);
        world.relay.create_custom_with(org, &url, &json!({ "name": name })).await;
    }
    let mut body = event(org, "a.b", json!({ "marker": "1" }));
    body["subject"] = json!("=cmd|' /C calc'!A0");
    world.relay.emit(&body).await;
    world.run_until_idle().await;
    // No reporter can give such a subject, so what else stands there has one.
    sqlx::query(
        "insert into relay.attempts
             (organization_id, delivery_id, number, connection_id, event_id, settlement, reason, error)
         values ($1, relay.uuid7(), 0, $1, relay.uuid7(), 'dead', 'unsendable', E'\\x1b[31mred\\x07')",
    )
    .bind(org)
    .execute(world.sql())
    .await
    .expect("it is recorded");
    let path = format!("/api/organizations/{org}/deliveries/export");
    let answer = world.relay.admin(org, Method::GET, &path, None).await.expect(200);
    let text = String::from_utf8(answer.body.to_vec()).expect("it is UTF-8");
    assert!(!text.contains(['\u{1b}', '\u{7}']));
    let mut file = rows(&text);
    assert!(column(&file, "error").contains(&" [31mred ".to_owned()), "{text}");
    file.retain(|row| row.iter().all(|cell| cell != " [31mred "));
    let mut shown = column(&file, "connection_name");
    shown.sort_unstable();
    let mut expected: Vec<String> = names
        .iter()
        .map(|name| {
            if name.starts_with(['=', '+', '-', '@']) {
                format!("'{name}")
            } else {
                (*name).to_owned()
            }
        })
        .collect();
    expected.sort_unstable();
    assert_eq!(shown, expected);
    assert!(column(&file, "subject").iter().all(|subject| subject == "'=cmd|' /C calc'!A0"));
    for cell in file[1..].iter().flatten() {
        assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{cell}");
    }
    assert_eq!(answer.headers["content-disposition"], "attachment; filename=\"deliveries.csv\"");
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
}

/// A file that nobody reads is not written any further, and an organization has only two under way.
#[tokio::test]
async fn files_that_are_not_read_take_up_the_turns() {
    let world = World::builder().workers(0).start().await;
    let (org, other) = (new_id(), new_id());
    // 40 MB, of which the sockets and what lies between take some.
    sqlx::query(
        "insert into relay.attempts
             (organization_id, delivery_id, number, connection_id, event_id, settlement, reason, error)
         select $1, relay.uuid7(), 0, $1, relay.uuid7(), 'dead', 'unsendable', repeat('x', 10000)
         from generate_series(1, 4000)",
    )
    .bind(org)
    .execute(world.sql())
    .await
    .expect("they are recorded");
    let open = async |org: Uuid| {
        let path = format!("/api/organizations/{org}/deliveries/export");
        let request = world.relay.request(Method::GET, &path);
        let request = request.bearer_auth(world.relay.admin_token(org));
        request.send().await.expect("the API answers")
    };
    let (first, second) = (open(org).await, open(org).await);
    assert_eq!((first.status().as_u16(), second.status().as_u16()), (200, 200));
    let third = open(org).await;
    assert_eq!(third.status(), 429);
    assert!(third.headers().contains_key("retry-after"));
    let refusal: Value = third.json().await.expect("a refusal is JSON");
    assert_eq!(refusal["code"], "too_many_exports");
    assert_eq!(open(other).await.status(), 200);
    drop(first);
    wait_until("there to be room again", LONG, || async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        (open(org).await.status() == 200).then_some(())
    })
    .await;
    let whole = second.text().await.expect("it comes to its end");
    assert_eq!(rows(&whole).len(), 4_001);
}
