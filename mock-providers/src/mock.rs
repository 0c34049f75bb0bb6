//! One pretended provider: what it knows, whom it let in, and what is broken about it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use tokio::sync::watch;

use crate::{
    breakage::{Answer, Breakages, Matcher},
    clock::Clock,
    oauth::{OAuth, Place},
    recorder::{Recorded, Recorder},
    server::{
        request::{Request, parts},
        route::{Urls, params},
    },
};

/// One pretended provider.
#[derive(Debug)]
pub struct Mock<S> {
    pub(crate) id: &'static str,
    pub(crate) urls: Urls,
    pub(crate) shared: Arc<Shared>,
    inner: Mutex<Inner<S>>,
    breakages: Mutex<Breakages>,
}

/// What all mocks of one test share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) recorder: Recorder,
    pub(crate) clock: Clock,
    /// Whether held answers may go.
    pub(crate) released: watch::Sender<bool>,
}

#[derive(Debug)]
pub(crate) struct Inner<S> {
    pub(crate) state: S,
    pub(crate) oauth: OAuth,
}

impl<S> Mock<S> {
    pub(crate) fn new(id: &'static str, urls: Urls, state: S, shared: Arc<Shared>) -> Self {
        let inner = Mutex::new(Inner { state, oauth: OAuth::new(id) });
        Self { id, urls, shared, inner, breakages: Mutex::default() }
    }

    pub(crate) fn inner(&self) -> MutexGuard<'_, Inner<S>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn breakages(&self) -> MutexGuard<'_, Breakages> {
        self.breakages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn take_breakage(&self, request: &Request) -> Option<Answer> {
        self.breakages().take(request, self.now())
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.shared.clock.now()
    }

    /// The registered client: id and secret.
    pub(crate) fn client(&self) -> (String, String) {
        let oauth = &self.inner().oauth;
        (oauth.client_id.clone(), oauth.client_secret.clone())
    }

    pub(crate) fn set_place(&self, place: Place) {
        self.inner().oauth.place = place;
    }

    /// Where one of its hosts is, by the provider's own word: `web`, `api` or `auth`.
    ///
    /// # Panics
    /// When it has no such host.
    #[must_use]
    pub fn url(&self, host: &str) -> &str {
        self.urls.get(host).unwrap_or_else(|| panic!("{} has no host {host}", self.id))
    }

    /// The next request that is meant gets this instead.
    pub fn fail_next(&self, which: Matcher, answer: Answer) {
        self.breakages().next(1, which, answer);
    }

    /// The next so many requests that are meant get this instead.
    pub fn fail_times(&self, count: usize, which: Matcher, answer: Answer) {
        self.breakages().next(count, which, answer);
    }

    /// All requests that are meant get this instead, until [`Self::mend`].
    pub fn fail_all(&self, which: Matcher, answer: Answer) {
        self.breakages().all(which, answer);
    }

    /// Requests past so many in a span get this instead: a budget, by the mocks' own clock.
    pub fn fail_beyond(&self, count: usize, span: Duration, which: Matcher, answer: Answer) {
        self.breakages().beyond(count, span, which, answer);
    }

    /// Nothing is broken about it any more.
    pub fn mend(&self) {
        self.breakages().mend();
    }

    /// What was asked of it so far, in order; people's browsers left out.
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        let all = self.shared.recorder.requests();
        all.into_iter().filter(|r| r.provider == self.id && !r.is_browser).collect()
    }

    /// How many requests with a method and a path came; `{…}` stands for one part of the path.
    #[must_use]
    pub fn count(&self, method: &str, path: &str) -> usize {
        self.matching(method, path).len()
    }

    /// The requests with a method and a path, in order; `{…}` stands for one part of the path.
    #[must_use]
    pub fn matching(&self, method: &str, path: &str) -> Vec<Recorded> {
        let fits = |recorded: &Recorded| {
            recorded.method == method && params(path, &parts(&recorded.path)).is_some()
        };
        self.requests().into_iter().filter(fits).collect()
    }

    /// Whom the next people at its consent page are: the key of what they choose.
    pub fn choose(&self, choice: &str) {
        self.inner().oauth.consent.choice = Some(choice.to_owned());
    }

    /// The next person at its consent page says no.
    pub fn deny_next(&self) {
        self.inner().oauth.consent.denies = true;
    }

    /// Ends every access token, as time would. Refresh tokens stay.
    pub fn expire_tokens(&self) {
        self.inner().oauth.expire_tokens();
    }

    /// Ends every authorization, as an admin does on the provider's pages.
    pub fn revoke_grants(&self) {
        self.inner().oauth.revoke_grants();
    }

    /// Changes the client secret, so that the one in Relay's settings is wrong.
    pub fn change_client_secret(&self) {
        self.inner().oauth.change_client_secret();
    }

    /// How many authorizations hold.
    #[must_use]
    pub fn live_grants(&self) -> usize {
        self.inner().oauth.live_grants()
    }

    /// How often a spent refresh token was shown again: a lost race, or a token forgotten.
    #[must_use]
    pub fn refresh_token_reuses(&self) -> usize {
        self.inner().oauth.reuses()
    }
}
