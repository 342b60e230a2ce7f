//! Bytes <-> plain values, for recordings. The header of the [module](super) has the layout.

/// A recording that is not one, or is damaged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("damaged at byte {at}: {what}")]
pub struct Corrupt {
    /// Where, in bytes from the beginning.
    pub at: usize,
    /// What is wrong there.
    pub what: &'static str,
}

/// A value that can stand in a record.
pub(super) trait Field: Sized {
    fn put(&self, to: &mut Vec<u8>);
    fn take(from: &mut Source<'_>) -> Result<Self, Corrupt>;
}

/// A record: a kind and a body.
pub(super) trait Record: Sized {
    fn kind(&self) -> u8;
    fn put(&self, to: &mut Vec<u8>);
    fn take(kind: u8, from: &mut Source<'_>) -> Result<Self, Corrupt>;
}

/// Bytes that are read from the front.
#[derive(Clone, Debug)]
pub(super) struct Source<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Source<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) const fn corrupt(&self, what: &'static str) -> Corrupt {
        Corrupt { at: self.at, what }
    }

    pub(super) fn bytes(&mut self, count: usize) -> Result<&'a [u8], Corrupt> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let taken = rest.get(..count).ok_or_else(|| self.corrupt("it ends too early"))?;
        self.at += count;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Corrupt> {
        let mut array = [0; N];
        array.copy_from_slice(self.bytes(N)?);
        Ok(array)
    }

    /// The kind of the next record and its body; `None` when what is left is no whole record.
    fn whole(&mut self) -> Option<(u8, Self)> {
        let mut ahead = self.clone();
        let [kind] = ahead.array().ok()?;
        let length = u32::take(&mut ahead).ok()?;
        let start = ahead.at;
        ahead.bytes(length as usize).ok()?;
        self.at = ahead.at;
        // Positions stay those in the whole recording.
        Some((kind, Source { bytes: &self.bytes[..ahead.at], at: start }))
    }

    /// The next record; `None` when what is left is no whole one.
    pub(super) fn record<R: Record>(&mut self) -> Result<Option<R>, Corrupt> {
        let Some((kind, mut body)) = self.whole() else { return Ok(None) };
        let record = R::take(kind, &mut body)?;
        if body.at != self.at {
            return Err(body.corrupt("a record is longer than its fields"));
        }
        Ok(Some(record))
    }

    /// Where the last whole record ends.
    pub(super) fn end_of_records(&self) -> usize {
        let mut ahead = self.clone();
        while ahead.whole().is_some() {}
        ahead.at
    }
}

macro_rules! numbers {
    ($($number:ty)*) => {$(
        impl Field for $number {
            fn put(&self, to: &mut Vec<u8>) {
                to.extend(self.to_le_bytes());
            }

            fn take(from: &mut Source<'_>) -> Result<Self, Corrupt> {
                from.array().map(Self::from_le_bytes)
            }
        }
    )*};
}

numbers! { u8 u16 u32 u64 f32 }

impl Field for bool {
    fn put(&self, to: &mut Vec<u8>) {
        to.push(u8::from(*self));
    }

    fn take(from: &mut Source<'_>) -> Result<Self, Corrupt> {
        match from.array()? {
            [0] => Ok(false),
            [1] => Ok(true),
            [_] => Err(from.corrupt("neither yes nor no")),
        }
    }
}

impl<T: Field> Field for Option<T> {
    fn put(&self, to: &mut Vec<u8>) {
        self.is_some().put(to);
        if let Some(value) = self {
            value.put(to);
        }
    }

    fn take(from: &mut Source<'_>) -> Result<Self, Corrupt> {
        if bool::take(from)? { T::take(from).map(Some) } else { Ok(None) }
    }
}

impl Field for Vec<u8> {
    fn put(&self, to: &mut Vec<u8>) {
        u32::try_from(self.len()).unwrap_or(u32::MAX).put(to);
        to.extend(self);
    }

    fn take(from: &mut Source<'_>) -> Result<Self, Corrupt> {
        let length = u32::take(from)?;
        from.bytes(length as usize).map(<[u8]>::to_vec)
    }
}

impl Field for String {
    fn put(&self, to: &mut Vec<u8>) {
        u32::try_from(self.len()).unwrap_or(u32::MAX).put(to);
        to.extend(self.as_bytes());
    }

    fn take(from: &mut Source<'_>) -> Result<Self, Corrupt> {
        Self::from_utf8(Vec::take(from)?).map_err(|_| from.corrupt("a text that is not UTF-8"))
    }
}

impl<const N: usize> Field for [u8; N] {
    fn put(&self, to: &mut Vec<u8>) {
        to.extend(self);
    }

    fn take(from: &mut Source<'_>) -> Result<Self, Corrupt> {
        from.array()
    }
}

/// Writes [`Field`] for a struct, field by field. A new field of the struct fails to compile here.
macro_rules! struct_fields {
    ($name:ty { $($field:ident),* $(,)? }) => {
        impl Field for $name {
            fn put(&self, to: &mut Vec<u8>) {
                let Self { $($field),* } = self;
                $($field.put(to);)*
            }

            fn take(from: &mut Source<'_>) -> Result<Self, Corrupt> {
                Ok(Self { $($field: Field::take(from)?),* })
            }
        }
    };
}

/// Writes [`Field`] for an enum, each variant under its number. A new variant fails to compile here.
macro_rules! enum_fields {
    ($name:ty { $($number:literal $variant:ident $({ $($field:ident),* $(,)? })?),* $(,)? }) => {
        impl Field for $name {
            fn put(&self, to: &mut Vec<u8>) {
                match self {
                    $(Self::$variant $({ $($field),* })? => {
                        to.push($number);
                        $($($field.put(to);)*)?
                    })*
                }
            }

            fn take(from: &mut Source<'_>) -> Result<Self, Corrupt> {
                match from.array()? {
                    $([$number] => Ok(Self::$variant $({ $($field: Field::take(from)?),* })?),)*
                    [_] => Err(from.corrupt("a number that names nothing")),
                }
            }
        }
    };
}

/// Declares the records of one machine: for each its number and its fields, as they are written.
macro_rules! records {
    (
        $(#[$doc:meta])* $vis:vis enum $name:ident {
            $($(#[$about:meta])* $number:literal $variant:ident {
                $($field:ident: $kind:ty),* $(,)?
            }),* $(,)?
        }
    ) => {
        $(#[$doc])*
        $vis enum $name {
            $($(#[$about])* $variant { $($field: $kind),* },)*
        }

        impl Record for $name {
            fn kind(&self) -> u8 {
                match self {
                    $(Self::$variant { .. } => $number,)*
                }
            }

            fn put(&self, to: &mut Vec<u8>) {
                match self {
                    $(Self::$variant { $($field),* } => { $($field.put(to);)* })*
                }
            }

            fn take(kind: u8, from: &mut Source<'_>) -> Result<Self, Corrupt> {
                match kind {
                    $($number => Ok(Self::$variant { $($field: Field::take(from)?),* }),)*
                    _ => Err(from.corrupt("a record of an unknown kind")),
                }
            }
        }
    };
}

pub(super) use {enum_fields, records, struct_fields};
