//! `relay replay`: makes one delivery due again, or all that a filter fits.

use std::{process::ExitCode, time::Duration};

use anyhow::{Context as _, bail};
use engine::{
    Engine,
    clock::{self, Timestamp},
    connection::Actor,
    delivery::{self, DeliveryStatus},
    ids::{ConnectionId, DeliveryId, OrganizationId},
    replay::{self, Configuration, NewReplay, Preview, Replay, ReplayStatus, Selection},
};

use super::replays;
use crate::{
    progress,
    settings::{Needs, Settings},
    text, wiring,
};

/// How often it is asked how far a replay has come.
const LOOK_EVERY: Duration = Duration::from_millis(300);

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Which delivery, or several.
    deliveries: Vec<DeliveryId>,
    /// Whose they are.
    #[arg(long, value_name = "UUID")]
    organization: OrganizationId,
    /// dead, skipped, expired, delivered, pending, parked or cancelled; dead, skipped and expired if
    /// nothing is said. May be repeated.
    #[arg(long)]
    status: Vec<DeliveryStatus>,
    /// Only to this connection.
    #[arg(long, value_name = "UUID")]
    connection: Option<ConnectionId>,
    /// Only to connections of this service, such as slack.
    #[arg(long)]
    provider: Option<String>,
    /// Only of this kind of event, such as vulnerability.found.
    #[arg(long)]
    kind: Option<String>,
    /// Only of events with this subject.
    #[arg(long)]
    subject: Option<String>,
    /// Only where the last failure was of this class, such as timeout.
    #[arg(long)]
    error_class: Option<String>,
    /// Promised since: an instant such as 2026-02-25T12:00:00Z, or how long ago, such as 2h or 3d.
    #[arg(long, value_name = "WHEN", value_parser = instant)]
    since: Option<Timestamp>,
    /// Promised before.
    #[arg(long, value_name = "WHEN", value_parser = instant)]
    until: Option<Timestamp>,
    /// Given up on since, whenever they were promised.
    #[arg(long, value_name = "WHEN", value_parser = instant)]
    failed_since: Option<Timestamp>,
    /// Not sent since, because their connection was paused, disabled or in error.
    #[arg(long, value_name = "WHEN", value_parser = instant)]
    missed_since: Option<Timestamp>,
    /// With the connection's settings as they are (current), or as they were when it was tried last
    /// (original).
    #[arg(long, default_value = "current", value_parser = configuration)]
    configuration: Configuration,
    /// How many are made due in a second, up to 10000; 100 if nothing is said.
    #[arg(long)]
    rate: Option<u32>,
    /// Why, for the record.
    #[arg(long)]
    reason: Option<String>,
    /// Only tell what would be sent again.
    #[arg(long)]
    dry_run: bool,
    /// Do not wait until all of them are due.
    #[arg(long)]
    detach: bool,
    /// The outcome as one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let settings = Settings::from_env(Needs::Nothing)?;
    let engine = wiring::engine(&settings).await?;
    let selection = arguments.selection();
    if let ([only], false) = (&arguments.deliveries[..], arguments.asks_for_a_job()) {
        return one(&engine, *only, &arguments).await;
    }
    let owner = arguments.organization;
    let asked = NewReplay {
        selection,
        configuration: arguments.configuration,
        rate_per_second: arguments.rate,
        reason: arguments.reason,
    };
    if arguments.dry_run {
        let preview = replay::preview(&engine, owner, &asked).await?;
        if arguments.json {
            println!("{}", text::json_line(&preview)?);
        } else {
            tell(&preview);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let started = replay::start(&engine, owner, &asked, &Actor::system()).await?;
    if arguments.detach {
        replays::say(&started, arguments.json)?;
        return Ok(ExitCode::SUCCESS);
    }
    let ended = watch(&engine, owner, started).await?;
    replays::say(&ended, arguments.json)?;
    Ok(if ended.status == ReplayStatus::Completed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Arguments {
    fn selection(&self) -> Selection {
        let some = |list: &[_]| (!list.is_empty()).then(|| list.to_vec());
        Selection {
            delivery_ids: (!self.deliveries.is_empty()).then(|| self.deliveries.clone()),
            status: some(&self.status),
            connection_id: self.connection,
            provider: self.provider.clone(),
            event: self.kind.clone(),
            subject: self.subject.clone(),
            error_class: self.error_class.clone(),
            since: self.since,
            until: self.until,
            failed_since: self.failed_since,
            missed_since: self.missed_since,
        }
    }

    /// Whether anything is said that one delivery alone has no use for.
    fn asks_for_a_job(&self) -> bool {
        let named = Selection { delivery_ids: None, ..self.selection() };
        named != Selection::default()
            || self.rate.is_some()
            || self.dry_run
            || self.detach
            || self.configuration != Configuration::Current
    }
}

async fn one(engine: &Engine, id: DeliveryId, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (owner, reason) = (arguments.organization, arguments.reason.as_deref());
    delivery::replay(engine, owner, id, &Actor::system(), reason).await?;
    if arguments.json {
        println!("{}", serde_json::json!({ "id": id, "success": true }));
    } else {
        println!("{id} is due now, under its old id.");
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows how a replay gets on, until it is over or somebody pauses it.
async fn watch(engine: &Engine, owner: OrganizationId, started: Replay) -> anyhow::Result<Replay> {
    let id = started.id;
    let bar = progress::bar("Replaying");
    let mut replay = started;
    eprintln!("Replay {id}. It goes on without this command: `relay replays` shows and stops it.");
    while !replay.status.is_final() && replay.status != ReplayStatus::Paused {
        if let Some(total) = replay.total {
            bar.set_length(u64::try_from(total).unwrap_or(0));
            bar.set_position(u64::try_from(replay.considered).unwrap_or(0));
        }
        tokio::time::sleep(LOOK_EVERY).await;
        replay = replay::find(engine, owner, id).await?.context("the replay is gone")?;
    }
    bar.finish_and_clear();
    Ok(replay)
}

fn tell(preview: &Preview) {
    let least = if preview.is_exact { "" } else { "At least " };
    println!("{least}{} deliveries would be looked at.", preview.total);
    for one in &preview.by_connection {
        let blocked = one.blocked_because.map_or("", replay::Blocked::as_str);
        let line = format!(
            "{:>9}  {}  {:<19}  {}  {blocked}",
            one.count, one.connection_id, one.provider, one.name
        );
        // Names come from customers: nothing of them may steer a terminal.
        println!("{}", text::inert(line.trim_end()));
    }
    for one in &preview.by_reason {
        println!("{}", text::inert(&format!("{:>9}  {}", one.count, one.reason)));
    }
    if preview.too_old > 0 {
        println!(
            "{} of them cannot be sent again: their events are no longer kept.",
            preview.too_old
        );
    }
}

fn configuration(text: &str) -> Result<Configuration, String> {
    match text {
        "current" => Ok(Configuration::Current),
        "original" => Ok(Configuration::Original),
        _ => Err("must be current or original".to_owned()),
    }
}

/// An instant, or how long ago.
fn instant(text: &str) -> Result<Timestamp, String> {
    text.parse()
        .or_else(|_| ago(text, clock::now()))
        .map_err(|error: anyhow::Error| error.to_string())
}

fn ago(text: &str, now: Timestamp) -> anyhow::Result<Timestamp> {
    const EXPECTED: &str = "must be an instant such as 2026-02-25T12:00:00Z, or a while such as 2h";
    let (number, unit) =
        text.split_at(text.len() - text.chars().next_back().map_or(0, char::len_utf8));
    let number: u32 = number.parse().ok().context(EXPECTED)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => bail!(EXPECTED),
    };
    let span = Duration::from_secs(u64::from(number) * seconds);
    now.checked_sub_signed(chrono::Duration::from_std(span)?).context(EXPECTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_told_as_such_or_as_how_long_ago() {
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().expect("a timestamp");
        for (text, expected) in [
            ("90s", "2026-11-23T11:58:30Z"),
            ("5m", "2026-11-23T11:55:00Z"),
            ("2h", "2026-11-23T10:00:00Z"),
            ("3d", "2026-11-20T12:00:00Z"),
        ] {
            let expected: Timestamp = expected.parse().expect("a timestamp");
            assert_eq!(ago(text, now).expect("a while"), expected, "{text}");
        }
        assert!(instant("2026-11-20T12:00:00+01:00").is_ok());
        for text in ["", "yesterday", "5", "h", "-2h", "2w", "99999999999d", "2é"] {
            assert!(instant(text).is_err(), "{text}");
        }
    }
}
