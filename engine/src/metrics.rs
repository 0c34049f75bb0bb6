//! Every metric name and label, as plain functions. Labels come from closed sets, never from ids.
#![expect(clippy::disallowed_macros, reason = "this is the one home of the metrics macros")]

use std::time::Duration;

use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

/// Tells the exporter what each metric means. Called once, after the recorder is installed.
pub fn describe() {
    describe_counter!("relay_events_recorded_total", "Events appended to the log, by outcome.");
    describe_counter!(
        "relay_attempts_total",
        "HTTP requests made, by provider and class of answer."
    );
    describe_counter!("relay_settlements_total", "Deliveries settled, by settlement.");
    describe_counter!("relay_verdicts_total", "Attempts judged, by provider and verdict.");
    describe_counter!(
        "relay_parked_total",
        "Deliveries parked until somebody sets their connection right, by reason."
    );
    describe_counter!(
        "relay_deferred_total",
        "Deliveries put off without being charged for it, by reason."
    );
    describe_counter!(
        "relay_leases_lost_total",
        "Settlements that touched no row: the lease had passed on."
    );
    describe_counter!(
        "relay_leases_rescued_total",
        "Deliveries claimed again after their lease ran out."
    );
    describe_counter!(
        "relay_deliveries_released_total",
        "Claimed deliveries handed back unstarted."
    );
    describe_counter!(
        "relay_breakers_opened_total",
        "Times that a connection was left alone because it failed again and again."
    );
    describe_counter!(
        "relay_database_retries_total",
        "Statements repeated because the database was away, by statement."
    );
    describe_counter!(
        "relay_token_refreshes_total",
        "Access tokens renewed or minted, by provider and outcome."
    );
    describe_counter!(
        "relay_callbacks_refused_total",
        "Returns from a provider's consent page that were refused, by provider and reason."
    );
    describe_counter!(
        "relay_operator_faults_total",
        "Calls that failed because of our own registration or key, by provider and what is wrong."
    );
    describe_histogram!("relay_attempt_seconds", Unit::Seconds, "Duration of one HTTP exchange.");
    describe_histogram!(
        "relay_delivery_lag_seconds",
        Unit::Seconds,
        "From the moment a delivery was due to its claim."
    );
    describe_histogram!(
        "relay_ingest_commit_seconds",
        Unit::Seconds,
        "Duration of one group commit."
    );
    describe_histogram!("relay_ingest_commit_rows", Unit::Count, "Events in one group commit.");
    describe_histogram!("relay_claim_rows", Unit::Count, "Deliveries taken by one claim.");
    describe_histogram!("relay_settle_rows", Unit::Count, "Verdicts written by one statement.");
    describe_gauge!(
        "relay_ingest_queue_events",
        "Events waiting for a group commit in this process."
    );
    describe_gauge!("relay_shards_owned", "Shards whose deliveries this process claims.");
    describe_counter!("relay_shards_gained_total", "Shards that became this process's.");
    describe_counter!("relay_shards_lost_total", "Shards that this process gave up or lost.");
    describe_gauge!(
        "relay_connections_failing",
        "Connections that took nothing since they last failed."
    );
    describe_gauge!("relay_connections_held", "Connections whose receivers asked us to wait.");
    describe_gauge!(
        "relay_breakers_open",
        "Connections that are left alone because they failed so much."
    );
    describe_counter!(
        "relay_connections_disabled_total",
        "Connections that we switched off, by reason."
    );
    describe_gauge!("relay_deliveries_in_memory", "Deliveries that this process holds leases on.");
    describe_gauge!(
        "relay_outbox_oldest_due_seconds",
        Unit::Seconds,
        "How long the oldest due delivery has been waiting."
    );
    describe_gauge!(
        "relay_statistics_lag_seconds",
        Unit::Seconds,
        "For how long something may have been recorded that no statistics count yet."
    );
    describe_gauge!(
        "relay_default_partition_rows",
        "Rows outside any day's partition, by table: should be zero."
    );
}

/// Events that one commit answered for.
pub fn events_recorded(outcome: &'static str, count: u64) {
    counter!("relay_events_recorded_total", "outcome" => outcome).increment(count);
}

/// One group commit: how long, and how many events.
pub fn group_commit(took: Duration, events: usize) {
    histogram!("relay_ingest_commit_seconds").record(took.as_secs_f64());
    histogram!("relay_ingest_commit_rows").record(events as f64);
}

/// Events waiting for their commit.
pub fn ingest_queue(events: usize) {
    gauge!("relay_ingest_queue_events").set(events as f64);
}

/// One HTTP request made for a delivery.
pub fn attempt(provider: &str, class: &'static str, took: Duration) {
    counter!("relay_attempts_total", "provider" => provider_label(provider), "class" => class)
        .increment(1);
    histogram!("relay_attempt_seconds", "provider" => provider_label(provider))
        .record(took.as_secs_f64());
}

