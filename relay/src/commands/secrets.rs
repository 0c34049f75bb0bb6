//! `relay secrets`: seals stored secrets with the current key.

use std::process::ExitCode;

use clap::Subcommand;
use engine::connection::secrets;

use crate::{
    progress,
    settings::{Needs, Settings},
    telemetry, wiring,
};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    what: What,
    /// The outcome as one JSON object.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum What {
    /// Seals anew whatever an older key sealed, and what was never sealed. May be repeated.
    Reseal,
}

pub(super) async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let What::Reseal = arguments.what;
    let settings = Settings::from_env(Needs::Keys)?;
    telemetry::init_logging(&settings)?;
    let engine = wiring::engine(&settings).await?;
    let bar = progress::bar("Sealing");
    let report = secrets::reseal(&engine, |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    })
    .await;
    bar.finish_and_clear();
    let report = report?;
    if arguments.json {
        let (resealed, first, unreadable) =
            (report.resealed, report.sealed_first_time, report.unreadable);
        println!(
            "{}",
            serde_json::json!({ "resealed": resealed, "sealed_first_time": first, "unreadable": unreadable })
        );
    } else {
        println!(
            "{} sealed anew, {} sealed for the first time, {} that no key opens.",
            report.resealed, report.sealed_first_time, report.unreadable
        );
    }
    Ok(if report.unreadable == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
