//! The one binary: reads its settings, starts what was asked for, and holds no rule of its own.

mod commands;
mod embedded_postgres;
mod kept;
mod probes;
mod progress;
mod settings;
mod telemetry;
mod text;
mod wiring;

use std::process::ExitCode;

use clap::Parser as _;

// Many small allocations on many threads: measured, it takes a tenth off the CPU of a delivery.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
