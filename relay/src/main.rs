//! The one binary: reads its settings, starts what was asked for, and holds no rule of its own.

mod commands;
mod embedded_postgres;
mod kept;
mod progress;
mod settings;
mod telemetry;
mod text;
mod wiring;

use std::process::ExitCode;

use clap::Parser as _;

#[tokio::main]
async fn main() -> ExitCode {
    match commands::Relay::parse().run().await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
