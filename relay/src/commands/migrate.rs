//! `relay migrate`: brings the database to this program's schema.

use std::process::ExitCode;

use engine::{
    db::{Db, PoolSizes},
    secret::Secret,
};
use secrecy::ExposeSecret as _;

use crate::{
    settings::{Needs, Settings},
    telemetry, wiring,
};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The outcome as one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let settings = Settings::from_env(Needs::Nothing)?;
    telemetry::init_logging(&settings)?;
    let url = wiring::database_url(&settings)?;
    let db =
        Db::connect(&Secret::new(url.expose_secret()), PoolSizes { api: 2, ingest: 1, work: 1 })
            .await?;
    let report = db.migrate().await?;
    if arguments.json {
        println!("{}", serde_json::json!({ "applied": report.applied, "total": report.total }));
    } else if report.applied == 0 {
        println!("The schema is up to date ({} migrations).", report.total);
    } else {
        println!("Applied {} of {} migrations.", report.applied, report.total);
    }
    db.close().await;
    Ok(ExitCode::SUCCESS)
}
