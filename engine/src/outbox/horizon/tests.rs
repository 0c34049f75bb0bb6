//! What is searched next, by what claims cost and brought.

use std::time::{Duration, Instant};

use uuid::Uuid;

use super::*;

const DEAR: Duration = Duration::from_millis(150);

fn id(n: u128) -> ConnectionId {
    ConnectionId(Uuid::from_u128(n))
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn plain(n: u128, oldest: Duration) -> Brought {
    Brought { connection_id: id(n), in_lane: None, oldest }
}

fn want(n: u128, room: i32) -> Want {
    Want { connection_id: id(n), room }
}

fn search<'a>(asked_at: Instant, wants: &'a [Want], brought: &'a [Brought]) -> Search<'a> {
    Search {
        is_of_everything: true,
        is_from_start: true,
        is_full: false,
        asked_at,
        took: DEAR,
        wants,
        default_room: 2,
        brought,
    }
}

/// One that has found searches of everything to be dear.
fn burnt(now: Instant) -> Horizon {
    let mut horizon = Horizon::default();
    for _ in 0..DEAR_MIN {
        horizon.note(&search(now, &[], &[]));
    }
    horizon
}

fn looks_at_everything(horizon: &Horizon, now: Instant) -> bool {
    horizon.look(&Cursor::default(), &[], now) == Look::Everything
}

/// Whose more is looked up, how far back at most.
fn left(horizon: &Horizon, wants: &[Want], now: Instant) -> Vec<(u128, Option<Duration>)> {
    match horizon.look(&Cursor::default(), wants, now) {
        Look::Since { left, .. } => {
            left.iter().map(|one| (one.connection_id.0.as_u128(), one.within)).collect()
        }
        Look::Everything => panic!("it looks at everything"),
    }
}

#[test]
fn everything_is_searched_for_as_long_as_that_is_cheap() {
    let now = Instant::now();
    let mut horizon = Horizon::default();
    assert!(looks_at_everything(&horizon, now));
    for _ in 0..10 {
        horizon.note(&Search { took: ms(3), ..search(now, &[], &[]) });
        assert!(looks_at_everything(&horizon, now));
    }
    // What many deliveries take is not what the search took.
    let brought = vec![plain(1, ms(1)); 300];
    for _ in 0..10 {
        horizon.note(&Search { took: ms(33), ..search(now, &[], &brought) });
        assert!(looks_at_everything(&horizon, now));
    }
}

#[test]
fn dear_searches_become_rare_and_one_that_is_cheap_again_ends_that() {
    let now = Instant::now();
    let mut horizon = burnt(now);
    let Look::Since { within, left } = horizon.look(&Cursor::default(), &[], now + ms(200)) else {
        panic!("it looks at everything");
    };
    assert_eq!((within, left), (ms(200) + SLACK, Vec::new()));
    // A fiftieth of the time.
    assert!(!looks_at_everything(&horizon, now + DEAR + DEAR * 50 - ms(1)));
    assert!(looks_at_everything(&horizon, now + DEAR + DEAR * 50));
    let long = Search { took: Duration::from_secs(9), ..search(now, &[], &[]) };
    horizon.note(&long);
    assert!(looks_at_everything(&horizon, now + long.took + AGAIN_MAX));
    assert!(!looks_at_everything(&horizon, now + long.took + AGAIN_MAX - ms(1)));
    horizon.note(&Search { took: ms(1), ..search(now, &[], &[]) });
    assert!(looks_at_everything(&horizon, now));
}

/// One that has seen so many others in a row cost a little more than a search of everything did.
fn in_doubt(now: Instant) -> Horizon {
    let mut horizon = burnt(now);
    let short = Search { is_of_everything: false, took: ms(151), ..search(now, &[], &[]) };
    for _ in 0..DEARER_MIN {
        assert!(!looks_at_everything(&horizon, now + short.took), "it may be an accident");
        horizon.note(&short);
    }
    horizon
}

#[test]
fn what_is_dearer_than_a_search_of_everything_is_not_tried_again_soon() {
    let now = Instant::now();
    let mut horizon = in_doubt(now);
    assert!(looks_at_everything(&horizon, now + ms(151)), "to compare");
    horizon.note(&search(now + ms(151), &[], &[]));
    let compared = now + ms(151) + DEAR;
    assert!(looks_at_everything(&horizon, compared));
    horizon.note(&search(compared + SHY - ms(200), &[], &[]));
    assert!(looks_at_everything(&horizon, compared + SHY - ms(1)));
    assert!(!looks_at_everything(&horizon, compared + SHY));
}

#[test]
fn a_machine_that_is_slow_for_a_while_changes_nothing() {
    let now = Instant::now();
    let mut horizon = in_doubt(now);
    assert!(looks_at_everything(&horizon, now + ms(151)), "to compare");
    let slow = Search { took: ms(152), ..search(now + ms(151), &[], &[]) };
    horizon.note(&slow);
    assert!(!looks_at_everything(&horizon, now + ms(151) + slow.took));
}

#[test]
fn how_far_back_follows_the_last_claim_that_saw_all_it_was_to_see() {
    let now = Instant::now();
    let mut horizon = burnt(now);
    let within = |horizon: &Horizon, at| match horizon.look(&Cursor::default(), &[], at) {
        Look::Since { within, .. } => Some(within - SLACK),
        Look::Everything => None,
    };
    let short = |at| Search { is_of_everything: false, took: ms(1), ..search(at, &[], &[]) };
    horizon.note(&short(now + ms(100)));
    assert_eq!(within(&horizon, now + ms(150)), Some(ms(50)));
    horizon.note(&Search { is_full: true, ..short(now + ms(200)) });
    horizon.note(&Search { is_from_start: false, ..short(now + ms(210)) });
    horizon.note(&Search { default_room: 0, ..short(now + ms(220)) });
    assert_eq!(within(&horizon, now + ms(250)), Some(ms(150)), "those saw only a part");
    // For as long as that is no long time.
    horizon.note(&Search { is_full: true, ..short(now + ms(101) + BEHIND_MAX) });
    assert_eq!(within(&horizon, now + ms(102) + BEHIND_MAX), None);
    let mut horizon = burnt(now);
    horizon.forget();
    assert!(looks_at_everything(&horizon, now));
}

#[test]
fn a_round_ends_as_it_began() {
    let now = Instant::now();
    let mut horizon = burnt(now);
    let further = Cursor::behind(3, Uuid::nil());
    assert_eq!(horizon.look(&further, &[], now), Look::Everything);
    horizon.note(&Search {
        is_of_everything: false,
        is_full: true,
        took: ms(1),
        ..search(now, &[], &[])
    });
    assert_ne!(horizon.look(&further, &[], now + AGAIN_MAX), Look::Everything);
}

#[test]
fn of_whom_as_much_was_taken_as_there_was_room_for_more_may_be_left() {
    let now = Instant::now() + Duration::from_secs(3_600);
    let mut horizon = burnt(now);
    let at = now + ms(1_000);
    let wants = [want(1, 1), want(2, 3), want(3, 0)];
    let brought =
        [plain(1, ms(70)), plain(2, ms(70)), plain(4, ms(80)), plain(4, ms(80)), plain(5, ms(9))];
    horizon.note(&search(at, &wants, &brought));
    let spans = left(&horizon, &[], at);
    // The third was asked for nothing, so all is left that became due since the claim before.
    let expected = [(1, ms(70)), (3, ms(1_000)), (4, ms(80))];
    assert_eq!(spans, expected.map(|(n, span)| (n, Some(span + SLACK))));
    assert_eq!(left(&horizon, &[want(1, 0), want(3, 0)], at), [(4, Some(ms(80) + SLACK))]);
    // Who was asked for more than came has nothing left; who was asked for nothing has the same.
    let wants = [want(1, 1), want(3, 0)];
    horizon.note(&Search { is_of_everything: false, took: ms(1), ..search(at, &wants, &[]) });
    assert_eq!(left(&horizon, &[], at), [(3, Some(ms(1_000) + SLACK))]);
}

#[test]
fn what_goes_one_at_a_time_is_looked_up_by_event_while_something_of_it_is_here() {
    let now = Instant::now();
    let mut horizon = burnt(now);
    let made_at = "2026-02-25T12:00:10Z".parse().expect("a timestamp");
    let event = EventId(id_time::floor(made_at));
    let first = Brought { connection_id: id(7), in_lane: Some(event), oldest: ms(70) };
    for is_full in [true, false] {
        let short =
            Search { is_of_everything: false, took: ms(1), is_full, ..search(now, &[], &[]) };
        horizon.note(&Search { brought: &[first], ..short });
        let Look::Since { left, .. } = horizon.look(&Cursor::default(), &[], now) else {
            panic!("it looks at everything");
        };
        let earliest = EventId(id_time::floor("2026-02-25T12:00:08Z".parse().expect("another")));
        assert_eq!(left, [Left { connection_id: id(7), within: None, from_event: Some(earliest) }]);
    }
    let short = Search { is_of_everything: false, took: ms(1), ..search(now, &[], &[]) };
    horizon.note(&Search { wants: &[want(7, 1)], ..short });
    assert_eq!(left(&horizon, &[], now), [(7, None)], "it is under way");
    let over = now + IN_TURN;
    let short = Search { is_of_everything: false, took: ms(1), ..search(over, &[], &[]) };
    horizon.note(&short);
    assert!(horizon.left.is_empty(), "nothing was there for long");
}

#[test]
fn what_went_back_is_looked_up_until_a_claim_was_sent_after_it() {
    let now = Instant::now();
    let mut horizon = burnt(now);
    let short = |at| Search { is_of_everything: false, took: ms(1), ..search(at, &[], &[]) };
    horizon.handed_back(&[id(1)], now + ms(10));
    horizon.note(&short(now + ms(5)));
    assert_eq!(left(&horizon, &[], now), [(1, None)], "that one was on its way before");
    horizon.note(&short(now + ms(15)));
    assert_eq!(left(&horizon, &[], now), []);
}

/// F24: what goes one at a time ends before it is recorded, and only then the next may come.
#[test]
fn f24_a_lane_is_looked_for_though_nothing_of_it_is_here_nor_came() {
    let now = Instant::now();
    let mut horizon = burnt(now);
    let head =
        [Brought { connection_id: id(1), in_lane: Some(EventId(Uuid::nil())), oldest: ms(5) }];
    horizon.note(&search(now, &[], &head));
    for seconds in [1, 3] {
        let later = now + Duration::from_secs(seconds);
        horizon.note(&Search { is_of_everything: false, ..search(later, &[], &[]) });
        assert_eq!(left(&horizon, &[], later), [(1, None)], "after {seconds} s");
    }
    let over = now + IN_TURN;
    horizon.note(&Search { is_of_everything: false, ..search(over, &[], &[]) });
    assert!(horizon.left.is_empty());
}

/// F1: what a worker had in its hands that is no more is found when its leases are over.
#[test]
fn f1_everything_is_searched_when_the_leases_of_the_owner_before_have_run_out() {
    let now = Instant::now();
    let lease = ms(2_000);
    let mut horizon = burnt(now);
    horizon.took_over(lease, now);
    assert!(looks_at_everything(&horizon, now), "what lies there is new");
    horizon.note(&search(now, &[], &[]));
    assert!(!looks_at_everything(&horizon, now + ms(1_999)));
    assert!(looks_at_everything(&horizon, now + lease), "sooner than ever again");
    horizon.note(&search(now + lease, &[], &[]));
    assert!(!looks_at_everything(&horizon, now + lease + ms(1)), "once");
}
