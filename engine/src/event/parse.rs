//! Reads what `POST /v1/events` received: one event or an array of them, each judged alone.
//!
//! A body that is not strict JSON is refused whole, with its line and column. In an array, an event
//! that is refused for what it says leaves its siblings alone.

use std::fmt;

use chrono::{DateTime, Datelike, SubsecRound as _, Utc};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{
    DATA_BYTES_MAX, EVENTS_MAX, EventRefused, IDEMPOTENCY_KEY_BYTES_MAX, NewEvent, Priority,
    RefusedClass, SOURCE_BYTES_MAX, SUBJECT_BYTES_MAX,
};
use crate::{
    clock::Timestamp,
    ids::{OrganizationId, ProjectId, TeamId},
    json::{self, Key, Kind, quoted},
};

/// What a body holds.
#[derive(Debug)]
pub enum ParsedBody {
    /// An object.
    One(NewEvent),
    /// An array, in its order.
    Many(Vec<Result<NewEvent, EventRefused>>),
}

impl ParsedBody {
    /// The events that were not refused.
    pub fn events_mut(&mut self) -> impl Iterator<Item = &mut NewEvent> {
        let (one, many) = match self {
            Self::One(event) => (Some(event), None),
            Self::Many(events) => (None, Some(events.iter_mut().flatten())),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }
}

/// Reads a body. `hops` says how many deliveries of ours led to this request.
pub fn parse_body(bytes: &[u8], hops: u8) -> Result<ParsedBody, EventRefused> {
    let kind = json::check_batch(bytes, EVENTS_MAX)?;
    let text = std::str::from_utf8(bytes).expect("strict JSON is UTF-8");
    match kind {
        Kind::Object => event(text, hops).map(ParsedBody::One),
        Kind::Array => {
            let items: Vec<&RawValue> = serde_json::from_str(text).expect("an array, as checked");
            if items.is_empty() {
                return Err(invalid("batch_empty", "The array holds no event".to_owned()));
            }
            Ok(ParsedBody::Many(items.iter().map(|item| event(item.get(), hops)).collect()))
        }
        other => Err(invalid(
            "invalid_type",
            format!("The body must be an event (an object) or an array of events, not {other}"),
        )),
    }
}

/// Reads one event from JSON that passed the check.
fn event(text: &str, hops: u8) -> Result<NewEvent, EventRefused> {
    let kind = kind_of(text);
    if kind != Kind::Object {
        let message = format!("An event must be an object, not {kind}");
        return Err(invalid("invalid_type", message));
    }
    let fields: Fields<'_> = serde_json::from_str(text).expect("an object, as checked");
    if let Some(name) = &fields.unknown {
        return Err(unknown(name));
    }
    Ok(NewEvent {
        kind: fields
            .text("type")?
            .ok_or_else(|| missing("type"))?
            .parse()
            .map_err(|error| invalid("invalid_field", format!("type {error}")))?,
        organization_id: OrganizationId(
            fields.id("organization_id")?.ok_or_else(|| missing("organization_id"))?,
        ),
        data: fields.data()?,
        project_id: fields.id("project_id")?.map(ProjectId),
        team_id: fields.id("team_id")?.map(TeamId),
        occurred_at: fields.time("occurred_at")?,
        source: fields.short("source", 0, SOURCE_BYTES_MAX)?,
        priority: fields.priority()?,
        subject: fields.short("subject", 0, SUBJECT_BYTES_MAX)?,
        idempotency_key: fields.short("idempotency_key", 1, IDEMPOTENCY_KEY_BYTES_MAX)?,
        hops,
        traceparent: None,
    })
}

fn kind_of(text: &str) -> Kind {
    Kind::of(text.as_bytes()).expect("a value that passed the check begins like one")
}

fn invalid(code: &'static str, message: String) -> EventRefused {
    EventRefused { class: RefusedClass::Invalid, code, message }
}

fn missing(name: &str) -> EventRefused {
    invalid("missing_field", format!("{name} is missing"))
}

fn unknown(name: &str) -> EventRefused {
    let message = match name {
        "id" => "id cannot be given: the answer tells the id that Relay made".to_owned(),
        _ => format!("There is no field {}; an event has: {}", quoted(name), NAMES.join(", ")),
    };
    invalid("unknown_field", message)
}

const NAMES: [&str; 10] = [
    "type",
    "organization_id",
    "data",
    "project_id",
    "team_id",
    "occurred_at",
    "source",
    "priority",
    "subject",
    "idempotency_key",
];

/// The fields as they stand in the body, not yet read.
#[derive(Default)]
struct Fields<'a> {
    values: [Option<&'a RawValue>; NAMES.len()],
    unknown: Option<String>,
}

impl<'a> Fields<'a> {
    /// The JSON of a field; a `null` is as good as absence.
    fn get(&self, name: &str) -> Option<&'a str> {
        let place = NAMES.iter().position(|known| *known == name).expect("a known name");
        self.values[place].map(RawValue::get).filter(|text| *text != "null")
    }

