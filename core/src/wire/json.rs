//! Guards around JSON, and a reader of typed fields.
//!
//! A parser derived by serde accepts more than the protocols allow (arrays for objects, duplicate
//! keys, nesting without end), so messages are read field by field through `Object`. A refusal
//! names the field, never its value. Sizes of whole messages are limited by the transport.
//!
//! Integers are JSON integers in the range of their type: `1.0` and `1e3` are refused. Unknown keys
//! are skipped; known keys may occur once.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::de::{Deserializer as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use smallvec::SmallVec;

use crate::ids::{self, ChannelId, GuildId, UserId};
use crate::reasons::CloseReason;
use crate::wire::secret::Secret;

/// Longest string that names something: a mode, an address, a codec.
pub(crate) const NAME_BYTES: usize = 256;
/// Longest token or session id.
pub(crate) const SECRET_BYTES: usize = 1_024;
/// Most entries of a list of strings.
const LIST_ENTRIES: usize = 1_024;

/// Why a text is not the message it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// Bad JSON syntax.
    #[error("not JSON")]
    NotJson,
    /// Nested deeper than the limit.
    #[error("nested too deeply")]
    TooDeep,
    /// The whole text is not a JSON object.
    #[error("not a JSON object")]
    NotAnObject,
    /// A control message without `op` or `d`.
    #[error("not an object with op and d")]
    NotAMessage,
    /// A known key occurs twice.
    #[error("{field} is given twice")]
    Duplicate {
        /// Dotted path of the field.
        field: String,
    },
    /// A required field is not there.
    #[error("{field} is missing")]
    Missing {
        /// Dotted path of the field.
        field: String,
    },
    /// A field has an unusable value.
    #[error("{field} must be {expected}")]
    Wrong {
        /// Dotted path of the field.
        field: String,
        /// What would have been right.
        expected: &'static str,
    },
}

impl WireError {
    /// Whether the text itself is bad (close code 4002) rather than a field of it (a bad request).
    #[must_use]
    pub const fn is_decode(&self) -> bool {
        match self {
            Self::NotJson
            | Self::TooDeep
            | Self::NotAnObject
            | Self::NotAMessage
            | Self::Duplicate { .. } => true,
            Self::Missing { .. } | Self::Wrong { .. } => false,
        }
    }

    /// Why a connection is closed that this text came from.
    #[must_use]
    pub const fn close_reason(&self) -> CloseReason {
        match self {
            Self::TooDeep => CloseReason::TooDeep,
            Self::NotJson | Self::NotAnObject | Self::NotAMessage | Self::Duplicate { .. } => {
                CloseReason::Decode
            }
            Self::Missing { .. } | Self::Wrong { .. } => CloseReason::BadRequest,
        }
    }

    /// The field at fault, if it is one.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::Duplicate { field } | Self::Missing { field } | Self::Wrong { field, .. } => {
                Some(field)
            }
            Self::NotJson | Self::TooDeep | Self::NotAnObject | Self::NotAMessage => None,
        }
    }
}

/// A message as it goes out: `op`, `d`, then what the protocol numbers messages by.
#[derive(Serialize)]
pub(crate) struct Envelope<T> {
    pub(crate) op: u32,
    pub(crate) d: T,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seq: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) s: Option<u64>,
}

impl<T: Serialize> Envelope<T> {
    /// A message without a number.
    pub(crate) const fn new(op: u32, d: T) -> Self {
        Self { op, d, seq: None, s: None }
    }

    /// The message as text.
    pub(crate) fn encode(&self) -> String {
        to_text(self)
    }
}

/// One of our messages as text.
pub(crate) fn to_text(message: &impl Serialize) -> String {
    let text = serde_json::to_string(message);
    debug_assert!(text.is_ok(), "our messages have string keys and infallible values");
    text.unwrap_or_default()
}

/// The known fields of one JSON object, unparsed.
#[derive(Debug)]
pub(crate) struct Object<'a> {
    path: String,
    fields: SmallVec<[(&'static str, &'a RawValue); 8]>,
}

