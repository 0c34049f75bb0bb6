//! Picks the few texts out of an event's data that people are told, without reading the rest.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use crate::json::Key;

/// How much of one text is looked at.
const FACT_BYTES_MAX: usize = 4_096;

const NAMES: &[&str] = &[
    "vulnerability_id",
    "osv_id",
    "severity",
    "package",
    "dependency_name",
    "version",
    "project",
    "project_name",
    "projectName",
    "title",
    "summary",
    "message",
    "description",
    "action",
    "email",
    "removedEmail",
    "name",
    "role",
    "setting",
    "changed_by",
    "updated_by",
    "updatedBy",
    "rule",
    "policy",
    "codeType",
    "code_type",
    "new_status",
    "statusName",
    "status",
    "displayName",
    "display_name",
    "provider",
    "reason",
    "percent",
    "failing_since",
    "sla_deadline_at",
];

/// The few texts of `data` that a notification is made of; everything else is passed over.
#[derive(Debug, Default)]
pub(super) struct Facts<'a>(Vec<(&'static str, Cow<'a, str>)>);

impl Facts<'_> {
    /// The first of these names that has a text.
    pub(super) fn get(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| {
            debug_assert!(NAMES.contains(name), "{name} is not looked for");
            self.0.iter().find(|(known, _)| known == name).map(|(_, text)| text.as_ref())
        })
    }

    pub(super) fn vulnerability(&self) -> Option<&str> {
        self.get(&["vulnerability_id", "osv_id"])
    }

    pub(super) fn package(&self) -> Option<String> {
        let package = self.get(&["package", "dependency_name"])?;
        Some(match self.get(&["version"]) {
            Some(version) => format!("{package} {version}"),
            None => package.to_owned(),
        })
    }

    pub(super) fn in_package(&self) -> Option<String> {
        self.package().map(|package| format!("in {package}"))
    }

    pub(super) fn project(&self) -> Option<&str> {
        self.get(&["project", "project_name", "projectName"])
    }

    pub(super) fn person(&self) -> Option<&str> {
        self.get(&["email", "removedEmail", "name"])
    }

    pub(super) fn account(&self) -> Option<&str> {
        self.get(&["displayName", "display_name", "provider"])
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Facts<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FactsVisitor)
    }
}

struct FactsVisitor;

impl<'de> Visitor<'de> for FactsVisitor {
    type Value = Facts<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut facts = Facts::default();
        while let Some(key) = entries.next_key_seed(Key)? {
            match NAMES.iter().find(|name| **name == key) {
                Some(name) => {
                    if let Text(Some(text)) = entries.next_value()? {
                        facts.0.push((name, text));
                    }
                }
                None => {
                    entries.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(facts)
    }
}

/// A text or a number in words; nothing for any other value.
struct Text<'a>(Option<Cow<'a, str>>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor).map(Text)
    }
}

struct TextVisitor;

fn cut(text: &str) -> Option<&str> {
    let text = &text[..text.floor_char_boundary(FACT_BYTES_MAX)];
    (!text.trim().is_empty()).then_some(text)
}

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Option<Cow<'de, str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(cut(text).map(Cow::Borrowed))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(cut(text).map(|text| Cow::Owned(text.to_owned())))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(number.to_string())))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(number.to_string())))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(number.to_string())))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}
