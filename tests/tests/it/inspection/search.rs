//! Searches that have to look far: whatever is asked for, page by page they find what is there.

use std::collections::BTreeSet;

use reqwest::Method;
use tests::{World, new_id};
use uuid::Uuid;

use super::{all, get, texts};

/// Twelve thousand events with two deliveries each, over ten days; some were tried again, given up,
/// skipped, replayed, or still wait.
async fn fill(world: &World, org: Uuid) {
    for statement in [
        "create table public.happened as
         select relay.uuid7_at(relay.uuid7_ticks(now() - interval '10 days' * (n / 12000.0))) as event_id,
                now() - interval '10 days' * (n / 12000.0) as at, n
         from generate_series(1, 12000) n",
        "insert into relay.organization_integrations
             (id, organization_id, provider, installation_id, display_name, version, connected_at)
         select relay.uuid7(), $1, case when n < 20 then 'slack' else 'jira' end, n::text, 'C' || n, 1, now()
         from generate_series(1, 22) n",
        "insert into relay.event_log_product (id, category, organization_id, kind, subject, payload, occurred_at)
         select event_id, 'product', $1, case when n % 6000 = 5 then 'rare.kind' else 'a.b' end,
                case when n % 3000 = 7 then 'CVE-1' end, '{}', at
         from public.happened",
        "create table public.promised as
         select relay.uuid7_beside(h.event_id, relay.uuid7_ticks(h.at) + 10 + c) as delivery_id,
                h.event_id, h.at, h.n, i.id as connection_id
         from public.happened h cross join generate_series(1, 2) c
         join relay.organization_integrations i on i.installation_id =
             (case when h.n % 4000 = 9 then 22 else 1 + (h.n + c * 5) % 19 end)::text
         where i.organization_id = $1",
        "insert into relay.attempts (organization_id, delivery_id, number, connection_id, event_id, started_at,
             duration_us, status_code, error_class, settlement, next_due_at, recorded_at)
         select $1, delivery_id, 1, connection_id, event_id, at, 1, case when n % 7 = 3 then 500 else 200 end,
                case when n % 5000 = 3 then 'dns' when n % 7 = 3 then 'http_5xx' end,
                case when n % 7 = 3 or n % 5000 = 3 then 'retrying' else 'delivered' end,
                case when n % 7 = 3 or n % 5000 = 3 then at end, at
         from public.promised where n % 50 <> 1",
        "insert into relay.attempts (organization_id, delivery_id, number, connection_id, event_id, class,
             started_at, duration_us, status_code, error_class, settlement, reason, external_id, recorded_at)
         select $1, delivery_id, 2, connection_id, event_id, 1, at, 1, case when n % 3 = 0 then 500 else 200 end,
                case when n % 3 = 0 then 'http_5xx' end, case when n % 3 = 0 then 'dead' else 'delivered' end,
                case when n % 3 = 0 then 'retries_exhausted' end, case when n % 3 = 1 then 'SEC-1' end,
                at + interval '1 hour'
         from public.promised where n % 7 = 3 and n % 5 <> 0 and n % 50 <> 1",
        "insert into relay.attempts (organization_id, delivery_id, number, connection_id, event_id,
             settlement, reason, recorded_at)
         select $1, delivery_id, 0, connection_id, event_id,
                case when n % 100 = 1 then 'skipped' else 'cancelled' end, 'connection_paused', at
         from public.promised where n % 50 = 1",
        // One of those that were given up, and arrived in the end.
        "insert into relay.attempts (organization_id, delivery_id, number, connection_id, event_id, class,
             started_at, duration_us, status_code, settlement, recorded_at)
         select $1, delivery_id, 3, connection_id, event_id, 2, at, 1, 200, 'delivered', at + interval '2 hours'
         from public.promised where n % 7 = 3 and n % 45 = 0 and n % 50 <> 1",
        "insert into relay.outbox (organization_id, delivery_id, connection_id, event_id, shard, class, due_at, attempt)
         select $1, delivery_id, connection_id, event_id,
                case when n % 4 = 0 then relay.parked_shard_of(connection_id) else relay.shard_of(connection_id) end,
                1, case when n % 4 = 0 then 'infinity' else now() + interval '1 day' end, 1
         from public.promised p
         where (select a.settlement from relay.attempts a where a.organization_id = $1 and a.delivery_id = p.delivery_id
                order by a.number desc limit 1) = 'retrying'",
        "analyze",
    ] {
        let query = sqlx::query(statement);
        let query = if statement.contains("$1") { query.bind(org) } else { query };
        query.execute(world.sql()).await.expect(statement);
    }
}

