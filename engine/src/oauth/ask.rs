//! Asks a provider what one of its pure functions wants to know, call by call.

use crate::{
    engine::Engine,
    http::{PAGE_BYTES_MAX, Route, SendError},
    provider::{Call, Provider, Reply},
};

/// How many calls one question may take.
pub(crate) const CALLS_MAX: usize = 8;

/// What a provider's function says, given the answers so far.
#[expect(clippy::large_enum_variant, reason = "it is taken apart as soon as it is made")]
pub(crate) enum Asking<T> {
    /// Ask this.
    Call(Call),
    /// That is all.
    Done(T),
}

/// A question was not answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    /// No answer came.
    #[error(transparent)]
    Unreachable(#[from] SendError),
    /// The provider's function never came to an end.
    #[error("no end after {CALLS_MAX} calls")]
    Endless,
}

/// Asks until `next` knows enough.
pub(crate) async fn ask<T>(
    engine: &Engine,
    provider: &Provider,
    mut next: impl FnMut(&[Reply]) -> Asking<T>,
) -> Result<T, AskError> {
    let mut replies = Vec::new();
    loop {
        match next(&replies) {
            Asking::Done(done) => return Ok(done),
            Asking::Call(_) if replies.len() == CALLS_MAX => return Err(AskError::Endless),
            Asking::Call(call) => replies.push(send(engine, provider, call).await?),
        }
    }
}

/// Makes one call to a provider, at the addresses that the operator set where they are set.
pub(crate) async fn send(
    engine: &Engine,
    provider: &Provider,
    call: Call,
) -> Result<Reply, SendError> {
    let route = Route::to(&call.url, &engine.config.providers.hosts(provider));
    engine.http.send(&call, route, PAGE_BYTES_MAX).await
}
