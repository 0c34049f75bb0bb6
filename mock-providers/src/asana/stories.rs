//! What is said about tasks.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::{
    Asana,
    api::access,
    fields::{list as page, mistake, record, sent},
    rich_text::{self, Place},
    tasks::{check_write, place, plain_or_rich},
};
use crate::server::{reply::Outcome, route::Turn};

/// Something said about a task.
#[derive(Clone, Debug)]
pub struct Story {
    /// A number.
    pub gid: String,
    /// Plain text; empty where only rich text was sent.
    pub text: String,
    /// Rich text, as sent.
    pub html_text: String,
    /// When it was said.
    pub created_at: DateTime<Utc>,
}

impl Story {
    /// As a person reads it.
    #[must_use]
    pub fn rendered(&self) -> String {
        if self.html_text.is_empty() { self.text.clone() } else { rich_text::text(&self.html_text) }
    }

    /// Whether it notifies somebody by name.
    #[must_use]
    pub fn pings(&self) -> bool {
        rich_text::pings(&self.html_text)
    }

    fn shown(&self) -> Value {
        let html_text = match self.html_text.is_empty() {
            true => rich_text::of(&self.text),
            false => self.html_text.clone(),
        };
        json!({
            "gid": self.gid, "resource_type": "story", "resource_subtype": "comment_added",
            "type": "comment", "text": self.rendered(), "html_text": html_text,
            "created_at": self.created_at.to_rfc3339_opts(SecondsFormat::Millis, true),
        })
    }
}

/// The first thing said of every task, by Asana itself and in no rich text.
fn beginning() -> Value {
    json!({
        "gid": "1600000000000000", "resource_type": "story", "resource_subtype": "added_to_project",
        "type": "system", "text": "Ada Admin created this task",
        "created_at": "2026-01-01T00:00:00.000Z",
    })
}

pub(super) fn list(turn: &mut Turn<'_, Asana>) -> Outcome {
    let access = access(turn, "stories:read")?;
    let place = place(turn, &access, turn.param("task"))?;
    let comments = turn.state.tasks[place].stories.iter().map(Story::shown);
    let all: Vec<Value> = std::iter::once(beginning()).chain(comments).collect();
    page(turn, &all, "resource_type,resource_subtype,created_at,text")
}

pub(super) fn create(turn: &mut Turn<'_, Asana>) -> Outcome {
    let access = access(turn, "stories:write")?;
    let data = sent(turn, &["text", "html_text", "is_pinned"])?;
    let place = place(turn, &access, turn.param("task"))?;
    check_write(turn, &turn.state.tasks[place])?;
    let (text, html_text) = plain_or_rich(&data, "text", Place::Comment)?;
    if text.trim().is_empty() && html_text.is_empty() {
        return Err(mistake("text: one of text and html_text is wanted"));
    }
    let count = turn.state.tasks.iter().map(|task| task.stories.len()).sum::<usize>() as u64;
    let gid = (1_600_000_000_000_001 + count).to_string();
    let story = Story { gid, text, html_text, created_at: turn.now };
    let shown = story.shown();
    turn.state.tasks[place].stories.push(story);
    record(turn, 201, &shown)
}
