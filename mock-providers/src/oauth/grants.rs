//! Codes, grants and their tokens.

use chrono::{DateTime, TimeDelta, Utc};

use super::{OAuth, Refresh, Rules, TokenKind, random};

/// A code on its way from the consent page to the token endpoint.
#[derive(Clone, Debug)]
pub(super) struct Code {
    pub(super) account: String,
    pub(super) scopes: Vec<String>,
    pub(super) redirect_uri: Option<String>,
    /// The S256 challenge.
    pub(super) challenge: Option<String>,
    pub(super) expires_at: DateTime<Utc>,
}

/// One authorization by one person.
#[derive(Clone, Debug)]
pub(super) struct Grant {
    pub(super) account: String,
    pub(super) scopes: Vec<String>,
    pub(super) redirect_uri: Option<String>,
    pub(super) is_revoked: bool,
    access: Vec<AccessToken>,
    refresh: Vec<RefreshToken>,
}

#[derive(Clone, Debug)]
struct AccessToken {
    text: String,
    expires_at: Option<DateTime<Utc>>,
    is_expired: bool,
}

#[derive(Clone, Debug)]
struct RefreshToken {
    text: String,
    spent: Option<(DateTime<Utc>, Granted)>,
}

/// What the token endpoint granted.
#[derive(Clone, Debug)]
pub(crate) struct Granted {
    pub(crate) access_token: String,
    pub(crate) refresh_token: Option<String>,
    pub(crate) expires_in: Option<i64>,
    pub(crate) scopes: Vec<String>,
    /// What was chosen at the consent page.
    pub(crate) account: String,
}

/// Whose access token it is.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    pub(crate) account: String,
    pub(crate) scopes: Vec<String>,
}

impl Access {
    pub(crate) fn has(&self, scope: &str) -> bool {
        self.scopes.iter().any(|known| known == scope)
    }
}

/// Why a credential opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BearerProblem {
    Missing,
    Unknown,
    Expired,
    Revoked,
}

impl Grant {
    pub(super) fn access(
        &self,
        text: &str,
        now: DateTime<Utc>,
    ) -> Option<Result<Access, BearerProblem>> {
        let token = self.access.iter().find(|token| token.text == text)?;
        if self.is_revoked {
            return Some(Err(BearerProblem::Revoked));
        }
        if token.is_expired || token.expires_at.is_some_and(|end| end <= now) {
            return Some(Err(BearerProblem::Expired));
        }
        Some(Ok(Access { account: self.account.clone(), scopes: self.scopes.clone() }))
    }

    pub(super) fn expire(&mut self) {
        self.access.iter_mut().for_each(|token| token.is_expired = true);
    }

    pub(super) fn revoke(&mut self) {
        self.is_revoked = true;
    }

    pub(super) fn holds(&self, text: &str, kind: TokenKind) -> bool {
        let access = kind != TokenKind::Refresh && self.access.iter().any(|t| t.text == text);
        let refresh = kind != TokenKind::Access && self.refresh.iter().any(|t| t.text == text);
        !self.is_revoked && (access || refresh)
    }
}

impl OAuth {
    pub(super) fn new_code(&mut self, code: Code) -> String {
        let text = random("code-");
        self.secrets.push(text.clone());
        self.codes.insert(text.clone(), code);
        text
    }

    /// Makes a grant with its first tokens.
    pub(super) fn grant(&mut self, code: Code, rules: &Rules, now: DateTime<Utc>) -> Granted {
        let mut grant = Grant {
            account: code.account,
            scopes: code.scopes,
            redirect_uri: code.redirect_uri,
            is_revoked: false,
            access: Vec::new(),
            refresh: Vec::new(),
        };
        let granted = self.issue(&mut grant, rules, true, now);
        self.grants.push(grant);
        granted
    }

    fn issue(
        &mut self,
        grant: &mut Grant,
        rules: &Rules,
        anew: bool,
        now: DateTime<Utc>,
    ) -> Granted {
        let refresh = self.refresh(rules);
        // Where rotation was switched off, tokens hold for ever, as Slack's do.
        let lifetime = rules.lifetime.filter(|_| self.refresh != Some(Refresh::None));
        let access_token = random(rules.prefixes.0);
        grant.access.push(AccessToken {
            text: access_token.clone(),
            expires_at: lifetime.map(|span| now + span),
            is_expired: false,
        });
        self.secrets.push(access_token.clone());
        let refresh_token = match refresh {
            Refresh::None => None,
            Refresh::Keeps if !anew => None,
            _ => Some(random(rules.prefixes.1)),
        };
        if let Some(text) = &refresh_token {
            grant.refresh.push(RefreshToken { text: text.clone(), spent: None });
            self.secrets.push(text.clone());
        }
        Granted {
            access_token,
            refresh_token,
            expires_in: lifetime.map(|span| span.num_seconds()),
            scopes: grant.scopes.clone(),
            account: grant.account.clone(),
        }
    }

    /// New tokens for a refresh token. `None` if it is unknown, spent or ended.
    pub(super) fn renew(
        &mut self,
        text: &str,
        redirect_uri: Option<&str>,
        rules: &Rules,
        now: DateTime<Utc>,
    ) -> Option<Granted> {
        let index = self.grants.iter().position(|grant| grant.holds(text, TokenKind::Refresh))?;
        let mut grant = self.grants[index].clone();
        if rules.refresh_wants_redirect && grant.redirect_uri.as_deref() != redirect_uri {
            return None;
        }
        let place = grant.refresh.iter().position(|token| token.text == text)?;
        if let Some((at, before)) = &grant.refresh[place].spent {
            if let Refresh::RotatesWithReplay(span) = self.refresh(rules)
                && now.signed_duration_since(at) < span
            {
                return Some(before.clone());
            }
            self.reuses += 1;
            return None;
        }
        if rules.refresh_ends_access {
            grant.expire();
        }
        let granted = self.issue(&mut grant, rules, false, now);
        if self.refresh(rules) != Refresh::Keeps {
            grant.refresh[place].spent = Some((now, granted.clone()));
        }
        self.grants[index] = grant;
        Some(granted)
    }

    /// Takes a code; it is gone then, whatever follows.
    pub(super) fn take_code(&mut self, text: &str, now: DateTime<Utc>) -> Option<Code> {
        self.codes.remove(text).filter(|code| now < code.expires_at)
    }
}

/// How long a code holds.
pub(super) const CODE_HOLDS: TimeDelta = TimeDelta::minutes(10);
