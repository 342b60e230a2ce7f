//! What is counted and listed, and how well the server says it is.

use std::net::TcpStream;
use std::time::Duration;

use lvsp_core::client::VoiceEvent;
use lvsp_mio::Runtime;

use crate::common::{CHANNEL, Voice, options, wait_for};
use crate::site::{Site, figures, get, plane};

/// One talks until the other has heard ten frames.
fn hear_ten_frames(one: &mut Voice<TcpStream>, other: &mut Voice<TcpStream>) {
    let mut heard = 0;
    wait_for("ten frames", || {
        one.role.send_frame(b"a frame");
        one.carry();
        other.carry();
        while let Some(event) = other.role.poll_event() {
            heard += u32::from(matches!(event, VoiceEvent::Frame(_)));
        }
        (heard >= 10).then_some(())
    });
}

#[test]
fn figures_grow_while_two_clients_talk() {
    let mut site = Site::new();
    let (mut one, mut other) = (site.joined(10), site.joined(11));
    let before = figures(site.admin);
    hear_ten_frames(&mut one, &mut other);
    let after = figures(site.admin);
    let grown = |name: &str| after[name] - before[name];
    assert!(grown("lvsp_packets_total{relay=\"0\",direction=\"in\"}") >= 10.0);
    assert!(grown("lvsp_packets_total{relay=\"0\",direction=\"out\"}") >= 10.0);
    assert!(grown("lvsp_media_bytes_total{relay=\"0\",direction=\"in\"}") >= 200.0);
    assert!(grown("lvsp_media_turn_seconds_count{relay=\"0\"}") > 0.0);
    assert!(grown("process_cpu_seconds_total") > 0.0);
    for (name, value) in [
        ("lvsp_sessions", 2.0),
        ("lvsp_voice_states", 2.0),
        ("lvsp_channels", 1.0),
        ("lvsp_legs{relay=\"0\"}", 2.0),
        ("lvsp_connections{plane=\"control\"}", 1.0),
        ("lvsp_connections{plane=\"gateway\"}", 2.0),
        ("lvsp_control_connected{chat_server=\"test\"}", 1.0),
        ("lvsp_ready", 1.0),
        ("lvsp_draining", 0.0),
        ("lvsp_decrypt_failures_total{relay=\"0\"}", 0.0),
    ] {
        assert_eq!(after[name], value, "{name}");
    }
}

#[test]
fn status_channels_and_members_tell_of_a_talk() {
    let mut site = Site::new();
    let (mut one, mut other) = (site.joined(10), site.joined(11));
    hear_ten_frames(&mut one, &mut other);
    let status = site.json("/v1/status");
    assert_eq!(status["ready"], true);
    assert_eq!(status["control_links"][0]["name"], "test");
    assert_eq!(status["control_links"][0]["connected"], true);
    assert_eq!(status["control_links"][0]["revision"], "draft");
    assert_eq!(status["relays"][0]["legs"], 2);
    assert!(status["relays"][0]["packets_out"].as_u64() >= Some(10));
    assert_eq!(status["census"]["sessions"], 2);

    let channels = site.json("/v1/channels");
    assert_eq!(channels["channels"].as_array().unwrap().len(), 1);
    let channel = &channels["channels"][0];
    assert_eq!(channel["id"], CHANNEL.to_string());
    assert_eq!(channel["members"], 2);
    assert_eq!(channel["relays"], serde_json::json!([0]));

    let speaker = wait_for("a speaker", || {
        one.role.send_frame(b"a frame");
        one.carry();
        Some(site.member(10)).filter(|member| member["speaking"] == true)
    });
    assert_eq!((&speaker["state"], &speaker["relay"]), (&"live".into(), &0.into()));
    assert_eq!(speaker["mode"], "aead_aes256_gcm_rtpsize");
    assert_eq!(speaker["gateway_version"], 8);
    assert!(speaker["packets_in"].as_u64() >= Some(10));
    assert!(speaker["address"].as_str().unwrap().starts_with("127.0.0.1:"));
    let listener = site.member(11);
    assert_eq!(listener["speaking"], false);
    assert!(listener["packets_out"].as_u64() >= Some(10));
    let of_channel = |id: u64| site.json(&format!("/v1/members?channel={id}"));
    assert_eq!(of_channel(CHANNEL)["members"].as_array().unwrap().len(), 2);
    assert_eq!(of_channel(CHANNEL + 1)["members"].as_array().unwrap().len(), 0);
}

#[test]
fn more_members_than_fit_into_a_page_are_all_told() {
    let mut site = Site::new();
    for user in 1..=300 {
        site.chat.place(user, None);
    }
    let members = site.json("/v1/members");
    let mut users: Vec<u64> = members["members"]
        .as_array()
        .unwrap()
        .iter()
        .map(|member| member["user_id"].as_str().unwrap().parse().unwrap())
        .collect();
    users.sort_unstable();
    assert_eq!(users, (1..=300).collect::<Vec<_>>());
    assert_eq!(site.json("/v1/channels")["channels"][0]["members"], 300);
}

#[test]
fn a_drain_is_not_ready_and_alive() {
    let mut options = options(None);
    options.drain = Duration::from_secs(3_600);
    let site = Site::with(options);
    assert_eq!(get(site.admin, "/readyz").status, 200);
    assert_eq!(get(site.admin, "/livez").status, 200);
    site.stop.drain();
    let answer = wait_for("the drain", || {
        Some(get(site.admin, "/readyz")).filter(|answer| answer.status == 503)
    });
    assert!(answer.body.contains("draining"), "{}", answer.body);
    assert_eq!(get(site.admin, "/livez").status, 200);
    assert_eq!(site.json("/v1/status")["draining"], true);
    assert_eq!(figures(site.admin)["lvsp_ready"], 0.0);
}

#[test]
fn a_thread_that_stands_still_is_named() {
    // Its threads have not begun to turn.
    let runtime = Runtime::bind(options(None)).unwrap();
    let (admin, _plane) = plane(&runtime);
    let answer = get(admin, "/livez");
    assert_eq!(answer.status, 503);
    assert!(answer.body.contains("the control thread did not answer"), "{}", answer.body);
    assert_eq!(get(admin, "/readyz").status, 503);
    assert_eq!(get(admin, "/v1/members").status, 503);
}
