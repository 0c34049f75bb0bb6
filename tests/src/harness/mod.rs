//! The parts of a test's world; see the crate's page for how they are used together.

pub mod answer;
pub mod arrival;
pub mod client;
pub mod closed_port;
mod database;
pub mod fault_proxy;
pub mod ledger;
pub mod process;
pub mod providers;
pub mod receiver;
pub mod signature;
pub mod wait;
mod wire;
pub mod world;
