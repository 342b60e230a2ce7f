//! What must hold between a text, what a protocol's reader made of it, and what its writer wrote.

use lvsp_core::wire::json::WireError;

use crate::strict::Json;

/// The nesting that the readers are told to allow.
pub(crate) const DEPTH: usize = 16;

/// Keys that writers state though the text may not: constants, and defaults with a meaning.
const STATED: &[&str] =
    &["audio_codec", "delay", "experiments", "features", "streams", "v", "video_codec"];

/// Names that a reader takes for others.
const ALIASES: &[(&str, &str)] =
    &[("seq_ack", "seq"), ("max_dave_protocol_version", "max_secure_frames_version")];

/// A refusal names what is really wrong with the text.
pub(crate) fn refused_for_cause(text: &str, error: &WireError) {
    let json = Json::read(text);
    let justified = match (error, &json) {
        (WireError::NotJson, Some(json)) => json.has_broken_key(),
        (WireError::TooDeep, Some(json)) => json.depth() > DEPTH,
        (WireError::NotAnObject, Some(json)) => !matches!(json, Json::Object(_)),
        (WireError::NotAMessage, Some(json)) => json.get("op").is_none() || json.get("d").is_none(),
        (WireError::Duplicate { field }, Some(json)) => json.count(field) > 1,
        (WireError::Missing { field }, Some(json)) => json.count(field) == 0,
        (WireError::Wrong { field, .. }, Some(json)) => json.count(field) > 0,
        // The readers stop at the first thing that is wrong, which may be another.
        (WireError::NotJson | WireError::TooDeep | WireError::NotAnObject, None) => true,
        (_, None) => false,
        (_, Some(_)) => true,
    };
    assert!(justified, "refused because {error}: {text}");
    // A field that is missing or wrong is a bad request (4020), anything else no message (4002).
    let bad_field = matches!(error, WireError::Missing { .. } | WireError::Wrong { .. });
    assert_eq!(error.is_decode(), !bad_field);
    assert!(error.field().is_some() || !bad_field, "which field?");
    let said = error.to_string();
    assert!(said.len() < 200, "a refusal names the field and never its value: {said}");
}

/// A text that was accepted is strict JSON, and what is written for it says nothing that the text
/// did not say.
pub(crate) fn accepted_as_said(text: &str, written: &str) {
    let read = Json::read(text).unwrap_or_else(|| panic!("accepted, but no JSON: {text}"));
    assert!(read.depth() <= DEPTH, "accepted, but too deep: {text}");
    let wrote = Json::read(written).unwrap_or_else(|| panic!("written, but no JSON: {written}"));
    assert!(written.len() <= text.len() + 512, "{} bytes were made of {text}", written.len());
    assert!(says(&wrote, Some(&read), ""), "{text} became {written}");
}

/// What of a message must be written again: the opcode that is written (of INFO with its type, as
/// in `6/1`), where, and which keys.
pub(crate) type Kept = (&'static str, &'static str, &'static [&'static str]);

/// Nothing that the text said, and that the protocol has a place for, is lost in what is written.
pub(crate) fn kept_what_was_said(text: &str, written: &str, kept: &[Kept]) {
    let (Some(read), Some(wrote)) = (Json::read(text), Json::read(written)) else { return };
    let number = |path: &str| match wrote.at(path) {
        Some(Json::Number(number)) => *number,
        _ => "",
    };
    let kind = format!("{}/{}", number("op"), number("d.type"));
    for (op, path, keys) in kept {
        let (Some(said), Some(ours)) = (read.at(path), wrote.at(path)) else { continue };
        // Another message, or one of no form that is known.
        if (*op != number("op") && *op != kind) || is_default(ours) {
            continue;
        }
        for key in *keys {
            let stated = said
                .get(key)
                .is_some_and(|value| !is_default(value) && *value != Json::Number("-1"));
            assert!(!stated || ours.count(key) == 1, "{path}.{key} of {text} is lost: {written}");
        }
    }
}

/// Whether everything that `written` says was said by `read`, under this key.
fn says(written: &Json<'_>, read: Option<&Json<'_>>, key: &str) -> bool {
    let Some(read) = read else { return is_default(written) || STATED.contains(&key) };
    if is_default(written) || STATED.contains(&key) {
        return true;
    }
    match (written, read) {
        (Json::Object(fields), Json::Object(_)) => fields.iter().all(|(key, value)| {
            let key = key.as_deref().unwrap_or_default();
            let alias = ALIASES
                .iter()
                .find(|(name, _)| *name == key)
                .and_then(|(_, other)| read.get(other));
            says(value, read.get(key).filter(|found| !found.is_null()).or(alias), key)
        }),
        // A heartbeat before version 8 is its nonce alone.
        (Json::Object(fields), bare) => {
            matches!(&fields[..], [(Some(name), nonce)] if name == "t" && nonce == bare)
        }
        (Json::Array(ours), Json::Array(theirs)) => {
            ours.len() == theirs.len()
                && ours.iter().zip(theirs).all(|(ours, theirs)| says(ours, Some(theirs), key))
        }
        (Json::Number("1"), Json::Word("true")) => true,
        // Version 1 acknowledges a heartbeat with its own opcode.
        (Json::Number("6"), Json::Number("3")) if key == "op" => true,
        (Json::Number(ours), Json::Number(theirs)) => {
            // Health is a fraction; everything else is written as it was read.
            let same = ours.parse::<f32>().ok() == theirs.parse::<f32>().ok();
            ours == theirs || (key == "health" && same)
        }
        (Json::Text(Some(ours)), Json::Number(theirs)) => ours == theirs,
        (Json::Text(Some(ours)), Json::Text(Some(theirs))) => {
            let digits = |text: &str| text.trim_start_matches('0').to_owned();
            let id = ours.bytes().all(|byte| byte.is_ascii_digit());
            ours == theirs || (id && digits(ours) == digits(theirs))
        }
        _ => written == read,
    }
}

/// What is written when nothing was said.
fn is_default(json: &Json<'_>) -> bool {
    match json {
        Json::Object(fields) => fields.is_empty(),
        Json::Array(values) => values.is_empty(),
        Json::Text(text) => text.as_deref() == Some(""),
        Json::Number(number) => *number == "0" || *number == "0.0",
        Json::Word(word) => matches!(*word, "null" | "false"),
    }
}
