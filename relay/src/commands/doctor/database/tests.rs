//! Tests of what is made of a server and its snapshots.

use engine::checkup::Snapshot;

use super::super::finding::Level;
use super::*;

fn server() -> Server {
    Server {
        version: "15.4".to_owned(),
        version_number: 150_004,
        fsync: true,
        full_page_writes: true,
        synchronous_commit: "on".to_owned(),
        is_standby: false,
        clock_ahead: TimeDelta::zero(),
        round_trip: TimeDelta::milliseconds(1),
    }
}

fn levels(server: &Server) -> Vec<Level> {
    judge_server(server).iter().map(|finding| finding.level).collect()
}

#[test]
fn a_server_is_judged_by_its_version_its_clock_and_its_disk() {
    use Level::{Bad, Ok, Warn};
    assert_eq!(levels(&server()), [Ok, Ok, Ok]);
    assert_eq!(levels(&Server { version_number: 149_999, ..server() }), [Bad, Ok, Ok]);
    assert_eq!(levels(&Server { is_standby: true, ..server() }), [Bad, Ok, Ok]);
    for lax in [
        Server { fsync: false, ..server() },
        Server { full_page_writes: false, ..server() },
        Server { synchronous_commit: "off".to_owned(), ..server() },
    ] {
        assert_eq!(levels(&lax), [Ok, Ok, Warn], "{lax:?}");
    }
    let local = Server { synchronous_commit: "local".to_owned(), ..server() };
    assert_eq!(levels(&local), [Ok, Ok, Ok]);
}

#[test]
fn clocks_differ_by_what_the_way_does_not_explain() {
    let judged = |ahead: i64, trip: i64| {
        judge_clocks(TimeDelta::milliseconds(ahead), TimeDelta::milliseconds(trip)).level
    };
    for sign in [1, -1] {
        assert_eq!(judged(sign * 1_999, 0), Level::Ok);
        assert_eq!(judged(sign * 2_000, 0), Level::Warn);
        assert_eq!(judged(sign * 2_000, 100), Level::Ok);
        assert_eq!(judged(sign * 59_999, 0), Level::Warn);
        assert_eq!(judged(sign * 60_000, 0), Level::Bad);
    }
}

#[test]
fn what_is_held_open_is_judged_by_its_age_and_named() {
    let held = |age: Option<u64>| {
        let oldest = Snapshot { holder: "session 7".to_owned(), age: age.map(Duration::from_secs) };
        judge_snapshots(&Snapshots { oldest: Some(oldest), sees_all: true })
    };
    for (age, level) in [
        (Some(599), Level::Ok),
        (Some(600), Level::Warn),
        (Some(3600), Level::Bad),
        (None, Level::Warn),
    ] {
        assert_eq!(held(age).level, level, "{age:?}");
        assert!(held(age).detail.contains("session 7"));
    }
    let blind = judge_snapshots(&Snapshots { oldest: None, sees_all: false });
    assert!(blind.level == Level::Ok && blind.detail.contains("pg_read_all_stats"), "{blind:?}");
}

#[test]
fn partitions_are_made_before_their_day() {
    let judged = |outside, ahead| judge_partitions(outside, ahead).level;
    assert_eq!([judged(0, 3), judged(0, 2)], [Level::Ok; 2]);
    assert_eq!(judged(0, 1), Level::Warn);
    assert_eq!([judged(0, 0), judged(0, -1), judged(1, 3)], [Level::Bad; 3]);
}

#[test]
fn lacking_privileges_are_named_and_many_are_counted() {
    let lacking = |count: usize| {
        let names: Vec<String> = (0..count).map(|n| format!("p{n}")).collect();
        judge_privileges(&names)
    };
    assert_eq!(lacking(0).level, Level::Ok);
    assert_eq!(lacking(2).detail, "lacking: p0, p1");
    assert!(lacking(10).detail.ends_with("p7 and 2 more"), "{:?}", lacking(10));
}

#[test]
fn a_pooler_that_breaks_sessions_is_recognised_by_what_it_says() {
    for said in
        ["unsupported startup parameter: options", "prepared statement \"sqlx_s_1\" does not exist"]
    {
        let text = unreachable(said).to_string();
        assert!(text.contains("transaction mode"), "{text}");
    }
    let text = unreachable("connection refused").to_string();
    assert!(text.contains("DATABASE_URL") && !text.contains("pooler"), "{text}");
}
