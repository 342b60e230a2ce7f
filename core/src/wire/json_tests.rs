//! What the guards refuse, and how the fields are read.

use proptest::prelude::*;

use super::*;

const KNOWN: &[&str] = &["a", "b"];

fn root(text: &str) -> Result<Object<'_>, WireError> {
    Object::root(text, 4, KNOWN)
}

#[test]
fn nesting_is_counted_outside_strings() {
    assert!(root(r#"{"x":[[[1]]]}"#).is_ok());
    assert_eq!(root(r#"{"x":[[[[1]]]]}"#).unwrap_err(), WireError::TooDeep);
    assert!(root(r#"{"x":"[[[[[[\"[[["}"#).is_ok());
}

#[test]
fn an_enormous_nesting_is_refused_and_not_descended_into() {
    let text = format!(r#"{{"x":{}"#, "[".repeat(1_000_000));
    assert_eq!(root(&text).unwrap_err(), WireError::TooDeep);
}

#[test]
fn duplicates_of_known_keys_are_refused_even_when_escaped() {
    let duplicate = WireError::Duplicate { field: "a".to_owned() };
    assert_eq!(root(r#"{"a":1,"a":1}"#).unwrap_err(), duplicate);
    assert_eq!(root(r#"{"a":1,"\u0061":1}"#).unwrap_err(), duplicate);
    assert!(root(r#"{"x":1,"x":2}"#).is_ok(), "unknown keys are skipped");
}

#[test]
fn bad_texts_are_decode_errors() {
    for text in ["", "[]", "1", "nul", "{", r#"{"a":NaN}"#, r#"{"a":1}x"#, "\u{feff}{}"] {
        assert!(root(text).unwrap_err().is_decode(), "{text}");
    }
    assert!(root(" \t\r\n{} \n").is_ok());
}

#[test]
fn integers_are_json_integers_in_range() {
    let read = |value: &str| root(&format!(r#"{{"a":{value}}}"#)).unwrap().integer::<u16>("a");
    assert_eq!(read("65535"), Ok(65_535));
    assert_eq!(read("0"), Ok(0));
    for value in ["1.0", "1e3", "65536", "-1", r#""1""#, "true", "null", "[1]", "{}"] {
        let error = read(value).unwrap_err();
        assert!(matches!(error, WireError::Wrong { ref field, .. } if field == "a"), "{value}");
        assert!(!error.is_decode());
    }
}

#[test]
fn snowflakes_are_strings_or_integers_and_not_zero() {
    let read = |value: &str| root(&format!(r#"{{"a":{value}}}"#)).unwrap().id::<u64>("a").ok();
    assert_eq!(read(r#""18446744073709551615""#), Some(u64::MAX));
    assert_eq!(read("42"), Some(42));
    for value in
        ["0", r#""0""#, r#""""#, r#""+1""#, r#""1.0""#, r#""18446744073709551616""#, "-1", "1.0"]
    {
        assert_eq!(read(value), None, "{value}");
    }
}

#[test]
fn lists_of_names_are_short_and_hold_short_strings_only() {
    let read = |value: &str| root(&format!(r#"{{"a":{value}}}"#)).unwrap().names("a");
    let list =
        |count: usize, name: &str| format!("[{}]", vec![format!("{name:?}"); count].join(","));
    assert_eq!(read("null"), Ok(Vec::new()));
    assert_eq!(read(r#"["x","\u0079"]"#), Ok(vec!["x".to_owned(), "y".to_owned()]));
    assert_eq!(read(&list(1_024, "")).map(|names| names.len()), Ok(1_024));
    for (value, expected) in [
        (list(1_025, ""), "a shorter list of shorter strings"),
        (list(1, &"x".repeat(257)), "a shorter list of shorter strings"),
        ("[1]".to_owned(), "a list of strings"),
        (list(1_025, "").replace("\"\"]", "1]"), "a list of strings"),
        ("{}".to_owned(), "a list of strings"),
    ] {
        assert_eq!(read(&value), Err(WireError::Wrong { field: "a".to_owned(), expected }));
    }
}

#[test]
fn nested_fields_are_named_by_their_path() {
    let object = root(r#"{"a":{"b":{}}}"#).unwrap();
    let inner = object.object("a", KNOWN).unwrap().object("b", KNOWN).unwrap();
    let error = inner.integer::<u16>("a").unwrap_err();
    assert_eq!(error.to_string(), "a.b.a is missing");
    assert_eq!(
        root(r#"{"a":[]}"#).unwrap().object("a", KNOWN).unwrap_err().to_string(),
        "a must be an object"
    );
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        let _ = root(&text);
    }

    #[test]
    fn json_like_text_is_read_only_if_it_is_json(text in r#"[{}\[\]",:ab\\01 ]{0,24}"#) {
        let strict = serde_json::from_str::<serde_json::Value>(&text).is_ok_and(|v| v.is_object());
        if root(&text).is_ok() {
            prop_assert!(strict);
        } else if strict {
            let error = root(&text).unwrap_err();
            let by_guard = matches!(error, WireError::TooDeep | WireError::Duplicate { .. });
            prop_assert!(by_guard);
        }
    }
}
