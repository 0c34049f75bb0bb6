//! `relay emit`: records one event from the command line, as `POST /v1/events` would.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use engine::{
    event::{ParsedBody, parse_body},
    ingest::Recorded,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    settings::{Needs, Settings},
    wiring,
};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// What happened, such as vulnerability.found.
    kind: String,
    /// Whose event it is.
    #[arg(long, value_name = "UUID")]
    organization: Uuid,
    /// What there is to know about it: a JSON object.
    #[arg(long, default_value = "{}", value_name = "JSON")]
    data: String,
    /// The project that it concerns.
    #[arg(long, value_name = "UUID")]
    project: Option<Uuid>,
    /// The team that it concerns.
    #[arg(long, value_name = "UUID")]
    team: Option<Uuid>,
    /// The thing that it is about.
    #[arg(long)]
    subject: Option<String>,
    /// critical, high, normal or low.
    #[arg(long)]
    priority: Option<String>,
    /// Repeating the command with the same key records the event once.
    #[arg(long)]
    idempotency_key: Option<String>,
    /// The outcome as one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let settings = Settings::from_env(Needs::Nothing)?;
    let data: Value = serde_json::from_str(&arguments.data).context("--data is not JSON")?;
    let mut body = json!({
        "type": arguments.kind, "organization_id": arguments.organization, "data": data,
        "source": "relay-cli",
    });
    let optional = [
        ("project_id", arguments.project.map(|id| id.to_string())),
        ("team_id", arguments.team.map(|id| id.to_string())),
        ("subject", arguments.subject),
        ("priority", arguments.priority),
        ("idempotency_key", arguments.idempotency_key),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            body[name] = json!(value);
        }
    }
    let event = match parse_body(body.to_string().as_bytes(), 0) {
        Ok(ParsedBody::One(event)) => event,
        Ok(ParsedBody::Many(_)) => bail!("one event was given, many were read"),
        Err(refused) => bail!("{}", refused.message),
    };
    let engine = wiring::engine(&settings).await?;
    let recorded = engine.ingest.record(vec![event]).await?;
    let (id, duplicate) = match recorded.first() {
        Some(Recorded::New(id)) => (*id, false),
        Some(Recorded::Duplicate(id)) => (*id, true),
        Some(Recorded::Conflict(id)) => {
            bail!("the idempotency key was used before with other content, for event {id}")
        }
        Some(Recorded::Refused(why)) => bail!("refused: {why}"),
        None => bail!("nothing was recorded"),
    };
    if arguments.json {
        println!("{}", json!({ "id": id, "duplicate": duplicate }));
    } else if duplicate {
        println!("Already recorded as {id}.");
    } else {
        println!("Recorded as {id}.");
    }
    Ok(ExitCode::SUCCESS)
}
