//! What a pass leaves behind: a count, and the key that it belongs to.

use crate::Key;

/// How many units of a mask, or of a part of it, are dropped.
///
/// A count says nothing about the scale: that depends on the options, so [`MapPart::scale`] and
/// [`Plan::scale`] compute it.
///
/// ```
/// use dropblock::DropCount;
///
/// // Two shards of a batch.
/// let (a, b) = (DropCount { dropped: 90, total: 800 }, DropCount { dropped: 70, total: 800 });
/// let sum = DropCount { dropped: a.dropped + b.dropped, total: a.total + b.total };
/// assert_eq!(sum.fraction(), 0.1);
/// ```
///
/// [`MapPart::scale`]: crate::MapPart::scale
/// [`Plan::scale`]: crate::Plan::scale
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct DropCount {
    /// The number of dropped units.
    pub dropped: u64,
    /// The number of units in all. A mask that is shared over channels or samples has fewer units
    /// than the tensor has elements.
    pub total: u64,
}

impl DropCount {
    /// Returns the fraction that is dropped, 0 where there are no units.
    #[inline]
    #[must_use]
    pub fn fraction(self) -> f64 {
        if self.total == 0 { 0.0 } else { self.dropped as f64 / self.total as f64 }
    }

    /// The number of kept units.
    pub(crate) const fn kept(self) -> u64 {
        self.total.saturating_sub(self.dropped)
    }
}

/// A key and the count of its mask: all that the backward pass needs of the forward pass.
///
/// A pass also takes a bare [`Key`]. If its scale needs the count, it then draws the mask once more.
///
/// ```
/// use dropblock::{Drawn, DropBlock, Key, Shape};
///
/// let plan = DropBlock::new(3, 0.2)?.plan(Shape::nchw(2, 4, 10, 10))?;
/// let drawn = plan.count(Key::new(1))?;
/// assert_eq!(Drawn::from_words(drawn.to_words()), drawn);
/// assert_eq!(Drawn::from(Key::new(1)).count(), None);
/// # Ok::<(), dropblock::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Drawn {
    key: Key,
    count: Option<DropCount>,
}

impl Drawn {
    pub(crate) const fn new(key: Key, count: DropCount) -> Self {
        Self { key, count: Some(count) }
    }

    /// Returns the key.
    #[inline]
    #[must_use]
    pub const fn key(&self) -> Key {
        self.key
    }

    /// Returns the count of the mask, if it is known.
    #[inline]
    #[must_use]
    pub const fn count(&self) -> Option<DropCount> {
        self.count
    }

    /// Sets the count: for a shard of a batch, the sum over all shards. The pass refuses a count
    /// that its mask cannot have.
    #[inline]
    #[must_use]
    pub const fn with_count(mut self, count: DropCount) -> Self {
        self.count = Some(count);
        self
    }

    /// Returns the key's words, then `dropped` and `total`, for a checkpoint. Without a count the last
    /// two words are 1 and 0, which is no valid count.
    #[inline]
    #[must_use]
    pub const fn to_words(self) -> [u64; 6] {
        let [seed, step, layer, first_sample] = self.key.to_words();
        let (dropped, total) = match self.count {
            Some(DropCount { dropped, total }) => (dropped, total),
            None => (1, 0),
        };
        [seed, step, layer, first_sample, dropped, total]
    }

    /// Makes it from the words that [`to_words`](Self::to_words) returns. If more units are dropped
    /// than there are, it has no count.
    #[inline]
    #[must_use]
    pub const fn from_words(words: [u64; 6]) -> Self {
        let [seed, step, layer, first_sample, dropped, total] = words;
        let key = Key::from_words([seed, step, layer, first_sample]);
        let count = if dropped <= total { Some(DropCount { dropped, total }) } else { None };
        Self { key, count }
    }
}

impl From<Key> for Drawn {
    #[inline]
    fn from(key: Key) -> Self {
        Self { key, count: None }
    }
}
