//! Reads what an input describes, front to back; what is missing at its end is zero.

use arbitrary::{Arbitrary, Unstructured};

/// The rest of an input.
pub(crate) struct Script<'a>(Unstructured<'a>);

impl<'a> Script<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Self(Unstructured::new(data))
    }

    /// The next value of its type.
    pub(crate) fn next<T: Arbitrary<'a> + Default>(&mut self) -> T {
        self.0.arbitrary().unwrap_or_default()
    }

    /// The next value, as the beginning of a step; `None` at the end.
    pub(crate) fn step<T: Arbitrary<'a> + Default>(&mut self) -> Option<T> {
        (!self.0.is_empty()).then(|| self.next())
    }

    /// So many bytes, or all that are left.
    pub(crate) fn bytes(&mut self, count: usize) -> &'a [u8] {
        self.0.bytes(count.min(self.0.len())).unwrap_or_default()
    }
}
