//! How limits are declared: fields, defaults, ranges, texts and counts of each stand in one place.

use super::Millis;

/// A value of a limit as the number that its range is given in.
pub(super) trait ToNumber {
    fn to_number(self) -> u64;
}

impl ToNumber for usize {
    fn to_number(self) -> u64 {
        self as u64
    }
}

impl ToNumber for u64 {
    fn to_number(self) -> u64 {
        self
    }
}

impl ToNumber for Millis {
    fn to_number(self) -> u64 {
        self.0
    }
}

/// Declares [`Limits`](super::Limits), its table and its counts from one list, so that none of them
/// can lack a limit.
macro_rules! limits {
    ($($(#[doc = $doc:literal])* $key:ident: $kind:ty = $default:expr, $min:literal..=$max:literal,
        counts $counts:literal;)*) => {
        /// All bounds. [`Limits::default`] holds the documented defaults.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct Limits {
            $(
                $(#[doc = $doc])*
                #[doc = concat!("\n\nLegal range: ", $min, " to ", $max, ".")]
                pub $key: $kind,
            )*
        }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($key: $default,)* }
            }
        }

        impl Limits {
            /// Every limit with its value and legal range, in the order of declaration.
            #[must_use]
            pub fn table(&self) -> Vec<LimitRow> {
                vec![$(LimitRow {
                    key: stringify!($key),
                    value: self.$key.to_number(),
                    min: $min,
                    max: $max,
                    doc: concat!($($doc),*).trim_ascii(),
                    counts: $counts,
                },)*]
            }
        }

        /// How often each limit was reached, by the limit's name.
        ///
        /// The control plane and every relay count for themselves; a host adds them up with
        /// [`Self::add`]. What is counted stands in [`LimitRow::counts`].
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
        pub struct LimitCounts {
            $(
                #[doc = concat!("See [`Limits::", stringify!($key), "`]. Counts: ", $counts, ".")]
                pub $key: u64,
            )*
        }

        impl LimitCounts {
            /// Every count by the name of its limit. An interval that nobody can exceed has none.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                let all = [$((stringify!($key), $counts, self.$key),)*];
                let counted = all.into_iter().filter(|(_, counts, _)| !counts.is_empty());
                counted.map(|(key, _, count)| (key, count))
            }

            /// Adds what another part of the server counted.
            pub const fn add(&mut self, other: &Self) {
                $(self.$key += other.$key;)*
            }
        }
    };
}
