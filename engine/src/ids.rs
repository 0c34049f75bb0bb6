//! Ids that cannot be mistaken for one another.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, sqlx::Type,
        )]
        #[serde(transparent)]
        #[sqlx(transparent)]
        pub struct $name(pub Uuid);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }
    };
}

id!(
    /// A customer of Deptex: the boundary that no data crosses.
    OrganizationId
);
id!(
    /// An organization's linked account; also the id of its stream of events.
    ConnectionId
);
id!(
    /// A recorded fact.
    EventId
);
id!(
    /// The duty to bring one event to one connection; the same through retries and replays.
    DeliveryId
);
id!(
    /// A team of an organization.
    TeamId
);
id!(
    /// A project of an organization.
    ProjectId
);
id!(
    /// An uploaded picture.
    IconId
);
id!(
    /// Many deliveries made due again by one request.
    ReplayId
);

impl ConnectionId {
    /// A new id, ordered by time.
    #[must_use]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }
}

impl Default for ConnectionId {
    fn default() -> Self {
        Self::new()
    }
}

impl IconId {
    /// A new id that cannot be guessed.
    #[must_use]
    pub fn new() -> Self {
        Self(Uuid::new_v4())
    }
}

impl Default for IconId {
    fn default() -> Self {
        Self::new()
    }
}
