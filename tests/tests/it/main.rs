//! Whole-system scenarios, a module for each part of the list they come from.

mod auth;
mod bad_bodies;
mod bad_urls;
mod changes;
mod cli;
mod command;
mod connection_settings;
mod contracts;
mod custom_webhooks;
mod deliveries_api;
mod delivery;
mod faults;
mod icons;
mod idempotency;
mod ingest;
mod projection;
mod providers;
mod queue;
mod refreshing;
mod replay;
mod routing;
mod secrets;
mod sharing;
mod signing;
mod tls;
mod tokens;
