//! `relay projection`: compares the connections' read model with the log, or rebuilds it.

use std::process::ExitCode;

use clap::Subcommand;
use engine::projection;

use crate::{
    progress,
    settings::{Needs, Settings},
    wiring,
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
    /// Tells whether every row is what the log says; exits with 1 when one is not.
    Check,
    /// Writes every row anew that is not what the log says.
    Rebuild,
}

pub(super) async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let settings = Settings::from_env(Needs::Nothing)?;
    let engine = wiring::engine(&settings).await?;
    let repair = matches!(arguments.what, What::Rebuild);
    let bar = progress::bar(if repair { "Rebuilding" } else { "Checking" });
    let report = projection::run(&engine, repair, |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    })
    .await;
    bar.finish_and_clear();
    let report = report?;
    let good = report.unknown == 0 && (repair || report.different.is_empty());
    if arguments.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        println!("{} connections, {} events read.", report.streams, report.events);
        for id in &report.different {
            println!("  {id} {}", if repair { "repaired" } else { "differs from the log" });
        }
        if report.unknown > 0 {
            println!("  {} rows have no history in the log", report.unknown);
        }
        if report.different.is_empty() && report.unknown == 0 {
            println!("Every row is what the log says.");
        }
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
