//! The rule of revisions, row by row, and that no ambiguous number ever does harm.

use proptest::prelude::*;

use super::*;
use crate::ids::{ChannelId, UserId};
use crate::wire::lvsp::VoiceFlags;

const AUTO: fn() -> Speech = || Speech::new(Revision::Auto, false, false);

fn hear(speech: &mut Speech, text: &str) -> Result<Command, Refusal> {
    speech.read(ChatMessage::parse(text, 16).expect("a message"))
}

/// What a message of an undecided session decides.
fn decided(text: &str) -> Option<Dialect> {
    let mut speech = AUTO();
    let _ = hear(&mut speech, text);
    speech.dialect
}

fn data(kind: u32, data: &str) -> String {
    format!(r#"{{"op":6,"d":{{"type":{kind},"data":{data}}}}}"#)
}

// Clauses: L5.6
#[test]
fn the_first_order_with_one_meaning_decides_the_revision() {
    const LITECORD: Dialect = Dialect::Litecord { assign: false };
    let user = r#"{"user_id":"7","channel_id":"5"}"#;
    for (text, dialect) in [
        (r#"{"op":7,"d":{"user_id":"7","channel_id":"5"}}"#.to_owned(), Some(Dialect::Draft)),
        (r#"{"op":6,"d":{"type":0,"info":{"id":"5"}}}"#.to_owned(), Some(Dialect::Draft)),
        (data(4, user), Some(LITECORD)),
        (data(3, user), Some(Dialect::Document)),
        (data(3, r#"{"channel_id":"5"}"#), Some(LITECORD)),
        (data(5, r#"{"session_id":"x"}"#), Some(Dialect::Document)),
        (data(5, r#"{"session_id":"x","mute":true}"#), None),
        (data(2, r#"{"channel_id":"5"}"#), None),
        (data(6, user), None),
        (data(0, r#"{"channel_id":"5"}"#), None),
        (data(1, r#"{"channel_id":"5"}"#), None),
        (r#"{"op":99,"d":{}}"#.to_owned(), None),
    ] {
        assert_eq!(decided(&text), dialect, "{text}");
    }
    assert_eq!(Speech::new(Revision::Auto, false, true).dialect, Some(Dialect::Draft), "plain");
    assert_eq!(Speech::new(Revision::Document, false, true).dialect, Some(Dialect::Document));
}

// Clauses: L5.7
#[test]
fn a_channel_is_made_while_undecided_and_nothing_is_said_of_it() {
    let mut speech = AUTO();
    let command = hear(&mut speech, &data(0, r#"{"channel_id":"5","guild_id":"6"}"#));
    assert!(matches!(command, Ok(Command::SetChannel { .. })), "{command:?}");
    assert!(speech.write(channel(Cause::Created)).is_none());
}

// Clauses: L5.1
#[test]
fn the_numbers_of_each_revision_are_commands() {
    let voice = r#"{"user_id":"7","channel_id":"5","mute":true}"#;
    let litecord = [
        (0, r#"{"channel_id":"5"}"#, "SetChannel"),
        (2, r#"{"channel_id":"5","bitrate":96000}"#, "SetChannel"),
        (3, r#"{"channel_id":"5"}"#, "DestroyChannel"),
        (4, voice, "Place"),
        (5, voice, "SetFlags"),
        (6, voice, "Remove"),
    ];
    let document = [
        (0, r#"{"channel_id":"5"}"#, "SetChannel"),
        (2, r#"{"channel_id":"5"}"#, "DestroyChannel"),
        (3, voice, "Place"),
        (5, r#"{"session_id":"x"}"#, "Remove"),
        (6, voice, "SetFlags"),
    ];
    for (revision, rows) in
        [(Revision::Litecord, &litecord[..]), (Revision::Document, &document[..])]
    {
        for (kind, body, name) in rows {
            let command = hear(&mut Speech::new(revision, false, false), &data(*kind, body));
            let command = format!("{:?}", command.expect(name));
            assert!(command.starts_with(name), "{revision:?} {kind}: {command}");
        }
    }
}

// Clauses: L7.1
#[test]
fn what_is_missing_or_not_spoken_is_named() {
    let refusal = |revision, text: &str| {
        hear(&mut Speech::new(revision, false, false), text).expect_err(text)
    };
    let missing = refusal(Revision::Litecord, &data(4, r#"{"user_id":"7"}"#));
    assert_eq!(missing.field.as_deref(), Some("d.data.channel_id"));
    assert_eq!((missing.kind, missing.why.as_str()), (Some(4), "d.data.channel_id is missing"));
    let nobody = refusal(Revision::Document, &data(5, r#"{"guild_id":"7"}"#));
    assert_eq!(nobody.field.as_deref(), Some("d.data.session_id"));
    let ours = refusal(Revision::Document, &data(1, r#"{"channel_id":"5"}"#));
    assert!(ours.why.contains("not one that a chat server sends"), "{ours:?}");
    let other = refusal(Revision::Draft, &data(0, r#"{"channel_id":"5"}"#));
    assert_eq!(other.why, "d.info is missing");
    let other = refusal(Revision::Document, r#"{"op":6,"d":{"type":0,"info":{"id":"5"}}}"#);
    assert_eq!(other.why, "d.data is missing");
    let op = refusal(Revision::Document, r#"{"op":7,"d":{"user_id":"7","channel_id":"5"}}"#);
    assert!(op.why.contains("op 7"), "{op:?}");
    let undecided = refusal(Revision::Auto, &data(2, r#"{"channel_id":"5"}"#));
    assert!(undecided.why.contains("set the revision"), "{undecided:?}");
}

fn channel(cause: Cause) -> News {
    let info = ChannelInfo {
        id: ChannelId::new(5).expect("not zero"),
        guild_id: None,
        bitrate: Some(64_000),
        deleted: false,
    };
    News::Channel { info, token: Some(Secret::from("t")), cause }
}

fn channel_gone() -> News {
    let News::Channel { info, cause, .. } = channel(Cause::Changed) else { unreachable!() };
    News::Channel { info: ChannelInfo { deleted: true, bitrate: None, ..info }, token: None, cause }
}

fn voice(here: bool, full: bool) -> News {
    News::Voice(VoiceInfo {
        user_id: UserId::new(7),
        channel_id: ChannelId::new(5).filter(|_| here),
        guild_id: None,
        session_id: Secret::from("x"),
        flags: VoiceFlags { mute: true, ..VoiceFlags::default() },
        token: full.then(|| Secret::from("t")),
        endpoint: full.then(|| "v:443".to_owned()),
        reason: (!here).then(|| "lost".to_owned()),
    })
}

// Clauses: L5.1, L5.2, L5.3
#[test]
fn news_take_the_form_of_each_revision() {
    const FLAGS: &str =
        r#""deaf":false,"mute":true,"self_deaf":false,"self_mute":false,"suppress":false"#;
    let assign = r#"1,"data":{"channel_id":"5","token":"t","bitrate":64000}"#.to_owned();
    let answer = r#""data":{"user_id":"7","channel_id":"5","session_id":"x","token":"t","endpoint":"v:443","#;
    let flags = r#""data":{"user_id":"7","channel_id":"5","session_id":"x","#;
    let gone = r#""data":{"user_id":"7","session_id":"x","reason":"lost"}"#;
    let rows: [(Revision, bool, News, Option<String>); 17] = [
        (Revision::Litecord, false, channel(Cause::Created), None),
        (Revision::Litecord, false, channel(Cause::Unchanged), None),
        (Revision::Litecord, true, channel(Cause::Created), Some(assign.clone())),
        (Revision::Litecord, true, channel(Cause::Unchanged), Some(assign.clone())),
        (
            Revision::Litecord,
            false,
            channel(Cause::Changed),
            Some(r#"2,"data":{"channel_id":"5","bitrate":64000}"#.to_owned()),
        ),
        (
            Revision::Litecord,
            false,
            channel_gone(),
            Some(r#"3,"data":{"channel_id":"5"}"#.to_owned()),
        ),
        (Revision::Litecord, false, voice(true, true), Some(format!("5,{answer}{FLAGS}}}"))),
        (Revision::Litecord, false, voice(true, false), Some(format!("5,{flags}{FLAGS}}}"))),
        (Revision::Litecord, false, voice(false, false), Some(format!("6,{gone}"))),
        (Revision::Document, false, channel(Cause::Created), Some(assign.clone())),
        (Revision::Document, false, channel(Cause::Unchanged), Some(assign)),
        (
            Revision::Document,
            false,
            channel_gone(),
            Some(r#"2,"data":{"channel_id":"5"}"#.to_owned()),
        ),
        (Revision::Document, false, voice(true, true), Some(format!("4,{answer}{FLAGS}}}"))),
        (Revision::Document, false, voice(true, false), Some(format!("6,{flags}{FLAGS}}}"))),
        (Revision::Document, false, voice(false, false), Some(format!("5,{gone}"))),
        (Revision::Draft, false, channel(Cause::Unchanged), None),
        (
            Revision::Draft,
            false,
            channel(Cause::Changed),
            Some(r#"0,"info":{"id":"5","bitrate":64000}"#.to_owned()),
        ),
    ];
    for (revision, assign, news, body) in rows {
        let said = format!("{revision:?} {news:?}");
        let message = Speech::new(revision, assign, false).write(news);
        let text = message.map(|message| message.encode(Some(9)));
        let expected = body.map(|body| format!(r#"{{"op":6,"d":{{"type":{body}}},"s":9}}"#));
        assert_eq!(text, expected, "{said}");
    }
}

proptest! {
    /// While undecided no number destroys or removes anything (a wrong guess cannot be undone).
    #[test]
    fn no_number_removes_anything_while_the_revision_is_undecided(
        kind in 0_u32..12, user: bool, channel: bool, session: bool,
    ) {
        let mut body = Vec::new();
        if user { body.push(r#""user_id":"7""#) }
        if channel { body.push(r#""channel_id":"5""#) }
        if session { body.push(r#""session_id":"x""#) }
        let mut speech = AUTO();
        let command = hear(&mut speech, &data(kind, &format!("{{{}}}", body.join(","))));
        if let Ok(Command::DestroyChannel { .. } | Command::Remove { .. }) = command {
            // Only by a shape that no other revision has.
            let alone = session && !user && !channel;
            prop_assert!((kind == 3 && !user) || (kind == 5 && alone), "{:?}", command);
        }
    }
}
