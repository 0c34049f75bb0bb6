//! Whose things are asked for: the ids and words of one organization, or of none.

use uuid::Uuid;

/// Ids and words of one organization, or of none.
#[derive(Clone, Debug)]
pub(crate) struct Ids {
    pub(crate) org: Uuid,
    pub(crate) team: Uuid,
    pub(crate) project: Uuid,
    pub(crate) connection: Uuid,
    pub(crate) of_team: Uuid,
    pub(crate) of_project: Uuid,
    pub(crate) event: Uuid,
    pub(crate) delivery: Uuid,
    pub(crate) replay: Uuid,
    pub(crate) icon: Uuid,
    /// Part of every text that this organization wrote.
    pub(crate) word: String,
}

impl Ids {
    pub(crate) fn nobodys() -> Self {
        let [org, team, project, connection, of_team, of_project, event, delivery, replay, icon] =
            std::array::from_fn(|_| Uuid::now_v7());
        let word = format!("w{}", &icon.simple().to_string()[20..]);
        Self {
            org,
            team,
            project,
            connection,
            of_team,
            of_project,
            event,
            delivery,
            replay,
            icon,
            word,
        }
    }

    /// The same of nobody, in the places of ours: of the same millisecond, so that a list cut there is cut alike.
    pub(super) fn beside(&self) -> Self {
        let beside = |id: Uuid| {
            let random = u128::from(rand::random::<u64>() >> 2);
            Uuid::from_u128((id.as_u128() >> 62 << 62) | random)
        };
        Self {
            org: beside(self.org),
            team: beside(self.team),
            project: beside(self.project),
            connection: beside(self.connection),
            of_team: beside(self.of_team),
            of_project: beside(self.of_project),
            event: beside(self.event),
            delivery: beside(self.delivery),
            replay: beside(self.replay),
            icon: beside(self.icon),
            word: Self::nobodys().word,
        }
    }

    /// Everything that must stand in no answer to somebody else.
    pub(crate) fn all(&self) -> Vec<String> {
        let ids = [
            self.org,
            self.team,
            self.project,
            self.connection,
            self.of_team,
            self.of_project,
            self.event,
            self.delivery,
            self.replay,
            self.icon,
        ];
        ids.iter().map(Uuid::to_string).chain([self.word.clone()]).collect()
    }

    /// What stands for a parameter, and whether it is one of ours.
    pub(super) fn value(&self, path: &str, name: &str) -> (String, bool) {
        let id = match name {
            "org" | "org_id" | "organization_id" => self.org,
            "team" | "team_id" => self.team,
            "project" | "project_id" => self.project,
            "connection_id" | "destination_id" => self.connection,
            "event_id" => self.event,
            "delivery_ids" => self.delivery,
            "id" | "cursor" => self.id_of(path),
            "file" => return (format!("{}.png", self.icon), true),
            "event" | "type" | "event_type" => return (format!("{}.seen", self.word), true),
            "subject" | "source" | "external_id" | "actor" | "search" | "reason" | "key"
            | "error_class" | "state" | "code" | "installation_id" => {
                return (self.word.clone(), true);
            }
            _ => return (harmless(path, name), false),
        };
        (id.to_string(), true)
    }

    /// What `{id}` and a cursor name, by the address.
    fn id_of(&self, path: &str) -> Uuid {
        let named = |part: &str| path.split('/').any(|segment| segment == part);
        match () {
            () if named("deliveries") || named("notification-history") => self.delivery,
            () if named("events") || named("audit") || named("history") => self.event,
            () if named("replays") => self.replay,
            () if named("teams") => self.of_team,
            () if named("projects") => self.of_project,
            () if named("connections") || named("custom-integrations") => self.connection,
            () => panic!("{path}: say whose id it takes"),
        }
    }
}

/// A value that is nobody's, of which the answer may be told to anybody.
fn harmless(path: &str, name: &str) -> String {
    let value = match name {
        "provider" => "slack",
        "callback" => "org-callback",
        "class" => "live",
        "status" if path.ends_with("/connections") => "connected",
        "status" if path.ends_with("/replays") => "counting",
        "status" => "delivered",
        "since" | "as_of" => "2026-01-01T00:00:00Z",
        "until" => "2100-01-01T00:00:00Z",
        "limit" | "page" | "per_page" => "1",
        "If-Match" => "\"1\"",
        "removed" => "true",
        "timeframe" => "24h",
        "destination_type" => "custom_notification",
        "success_redirect" => "/organizations",
        "setup_action" => "install",
        "error" => "access_denied",
        "iss" => "https://slack.com",
        "Last-Event-ID" => "1-1-",
        "X-Deptex-Hops" => "0",
        "traceparent" => "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        _ => panic!("{path}: the parameter {name} is not known here: say whose it can be"),
    };
    value.to_owned()
}
