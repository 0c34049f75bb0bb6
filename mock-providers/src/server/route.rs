//! Which function answers which path: one table for each provider, read like its documentation.

use std::{collections::BTreeMap, fmt};

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{
    reply::{Outcome, Reply},
    request::{Request, segments},
};
use crate::oauth::OAuth;

/// A provider that can be pretended.
pub(crate) trait Service: Sized + Send + 'static {
    /// As in settings and paths, `slack`.
    const ID: &'static str;
    /// The path that its hosts may lie below as well, as self-managed servers do.
    const BELOW: Option<&'static str> = None;
    /// Its hosts, by its own words for them.
    const HOSTS: &'static [&'static str];
    /// What it can be asked.
    const ROUTES: &'static [Route<Self>];

    /// As it is at the beginning of every test.
    fn new(urls: &Urls) -> Self;

    /// What every request of its interface must carry, whatever it asks.
    fn admit(_request: &Request) -> Result<(), Reply> {
        Ok(())
    }

    /// What every answer of its interface carries.
    fn dress(&self, reply: Reply, _request: &Request, _now: DateTime<Utc>) -> Reply {
        reply
    }

    /// How it says that there is nothing at a path, or not by this method.
    fn nothing(status: u16) -> Reply;

    /// What people see at `/`.
    fn page(&self, _urls: &Urls) -> String {
        crate::page::page(Self::ID, "<p>Nothing is shown here.</p>")
    }
}

/// One line of a provider's table.
pub(crate) struct Route<S> {
    pub(crate) host: &'static str,
    pub(crate) method: &'static str,
    /// With `{names}`.
    pub(crate) path: &'static str,
    pub(crate) answer: fn(&mut Turn<'_, S>) -> Outcome,
}

impl<S> Route<S> {
    pub(crate) const fn new(
        host: &'static str,
        method: &'static str,
        path: &'static str,
        answer: fn(&mut Turn<'_, S>) -> Outcome,
    ) -> Self {
        Self { host, method, path, answer }
    }
}

/// Where a provider's hosts are, by their names; without a slash at the end.
pub(crate) type Urls = BTreeMap<&'static str, String>;

/// One request on its way through a provider.
pub(crate) struct Turn<'a, S> {
    pub(crate) request: &'a Request,
    pub(crate) state: &'a mut S,
    pub(crate) oauth: &'a mut OAuth,
    pub(crate) urls: &'a Urls,
    pub(crate) now: DateTime<Utc>,
    params: Vec<(&'static str, String)>,
}

impl<S> fmt::Debug for Turn<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.request.method, self.request.path)
    }
}

impl<S> Turn<'_, S> {
    /// A value of the path, if it has it.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.params.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// A value of the path.
    pub(crate) fn param(&self, name: &str) -> &str {
        self.get(name).unwrap_or_else(|| panic!("the route has no {{{name}}}"))
    }

    /// The body, which must be JSON and say so.
    pub(crate) fn json(&self) -> Result<Value, Reply> {
        let body = self.request.json();
        if !self.request.is_json() || body.is_null() {
            let what = "the body is not JSON, or does not say so";
            return Err(Reply::text(400, what).violating(what));
        }
        Ok(body)
    }
}

impl<S: Service> Turn<'_, S> {
    /// Where a host is, as whoever asks knows it: at its root, or below a path.
    pub(crate) fn base(&self, host: &str) -> String {
        match S::BELOW.filter(|_| is_below::<S>(&self.request.segments())) {
            Some(path) => format!("{}/{path}", self.urls[host]),
            None => self.urls[host].clone(),
        }
    }
}

/// What a request is led through.
pub(crate) struct Stage<'a, S> {
    pub(crate) state: &'a mut S,
    pub(crate) oauth: &'a mut OAuth,
    pub(crate) urls: &'a Urls,
    pub(crate) now: DateTime<Utc>,
}

/// Answers by the table: 404 where no path fits, 405 where one does and its method does not.
pub(crate) fn answer<S: Service>(stage: Stage<'_, S>, request: &Request) -> Reply {
    let mut given = request.segments();
    if is_below::<S>(&given) {
        given.remove(0);
    }
    let fits =
        |route: &&Route<S>| route.host == request.host && params(route.path, &given).is_some();
    let mut fitting = S::ROUTES.iter().filter(fits).peekable();
    let status = if fitting.peek().is_some() { 405 } else { 404 };
    let Some(route) = fitting.find(|route| route.method == request.method) else {
        let mut reply = S::nothing(status);
        reply.is_unexpected = true;
        return reply;
    };
    let params = params(route.path, &given).unwrap_or_default();
    let Stage { state, oauth, urls, now } = stage;
    let mut turn = Turn { request, state, oauth, urls, now, params };
    let (Ok(reply) | Err(reply)) = (route.answer)(&mut turn);
    reply
}

fn is_below<S: Service>(parts: &[String]) -> bool {
    S::BELOW.is_some() && parts.first().map(String::as_str) == S::BELOW
}

/// The values of a pattern's `{names}` in a path, if it fits.
pub(crate) fn params<'p>(pattern: &'p str, given: &[String]) -> Option<Vec<(&'p str, String)>> {
    let pattern = segments(pattern);
    if pattern.len() != given.len() {
        return None;
    }
    let mut found = Vec::new();
    for (pattern, given) in pattern.into_iter().zip(given) {
        match pattern.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            Some(name) => found.push((name, given.clone())),
            None if pattern == given => {}
            None => return None,
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_fits_part_by_part_and_gives_its_values() {
        let given = |path: &str| segments(path).into_iter().map(str::to_owned).collect::<Vec<_>>();
        let pattern = "/repos/{owner}/{repo}/issues";
        assert_eq!(
            params(pattern, &given("/repos/acme/shop/issues")),
            Some(vec![("owner", "acme".to_owned()), ("repo", "shop".to_owned())])
        );
        for other in ["/repos/acme/shop", "/repos/acme/shop/pulls", "/repos/acme/shop/issues/1"] {
            assert_eq!(params(pattern, &given(other)), None, "{other}");
        }
    }
}
