//! An account of what was acknowledged and what arrived, kept apart from everything that Relay says.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use uuid::Uuid;

use super::{arrival::Arrival, receiver::Receiver};

/// Events told apart by `data.marker`. Cheap to clone: clones keep the same account.
#[derive(Clone, Debug, Default)]
pub struct Ledger(Arc<Mutex<Book>>);

#[derive(Debug, Default)]
struct Book {
    sent: HashSet<String>,
    acknowledged: HashSet<String>,
}

/// What has arrived so far. Most tests need not know of it: see [`Ledger::tally`].
#[derive(Debug, Default)]
pub struct Arrived {
    ids: HashMap<(String, String), Uuid>,
    accepted: HashSet<Uuid>,
    taken: HashSet<(String, String)>,
    unexpected: Vec<(String, String)>,
    duplicates: Vec<Uuid>,
}

/// The account compared with what arrived.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Acknowledged, and never answered 2xx at that path: each is a broken promise.
    pub lost: Vec<(String, String)>,
    /// Arrived, and never sent by the test, or under a second delivery id.
    pub unexpected: Vec<(String, String)>,
    /// Arrivals of a delivery that the receiver had accepted before, or was about to accept when it
    /// was cut off. What a receiver refused and gets again is none.
    pub duplicates: Vec<Uuid>,
    /// Deliveries that arrived at least once.
    pub arrived: usize,
    /// Events that had to arrive.
    pub promised: usize,
}

impl Ledger {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Before an event is sent: from now on it may arrive.
    pub fn sending(&self, marker: &str) {
        self.book().sent.insert(marker.to_owned());
    }

    /// After a 202 or a commit: from now on it must arrive.
    pub fn acknowledged(&self, marker: &str) {
        let mut book = self.book();
        book.sent.insert(marker.to_owned());
        book.acknowledged.insert(marker.to_owned());
    }

    /// How many must arrive.
    #[must_use]
    pub fn promised(&self) -> usize {
        self.book().acknowledged.len()
    }

    /// Compares with what arrived, when every event goes to each of `paths` once.
    #[must_use]
    pub fn tally(&self, receiver: &Receiver, paths: &[&str]) -> Tally {
        self.tally_of(&receiver.all(), paths)
    }

    /// The same where other paths are other accounts' own: what arrives there is not looked at.
    #[must_use]
    pub fn tally_at(&self, receiver: &Receiver, paths: &[&str]) -> Tally {
        let arrivals: Vec<Arrival> =
            paths.iter().flat_map(|path| receiver.arrivals(path)).collect();
        self.tally_of(&arrivals, paths)
    }

    fn tally_of(&self, arrivals: &[Arrival], paths: &[&str]) -> Tally {
        let mut arrived = Arrived::default();
        self.read(&mut arrived, arrivals, paths);
        self.compare(&arrived, paths)
    }

    /// Adds to what has arrived.
    pub fn read(&self, arrived: &mut Arrived, arrivals: &[Arrival], paths: &[&str]) {
        let book = self.book();
        for arrival in arrivals {
            let (marker, id) = (arrival.marker(), arrival.delivery_id());
            let is_known = book.sent.contains(&marker) && paths.contains(&arrival.path.as_str());
            let key = (arrival.path.clone(), marker);
            if !is_known || *arrived.ids.entry(key.clone()).or_insert(id) != id {
                arrived.unexpected.push(key.clone());
            } else if arrived.accepted.contains(&id) {
                arrived.duplicates.push(id);
            }
            if arrival.accepts {
                arrived.accepted.insert(id);
            }
            if arrival.answered.is_some_and(|status| (200..300).contains(&status)) {
                arrived.taken.insert(key);
            }
        }
    }

    /// Compares with what has arrived so far.
    #[must_use]
    pub fn compare(&self, arrived: &Arrived, paths: &[&str]) -> Tally {
        let book = self.book();
        let due = |path: &&str| {
            let path = (*path).to_owned();
            book.acknowledged.iter().map(move |marker| (path.clone(), marker.clone()))
        };
        let lost = paths.iter().flat_map(due).filter(|key| !arrived.taken.contains(key));
        Tally {
            lost: lost.collect(),
            unexpected: arrived.unexpected.clone(),
            duplicates: arrived.duplicates.clone(),
            arrived: arrived.ids.len(),
            promised: book.acknowledged.len(),
        }
    }
}

impl Tally {
    /// Both accounts together.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.lost.extend(other.lost);
        self.unexpected.extend(other.unexpected);
        self.duplicates.extend(other.duplicates);
        self.arrived += other.arrived;
        self.promised += other.promised;
        self
    }

    /// Nothing lost, nothing unexpected, and no more duplicates than `duplicates_max`.
    pub fn assert_kept(&self, duplicates_max: usize) {
        let few = |list: &[(String, String)]| list.iter().take(5).cloned().collect::<Vec<_>>();
        assert!(self.lost.is_empty(), "LOST {}: {:?}", self.lost.len(), few(&self.lost));
        assert!(
            self.unexpected.is_empty(),
            "UNEXPECTED {}: {:?}",
            self.unexpected.len(),
            few(&self.unexpected)
        );
        assert!(
            self.duplicates.len() <= duplicates_max,
            "DUPLICATES {} > {duplicates_max}",
            self.duplicates.len()
        );
    }
}
