//! However TCP cuts a conversation, it ends alike.

use serde_json::{Value, json};

use crate::lifecycle::{AES, XCHACHA};
use crate::people::{CHANNEL, chat_server, join, removal};
use crate::world::{Cut, World};

/// What two clients and their chat server were told, and what was heard.
type Told = (Vec<(u32, u16, Vec<u8>)>, Vec<Vec<Value>>);

/// A whole conversation, and how many bytes each peer wrote in it.
fn converse(cut: Cut) -> (Told, Vec<usize>) {
    let mut world = World::new();
    world.cut_at = cut;
    let chat = chat_server(&mut world);
    let mut ann = join(&mut world, chat, 1001, CHANNEL, AES);
    let bob = join(&mut world, chat, 1002, CHANNEL, XCHACHA);
    let heard = bob.hear(&ann.speak(&mut world, b"hello"));
    world.send(ann.peer, &json!({"op": 5, "d": {"speaking": 1, "delay": 0, "ssrc": ann.ssrc}}));
    world.send_binary(ann.peer, &[26, 1, 2, 3]);
    world.send(bob.peer, &json!({"op": 3, "d": 77}));
    world.send(chat, &json!({"op": 4, "d": {"s": 3}}));
    world.send(chat, &removal(1001));
    assert_eq!(world.closed(ann.peer), Some(Some(4014)));
    let inboxes = [chat, ann.peer, bob.peer].map(|peer| world.take_all(peer));
    ((heard, inboxes.into()), world.written())
}

#[test]
fn conversations_in_small_pieces_end_alike() {
    let (whole, _) = converse(Cut::Nowhere);
    for bytes in [1, 2, 3, 5, 7, 11, 64, 100] {
        assert_eq!(converse(Cut::Every(bytes)).0, whole, "pieces of {bytes} bytes");
    }
}

#[test]
fn conversations_cut_once_at_any_position_end_alike() {
    let (whole, written) = converse(Cut::Nowhere);
    assert_eq!(written.len(), 3);
    for (peer, bytes) in written.into_iter().enumerate() {
        assert!(bytes > 400, "peer {peer} said something");
        for position in 1..bytes {
            let (told, _) = converse(Cut::Once { peer, position });
            assert_eq!(told, whole, "what peer {peer} wrote, cut at {position}");
        }
    }
}
