//! `relay replays`: shows replays of many deliveries, and pauses, resumes or calls one off.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;
use engine::{
    Engine,
    connection::Actor,
    ids::{OrganizationId, ReplayId},
    replay::{self, Change, Replay, ReplayStatus},
};
use uuid::Uuid;

use crate::{
    settings::{Needs, Settings},
    text, wiring,
};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    what: What,
    /// Whose replays.
    #[arg(long, value_name = "UUID", global = true)]
    organization: Option<OrganizationId>,
    /// One JSON object a line.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Lists them, the newest first.
    List {
        /// counting, running, paused, completed, cancelled or failed.
        #[arg(long)]
        status: Option<ReplayStatus>,
        /// How many.
        #[arg(long, default_value_t = 50)]
        limit: u16,
    },
    /// Shows one.
    Show { replay: Uuid },
    /// Makes nothing more due until it is resumed.
    Pause { replay: Uuid },
    /// Lets it go on, at another rate if one is given.
    Resume {
        replay: Uuid,
        /// How many are made due in a second, up to 10000.
        #[arg(long)]
        rate: Option<u32>,
    },
    /// Calls it off: what was not tried yet is taken back.
    Cancel { replay: Uuid },
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let owner = arguments.organization.context("say whose replays with --organization <UUID>")?;
    let settings = Settings::from_env(Needs::Nothing)?;
    let engine = wiring::engine(&settings).await?;
    let to = |status| Change { status: Some(status), rate_per_second: None };
    let shown = match arguments.what {
        What::List { status, limit } => {
            replay::list(&engine, owner, status, None, limit).await?.items
        }
        What::Show { replay } => {
            let found = replay::find(&engine, owner, replay.into()).await?;
            vec![found.with_context(|| format!("this organization has no replay {replay}"))?]
        }
        What::Pause { replay } => {
            vec![change(&engine, owner, replay, to(ReplayStatus::Paused)).await?]
        }
        What::Resume { replay, rate } => {
            let wanted = Change { rate_per_second: rate, ..to(ReplayStatus::Running) };
            vec![change(&engine, owner, replay, wanted).await?]
        }
        What::Cancel { replay } => {
            vec![change(&engine, owner, replay, to(ReplayStatus::Cancelled)).await?]
        }
    };
    for one in &shown {
        say(one, arguments.json)?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn change(
    engine: &Engine,
    owner: OrganizationId,
    id: Uuid,
    wanted: Change,
) -> anyhow::Result<Replay> {
    Ok(replay::change(engine, owner, ReplayId(id), wanted, &Actor::system()).await?)
}

/// Prints a replay on one line.
pub(super) fn say(replay: &Replay, json: bool) -> anyhow::Result<()> {
    if json {
        println!("{}", text::json_line(replay)?);
    } else {
        // Reasons come from people: nothing of them may steer a terminal.
        println!("{}", text::inert(&line(replay)));
    }
    Ok(())
}

fn line(replay: &Replay) -> String {
    let of = replay.total.map_or_else(|| "?".to_owned(), |total| total.to_string());
    let skipped: Vec<String> =
        replay.skipped_by_reason.iter().map(|(why, count)| format!("{count} {why}")).collect();
    let skipped = match skipped.is_empty() {
        true => String::new(),
        false => format!("  skipped: {}", skipped.join(", ")),
    };
    let reason = replay.reason.as_deref().map_or_else(String::new, |why| format!("  \"{why}\""));
    format!(
        "{}  {:<9}  {}/{of} looked at, {} made due, {} delivered, {} waiting{skipped}{reason}",
        replay.id,
        replay.status.as_str(),
        replay.considered,
        replay.replayed,
        replay.delivered,
        replay.still_waiting
    )
}
