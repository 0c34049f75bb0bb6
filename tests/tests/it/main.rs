//! Whole-system scenarios, a module for each part of the list they come from.

mod bad_bodies;
mod delivery;
mod idempotency;
mod ingest;
mod queue;
mod replay;
mod routing;
