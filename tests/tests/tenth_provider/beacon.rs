//! Beacon: lights a signal in the room that the admin chose.

use std::time::Duration;

use serde_json::json;

use engine::provider::{
    text::{self, Message},
    *,
};

/// Beacon.
pub(crate) const BEACON: Provider = Provider {
    id: "beacon", // stored with every connection and part of its routes, so never renamed
    label: "Beacon",
    category: Category::Notification,
    hosts: &[Host {
        name: "api",
        url: "https://api.beacon.example",
        setting: "RELAY_BEACON_API_URL",
    }],
    connect: Connect::OAuth2(OAuth2 {
        client: ClientSettings { id: "BEACON_CLIENT_ID", secret: "BEACON_CLIENT_SECRET" },
        callback: "org-callback",
        authorize: ("api", "/oauth/authorize"),
        token: ("api", "/oauth/token"),
        scopes: &["signals:write", "rooms:read"],
        scope_separator: " ",
        extra: &[],
        pkce: true,
        token_body: TokenBody::Form,
        refresh_wants_redirect: false,
        client_auth: ClientAuth::Basic,
        refresh: Refresh::Rotates,
        tokens: Tokens::standard, // it answers as RFC 6749 says
        account,
        revoke: None,
        revoke_url: |_, _| None,
    }),
    credential: CredentialOf::Connection,
    destinations: Some(Destinations { noun: "room", list, check }),
    pace: Pace {
        burst: 5,
        count: 1,
        per: Duration::from_secs(1),
        shared_by: SharedBy::Destination,
    },
    event_types: &["*"],
    advance,
    limits: "text 1,000 characters",
};

/// One request for each event.
fn advance(out: &Outgoing<'_>, replies: &[Reply]) -> Step {
    let Some(room) = out.destination else { return Step::End(Verdict::NoDestination) };
    match replies {
        [] => {
            let message = Message::of(out);
            let url = out.account.hosts.url("api", "/signals");
            let words = text::plain(&format!("{}: {}", message.title, message.text));
            let words = text::clip(&words, 1_000, text::CUT);
            let body = json!({ "room": room.id, "text": words, "link": message.url });
            Step::Call(Call::post(url).bearer(out.account.credential).json(&body).creating())
        }
        [.., last] => Step::End(Verdict::from_status(last)),
    }
}

/// Whose token it is.
fn account(new: &Newcomer<'_>, replies: &[Reply]) -> AccountStep {
    let Some(reply) = replies.last() else {
        return AccountStep::Call(
            Call::get(new.hosts.url("api", "/me")).bearer(&new.tokens.access_token),
        );
    };
    let me = reply.json();
    let (Some(id), Some(name)) = (me["team_id"].as_str(), me["team"].as_str()) else {
        return AccountStep::Unreadable("Beacon did not say which team was connected.");
    };
    AccountStep::Accounts(vec![Account {
        installation_id: id.to_owned(), // must survive renames
        display_name: name.to_owned(),
        metadata: json!({ "team_id": id }), // no secrets: admins see it
        destination: None,
    }])
}

/// The rooms, a page at a time.
fn list(picking: &Picking<'_>, replies: &[Reply]) -> PickStep {
    let Some(reply) = replies.last() else {
        let call = Call::get(picking.account.hosts.url("api", "/rooms"))
            .bearer(picking.account.credential);
        return PickStep::Call(match picking.page {
            Some(page) => call.query("page", page),
            None => call,
        });
    };
    if !reply.is_success() {
        return PickStep::Refused(Verdict::from_status(reply));
    }
    let answer = reply.json();
    let rooms = answer["rooms"].as_array().into_iter().flatten().filter_map(room).collect();
    PickStep::Page(rooms, answer["next"].as_str().map(str::to_owned))
}

/// Whether a room can be sent to.
fn check(choosing: &Choosing<'_>, replies: &[Reply]) -> CheckStep {
    let Some(reply) = replies.last() else {
        let call = Call::get(choosing.account.hosts.url("api", "/room"))
            .bearer(choosing.account.credential);
        return CheckStep::Call(call.query("id", choosing.id)); // what comes from outside never goes into a path
    };
    match room(&reply.json()) {
        Some(room) if reply.is_success() => CheckStep::Fine(room),
        _ => CheckStep::Unusable("Beacon does not know this room. Choose another one.".to_owned()),
    }
}

fn room(found: &serde_json::Value) -> Option<Destination> {
    let text = |name: &str| found[name].as_str().map(str::to_owned);
    Some(Destination { id: text("id")?, name: text("name")?, settings: serde_json::Value::Null })
}
