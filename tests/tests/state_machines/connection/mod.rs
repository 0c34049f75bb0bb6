//! A connection under random sequences of changes: the log, the row and the model say the same, nothing of a
//! refused change is made, and asking twice records nothing.

mod model;

use std::collections::BTreeMap;

use engine::{
    Engine,
    connection::{self, Actor, ConnectionChange, ConnectionError},
    delivery::Consequence,
    ids::{ConnectionId, OrganizationId},
    projection,
    secret::Secret,
};
use proptest::prelude::*;
use serde_json::json;
use tests::World;
use uuid::Uuid;

use self::model::{ADDRESSES, KINDS, Model, NAMES, ORDERS, RATES, SCHEDULES};
use super::{changed, engine_of, new_webhook, play};

/// What may happen. Numbers choose among what there is.
#[derive(Clone, Copy, Debug)]
enum Step {
    Change(Setting, usize),
    /// Of two changes at once, none is lost.
    TwoAtOnce(usize, usize),
    Pause(bool),
    NewSecret,
    /// By an attempt that used the version so many changes ago.
    FoundOut {
        what: usize,
        ago: i64,
    },
    /// A change that names another version than there is.
    OfAnotherVersion(i64),
    /// A change that is refused, together with one that is not.
    Refused(usize),
    Remove,
}

#[derive(Clone, Copy, Debug)]
enum Setting {
    Name,
    Address,
    Kinds,
    Schedule,
    Rate,
    Order,
    Header,
}

const SETTINGS: [Setting; 7] = [
    Setting::Name,
    Setting::Address,
    Setting::Kinds,
    Setting::Schedule,
    Setting::Rate,
    Setting::Order,
    Setting::Header,
];

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (prop::sample::select(&SETTINGS[..]), 0..3_usize).prop_map(|(s, n)| Step::Change(s, n)),
        2 => (0..3_usize, 0..3_usize).prop_map(|(a, b)| Step::TwoAtOnce(a, b)),
        6 => any::<bool>().prop_map(Step::Pause),
        2 => Just(Step::NewSecret),
        6 => (0..4_usize, 0..4_i64).prop_map(|(what, ago)| Step::FoundOut { what, ago }),
        1 => prop::sample::select(&[-1_i64, 1][..]).prop_map(Step::OfAnotherVersion),
        2 => (0..6_usize).prop_map(Step::Refused),
        1 => Just(Step::Remove),
    ]
}

struct Machine<'a> {
    engine: &'a Engine,
    world: &'a World,
    org: OrganizationId,
    id: ConnectionId,
    model: Model,
}

/// Whatever an admin, a provider or a receiver does, in whatever order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b7_b26_connections_do_what_the_model_says() {
    let world = World::builder().bare().await;
    let engine = engine_of(&world).await;
    play("connections", 14, step(), async |steps| {
        let org = OrganizationId(Uuid::new_v4());
        let id = new_webhook(&engine, org).await;
        let mut machine = Machine { engine: &engine, world: &world, org, id, model: Model::new() };
        for step in steps {
            let was = machine.model.status;
            machine.take(step).await;
            machine.check(step, was).await;
        }
        let report = projection::run(&engine, false, |_, _| {}).await.expect("it can be folded");
        assert_eq!((report.different, report.unknown), (Vec::new(), 0), "the log gives the rows");
    });
    engine.close().await;
}

