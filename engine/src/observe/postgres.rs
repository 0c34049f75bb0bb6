//! How Postgres itself is: what it has not cleared away, who keeps it from that, and how much it writes.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use sqlx::PgPool;

use crate::metrics;

/// Slots and standbys, with the transaction that each holds on to, and since when it does as far as was
/// seen: Postgres does not tell.
pub(super) type Pins = BTreeMap<(&'static str, String), (String, Instant)>;

/// Reads how many rows the tables have that change much, and how far the log is.
pub(super) async fn read_tables(pool: &PgPool) -> Result<(), sqlx::Error> {
    let tables = metrics::busy_tables();
    let rows = sqlx::query!(
        r#"
        select coalesce(pg_stat_get_live_tuples(to_regclass('relay.' || name)), 0) as "live!",
               coalesce(pg_stat_get_dead_tuples(to_regclass('relay.' || name)), 0) as "dead!"
        from unnest($1::text[]) with ordinality as t(name, place) order by place
        "#,
        tables as &[&str],
    )
    .fetch_all(pool)
    .await?;
    for (table, row) in tables.iter().zip(rows) {
        metrics::table_rows(table, row.live, row.dead);
    }
    let written = sqlx::query_scalar!(
        r#"select case when not pg_is_in_recovery() then (pg_current_wal_lsn() - '0/0')::float8 end"#
    )
    .fetch_one(pool)
    .await?;
    if let Some(written) = written {
        metrics::wal_position(written);
    }
    Ok(())
}

/// Reads for how long dead rows have been kept from being cleared away. What a session in another database
/// reads holds up nothing here; what it writes does, since every snapshot of ours goes back to it.
pub(super) async fn read_snapshots(
    pool: &PgPool,
    seen: &Pins,
    now: Instant,
) -> Result<Pins, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        select case when datname = current_database() then 'client' else 'other_database' end as "holder!",
               pid::text as "name!", null as pin,
               extract(epoch from clock_timestamp() - xact_start)::float8 as seconds
        from pg_stat_activity
        where xact_start is not null and pid <> pg_backend_pid()
          and backend_type not in ('autovacuum worker', 'walsender')
          and (backend_xid is not null
               or backend_xmin is not null and datname = current_database())
        union all
        select 'prepared', gid, null, extract(epoch from clock_timestamp() - prepared)::float8
        from pg_prepared_xacts
        union all
        select 'slot', slot_name::text, coalesce(xmin, catalog_xmin)::text, null
        from pg_replication_slots where coalesce(xmin, catalog_xmin) is not null
        union all
        select 'standby', pid::text, backend_xmin::text, null
        from pg_stat_replication where backend_xmin is not null
        "#
    )
    .fetch_all(pool)
    .await?;
    let mut pins = Pins::new();
    let mut oldest: BTreeMap<&'static str, Duration> = BTreeMap::new();
    for row in rows {
        let known = metrics::snapshot_holders().iter().find(|known| **known == row.holder);
        let Some(&holder) = known else { continue };
        let held_for = match (row.seconds, row.pin) {
            (Some(seconds), _) => Duration::try_from_secs_f64(seconds).unwrap_or_default(),
            (None, Some(pin)) => now - pinned_since(&mut pins, seen, (holder, row.name), pin, now),
            (None, None) => Duration::ZERO,
        };
        let longest = oldest.entry(holder).or_default();
        *longest = held_for.max(*longest);
    }
    for holder in metrics::snapshot_holders() {
        metrics::oldest_snapshot(holder, oldest.get(holder).copied().unwrap_or_default());
    }
    Ok(pins)
}

/// Since when somebody holds on to the same transaction, as far as was seen.
fn pinned_since(
    pins: &mut Pins,
    seen: &Pins,
    who: (&'static str, String),
    pin: String,
    now: Instant,
) -> Instant {
    let since = seen.get(&who).filter(|(before, _)| *before == pin).map_or(now, |(_, at)| *at);
    pins.insert(who, (pin, since));
    since
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_that_moves_on_holds_nothing_up_and_one_that_stands_still_does() {
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let who = || ("slot", "standby_1".to_owned());
        let mut seen = Pins::new();
        for (second, pin, held_for) in
            [(0, "700", 0), (10, "700", 10), (20, "701", 0), (50, "701", 30)]
        {
            let mut pins = Pins::new();
            let since = pinned_since(&mut pins, &seen, who(), pin.to_owned(), at(second));
            assert_eq!((at(second) - since).as_secs(), held_for, "at {second}");
            seen = pins;
        }
    }
}
