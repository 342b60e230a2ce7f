//! Over loopback.

use super::send::{VECTORS, send, send_batch};
use super::*;

#[test]
fn processor_time_is_used_and_never_given_back() {
    let before = processor_time().expect("every supported system tells it");
    assert!((1..1_000_000_u64).fold(0, |sum, n| std::hint::black_box(sum ^ n)) < 1 << 20);
    assert!(processor_time().expect("as before") > before);
}

fn socket() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap()
}

#[test]
fn a_batch_arrives_whole_and_in_order_with_its_source() {
    let (from, to) = (socket(), socket());
    let target = to.local_addr().unwrap();
    let payloads: Vec<Vec<u8>> = (0..100u8).map(|n| vec![n; usize::from(n) + 1]).collect();
    let mut sent = 0;
    while sent < payloads.len() {
        let rest = payloads[sent..].iter().map(|bytes| (target, bytes.as_slice()));
        sent += send(&from, rest).unwrap();
    }
    let mut received = Received::new();
    let mut all = Vec::new();
    while receive(&to, &mut received, 50).is_ok() {
        assert!(received.len() <= 50);
        for (_, source, bytes) in received.datagrams() {
            assert_eq!(source, from.local_addr().unwrap());
            all.push(bytes.to_vec());
        }
    }
    assert_eq!(all, payloads);
    let error = receive(&to, &mut received, BATCH).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    assert_eq!(received.len(), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn a_message_of_several_datagrams_arrives_as_such() {
    let (from, to) = (socket(), socket());
    let target = to.local_addr().unwrap();
    assert!(segments(&from));
    let messages = [vec![[1; 100].as_slice(), &[2; 100], &[3; 40]], vec![&[4; 7]]];
    let given = messages.iter().map(|parts| (target, parts.iter().copied()));
    assert_eq!(send_batch(&from, given).unwrap(), 2);
    let mut received = Received::new();
    receive(&to, &mut received, BATCH).unwrap();
    let all: Vec<_> = received.datagrams().map(|(_, _, bytes)| bytes.to_vec()).collect();
    assert_eq!(all, messages.concat());
}

#[cfg(target_os = "linux")]
#[test]
fn messages_that_do_not_fit_wait_for_the_next_call() {
    let (from, to) = (socket(), socket());
    let target = to.local_addr().unwrap();
    let (count, datagrams) = (VECTORS / 16 + 1, [[5; 10].as_slice(); 16]);
    let given = (0..count).map(|_| (target, datagrams.iter().copied()));
    assert_eq!(send_batch(&from, given).unwrap(), count - 1);
}

#[cfg(target_os = "linux")]
#[test]
fn datagrams_go_to_addresses_of_both_families() {
    for local in ["127.0.0.1:0", "[::1]:0"] {
        let Ok(from) = UdpSocket::bind(local.parse().unwrap()) else { continue };
        let to = UdpSocket::bind(local.parse().unwrap()).unwrap();
        let address = to.local_addr().unwrap();
        assert_eq!(send(&from, [(address, &b"here"[..])].into_iter()).unwrap(), 1, "{local}");
        let mut received = Received::new();
        receive(&to, &mut received, BATCH).unwrap();
        assert_eq!(received.datagrams().next().unwrap().2, b"here");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn datagrams_that_the_buffer_had_no_room_for_are_told() {
    let (from, to) = (socket(), socket());
    note_overflows(&to).unwrap();
    set_option(&to, libc::SOL_SOCKET, libc::SO_RCVBUF, 2_048).unwrap();
    let target = to.local_addr().unwrap();
    let mut received = Received::new();
    let (mut sent, mut taken, mut overflows) = (0, 0, 0);
    for _ in 0..2 {
        for _ in 0..100 {
            from.send_to(&[7; 500], target).unwrap();
            sent += 1;
        }
        // One more behind those that found no room, because the kernel tells with the next.
        while let Ok(told) = receive(&to, &mut received, BATCH) {
            taken += received.len();
            overflows += told as usize;
        }
        from.send_to(b"next", target).unwrap();
        sent += 1;
        overflows += receive(&to, &mut received, BATCH).unwrap() as usize;
        taken += received.len();
    }
    assert!(overflows > 100, "{overflows}");
    assert_eq!(taken + overflows, sent);
}

#[cfg(target_os = "linux")]
#[test]
fn time_in_the_sockets_buffer_counts_for_a_datagrams_age() {
    let (from, to) = (socket(), socket());
    note_arrivals(&to).unwrap();
    allow_fragments(&to).unwrap();
    let waited = Duration::from_millis(20);
    let mut received = Received::new();
    // The kernel begins to note arrivals some time after it was asked to.
    let found = (0..500).any(|_| {
        from.send_to(b"waits", to.local_addr().unwrap()).unwrap();
        std::thread::sleep(waited);
        receive(&to, &mut received, BATCH).unwrap();
        let (age, _, bytes) = received.datagrams().next().unwrap();
        assert_eq!(bytes, b"waits");
        assert!(age < Duration::from_secs(600), "{age:?}");
        age >= waited
    });
    assert!(found, "ages do not count from the arrival");
}

#[test]
fn a_process_may_open_some_files() {
    assert!(descriptors_max() > 3);
}
