//! How deliveries and connections stand, in the model's words.

use engine::connection::Ordering;
use uuid::Uuid;

/// A delivery, as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Delivery {
    pub(super) connection: Uuid,
    pub(super) event: Uuid,
    pub(super) place: Place,
    /// How many rows tell of it.
    pub(super) told: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Promised(Promise),
    /// By the last word, its reason, and the number of requests until then.
    Ended(String, Option<String>, i32),
}

/// What the outbox has of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Promise {
    pub(super) attempt: i32,
    pub(super) step: i16,
    pub(super) crashes: i16,
    pub(super) class: i16,
    pub(super) waiting_for: Option<String>,
    pub(super) queue: Queue,
    pub(super) lease: Option<Lease>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queue {
    Parked,
    Due { in_lane: bool },
    Waits { in_lane: bool },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lease {
    pub(super) number: i64,
    pub(super) is_live: bool,
}

impl Delivery {
    /// In the words of the API.
    pub(super) fn status(&self) -> &str {
        match &self.place {
            Place::Promised(promise) if promise.queue == Queue::Parked => "parked",
            Place::Promised(_) => "pending",
            Place::Ended(word, ..) => word,
        }
    }

    pub(super) fn promise(&self) -> Option<&Promise> {
        match &self.place {
            Place::Promised(promise) => Some(promise),
            Place::Ended(..) => None,
        }
    }

    /// The same for changing, if nobody works on it at this moment.
    pub(super) fn idle(&mut self) -> Option<&mut Promise> {
        match &mut self.place {
            Place::Promised(promise) if !promise.is_held() => Some(promise),
            _ => None,
        }
    }

    pub(super) fn end(&mut self, word: &str, reason: Option<&str>, number: i32) {
        self.place = Place::Ended(word.to_owned(), reason.map(str::to_owned), number);
        self.told += 1;
    }
}

impl Promise {
    pub(super) fn new(in_lane: bool) -> Self {
        let queue = Queue::Due { in_lane };
        Self { attempt: 0, step: 0, crashes: 0, class: 0, waiting_for: None, queue, lease: None }
    }

    /// Its handler panicked: it is due after a moment.
    pub(super) fn crash(&mut self) {
        self.lease = None;
        self.crashes += 1;
        self.waiting_for = None;
        self.queue = Queue::Waits { in_lane: self.is_in_lane() };
    }

    pub(super) fn is_held(&self) -> bool {
        self.lease.is_some_and(|lease| lease.is_live)
    }

    pub(super) fn is_in_lane(&self) -> bool {
        matches!(self.queue, Queue::Due { in_lane: true } | Queue::Waits { in_lane: true })
    }

    pub(super) fn can_be_claimed(&self) -> bool {
        matches!(self.queue, Queue::Due { .. }) && !self.is_held()
    }

    /// With the lease that ran out.
    pub(super) fn crashes_by_now(&self) -> i16 {
        self.crashes + i16::from(self.lease.is_some())
    }
}

/// A connection, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Connection {
    pub(super) status: &'static str,
    pub(super) paused: bool,
    pub(super) ordering: Option<Ordering>,
    pub(super) version: i64,
    /// When it was last put right.
    pub(super) resumed_at: i64,
    /// Whether it is known that its destination takes nothing.
    pub(super) has_problem: bool,
}

impl Connection {
    pub(super) fn new() -> Self {
        Self {
            status: "connected",
            paused: false,
            ordering: None,
            version: 1,
            resumed_at: 0,
            has_problem: false,
        }
    }

    pub(super) fn is_on(&self) -> bool {
        self.status == "connected" && !self.paused
    }

    pub(super) fn silent_because(&self) -> Option<&'static str> {
        match self.status {
            "disconnected" => Some("connection_disconnected"),
            "error" => Some("connection_error"),
            "suspended" => Some("connection_suspended"),
            _ => self.paused.then_some("connection_paused"),
        }
    }
}
