//! Turns, caps and room, one rule at a time; the simulation shows them together.

use std::time::Duration;

use uuid::Uuid;

use super::*;
use crate::{connection::limits::RateLimit, outbox::Class};

fn limits(worker_concurrency: usize, connection_concurrency: usize) -> Limits {
    Limits::new(worker_concurrency, connection_concurrency, Duration::from_secs(5))
}

fn connection(n: u128) -> ConnectionId {
    ConnectionId(Uuid::from_u128(n))
}

/// Connection 12 belongs to organization 1.
fn key(n: u128) -> Key {
    Key {
        organization_id: OrganizationId(Uuid::from_u128(n / 10)),
        connection_id: connection(n),
        class: Class::Live,
        is_backlog: false,
        rate: None,
    }
}

fn push(scheduler: &mut Scheduler<u128>, n: u128, count: usize, now: Instant) {
    for _ in 0..count {
        scheduler.push(&key(n), n, now);
    }
}

fn order(scheduler: &mut Scheduler<u128>, count: usize, now: Instant) -> Vec<u128> {
    (0..count).filter_map(|_| scheduler.next(now)).collect()
}

fn room_of(scheduler: &mut Scheduler<u128>, n: u128, now: Instant) -> Option<i32> {
    let wants = scheduler.wants(now);
    wants.iter().find(|want| want.connection_id == connection(n)).map(|want| want.room)
}

#[test]
fn f18_organizations_take_turns_and_then_their_connections() {
    let (now, mut scheduler) = (Instant::now(), Scheduler::new(limits(32, 8)));
    for n in [10, 11, 12] {
        push(&mut scheduler, n, 3, now);
    }
    push(&mut scheduler, 20, 3, now);
    assert_eq!(order(&mut scheduler, 8, now), [10, 20, 11, 20, 12, 20, 10, 11]);
    assert_eq!(scheduler.outstanding(), 12);
}

#[test]
fn f17_a_slow_connection_holds_no_more_than_its_share() {
    let (now, mut scheduler) = (Instant::now(), Scheduler::new(limits(32, 2)));
    push(&mut scheduler, 10, 4, now);
    assert_eq!(order(&mut scheduler, 3, now), [10, 10]);
    assert_eq!(room_of(&mut scheduler, 10, now), Some(0));
    scheduler.finished(connection(10), Outcome::Succeeded, now);
    assert_eq!(order(&mut scheduler, 3, now), [10]);
    assert_eq!(scheduler.outstanding(), 3);
}

#[test]
fn f17_ten_hanging_connections_of_one_organization_leave_half_of_the_places() {
    let (now, mut scheduler) = (Instant::now(), Scheduler::new(limits(32, 8)));
    for n in 10..20 {
        push(&mut scheduler, n, 8, now);
    }
    assert_eq!(order(&mut scheduler, 80, now).len(), 16);
    push(&mut scheduler, 20, 2, now);
    assert_eq!(order(&mut scheduler, 80, now), [20, 20]);
    scheduler.finished(connection(13), Outcome::Succeeded, now);
    assert_eq!(order(&mut scheduler, 80, now).len(), 1, "it goes on where it stood");
}

#[test]
fn f17_what_does_not_move_makes_room_for_others() {
    let (mut now, mut scheduler) = (Instant::now(), Scheduler::new(limits(32, 8)));
    for n in 10..20 {
        push(&mut scheduler, n, 6, now);
    }
    order(&mut scheduler, 80, now);
    scheduler.wake(now);
    assert_eq!(scheduler.recall(now), [0; 0], "it may move yet");
    now += Duration::from_secs(1);
    assert!(scheduler.wakes_at(now).is_some_and(|at| at <= now));
    scheduler.wake(now);
    assert_eq!((scheduler.recall(now).len(), scheduler.outstanding()), (40, 20));
    assert!(scheduler.wants(now).iter().all(|want| want.room == 0), "and nothing more is taken");
    push(&mut scheduler, 21, 1, now);
    push(&mut scheduler, 15, 1, now);
    assert_eq!(scheduler.recall(now).len(), 1, "of what others claimed on the way neither");
    assert_eq!(order(&mut scheduler, 80, now), [21]);
    for n in 10..12 {
        scheduler.finished(connection(n), Outcome::Succeeded, now);
        assert_eq!(order(&mut scheduler, 1, now).len(), 1);
    }
    assert!(scheduler.wants(now).iter().any(|want| want.room > 0), "until it moves");
}

