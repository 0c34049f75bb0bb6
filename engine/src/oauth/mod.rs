//! Consent and tokens, once for every provider: the way to its page and back, codes and refresh tokens
//! that become tokens, and the questions that a provider wants asked. What a provider answers in its
//! own way is read by functions of [`crate::provider`].

pub(crate) mod ask;
pub mod config;
pub(crate) mod consent;
pub(crate) mod exchange;
pub(crate) mod github_app;
pub(crate) mod states;