impl Machine<'_> {
    async fn take(&mut self, step: Step) {
        match step {
            Step::Change(setting, which) => {
                let (wanted, after) = self.wanted(setting, which);
                self.change(wanted, after).await;
            }
            Step::TwoAtOnce(a, b) => self.two_at_once(a, b).await,
            Step::Pause(paused) => {
                let mut after = self.model.clone();
                if paused {
                    after.paused = true;
                } else {
                    (after.paused, after.status, after.reason) = (false, "connected", None);
                }
                let version = self.model.version;
                let wanted =
                    ConnectionChange { paused: Some(paused), ..ConnectionChange::default() };
                self.change(wanted, Some(after)).await;
                if !paused && self.model.version > version {
                    self.model.resumed_at = self.model.version;
                }
            }
            Step::NewSecret => {
                let wanted =
                    ConnectionChange { regenerate_secret: true, ..ConnectionChange::default() };
                let changed = changed(self.engine, self.org, self.id, wanted).await.map(drop);
                if !self.is_gone(changed) {
                    self.model.version += 1;
                }
            }
            Step::FoundOut { what, ago } => {
                let consequence = [
                    Consequence::Disabled("receiver_gone"),
                    Consequence::Errored("invalid_grant".into()),
                    Consequence::Suspended("account_inactive"),
                    Consequence::DestinationFailing("not_in_channel".into()),
                ][what % 4]
                    .clone();
                let used = (self.model.version - ago).max(1);
                for _ in 0..2 {
                    connection::found_out(self.engine, self.org, self.id, used, &consequence)
                        .await
                        .expect("it answers");
                    self.model.found_out(&consequence, used);
                }
            }
            Step::OfAnotherVersion(apart) => {
                let expected_version = Some(self.model.version + apart);
                let name = Some("Never".to_owned());
                let wanted =
                    ConnectionChange { name, expected_version, ..ConnectionChange::default() };
                let outcome = changed(self.engine, self.org, self.id, wanted).await;
                let is_gone = self.model.status == "disconnected";
                match outcome.expect_err("it is not what there is") {
                    ConnectionError::VersionConflict => assert!(!is_gone),
                    ConnectionError::NotFound => assert!(is_gone),
                    other => panic!("{other}"),
                }
            }
            Step::Refused(which) => self.refused(which).await,
            Step::Remove => {
                let actor = Actor::system();
                let outcome =
                    connection::disconnect(self.engine, self.org, self.id, None, &actor).await;
                if !self.is_gone(outcome.map(drop)) {
                    let (status, reason, paused) = ("disconnected", None, false);
                    let after = Model { status, reason, paused, ..self.model.clone() };
                    self.model.becomes(after);
                }
            }
        }
    }

    /// A change, and what it makes of the connection; `None` where it is refused.
    fn wanted(&self, setting: Setting, which: usize) -> (ConnectionChange, Option<Model>) {
        let (mut wanted, mut after) = (ConnectionChange::default(), self.model.clone());
        match setting {
            Setting::Name => {
                after.name = NAMES[which % NAMES.len()];
                wanted.name = Some(format!(" {} ", after.name));
            }
            Setting::Address => {
                after.address = ADDRESSES[which % ADDRESSES.len()];
                wanted.webhook_url = Some(after.address.to_owned());
                let host = |address: &'static str| address.split('/').nth(2);
                if host(after.address) != host(self.model.address) && !after.headers.is_empty() {
                    return (wanted, None); // Its headers are not for the new one.
                }
            }
            Setting::Kinds => {
                after.kinds = KINDS[which % KINDS.len()];
                wanted.event_types = Some(after.kinds.iter().map(|&kind| kind.into()).collect());
            }
            Setting::Schedule => {
                after.schedule = SCHEDULES[which % SCHEDULES.len()];
                wanted.retry_schedule = Some(after.schedule.map(<[u32]>::to_vec));
            }
            Setting::Rate => {
                after.rate = RATES[which % RATES.len()];
                wanted.rate_limit = Some(after.rate);
            }
            Setting::Order => {
                after.ordering = ORDERS[which % ORDERS.len()];
                wanted.ordering = Some(after.ordering);
            }
            Setting::Header => {
                let value = [None, Some("1"), Some("2")][which % 3];
                match value {
                    Some(value) => drop(after.headers.insert("X-A", value)),
                    None => drop(after.headers.remove("X-A")),
                }
                let headers = BTreeMap::from([("X-A".to_owned(), value.map(Secret::new))]);
                wanted.headers = Some(Some(headers));
            }
        }
        (wanted, Some(after))
    }

    /// Made once and asked for twice.
    async fn change(&mut self, wanted: ConnectionChange, after: Option<Model>) {
        let Some(after) = after.filter(|_| self.model.status != "disconnected") else {
            let refused = changed(self.engine, self.org, self.id, wanted).await;
            let refused = refused.expect_err("it is refused");
            let is_gone = self.model.status == "disconnected";
            assert_eq!(matches!(refused, ConnectionError::NotFound), is_gone, "{refused}");
            return;
        };
        self.model.becomes(after);
        for time in ["first", "second"] {
            let changed = changed(self.engine, self.org, self.id, wanted.clone()).await;
            let version = changed.expect("it is a good change").connection.version;
            assert_eq!(version, self.model.version, "the {time} time");
        }
    }

    async fn two_at_once(&mut self, a: usize, b: usize) {
        let (name, renamed) = self.wanted(Setting::Name, a);
        let (schedule, _) = self.wanted(Setting::Schedule, b);
        let one = changed(self.engine, self.org, self.id, name);
        let other = changed(self.engine, self.org, self.id, schedule);
        let (one, other) = tokio::join!(one, other);
        if self.is_gone(one.map(drop)) {
            return;
        }
        assert!(!self.is_gone(other.map(drop)));
        self.model.becomes(renamed.expect("a good name"));
        let (_, after) = self.wanted(Setting::Schedule, b);
        self.model.becomes(after.expect("a good schedule"));
        // Which of them came first is for the log to say.
        let updated_at: Option<i64> = sqlx::query_scalar(
            "select max(version) from relay.event_log
             where category = 'connection' and stream_id = $1 and kind = 'connection.updated'",
        )
        .bind(self.id.0)
        .fetch_one(self.world.sql())
        .await
        .expect("the log can be read");
        self.model.updated_at = updated_at.unwrap_or(0);
    }

    async fn refused(&mut self, which: usize) {
        let mut wanted =
            ConnectionChange { name: Some("Never".into()), ..ConnectionChange::default() };
        match which {
            0 => wanted.name = Some(" ".into()),
            1 => wanted.webhook_url = Some("https://10.0.0.1/".into()),
            2 => wanted.event_types = Some(Vec::new()),
            3 => wanted.retry_schedule = Some(Some(vec![1; 21])),
            4 => wanted.digest_minutes = Some(Some(5)),
            _ => wanted.conditions = Some(Some(json!({ "field": "nothing" }))),
        }
        let refused = changed(self.engine, self.org, self.id, wanted).await;
        let is_gone = self.model.status == "disconnected";
        match refused.expect_err("it is refused") {
            ConnectionError::Refused { .. } => assert!(!is_gone),
            ConnectionError::NotFound => assert!(is_gone),
            other => panic!("{other}"),
        }
    }

    /// Whether a change was refused, as it is of a connection that was removed, and only there.
    fn is_gone(&self, outcome: Result<(), ConnectionError>) -> bool {
        let is_gone = self.model.status == "disconnected";
        match outcome {
            Ok(()) => assert!(!is_gone, "it was removed and changes"),
            Err(ConnectionError::NotFound) => assert!(is_gone, "it is there"),
            Err(error) => panic!("{error}"),
        }
        is_gone
    }

    async fn check(&self, step: Step, was: &str) {
        let model = &self.model;
        let edges = [
            ("connected", "error"),
            ("connected", "suspended"),
            ("connected", "disconnected"),
            ("error", "connected"),
            ("error", "disconnected"),
            ("suspended", "connected"),
            ("suspended", "disconnected"),
        ];
        let versions: Vec<i64> = sqlx::query_scalar(
            "select version from relay.event_log where category = 'connection' and stream_id = $1
             order by version",
        )
        .bind(self.id.0)
        .fetch_all(self.world.sql())
        .await
        .expect("the log can be read");
        assert_eq!(versions, (1..=model.version).collect::<Vec<_>>(), "{step:?}: without a gap");

        let view = connection::find(self.engine, self.org, self.id).await.expect("it answers");
        let Some(view) = view else {
            assert_eq!(model.status, "disconnected", "{step:?}");
            return;
        };
        assert!(was == view.status || edges.contains(&(was, &view.status)), "{step:?}: {was}");
        let schedule = model.schedule.map(|s| s.iter().map(|&wait| wait.cast_signed()).collect());
        let headers: Vec<&str> = model.headers.keys().copied().collect();
        assert_eq!(
            (
                view.display_name.as_str(),
                view.metadata["webhook_url"].as_str(),
                view.retry_schedule
            ),
            (model.name, Some(model.address), schedule),
            "{step:?}"
        );
        assert_eq!(
            (view.event_types, view.header_names, view.rate_limit, view.ordering),
            (
                model.kinds.iter().map(|&kind| kind.to_owned()).collect(),
                headers.iter().map(|&name| name.to_owned()).collect(),
                model.rate,
                model.ordering
            ),
            "{step:?}"
        );
        assert_eq!(
            (view.status.as_str(), view.status_reason.as_deref(), view.paused, view.version),
            (model.status, model.reason, model.paused, model.version),
            "{step:?}"
        );
        let problem = view.metadata.get("destination_problem").is_some();
        assert_eq!(problem, model.has_problem, "{step:?}");
    }
}
