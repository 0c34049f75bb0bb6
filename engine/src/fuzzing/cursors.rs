//! Where a list or a stream goes on: a cursor that is taken is written the same, and any id and moment
//! lie in the order of time.

use chrono::TimeDelta;
use uuid::Uuid;

use super::text;
use crate::{id_time, ids::DeliveryId, live::Position, page};

/// Sixteen bytes are an id as well.
pub(super) fn check(data: &[u8]) {
    if let Ok(bytes) = <[u8; 16]>::try_from(data) {
        check_id(Uuid::from_bytes(bytes));
    }
    let Some(text) = text(data) else { return };
    if let Ok(position) = text.parse::<Position>() {
        assert_eq!(position.to_string(), text);
        assert_eq!(position.to_string().parse(), Ok(position));
    }
    if let Ok(id) = text.parse::<DeliveryId>() {
        let printed = id.to_string();
        assert_eq!(printed.parse(), Ok(id));
        let urn = text.get(..9).filter(|start| start.eq_ignore_ascii_case("urn:uuid:"));
        let bare = urn.map_or(text, |urn| &text[urn.len()..]);
        let digits = |text: &str| -> String {
            text.chars().filter(|c| !"{-}".contains(*c)).map(|c| c.to_ascii_lowercase()).collect()
        };
        assert_eq!(digits(bare), digits(&printed), "nothing else is in it");
        check_id(id.0);
    }
}

/// Whatever id a caller makes up: its moment can be reckoned with.
fn check_id(id: Uuid) {
    let at = id_time::made_at(id);
    assert!(id_time::floor(at) <= id, "an id is not below the floor of its moment");
    let exactly = id_time::made_at_exactly(id);
    assert!(exactly >= at && exactly - at < TimeDelta::milliseconds(1));
    for apart in [TimeDelta::milliseconds(1), TimeDelta::seconds(1), TimeDelta::days(30)] {
        let (before, after) = (id_time::floor(at - apart), id_time::floor(at + apart));
        assert!(before <= id_time::floor(at) && id_time::floor(at) <= after, "{id}");
    }
    assert_eq!(page::below(None, Some(id)), id);
    assert!(page::below(Some(at), Some(id)) <= id);
}
