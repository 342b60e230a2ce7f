//! Where the connection details come from when there is a chat server: JSON lines over TCP, made anew
//! whenever the connection breaks.

use serde_json::{json, Value};
use songbird::{
    id::{ChannelId, GuildId, UserId},
    ConnectionInfo,
};
use std::{num::NonZeroU64, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    sync::mpsc,
};

const AGAIN: Duration = Duration::from_millis(200);

/// What the chat server says.
pub enum News {
    /// Connect with these details.
    Connect(ConnectionInfo),
    /// This user is in no channel any more.
    Left,
}

/// A user's session with the chat server.
pub struct Gateway {
    pub news: mpsc::UnboundedReceiver<News>,
    asks: mpsc::UnboundedSender<()>,
}

/// Who and where, as op 4 names it.
#[derive(Clone, Copy)]
pub struct Seat {
    pub guild: NonZeroU64,
    pub channel: NonZeroU64,
    pub user: NonZeroU64,
}

impl Gateway {
    pub fn open(port: u16, seat: Seat) -> Self {
        let (tell, news) = mpsc::unbounded_channel();
        let (asks, mut asked) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut state = State { seat, session_id: None };
            loop {
                // An error is a connection that broke: another one follows.
                let _ = talk(port, &mut state, &tell, &mut asked).await;
                tokio::time::sleep(AGAIN).await;
            }
        });
        Self { news, asks }
    }

    /// Asks to join the channel that the user is in.
    pub fn join(&self) {
        let _ = self.asks.send(());
    }

    /// What asks the same from elsewhere.
    pub fn asker(&self) -> mpsc::UnboundedSender<()> {
        self.asks.clone()
    }
}

/// What was said last.
struct State {
    seat: Seat,
    session_id: Option<String>,
}

async fn talk(
    port: u16,
    state: &mut State,
    tell: &mpsc::UnboundedSender<News>,
    asked: &mut mpsc::UnboundedReceiver<()>,
) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let (read, mut write) = stream.split();
    let mut lines = BufReader::new(read).lines();
    let hello = json!({"op": 2, "d": {"user_id": state.seat.user.to_string()}});
    write.write_all(format!("{hello}\n").as_bytes()).await?;
    loop {
        tokio::select! {
            line = lines.next_line() => match line? {
                Some(line) => {
                    if let Some(news) = state.hear(&line) {
                        let _ = tell.send(news);
                    }
                }
                None => return Ok(()),
            },
            _ = asked.recv() => {
                let (guild, channel) = (state.seat.guild.to_string(), state.seat.channel.to_string());
                let join = json!({"op": 4, "d": {"guild_id": guild, "channel_id": channel}});
                write.write_all(format!("{join}\n").as_bytes()).await?;
            }
        }
    }
}

impl State {
    /// The state names session and channel, the server event behind it the rest.
    fn hear(&mut self, line: &str) -> Option<News> {
        let message: Value = serde_json::from_str(line).ok()?;
        let (t, d) = (message["t"].as_str()?, &message["d"]);
        match t {
            "VOICE_STATE_UPDATE" => {
                let Some(channel) = d["channel_id"].as_str() else { return Some(News::Left) };
                self.seat.channel = channel.parse().ok()?;
                self.session_id = d["session_id"].as_str().map(str::to_owned);
                None
            }
            "VOICE_SERVER_UPDATE" => Some(News::Connect(ConnectionInfo {
                endpoint: d["endpoint"].as_str()?.to_owned(),
                token: d["token"].as_str()?.to_owned(),
                session_id: self.session_id.clone()?,
                guild_id: GuildId(self.seat.guild),
                channel_id: ChannelId(self.seat.channel),
                user_id: UserId(self.seat.user),
            })),
            _ => None,
        }
    }
}
