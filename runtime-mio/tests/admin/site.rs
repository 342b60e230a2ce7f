//! A server in this process with its admin plane, and a client of that.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use lvsp_mio::admin::{Admin, AdminThread};
use lvsp_mio::config::AdminSection;
use lvsp_mio::{Options, Runtime, StopHandle, TurnStats};
use serde_json::Value;

use crate::common::{Chat, SECRET, Voice, dial, options, wait_for};

/// A server in this process with its admin plane.
pub(crate) struct Site {
    pub(crate) admin: SocketAddr,
    pub(crate) gateway: SocketAddr,
    pub(crate) chat: Chat,
    pub(crate) stop: StopHandle,
    served: Option<JoinHandle<std::io::Result<TurnStats>>>,
    _plane: AdminThread,
}

pub(crate) fn plane(runtime: &Runtime) -> (SocketAddr, AdminThread) {
    let listen = Some("127.0.0.1:0".parse().unwrap());
    let section = AdminSection { listen, ..AdminSection::default() };
    let admin = Admin::bind(&section).unwrap().unwrap();
    (admin.address(), admin.serve(runtime.observer(), None).unwrap())
}

impl Site {
    pub(crate) fn new() -> Self {
        Self::with(options(None))
    }

    pub(crate) fn with(options: Options) -> Self {
        let runtime = Runtime::bind(options).unwrap();
        let (control, gateway) = (runtime.control_address(), runtime.gateway_address());
        let (stop, (admin, plane)) = (runtime.stop_handle(), plane(&runtime));
        let served = thread::spawn(|| runtime.run());
        let chat = Chat::connect(control, SECRET, None);
        Self { admin, gateway, chat, stop, served: Some(served), _plane: plane }
    }

    /// A voice client that has not begun to join.
    pub(crate) fn client(&mut self, user: u64) -> Voice<TcpStream> {
        let ticket = self.chat.place(user, None);
        Voice::new(dial(self.gateway), ticket)
    }

    pub(crate) fn joined(&mut self, user: u64) -> Voice<TcpStream> {
        let mut client = self.client(user);
        client.join();
        client
    }

    pub(crate) fn json(&self, path: &str) -> Value {
        let answer = get(self.admin, path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        serde_json::from_str(&answer.body).expect(&answer.body)
    }

    /// The member of a user.
    pub(crate) fn member(&self, user: u64) -> Value {
        let members = self.json("/v1/members");
        let mut members = members["members"].as_array().unwrap().clone();
        let user = user.to_string();
        members.retain(|member| member["user_id"] == user.as_str());
        assert_eq!(members.len(), 1, "{members:?}");
        members.remove(0)
    }

    pub(crate) fn id(&self, user: u64) -> String {
        self.member(user)["id"].as_str().unwrap().to_owned()
    }

    pub(crate) fn explain(&self, speaker: u64, listener: u64) -> Value {
        let (speaker, listener) = (self.id(speaker), self.id(listener));
        self.json(&format!("/v1/explain?speaker={speaker}&listener={listener}"))
    }

    /// Talks until the explanation's first bad step is this one and says this.
    pub(crate) fn expect(
        &self,
        clients: &mut [&mut Voice<TcpStream>],
        (speaker, listener): (u64, u64),
        (step, said): (&str, &str),
    ) {
        let mut last = Value::Null;
        let mut found = |last: &mut Value| {
            for client in &mut *clients {
                client.role.send_frame(b"a frame");
                client.carry();
            }
            *last = self.explain(speaker, listener);
            let steps = last["steps"].as_array().unwrap();
            let bad = steps.iter().find(|step| step["ok"] == false)?;
            let is_it = bad["name"] == step && bad["detail"].as_str().unwrap().contains(said);
            is_it.then_some(())
        };
        wait_for(step, || found(&mut last));
        assert_eq!(last["audible"], false);
        assert!(last["summary"].as_str().unwrap().contains(said), "{last}");
    }

    /// Talks until everything is as it must be.
    pub(crate) fn expect_audible(
        &self,
        talker: &mut Voice<TcpStream>,
        (speaker, listener): (u64, u64),
    ) {
        wait_for("an audible speaker", || {
            talker.role.send_frame(b"a frame");
            talker.carry();
            let explanation = self.explain(speaker, listener);
            let steps = explanation["steps"].as_array().unwrap();
            let is_good = steps.iter().all(|step| step["ok"] != false);
            (explanation["audible"] == true && is_good).then_some(())
        });
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.stop.stop();
        let ended = self.served.take().unwrap().join();
        if !thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) fn get(address: SocketAddr, path: &str) -> Answer {
    ask(address, &format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n"))
}

/// One request of HTTP/1.0, whose answer ends with the connection.
pub(crate) fn ask(address: SocketAddr, request: &str) -> Answer {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    answer(&mut stream)
}

fn answer(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("an answer");
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let bytes = bytes.split_off(end + 4);
    let status = head.split(' ').nth(1).expect("a status").parse().unwrap();
    let body = String::from_utf8_lossy(&bytes).into_owned();
    Answer { status, head, body, bytes }
}

/// The samples of `/metrics`, by name and labels.
pub(crate) fn figures(address: SocketAddr) -> BTreeMap<String, f64> {
    let answer = get(address, "/metrics");
    assert!(answer.head.contains("text/plain; version=0.0.4"), "{}", answer.head);
    let samples = answer.body.lines().filter(|line| !line.starts_with('#'));
    let samples = samples.map(|line| {
        let (name, value) = line.rsplit_once(' ').expect(line);
        (name.to_owned(), value.parse().expect(line))
    });
    samples.collect()
}