/// What a provider's answers meant.
pub fn verdict(provider: &str, verdict: &'static str) {
    counter!("relay_verdicts_total", "provider" => provider_label(provider), "verdict" => verdict)
        .increment(1);
}

/// A delivery waits until somebody sets its connection right.
pub fn parked(reason: &'static str) {
    counter!("relay_parked_total", "reason" => reason).increment(1);
}

/// A delivery was put off without being charged.
pub fn deferred(reason: &'static str) {
    counter!("relay_deferred_total", "reason" => reason).increment(1);
}

/// How late a delivery was claimed.
pub fn delivery_lag(lag: Duration) {
    histogram!("relay_delivery_lag_seconds").record(lag.as_secs_f64());
}

/// A token was renewed or minted, or was not.
pub fn token_refreshed(provider: &str, outcome: &'static str) {
    counter!(
        "relay_token_refreshes_total",
        "provider" => provider_label(provider), "outcome" => outcome
    )
    .increment(1);
}

/// Somebody came back from a consent page and was not let in.
pub fn callback_refused(provider: &str, reason: &'static str) {
    counter!(
        "relay_callbacks_refused_total",
        "provider" => provider_label(provider), "reason" => reason
    )
    .increment(1);
}

/// Something of the operator's is wrong: a registration, a setting, a key.
pub fn operator_fault(provider: &str, what: &'static str) {
    counter!(
        "relay_operator_faults_total",
        "provider" => provider_label(provider), "what" => what
    )
    .increment(1);
}

/// Deliveries that one statement settled.
pub fn settled(settlement: &'static str, count: u64) {
    counter!("relay_settlements_total", "settlement" => settlement).increment(count);
}

/// Verdicts written by one statement.
pub fn settle_batch(deliveries: usize) {
    histogram!("relay_settle_rows").record(deliveries as f64);
}

/// Deliveries taken by one claim, and how many of them came from a lease that had run out.
pub fn claimed(deliveries: usize, rescued: usize) {
    if deliveries > 0 {
        histogram!("relay_claim_rows").record(deliveries as f64);
    }
    if rescued > 0 {
        counter!("relay_leases_rescued_total").increment(rescued as u64);
    }
}

/// Deliveries that a commit handed to the pump of its own process.
pub fn handed_over(deliveries: usize) {
    counter!("relay_deliveries_handed_over_total").increment(deliveries as u64);
}

/// Settlements whose lease had passed on.
pub fn leases_lost(count: u64) {
    if count > 0 {
        counter!("relay_leases_lost_total").increment(count);
    }
}

/// Deliveries handed back unstarted.
pub fn released(count: u64) {
    if count > 0 {
        counter!("relay_deliveries_released_total").increment(count);
    }
}

/// Deliveries that this process holds leases on.
pub fn in_memory(deliveries: usize) {
    gauge!("relay_deliveries_in_memory").set(deliveries as f64);
}

/// A statement was repeated because the database was away.
pub fn database_retry(statement: &'static str) {
    counter!("relay_database_retries_total", "statement" => statement).increment(1);
}

/// How long the oldest due delivery has been waiting.
pub fn oldest_due(waiting: Duration) {
    gauge!("relay_outbox_oldest_due_seconds").set(waiting.as_secs_f64());
}

/// How far statistics are behind.
pub fn statistics_lag(behind: Duration) {
    gauge!("relay_statistics_lag_seconds").set(behind.as_secs_f64());
}

/// Rows outside any day's partition.
pub fn default_partition_rows(table: String, rows: i64) {
    gauge!("relay_default_partition_rows", "table" => table).set(rows as f64);
}

/// Shards that are this process's now, and how many came and went.
pub fn shards(owned: usize, gained: usize, lost: usize) {
    gauge!("relay_shards_owned").set(owned as f64);
    counter!("relay_shards_gained_total").increment(gained as u64);
    counter!("relay_shards_lost_total").increment(lost as u64);
}

/// Connections in trouble, of all processes.
pub fn troubled_connections(failing: usize, held: usize, breakers_open: usize) {
    gauge!("relay_connections_failing").set(failing as f64);
    gauge!("relay_connections_held").set(held as f64);
    gauge!("relay_breakers_open").set(breakers_open as f64);
}

/// A breaker opened, or stays open after a probe.
pub fn breaker_opened() {
    counter!("relay_breakers_opened_total").increment(1);
}

/// A connection was switched off.
pub fn connection_disabled(reason: &str) {
    let reason = [crate::health::FAILING_TOO_LONG, "receiver_gone"]
        .into_iter()
        .find(|known| *known == reason)
        .unwrap_or("other");
    counter!("relay_connections_disabled_total", "reason" => reason).increment(1);
}

/// Providers are a closed set; anything else would be a label of the customer's making.
fn provider_label(provider: &str) -> &'static str {
    crate::provider::find(provider).map_or("other", |known| known.id)
}