impl<'a> Object<'a> {
    /// Reads a whole message whose nesting (the root counts as one) is at most `depth`.
    pub(crate) fn root(
        text: &'a str,
        depth: usize,
        known: &'static [&'static str],
    ) -> Result<Self, WireError> {
        if nesting_exceeds(text, depth) {
            return Err(WireError::TooDeep);
        }
        if !is_object(text) {
            return Err(WireError::NotAnObject);
        }
        Self::read(text, String::new(), known)
    }

    fn read(
        text: &'a str,
        path: String,
        known: &'static [&'static str],
    ) -> Result<Self, WireError> {
        let mut parser = serde_json::Deserializer::from_str(text);
        let (fields, duplicate) =
            parser.deserialize_map(FieldVisitor { known }).map_err(|_| WireError::NotJson)?;
        parser.end().map_err(|_| WireError::NotJson)?;
        let object = Self { path, fields };
        match duplicate {
            Some(key) => Err(WireError::Duplicate { field: object.field(key) }),
            None => Ok(object),
        }
    }

    /// The dotted path of a field of this object.
    fn field(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// The refusal of a field's value.
    pub(crate) fn wrong(&self, key: &str, expected: &'static str) -> WireError {
        WireError::Wrong { field: self.field(key), expected }
    }

    /// The field's JSON text, `null` included; `None` if the key is absent.
    pub(crate) fn raw(&self, key: &str) -> Option<&'a str> {
        self.fields.iter().find(|(name, _)| *name == key).map(|(_, value)| value.get())
    }

    /// Whether the field is there and `null`.
    pub(crate) fn is_null(&self, key: &str) -> bool {
        self.raw(key) == Some("null")
    }

    /// The field's JSON text; `null` counts as absent.
    pub(crate) fn value(&self, key: &str) -> Option<&'a str> {
        self.raw(key).filter(|text| *text != "null")
    }

    /// The value that a required field must have.
    fn required<T>(&self, key: &str, value: Option<T>) -> Result<T, WireError> {
        value.ok_or_else(|| {
            if self.raw(key).is_some() {
                self.wrong(key, "a value, not null")
            } else {
                WireError::Missing { field: self.field(key) }
            }
        })
    }

    /// A required object.
    pub(crate) fn object(
        &self,
        key: &str,
        known: &'static [&'static str],
    ) -> Result<Self, WireError> {
        let text = self.required(key, self.value(key))?;
        if !is_object(text) {
            return Err(self.wrong(key, "an object"));
        }
        Self::read(text, self.field(key), known)
    }

    /// An integer of the range of `T`, unless absent or null.
    pub(crate) fn optional_integer<T: FromStr>(&self, key: &str) -> Result<Option<T>, WireError> {
        let Some(text) = self.value(key) else { return Ok(None) };
        // JSON has no leading plus and no leading zeros, so what Rust parses is a JSON integer.
        text.parse().map(Some).map_err(|_| self.wrong(key, "an integer in range"))
    }

    /// A required integer of the range of `T`.
    pub(crate) fn integer<T: FromStr>(&self, key: &str) -> Result<T, WireError> {
        self.required(key, self.optional_integer(key)?)
    }

    /// A snowflake, as a string of 1 to 20 digits or an integer, unless absent or null.
    pub(crate) fn optional_id<T: Snowflake>(&self, key: &str) -> Result<Option<T>, WireError> {
        let Some(text) = self.value(key) else { return Ok(None) };
        parse_id(text)
            .and_then(T::from_raw)
            .map(Some)
            .ok_or_else(|| self.wrong(key, "a snowflake: a string of 1 to 20 digits, not zero"))
    }

    /// A required snowflake.
    pub(crate) fn id<T: Snowflake>(&self, key: &str) -> Result<T, WireError> {
        self.required(key, self.optional_id(key)?)
    }

    /// A boolean, unless absent or null.
    pub(crate) fn optional_bool(&self, key: &str) -> Result<Option<bool>, WireError> {
        let Some(text) = self.value(key) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| self.wrong(key, "a boolean"))
    }

    /// A string of at most `limit` bytes, unless absent or null.
    pub(crate) fn optional_string(
        &self,
        key: &str,
        limit: usize,
    ) -> Result<Option<String>, WireError> {
        let Some(text) = self.value(key) else { return Ok(None) };
        let string: String = serde_json::from_str(text).map_err(|_| self.wrong(key, "a string"))?;
        if string.len() > limit {
            return Err(self.wrong(key, "a shorter string"));
        }
        Ok(Some(string))
    }

    /// A required string of at most `limit` bytes.
    pub(crate) fn string(&self, key: &str, limit: usize) -> Result<String, WireError> {
        self.required(key, self.optional_string(key, limit)?)
    }

    /// A token or session id, unless absent or null.
    pub(crate) fn optional_secret(&self, key: &str) -> Result<Option<Secret>, WireError> {
        Ok(self.optional_string(key, SECRET_BYTES)?.map(Secret::new))
    }

    /// A required token or session id.
    pub(crate) fn secret(&self, key: &str) -> Result<Secret, WireError> {
        self.required(key, self.optional_secret(key)?)
    }

    /// A required finite number, with or without a fraction.
    pub(crate) fn number(&self, key: &str) -> Result<f32, WireError> {
        let text = self.required(key, self.value(key))?;
        let number: f32 = serde_json::from_str(text).map_err(|_| self.wrong(key, "a number"))?;
        if number.is_finite() { Ok(number) } else { Err(self.wrong(key, "a finite number")) }
    }

    /// A list of names; absent or null is the empty list.
    pub(crate) fn names(&self, key: &str) -> Result<Vec<String>, WireError> {
        let Some(text) = self.value(key) else { return Ok(Vec::new()) };
        let mut parser = serde_json::Deserializer::from_str(text);
        let names = parser.deserialize_seq(NamesVisitor);
        let names = names.map_err(|_| self.wrong(key, "a list of strings"))?;
        names.ok_or_else(|| self.wrong(key, "a shorter list of shorter strings"))
    }
}

