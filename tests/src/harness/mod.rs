//! The parts of a test's world; see the crate's page for how they are used together.

pub mod answer;
pub mod arrival;
pub mod client;
pub mod closed_port;
mod database;
pub mod fault_proxy;
pub mod ledger;
pub mod load;
pub mod name_server;
pub mod outcome;
pub mod own_postgres;
pub mod process;
pub mod providers;
pub mod receiver;
pub mod shards;
pub mod signature;
pub mod wait;
pub(crate) mod walled;
mod wire;
pub mod world;
