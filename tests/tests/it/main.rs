//! Whole-system scenarios, a module for each part of the list they come from.

mod bad_bodies;
mod connection_settings;
mod custom_webhooks;
mod delivery;
mod faults;
mod idempotency;
mod ingest;
mod queue;
mod replay;
mod routing;
