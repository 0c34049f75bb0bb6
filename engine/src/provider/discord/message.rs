//! Writes an event as a Discord message: one embed and a button.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::{
    event::{Severity, rfc3339},
    provider::{
        Outgoing,
        text::{CUT, Message, clip, discord},
    },
};

// https://discord.com/developers/docs/resources/message#embed-object-embed-limits
const TITLE_CHARS_MAX: usize = 256;
/// Discord takes 4,096, and 6,000 in all parts of the embed together.
const TEXT_CHARS_MAX: usize = 3_000;
/// Discord takes 1,024.
const FACT_CHARS_MAX: usize = 300;
const URL_CHARS_MAX: usize = 2_048;
const BUTTON_URL_CHARS_MAX: usize = 512;
const ACTION_ROW: u8 = 1;
const BUTTON: u8 = 2;
const LINK_STYLE: u8 = 5;

/// The message. The same delivery asked for twice within some minutes shows once: Discord knows it
/// by its nonce.
pub(super) fn message(out: &Outgoing<'_>) -> Value {
    let said = Message::of(out);
    let mut embed = json!({
        "title": clip(&format!("{} {}", said.symbol, discord(&said.title)), TITLE_CHARS_MAX, CUT),
        "color": color(&said),
        "fields": fields(&said),
        "footer": {"text": out.event.kind},
        "timestamp": rfc3339(out.event.occurred_at),
    });
    if !said.text.is_empty() {
        embed["description"] = clip(&discord(&said.text), TEXT_CHARS_MAX, CUT).into();
    }
    if said.url.len() <= URL_CHARS_MAX {
        embed["url"] = said.url.as_str().into();
    }
    let mut message = json!({
        "embeds": [embed],
        "allowed_mentions": {"parse": []},
        "nonce": URL_SAFE_NO_PAD.encode(out.delivery_id.0.as_bytes()),
        "enforce_nonce": true,
    });
    if said.url.len() <= BUTTON_URL_CHARS_MAX {
        let button = json!({
            "type": BUTTON,
            "style": LINK_STYLE,
            "label": "View in Deptex",
            "url": said.url,
        });
        message["components"] = json!([{"type": ACTION_ROW, "components": [button]}]);
    }
    message
}

/// The facts beside each other, the severity first; Discord shows the time itself.
fn fields(said: &Message) -> Vec<Value> {
    let severity =
        (said.severity != Severity::Info).then(|| ("Severity", said.severity_word().to_owned()));
    let facts = said.lines.iter().filter(|(label, _)| *label != "When").cloned();
    severity
        .into_iter()
        .chain(facts)
        .map(|(name, value)| {
            let value = clip(&discord(&value), FACT_CHARS_MAX, "…");
            json!({"name": name, "value": value, "inline": true})
        })
        .collect()
}

/// The stripe beside the embed, in the colour of the sign.
fn color(said: &Message) -> u32 {
    match (said.is_good_news, said.severity) {
        (true, _) => 0x0016_a34a,
        (false, Severity::Critical) => 0x00dc_2626,
        (false, Severity::High) => 0x00ea_580c,
        (false, Severity::Medium) => 0x00ea_b308,
        (false, Severity::Low) => 0x0025_63eb,
        (false, Severity::Info) => 0x0064_748b,
    }
}
