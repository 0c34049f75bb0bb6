//! What the pages of lists have in common: how much is on one, and where it begins.

use uuid::Uuid;

use crate::{clock::Timestamp, id_time};

/// How much is on a page where nobody says.
const SIZE: u16 = 50;

/// How much is on a page: what is asked for, up to `most`; 0 means 50.
pub(crate) fn size(asked: u16, most: u16) -> u16 {
    match asked {
        0 => SIZE,
        asked => asked.min(most),
    }
}

/// Below which id a page from the newest on begins: of a moment, and of the last of the page before.
pub(crate) fn below(until: Option<Timestamp>, cursor: Option<Uuid>) -> Uuid {
    until.map(id_time::floor).into_iter().chain(cursor).min().unwrap_or(Uuid::max())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_a_size_and_begins_below_what_is_smaller() {
        assert_eq!([0, 1, 200, 201].map(|asked| size(asked, 200)), [50, 1, 200, 200]);
        let until: Timestamp = "2026-02-25T12:00:00Z".parse().expect("a timestamp");
        let (floor, one) = (id_time::floor(until), Uuid::from_u128(1));
        assert_eq!((below(None, None), below(Some(until), None)), (Uuid::max(), floor));
        assert_eq!((below(Some(until), Some(one)), below(None, Some(one))), (one, one));
        assert_eq!(below(Some(until), Some(Uuid::max())), floor);
    }
}
