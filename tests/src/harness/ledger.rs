//! An account of what was acknowledged and what arrived, kept apart from everything that Relay says.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use uuid::Uuid;

use super::receiver::Receiver;

/// Events told apart by `data.marker`. Cheap to clone: clones keep the same account.
#[derive(Clone, Debug, Default)]
pub struct Ledger(Arc<Mutex<Book>>);

#[derive(Debug, Default)]
struct Book {
    sent: HashSet<String>,
    acknowledged: HashSet<String>,
}

/// The account compared with what arrived.
#[derive(Debug)]
pub struct Tally {
    /// Acknowledged, and never answered 2xx at that path: each is a broken promise.
    pub lost: Vec<(String, String)>,
    /// Arrived, and never sent by the test, or under a second delivery id.
    pub unexpected: Vec<(String, String)>,
    /// Arrivals beyond the first of the same delivery that the receiver had answered 2xx or was
    /// cut off from answering.
    pub duplicates: Vec<Uuid>,
    /// Deliveries that arrived at least once.
    pub arrived: usize,
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
        let book = self.book();
        let mut tally =
            Tally { lost: Vec::new(), unexpected: Vec::new(), duplicates: Vec::new(), arrived: 0 };
        let mut ids: HashMap<(String, String), Uuid> = HashMap::new();
        let mut taken: HashSet<(String, String)> = HashSet::new();
        for arrival in receiver.all() {
            let (marker, id) = (arrival.marker(), arrival.delivery_id());
            let key = (arrival.path.clone(), marker.clone());
            let known = book.sent.contains(&marker) && paths.contains(&arrival.path.as_str());
            match ids.get(&key) {
                _ if !known => tally.unexpected.push(key.clone()),
                Some(first) if *first != id => tally.unexpected.push(key.clone()),
                Some(_) => tally.duplicates.push(id),
                None => drop(ids.insert(key.clone(), id)),
            }
            if arrival.answered.is_some_and(|status| (200..300).contains(&status)) {
                taken.insert(key);
            }
        }
        tally.arrived = ids.len();
        for path in paths {
            let lost = book
                .acknowledged
                .iter()
                .map(|marker| ((*path).to_owned(), marker.clone()))
                .filter(|key| !taken.contains(key));
            tally.lost.extend(lost);
        }
        tally
    }
}

impl Tally {
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
