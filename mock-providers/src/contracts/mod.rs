//! Compares requests with what the providers publish: OpenAPI, JSON Schema, GraphQL.
//!
//! `CONTRACTS_DIR` names the folder of it, one folder for each provider; without it nothing is
//! compared, and standard error says so. What no published file has must be in `allowed`, with the
//! reason beside it: a request that is in neither is a problem like any other.

#[cfg(feature = "contracts")]
mod adf;
#[cfg(feature = "contracts")]
mod allowed;
#[cfg(feature = "contracts")]
mod convert;
#[cfg(feature = "contracts")]
mod document;
#[cfg(feature = "contracts")]
mod files;
#[cfg(feature = "contracts")]
mod graphql;
#[cfg(feature = "contracts")]
mod judge;
#[cfg(feature = "contracts")]
mod oauth;
#[cfg(feature = "contracts")]
mod rest;
#[cfg(feature = "contracts")]
mod slack;
#[cfg(feature = "contracts")]
mod strays;
#[cfg(all(test, feature = "contracts"))]
mod tests;

use crate::server::request::Request;

/// What is wrong with a request.
#[cfg(feature = "contracts")]
pub(crate) fn problems(provider: &str, request: &Request) -> Vec<String> {
    match files::root() {
        Some(root) => judge::problems(root, provider, request),
        None => Vec::new(),
    }
}

/// What is wrong with a request: nobody looks.
#[cfg(not(feature = "contracts"))]
pub(crate) fn problems(_provider: &str, _request: &Request) -> Vec<String> {
    Vec::new()
}