/// A number that cannot be zero, read from a string or an integer.
pub(crate) trait Snowflake: Sized {
    fn from_raw(raw: u64) -> Option<Self>;
}

impl Snowflake for u64 {
    fn from_raw(raw: u64) -> Option<Self> {
        Some(raw).filter(|raw| *raw != 0)
    }
}

impl Snowflake for GuildId {
    fn from_raw(raw: u64) -> Option<Self> {
        Self::new(raw)
    }
}

impl Snowflake for ChannelId {
    fn from_raw(raw: u64) -> Option<Self> {
        Self::new(raw)
    }
}

impl Snowflake for UserId {
    fn from_raw(raw: u64) -> Option<Self> {
        Self::new(raw)
    }
}

/// Reads one snowflake from its JSON text.
pub(crate) fn parse_id(text: &str) -> Option<u64> {
    let digits = match text.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"')?,
        None => text,
    };
    ids::digits(digits)
}

type Fields<'a> = SmallVec<[(&'static str, &'a RawValue); 8]>;

struct FieldVisitor {
    known: &'static [&'static str],
}

/// A string: borrowed unless it holds an escape.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> Visitor<'a> for FieldVisitor {
    type Value = (Fields<'a>, Option<&'static str>);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Fields::new();
        let mut duplicate = None;
        while let Some((key, value)) = map.next_entry::<Text<'a>, &'a RawValue>()? {
            let Some(known) = self.known.iter().find(|known| **known == key.0) else { continue };
            if fields.iter().any(|(name, _)| name == known) {
                duplicate = Some(*known);
            } else {
                fields.push((known, value));
            }
        }
        Ok((fields, duplicate))
    }
}

/// Reads a list of names to its end, and keeps none from the first one on that is too many or too
/// long: a few bytes of text must not become many of memory.
struct NamesVisitor;

impl<'a> Visitor<'a> for NamesVisitor {
    type Value = Option<Vec<String>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of strings")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut names = Some(Vec::new());
        while let Some(Text(name)) = list.next_element()? {
            match &mut names {
                Some(kept) if kept.len() < LIST_ENTRIES && name.len() <= NAME_BYTES => {
                    kept.push(name.into_owned());
                }
                Some(_) | None => names = None,
            }
        }
        Ok(names)
    }
}

fn is_object(text: &str) -> bool {
    text.trim_start_matches([' ', '\t', '\n', '\r']).starts_with('{')
}

/// Whether brackets outside strings nest deeper than `limit`. Does not check syntax.
fn nesting_exceeds(text: &str, limit: usize) -> bool {
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    for byte in text.bytes() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > limit {
            return true;
        }
    }
    false
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