/// What the view for people at a psql prompt says: another way to the same answer.
async fn expected(world: &World, org: Uuid, condition: &str) -> BTreeSet<String> {
    let statement = format!(
        "select d.delivery_id::text from relay.deliveries d
         join relay.event_log_product e on e.id = d.event_id
         join relay.organization_integrations c on c.id = d.connection_id
         left join lateral (
             select a.error_class, a.class, a.external_id from relay.attempts a
             where a.organization_id = d.organization_id and a.delivery_id = d.delivery_id
             order by a.number desc, a.recorded_at desc limit 1) a on true
         left join relay.outbox o on o.organization_id = d.organization_id and o.delivery_id = d.delivery_id
         where d.organization_id = $1 and {condition}"
    );
    let found: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(statement))
        .bind(org)
        .fetch_all(world.sql())
        .await
        .expect("the database answers");
    found.into_iter().collect()
}

/// B40: of 24,000 deliveries each filter finds exactly what there is, however rare, in pages that end
/// before they have looked too far; and so does the list of events.
#[tokio::test]
async fn b40_a_search_finds_what_is_there_however_far_it_has_to_look() {
    let world = World::builder().workers(0).start().await;
    let org = new_id();
    fill(&world, org).await;
    let jira: Uuid = sqlx::query_scalar(
        "select id from relay.organization_integrations where organization_id = $1 and installation_id = '22'")
        .bind(org)
        .fetch_one(world.sql())
        .await
        .expect("there is one");
    for (query, condition) in [
        ("status=dead", "d.status = 'dead'"),
        ("status=skipped&status=cancelled", "d.status in ('skipped', 'cancelled')"),
        ("status=pending", "d.status = 'pending'"),
        ("status=parked", "d.status = 'parked'"),
        ("status=parked&status=dead", "d.status in ('parked', 'dead')"),
        ("status=expired", "d.status = 'expired'"),
        ("class=replay", "coalesce(o.class, a.class) = 2"),
        (
            "class=replay&status=delivered&event=a.b",
            "coalesce(o.class, a.class) = 2 and e.kind = 'a.b'",
        ),
        ("event=rare.kind", "e.kind = 'rare.kind'"),
        ("subject=CVE-1", "e.subject = 'CVE-1'"),
        ("subject=CVE-1&event=rare.kind", "e.subject = 'CVE-1' and e.kind = 'rare.kind'"),
        ("subject=CVE-1&status=delivered", "e.subject = 'CVE-1' and d.status = 'delivered'"),
        ("provider=jira", "c.provider = 'jira'"),
        ("provider=slack&class=replay", "c.provider = 'slack' and coalesce(o.class, a.class) = 2"),
        ("provider=slack&event=rare.kind", "c.provider = 'slack' and e.kind = 'rare.kind'"),
        ("provider=jira&status=delivered", "c.provider = 'jira' and d.status = 'delivered'"),
        ("error_class=dns", "a.error_class = 'dns'"),
        (
            "error_class=http_5xx&status=pending",
            "a.error_class = 'http_5xx' and d.status = 'pending'",
        ),
        (
            "error_class=http_5xx&event=rare.kind",
            "a.error_class = 'http_5xx' and e.kind = 'rare.kind'",
        ),
        (
            "external_id=SEC-1&status=delivered",
            "a.external_id = 'SEC-1' and d.status = 'delivered'",
        ),
        ("external_id=SEC-2", "false"),
    ] {
        let expected = expected(&world, org, condition).await;
        let path = format!("deliveries?limit=200&{query}");
        let found = texts(&all(&world, org, &path, async || ()).await, "id");
        assert!(found.is_sorted_by(|a, b| a > b), "{query}: the newest first, and nothing twice");
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected, "{query}");
    }
    let one =
        all(&world, org, &format!("deliveries?limit=200&connection_id={jira}"), async || ()).await;
    assert_eq!(one.len(), 6, "of the events 9, 4009 and 8009");
    // One page does not look at everything, and says so.
    let page = get(&world, org, "deliveries?class=replay&event=rare.kind").await;
    assert!(page["items"].as_array().is_some_and(Vec::is_empty) && page["next_cursor"].is_string());
    for (query, count) in
        [("type=rare.kind", 2), ("subject=CVE-1", 4), ("source=nobody", 0), ("", 12_000)]
    {
        let found = all(&world, org, &format!("events?limit=200&{query}"), async || ()).await;
        assert_eq!(found.len(), count, "{query}");
    }
    let of_day = "events?limit=200&since=2020-01-01T00:00:00Z&until=2021-01-01T00:00:00Z";
    assert!(all(&world, org, of_day, async || ()).await.is_empty());
}

