//! The seeded random source: numbers that follow from their place, so that the same seed gives the same world.
//!
//! Nothing is drawn from a stream. A value is a hash of the seed and of what it is for (account, model, record, field),
//! so it does not depend on the order in which things happen to be asked for.

/// A place in the world, from which random values follow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(mix(seed ^ 0x5EED_0F5A_9DB0_0C5E))
    }

    /// The place below this one with that number.
    pub(crate) fn at(self, number: u64) -> Self {
        Self(mix(self.0 ^ mix(number.wrapping_add(0x9E37_79B9_7F4A_7C15))))
    }

    /// The place below this one with that name.
    pub(crate) fn named(self, name: &str) -> Self {
        let hash = name.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
        });
        self.at(hash)
    }

    pub(crate) fn value(self) -> u64 {
        self.0
    }

    /// A number below `limit`; zero when `limit` is zero.
    pub(crate) fn below(self, limit: u64) -> u64 {
        self.0.checked_rem(limit).unwrap_or(0)
    }

    pub(crate) fn index(self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap_or(0)
    }

    pub(crate) fn pick<T>(self, items: &[T]) -> &T {
        &items[self.index(items.len())]
    }

    /// True in `percent` of a hundred places.
    pub(crate) fn chance(self, percent: u64) -> bool {
        self.at(0x00C4_A2CE).below(100) < percent
    }

    /// A version 4 UUID.
    pub(crate) fn uuid(self) -> uuid::Uuid {
        let (high, low) = (self.at(1).0, self.at(2).0);
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&high.to_be_bytes());
        bytes[8..].copy_from_slice(&low.to_be_bytes());
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }

    /// Letters and digits, 22 of them (126 bits and more), for tokens.
    pub(crate) fn token(self) -> String {
        const LETTERS: &[u8; 62] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        (0..22)
            .map(|place| char::from(*self.at(place).pick(LETTERS)))
            .collect()
    }
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood, 2014).
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_values_and_another_seed_others() {
        let place = |seed| Dice::new(seed).named("hris").at(7);

        assert_eq!(place(1).uuid(), place(1).uuid());
        assert_ne!(place(1).uuid(), place(2).uuid());
        assert_ne!(place(1).token(), Dice::new(1).named("hris").at(8).token());
    }
}