#[test]
fn a_backlog_is_looked_at_again_when_half_the_window_is_free() {
    let (now, mut scheduler) = (Instant::now(), Scheduler::new(limits(32, 2)));
    let asked = scheduler.wants(now);
    push(&mut scheduler, 10, 4, now);
    scheduler.claimed(&asked, &[connection(10); 4], false);
    order(&mut scheduler, 4, now);
    let finish = |scheduler: &mut Scheduler<u128>| {
        scheduler.finished(connection(10), Outcome::Succeeded, now).refill
    };
    assert!(!finish(&mut scheduler), "three of four are still here");
    order(&mut scheduler, 4, now);
    assert!(finish(&mut scheduler), "half is free");
    let asked = scheduler.wants(now);
    scheduler.claimed(&asked, &[], false);
    assert!(!finish(&mut scheduler), "the last claim found nothing more");
}

#[test]
fn what_nobody_took_goes_first_next_time() {
    let (now, mut scheduler) = (Instant::now(), Scheduler::new(limits(32, 8)));
    for n in [10, 11, 20] {
        push(&mut scheduler, n, 3, now);
    }
    let mut expected = scheduler.next(now);
    for _ in 0..8 {
        let taken = scheduler.next(now).expect("eight wait");
        scheduler.put_back(&key(taken), taken);
        assert_eq!(scheduler.next(now), Some(taken), "after {expected:?}");
        expected = Some(taken);
    }
    assert_eq!((scheduler.next(now), scheduler.outstanding()), (None, 9));
}

#[test]
fn b29_what_is_held_goes_back_and_is_asked_for_when_its_time_comes() {
    let (now, mut scheduler) = (Instant::now(), Scheduler::new(limits(32, 8)));
    push(&mut scheduler, 10, 6, now);
    push(&mut scheduler, 11, 1, now);
    assert_eq!(order(&mut scheduler, 4, now), [10, 11, 10, 10]);
    let minute = Duration::from_secs(60);
    let finished = scheduler.finished(connection(10), Outcome::Throttled(minute), now);
    assert_eq!(finished.organization_id, Some(key(10).organization_id));
    assert_eq!(finished.changes.len(), 2);
    assert_eq!(scheduler.recall(now), [10; 3]);
    assert_eq!((scheduler.outstanding(), scheduler.next(now)), (3, None));
    assert_eq!(room_of(&mut scheduler, 10, now), Some(0));
    assert_eq!(room_of(&mut scheduler, 11, now), Some(15), "the others go on");
    assert_eq!(scheduler.wakes_at(now), Some(now + minute));
    for _ in 0..2 {
        scheduler.finished(connection(10), Outcome::Succeeded, now);
    }
    let later = now + minute;
    assert!(!scheduler.wake(later - Duration::from_nanos(1)) && scheduler.wake(later));
    assert_eq!(room_of(&mut scheduler, 10, later), Some(2), "one, and one behind it");
}

#[test]
fn b30_no_more_is_here_than_a_limit_lets_through_soon() {
    let (now, mut scheduler) = (Instant::now(), Scheduler::new(limits(32, 8)));
    let key = Key { rate: Some(RateLimit { count: 20, seconds: 20 }), ..key(10) };
    for n in 0..10 {
        scheduler.push(&key, n, now);
    }
    assert_eq!(scheduler.recall(now).len(), 8);
    assert_eq!(order(&mut scheduler, 10, now), [0, 1]);
    assert_eq!(room_of(&mut scheduler, 10, now), Some(0));
    let at = scheduler.wakes_at(now).expect("there is more");
    assert!(at > now + Duration::from_secs(1) && scheduler.wake(at));
    assert_eq!(room_of(&mut scheduler, 10, at), Some(1));
}

#[test]
fn many_with_a_backlog_get_a_few_each_and_few_get_all() {
    let (now, mut scheduler) = (Instant::now(), Scheduler::new(limits(256, 64)));
    assert_eq!(scheduler.default_room(), 128);
    // A thousand connections of an organization, more than fits: each claim is full.
    let (mut next, mut claims) = (0, 0);
    while next < 1_000 {
        let asked = scheduler.wants(now);
        let each = scheduler.default_room().min(scheduler.room());
        let mut brought = Vec::new();
        while brought.len() < scheduler.room().min(500) {
            let n = 10_000 + next % 1_000;
            next += 1;
            brought.extend(vec![connection(n); each.min(500 - brought.len())]);
        }
        for id in &brought {
            scheduler.push(&Key { connection_id: *id, ..key(10) }, 0, now);
        }
        scheduler.claimed(&asked, &brought, true);
        claims += 1;
        // All of it is sent.
        while scheduler.outstanding() > 0 {
            let begun: Vec<_> = std::iter::from_fn(|| scheduler.next(now)).collect();
            assert!(!begun.is_empty());
            let under_way: Vec<ConnectionId> = scheduler
                .lines
                .iter()
                .flat_map(|(id, line)| vec![*id; line.gate.under_way()])
                .collect();
            for id in under_way {
                scheduler.finished(id, Outcome::Succeeded, now);
            }
        }
    }
    assert_eq!(scheduler.default_room(), 4, "a few each");
    assert!(claims < 24, "and the search comes by everybody in {claims} claims");
    scheduler.claimed(&[], &[], false);
    scheduler.claimed(&[], &[], false);
    assert_eq!(scheduler.default_room(), 128, "a whole window again");
}

