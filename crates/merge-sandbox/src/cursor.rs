//! Opaque cursors: where the next page begins, bound to the list and filters they were made for.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::clock::Micros;
use crate::dice::Dice;

/// The place of a record in its list: by the time it was stored, then by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) created_at: Micros,
    pub(crate) number: u32,
}

/// Which list, with which filters: a cursor works for the list that it came from only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ListTag(u64);

impl ListTag {
    /// `parts` are the account, the model and every filter but the cursor and the page size.
    pub(crate) fn new<'a>(parts: impl IntoIterator<Item = &'a str>) -> Self {
        let tag = parts.into_iter().fold(Dice::new(0), Dice::named);
        Self(tag.value())
    }
}

/// The cursor of the page after `last`.
pub(crate) fn encode(tag: ListTag, last: Position) -> String {
    let mut bytes = Vec::with_capacity(20);
    bytes.extend_from_slice(&tag.0.to_be_bytes());
    bytes.extend_from_slice(&last.created_at.to_be_bytes());
    bytes.extend_from_slice(&last.number.to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The position in `cursor`; `None` when it is malformed or belongs to another list.
pub(crate) fn decode(tag: ListTag, cursor: &str) -> Option<Position> {
    let bytes: [u8; 20] = URL_SAFE_NO_PAD.decode(cursor).ok()?.try_into().ok()?;
    let (found, position) = bytes.split_at(8);
    if found != tag.0.to_be_bytes() {
        return None;
    }
    let (created_at, number) = position.split_at(8);
    Some(Position {
        created_at: i64::from_be_bytes(created_at.try_into().ok()?),
        number: u32::from_be_bytes(number.try_into().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cursor_leads_back_to_its_position(created_at: i64, number: u32) {
            let position = Position { created_at, number };
            let tag = ListTag::new(["account", "hris.Employee"]);

            prop_assert_eq!(decode(tag, &encode(tag, position)), Some(position));
        }

        #[test]
        fn any_other_text_is_refused(text in ".*") {
            prop_assert_eq!(decode(ListTag::new(["a"]), &text), None);
        }
    }

    #[test]
    fn a_cursor_of_another_list_is_refused() {
        let position = Position {
            created_at: 1,
            number: 2,
        };
        let cursor = encode(ListTag::new(["account", "hris.Employee"]), position);

        assert_eq!(
            decode(ListTag::new(["account", "hris.Team"]), &cursor),
            None
        );
    }
}
