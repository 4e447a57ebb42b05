//! What was used last: who holds something costly keeps it only as long as it is among the newest.

use std::collections::{BTreeMap, HashMap};

/// Numbers by the time of their last use.
#[derive(Debug, Default)]
pub(super) struct Recent {
    order: BTreeMap<u64, u32>,
    stamps: HashMap<u32, u64>,
    next: u64,
}

impl Recent {
    /// It is used now.
    pub(super) fn touch(&mut self, number: u32) {
        self.next += 1;
        if let Some(old) = self.stamps.insert(number, self.next) {
            self.order.remove(&old);
        }
        self.order.insert(self.next, number);
    }

    /// It holds nothing any more.
    pub(super) fn forget(&mut self, number: u32) {
        if let Some(stamp) = self.stamps.remove(&number) {
            self.order.remove(&stamp);
        }
    }

    /// The one that was used longest ago, when there are more than `most`.
    pub(super) fn surplus(&self, most: usize) -> Option<u32> {
        if self.stamps.len() <= most {
            return None;
        }
        self.order.first_key_value().map(|(_, number)| *number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_first() {
        let mut recent = Recent::default();
        for number in [1, 2, 3, 1] {
            recent.touch(number);
        }
        assert_eq!((recent.surplus(3), recent.surplus(2)), (None, Some(2)));
        recent.forget(2);
        recent.forget(9);
        assert_eq!((recent.surplus(2), recent.surplus(1)), (None, Some(3)));
    }
}