#[test]
fn what_is_over_and_well_is_forgotten() {
    let (now, mut scheduler) = (Instant::now(), Scheduler::new(limits(256, 64)));
    for n in 0..5_000 {
        push(&mut scheduler, n, 1, now);
        scheduler.next(now).expect("one waits");
        let failed = n % 100 == 0;
        let outcome = if failed { Outcome::Failed } else { Outcome::Succeeded };
        scheduler.finished(connection(n), outcome, now);
    }
    assert_eq!((scheduler.outstanding(), scheduler.connections()), (0, 50));
    assert_eq!(scheduler.wants(now).len(), 50, "less is asked of who failed");
    assert!(scheduler.organizations.len() <= IDLE_ORGANIZATIONS_MAX + 51);
}

#[test]
fn lost_shards_are_forgotten_and_gained_ones_begin_as_they_were_left() {
    let (now, mut scheduler) = (Instant::now(), Scheduler::new(limits(32, 8)));
    push(&mut scheduler, 10, 3, now);
    push(&mut scheduler, 11, 3, now);
    assert_eq!(order(&mut scheduler, 2, now), [10, 11]);
    assert_eq!(scheduler.forget_shards(&[10]), [10, 10]);
    assert_eq!(scheduler.outstanding(), 3);
    assert_eq!(
        scheduler.finished(connection(10), Outcome::Failed, now),
        Finished::default(),
        "what it still hears of those is no business of this process"
    );
    let wait = Duration::from_secs(9);
    let trouble = Trouble { failing: true, open_for: Some(wait), openings: 3, held_for: None };
    scheduler.gained_shards(&[10], now);
    scheduler.restore(connection(10), &trouble, now);
    assert_eq!(room_of(&mut scheduler, 10, now), Some(0));
    assert_eq!(scheduler.wakes_at(now), Some(now + wait));
    assert!(scheduler.wake(now + wait));
    assert_eq!(room_of(&mut scheduler, 10, now + wait), Some(1));
    push(&mut scheduler, 10, 1, now + wait);
    let mut sent = order(&mut scheduler, 4, now + wait);
    sent.sort_unstable();
    assert_eq!(sent, [10, 11, 11]);
    let finished = scheduler.finished(connection(10), Outcome::Succeeded, now + wait);
    assert_eq!(finished.changes, [Change::BreakerClosed, Change::Recovered]);
}

/// Each of many connections gives its last delivery while the organization is at its cap.
#[test]
fn nobody_is_left_behind_when_the_last_of_other_connections_end() {
    let (now, mut scheduler) = (Instant::now(), Scheduler::new(limits(4, 2)));
    for n in 10..20 {
        push(&mut scheduler, n, 1, now);
    }
    let mut sent = 0;
    loop {
        let under_way = order(&mut scheduler, 10, now);
        assert!(under_way.len() <= 2);
        if under_way.is_empty() {
            break;
        }
        for n in under_way {
            scheduler.finished(connection(n), Outcome::Succeeded, now);
            sent += 1;
        }
    }
    assert_eq!((sent, scheduler.outstanding()), (10, 0));
}

/// Some shards of an organization go to another worker: what stays is sent, whatever stood before it.
#[test]
fn what_stays_of_an_organization_goes_on_when_some_of_its_shards_are_lost() {
    let (now, mut scheduler) = (Instant::now(), Scheduler::new(limits(4, 2)));
    for n in 10..14 {
        push(&mut scheduler, n, 2, now);
    }
    assert_eq!(order(&mut scheduler, 2, now), [10, 11], "at its cap");
    let handed_back = scheduler.forget_shards(&[10, 11, 12]);
    assert_eq!(handed_back.len(), 4, "{handed_back:?}");
    assert_eq!(order(&mut scheduler, 5, now), [13, 13]);
    for n in [10, 11, 13, 13] {
        scheduler.finished(connection(n), Outcome::Succeeded, now);
    }
    assert_eq!(scheduler.outstanding(), 0);
}
