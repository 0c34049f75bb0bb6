//! The command line: one file for each command, this one chooses among them.

mod api;
mod connections;
mod deliveries;
mod dev;
mod doctor;
mod emit;
mod erase;
mod health;
mod migrate;
mod projection;
mod replay;
mod replays;
mod secrets;
mod serve;
mod settings;
mod with_postgres;
mod workers;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Records what happens in Deptex, and brings it to every place an organization has connected.
#[derive(Debug, Parser)]
#[command(name = "relay", version, disable_help_subcommand = true)]
pub(crate) struct Relay {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts everything in one process, with a private Postgres, a demo organization and receiver.
    Dev(dev::Arguments),
    /// Brings the database to this program's schema.
    Migrate(migrate::Arguments),
    /// Serves HTTP and delivers, in one process.
    Serve,
    /// Serves HTTP.
    Api,
    /// Delivers what is promised.
    Workers,
    /// Records one event.
    Emit(emit::Arguments),
    /// Lists an organization's deliveries, or shows one with its attempts.
    Deliveries(deliveries::Arguments),
    /// Lists an organization's connections, and tells or changes where their events go.
    Connections(connections::Arguments),
    /// Makes one delivery due again, or all that a filter fits.
    Replay(Box<replay::Arguments>),
    /// Shows replays of many deliveries, and pauses, resumes or calls one off.
    Replays(replays::Arguments),
    /// Compares the connections' read model with the log, or rebuilds it.
    Projection(projection::Arguments),
    /// Seals stored secrets with the current key.
    Secrets(secrets::Arguments),
    /// Erases an organization, or what names one person or thing, and keeps the accounts.
    Erase(Box<erase::Arguments>),
    /// Looks at the settings, the database and the providers and says what to do.
    Doctor(doctor::Arguments),
    /// Asks a process whether it can work: for the health checks of containers.
    Health(health::Arguments),
    /// Lists every setting, its default, and whether it is set.
    Settings(settings::Arguments),
    /// Runs a command beside a throw-away Postgres, whose address it gets in DATABASE_URL.
    #[command(hide = true)]
    WithPostgres(with_postgres::Arguments),
}

impl Relay {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Dev(arguments) => dev::run(arguments).await,
            Command::Migrate(arguments) => migrate::run(&arguments).await,
            Command::Serve => serve::run().await,
            Command::Api => api::run().await,
            Command::Workers => workers::run().await,
            Command::Emit(arguments) => emit::run(arguments).await,
            Command::Deliveries(arguments) => deliveries::run(arguments).await,
            Command::Connections(arguments) => connections::run(arguments).await,
            Command::Replay(arguments) => replay::run(*arguments).await,
            Command::Replays(arguments) => replays::run(arguments).await,
            Command::Projection(arguments) => projection::run(&arguments).await,
            Command::Secrets(arguments) => secrets::run(&arguments).await,
            Command::Erase(arguments) => erase::run(*arguments).await,
            Command::Doctor(arguments) => doctor::run(&arguments).await,
            Command::Health(arguments) => health::run(arguments).await,
            Command::Settings(arguments) => settings::run(&arguments),
            Command::WithPostgres(arguments) => with_postgres::run(arguments).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Relay::command().debug_assert();
    }
}
