//! Strict stand-ins for the providers, for tests and for `relay dev`.
//!
//! [`MockProviders::start`] gives every provider's hosts a port of their own on loopback. Relay is
//! pointed at them by [`MockProviders::settings`]; a person's part, the consent page, is played by
//! [`MockProviders::consent`]. Each provider's handle, such as [`MockProviders::slack`], shows what
//! arrived there, and breaks things: [`Mock::fail_next`], [`Mock::expire_tokens`].
//!
//! In reading order:
//! - [`mock`]: one provider's handle, the same for all.
//! - [`breakage`]: which requests are to fail, and how.
//! - `server`: the HTTP side that all share; `oauth`: consent pages, codes and tokens.
//! - [`slack`], [`discord`], [`jira`], [`linear`], [`asana`], [`github`], [`gitlab`], [`bitbucket`]:
//!   what each takes and refuses.
//! - `contracts`: compares every request with what the providers publish, where
//!   `CONTRACTS_DIR` names a folder of it.
//! - `recorder`: every request, and what was wrong with it.
//! - [`demo()`]: the same for people, with pages that ask and show.

pub mod asana;
pub mod bitbucket;
pub mod breakage;
mod browser;
mod clock;
mod contracts;
mod demo;
pub mod discord;
pub mod github;
pub mod gitlab;
pub mod jira;
pub mod linear;
mod markdown;
pub mod mock;
mod mocks;
mod oauth;
mod page;
mod recorder;
mod server;
pub mod slack;
#[cfg(test)]
mod testing;

pub use self::{
    breakage::{Answer, Matcher},
    demo::demo,
    mock::Mock,
    mocks::MockProviders,
    recorder::Recorded,
};
