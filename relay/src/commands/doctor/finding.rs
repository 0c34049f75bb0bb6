//! One thing that was looked at, how it is, and what to do about it.

use std::fmt;

use serde::Serialize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Level {
    Ok,
    /// It works, and will not for long, or not as safely as it could.
    Warn,
    Bad,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Finding {
    pub(super) what: &'static str,
    /// Whether it works: what is only warned of does.
    good: bool,
    pub(super) level: Level,
    pub(super) detail: String,
    /// What to do, where there is something to do.
    advice: Option<String>,
}

impl Finding {
    pub(super) fn good(what: &'static str, detail: impl Into<String>) -> Self {
        Self::new(what, Level::Ok, detail.into())
    }

    pub(super) fn warn(what: &'static str, detail: impl Into<String>) -> Self {
        Self::new(what, Level::Warn, detail.into())
    }

    pub(super) fn bad(what: &'static str, detail: impl Into<String>) -> Self {
        Self::new(what, Level::Bad, detail.into())
    }

    fn new(what: &'static str, level: Level, detail: String) -> Self {
        Self { what, good: level != Level::Bad, level, detail, advice: None }
    }

    pub(super) fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.level {
            Level::Ok => "ok",
            Level::Warn => "warn",
            Level::Bad => "BAD",
        };
        write!(f, "{mark:<4} {:<20}  {}", self.what, self.detail)?;
        match &self.advice {
            Some(advice) => write!(f, "\n{:27}{advice}", ""),
            None => Ok(()),
        }
    }
}
