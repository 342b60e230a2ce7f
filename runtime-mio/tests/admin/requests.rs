//! Who is answered, and what is said to the others.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use crate::common::process::{Process, lvsp};
use crate::common::{SECRET, wait_for};
use crate::site::{Site, ask, get};

#[test]
fn what_makes_no_sense_is_refused_in_words() {
    let mut site = Site::new();
    site.chat.place(10, None);
    let id = site.id(10);
    for (path, status, said) in [
        ("/nothing", 404, "nothing at this path"),
        ("/v1/members?channel=x", 400, "a channel's id is a number"),
        ("/v1/members?channel=1&channel=2", 400, "duplicate field"),
        ("/v1/members/%FF/capture", 400, "not understood"),
        ("/v1/members?channel=0", 400, "a channel's id is a number"),
        ("/v1/explain", 400, "speaker"),
        (&format!("/v1/explain?speaker={id}"), 400, "listener"),
        (&format!("/v1/explain?speaker={id}&listener=99-0"), 404, "no member \"99-0\""),
        ("/v1/explain?speaker=me&listener=you", 404, "no member \"me\""),
        ("/v1/explain?speaker=99&listener=98", 404, "no member \"99\""),
        ("/v1/members/99-0/capture", 404, "no member \"99-0\""),
        (&format!("/v1/members/{id}/capture"), 409, "has not identified"),
        (&format!("/v1/members/{id}/capture?seconds=61"), 400, "0 to 60"),
        (&format!("/v1/members/{id}/capture?seconds=no"), 400, "0 to 60"),
    ] {
        let answer = get(site.admin, path);
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        let body: Value = serde_json::from_str(&answer.body).expect(path);
        assert!(body["error"].as_str().unwrap().contains(said), "{path}: {body}");
    }
    for (request, status, said) in [
        ("GET / HTTP/1.0\r\nHost: rebound.example\r\n\r\n", 421, "rebound.example"),
        ("GET / HTTP/1.0\r\n\r\n", 421, "Host"),
        ("POST / HTTP/1.0\r\nHost: localhost\r\n\r\n", 405, "only GET"),
        ("GET / HTTP/1.0\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx", 413, "body"),
    ] {
        let answer = ask(site.admin, request);
        assert_eq!(answer.status, status, "{request}");
        assert!(answer.body.contains(said), "{}", answer.body);
        assert!(answer.head.contains("content-security-policy: default-src 'self'"));
    }
    let long = format!("GET /{} HTTP/1.0\r\nHost: localhost\r\n\r\n", "x".repeat(20_000));
    let answer = ask(site.admin, &long);
    assert!(matches!(answer.status, 414 | 431), "{}", answer.head);
    let page = get(site.admin, "/");
    assert_eq!(page.status, 200);
    for header in ["text/html", "nosniff", "no-store", "default-src 'self'"] {
        assert!(page.head.contains(header), "{header} in {}", page.head);
    }
}

#[test]
fn one_connection_too_many_is_told_so_and_makes_way_for_none() {
    let site = Site::new();
    let held: Vec<_> = (0..16).map(|_| TcpStream::connect(site.admin).unwrap()).collect();
    let answer = wait_for("a refusal", || {
        let mut stream = TcpStream::connect(site.admin).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).ok()?;
        Some(String::from_utf8_lossy(&first).into_owned())
    });
    assert_eq!(answer, "HTTP/1.1 503");
    drop(held);
    wait_for("room", || {
        let mut stream = TcpStream::connect(site.admin).ok()?;
        stream.write_all(b"GET /livez HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
        let mut text = Vec::new();
        stream.read_to_end(&mut text).ok()?;
        text.starts_with(b"HTTP/1.0 200").then_some(())
    });
}

#[test]
fn a_first_start_has_an_admin_plane_and_says_where() {
    let server = Process::start(&[("LVSP_ADMIN__LISTEN", "127.0.0.1:0")]);
    let (_, admin) = server.said.rsplit_once(", admin ").expect(&server.said);
    let admin = admin.trim().parse().expect("an address");
    assert!(server.said.contains(&format!("dashboard:   http://{admin}/")), "{}", server.said);
    assert_eq!(get(admin, "/livez").body, "ok\n");
    let without = Process::start(&[("LVSP_CONTROL__SECRET", SECRET), ("LVSP_TLS__OFF", "true")]);
    assert!(!without.said.contains("admin"), "{}", without.said);
}

#[test]
fn an_address_that_strangers_reach_is_refused_unless_that_is_said() {
    let check = |variables: &[(&str, &str)]| {
        let mut command = lvsp(&["check-config"]);
        command.env("LVSP_CONTROL__SECRET", SECRET).env("LVSP_TLS__OFF", "true");
        let output = command.envs(variables.iter().copied()).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let open = ("LVSP_ADMIN__LISTEN", "0.0.0.0:9900");
    let (status, said) = check(&[open]);
    assert_eq!(status, Some(3));
    assert!(said.contains("admin.listen = 0.0.0.0:9900"), "{said}");
    assert!(said.contains("admin.allow_remote = true"), "{said}");
    assert_eq!(check(&[open, ("LVSP_ADMIN__ALLOW_REMOTE", "true")]).0, Some(0));
    assert_eq!(check(&[("LVSP_ADMIN__LISTEN", "[::1]:9900")]).0, Some(0));
}
