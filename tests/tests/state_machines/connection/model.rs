//! What is known of a connection, and what each change makes of it.

use std::collections::BTreeMap;

use engine::{
    connection::{HeadOfLine, Ordering, RateLimit},
    delivery::Consequence,
};

pub(super) const NAMES: [&str; 3] = ["machine", "Ops", "Équipe"];
pub(super) const ADDRESSES: [&str; 3] = [
    "https://receiver.example/hook",
    "https://receiver.example/other",
    "https://elsewhere.example/hook",
];
pub(super) const KINDS: [&[&str]; 3] = [&["a.*"], &["*"], &["a.b", "c.*"]];
pub(super) const SCHEDULES: [Option<&[u32]>; 3] = [None, Some(&[]), Some(&[1, 60])];
pub(super) const RATES: [Option<RateLimit>; 2] = [None, Some(RateLimit { count: 5, seconds: 60 })];
pub(super) const ORDERS: [Option<Ordering>; 3] = [
    None,
    Some(Ordering { policy: HeadOfLine::Block, after: None }),
    Some(Ordering { policy: HeadOfLine::Park, after: Some(3) }),
];

/// What the model knows.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Model {
    pub(super) name: &'static str,
    pub(super) address: &'static str,
    pub(super) kinds: &'static [&'static str],
    pub(super) schedule: Option<&'static [u32]>,
    pub(super) rate: Option<RateLimit>,
    pub(super) ordering: Option<Ordering>,
    pub(super) headers: BTreeMap<&'static str, &'static str>,
    pub(super) status: &'static str,
    pub(super) reason: Option<&'static str>,
    pub(super) paused: bool,
    pub(super) version: i64,
    /// Whether it is known that its destination takes nothing.
    pub(super) has_problem: bool,
    /// When it was last put right, and when it last got another name or address.
    pub(super) resumed_at: i64,
    pub(super) updated_at: i64,
}

impl Model {
    pub(super) fn new() -> Self {
        Self {
            name: NAMES[0],
            address: ADDRESSES[0],
            kinds: KINDS[0],
            schedule: None,
            rate: None,
            ordering: None,
            headers: BTreeMap::new(),
            status: "connected",
            reason: None,
            paused: false,
            version: 1,
            has_problem: false,
            resumed_at: 0,
            updated_at: 0,
        }
    }

    /// What changes is recorded once; what is so already, not at all.
    pub(super) fn becomes(&mut self, after: Self) {
        let was = (self.name, self.address);
        let is_new = *self != after;
        *self = after;
        self.version += i64::from(is_new);
        if (self.name, self.address) != was {
            self.updated_at = self.version;
        }
    }

    pub(super) fn found_out(&mut self, consequence: &Consequence, used: i64) {
        let was_resumed = used < self.resumed_at;
        let mut after = self.clone();
        match consequence {
            Consequence::DestinationFailing(_) => {
                after.has_problem |= self.status != "disconnected" && !was_resumed;
            }
            _ if self.status != "connected" || was_resumed => {}
            Consequence::Disabled(_) if used < self.updated_at => {}
            Consequence::Disabled(reason) | Consequence::Suspended(reason) => {
                (after.status, after.reason) = ("suspended", Some(*reason));
            }
            Consequence::Errored(_) => {
                (after.status, after.reason) = ("error", Some("invalid_grant"));
            }
        }
        self.becomes(after);
    }
}