/// B40: a delivery with more attempts than a search looks at is found by its last word, and holds up
/// neither the pages behind it nor a file. It shows its newest attempts, and says how many there were.
#[tokio::test]
async fn b40_a_delivery_of_very_many_attempts_stops_no_search() {
    let world = World::builder().workers(0).start().await;
    let org = new_id();
    for statement in [
        "insert into relay.organization_integrations
             (id, organization_id, provider, installation_id, display_name, version, connected_at)
         values ($1, $1, 'slack', '1', 'C', 1, now())",
        "create table public.promised as
         select relay.uuid7_at(relay.uuid7_ticks(now() - make_interval(mins => n))) as delivery_id,
                relay.uuid7() as event_id, n
         from generate_series(1, 3) n",
        "insert into relay.attempts (organization_id, delivery_id, number, connection_id, event_id, started_at,
             duration_us, status_code, error_class, settlement, reason, next_due_at, recorded_at)
         select $1, p.delivery_id, a, $1, p.event_id, now(), 1, 500, 'http_5xx',
                case when a = 9000 then 'dead' else 'retrying' end,
                case when a = 9000 then 'retries_exhausted' end, case when a < 9000 then now() end, now()
         from public.promised p cross join generate_series(1, 9000) a
         where p.n = 2",
        "insert into relay.attempts (organization_id, delivery_id, number, connection_id, event_id, started_at,
             duration_us, status_code, settlement, recorded_at)
         select $1, delivery_id, 1, $1, event_id, now(), 1, 200, 'delivered', now()
         from public.promised where n <> 2",
        "analyze",
    ] {
        let query = sqlx::query(statement);
        let query = if statement.contains("$1") { query.bind(org) } else { query };
        query.execute(world.sql()).await.expect(statement);
    }
    for (query, count) in [
        (String::new(), 3),
        (format!("connection_id={org}"), 3),
        (format!("connection_id={org}&status=delivered"), 2),
        ("status=delivered&status=pending".to_owned(), 2),
        ("status=dead&status=delivered".to_owned(), 3),
        ("status=dead".to_owned(), 1),
        ("error_class=http_5xx".to_owned(), 1),
        ("class=live".to_owned(), 3),
    ] {
        let (mut found, mut cursor) = (Vec::new(), String::new());
        for page in 0.. {
            assert!(page < 20, "{query}: it goes on for ever");
            let path = format!("deliveries?limit=2&{query}&cursor={cursor}");
            let mut answer = get(&world, org, &path).await;
            found.append(answer["items"].as_array_mut().expect("items"));
            match answer["next_cursor"].as_str() {
                Some(next) => next.clone_into(&mut cursor),
                None => break,
            }
        }
        let ids = texts(&found, "id");
        assert!(ids.is_sorted_by(|a, b| a > b), "{query}: the newest first, and nothing twice");
        assert_eq!(ids.len(), count, "{query}");
    }
    let path = format!("/api/organizations/{org}/deliveries/export");
    let file = world.relay.admin(org, Method::GET, &path, None).await.expect(200);
    let lines = String::from_utf8(file.body.to_vec()).expect("it is UTF-8").lines().count();
    assert_eq!(lines, 1 + 3);
    let dead = &get(&world, org, "deliveries?status=dead").await["items"][0];
    let id = dead["id"].as_str().expect("an id");
    let shown = get(&world, org, &format!("deliveries/{id}")).await;
    let attempts = shown["attempt_list"].as_array().expect("attempts");
    let numbers: Vec<_> = attempts.iter().filter_map(|one| one["number"].as_i64()).collect();
    assert_eq!(numbers, (8801..=9000).collect::<Vec<_>>());
    assert_eq!(shown["attempts_omitted"], 8800);
}