    fn text(&self, name: &str) -> Result<Option<String>, EventRefused> {
        let Some(text) = self.get(name) else { return Ok(None) };
        match kind_of(text) {
            Kind::String => Ok(Some(serde_json::from_str(text).expect("a string, as checked"))),
            other => Err(invalid("invalid_type", format!("{name} must be a string, not {other}"))),
        }
    }

    fn short(&self, name: &str, min: usize, max: usize) -> Result<Option<String>, EventRefused> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        if !(min..=max).contains(&text.len()) {
            let least = if min == 0 { "at most".to_owned() } else { format!("{min} to") };
            let message = format!("{name} must have {least} {max} bytes, not {}", text.len());
            return Err(invalid("invalid_field", message));
        }
        if text.chars().any(char::is_control) {
            let message = format!("{name} must not hold control characters: {}", quoted(&text));
            return Err(invalid("invalid_field", message));
        }
        Ok(Some(text))
    }

    fn id(&self, name: &str) -> Result<Option<Uuid>, EventRefused> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        // The parser alone would also take braces, a URN and plain hexadecimal.
        match Uuid::try_parse(&text) {
            Ok(id) if text.len() == 36 => Ok(Some(id)),
            _ => Err(invalid(
                "invalid_field",
                format!("{name} must be a UUID, not {}", quoted(&text)),
            )),
        }
    }

    fn time(&self, name: &str) -> Result<Option<Timestamp>, EventRefused> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        match DateTime::parse_from_rfc3339(&text).map(|time| time.with_timezone(&Utc)) {
            // To the microsecond, as it is kept: the first attempt says the same as the second.
            Ok(time) if (1970..=9999).contains(&time.year()) => Ok(Some(time.trunc_subsecs(6))),
            _ => Err(invalid(
                "invalid_field",
                format!(
                    "{name} must be an RFC 3339 time since 1970 such as 2026-02-25T12:00:00Z, not {}",
                    quoted(&text)
                ),
            )),
        }
    }

    fn priority(&self) -> Result<Priority, EventRefused> {
        let Some(text) = self.text("priority")? else { return Ok(Priority::default()) };
        text.parse().map_err(|()| {
            let message =
                format!("priority must be critical, high, normal or low, not {}", quoted(&text));
            invalid("invalid_field", message)
        })
    }

    fn data(&self) -> Result<Box<RawValue>, EventRefused> {
        let place = NAMES.iter().position(|name| *name == "data").expect("a known name");
        let data = self.values[place].ok_or_else(|| missing("data"))?;
        let kind = kind_of(data.get());
        if kind != Kind::Object {
            let message = format!("data must be a JSON object, not {kind}");
            return Err(invalid("data_not_object", message));
        }
        if DATA_BYTES_MAX < data.get().len() {
            return Err(EventRefused {
                class: RefusedClass::TooLarge,
                code: "event_too_large",
                message: format!(
                    "data has {} bytes; an event may have {DATA_BYTES_MAX} (256 KiB)",
                    data.get().len()
                ),
            });
        }
        Ok(data.to_owned())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut fields = Fields::default();
        while let Some(name) = entries.next_key_seed(Key)? {
            let value: &'de RawValue = entries.next_value()?;
            match NAMES.iter().position(|known| **known == *name) {
                Some(place) => fields.values[place] = Some(value),
                None if fields.unknown.is_none() => fields.unknown = Some(name.into_owned()),
                None => {}
            }
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests;
