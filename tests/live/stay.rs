//! A server with members in calls that stays until it is told otherwise, for whoever looks at it from
//! outside: the dashboard's test, and people.
//!
//! It reads an order a line from standard input, and says so when each is carried out. The end of
//! the input is the end of all.
//!
//! | order | what happens |
//! |---|---|
//! | `crash` | the chat server's process is killed and stays away |
//! | `return` | the chat server comes back; said when orders can be given again |
//! | `vanish` | the second member's machine loses its network for good |
//! | `stop` | SIGTERM; said when the server has drained and ended |
//! | `start` | the server starts again; said when everybody else is back in voice |

use std::io;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::server::ServerProcess;
use crate::site::Site;
use crate::world::World;
use crate::{Common, say};

/// Who vanishes: neither the muted nor the deafened one.
const VANISHING: usize = 1;
/// What the server is given to do what it was told.
const PATIENCE: Duration = Duration::from_secs(60);
/// As long as nobody says anything. The server is started again by an order alone.
const LONG: Duration = Duration::from_secs(24 * 60 * 60);

/// How the server is started; its other settings come from the environment.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Options {
    /// Seconds that calls go on after SIGTERM.
    #[arg(long, default_value_t = 2)]
    drain_seconds: u64,
}

/// Stays until the end of the input.
pub(crate) fn run(common: &Common, options: &Options) -> Result<bool> {
    let clients = common.clients.unwrap_or(12) as usize;
    let site = Site::new(&common.server, &common.site)?;
    let server = ServerProcess::new(&site, options.drain_seconds)?;
    let mut world = World::new(&site, server, clients, None)?;
    world.assemble(clients)?;
    say(&format!("{clients} members are in voice"))?;
    let orders = read_orders();
    let mut present = clients;
    while let Some(order) = next_order(&mut world, &orders)? {
        match order.as_str() {
            "crash" => world.chat.crash(LONG),
            "return" => {
                world.chat.crash(Duration::ZERO);
                if !world.run_until(PATIENCE, |world| world.chat.is_ready())? {
                    bail!("the chat server does not come back");
                }
            }
            "vanish" => {
                world.members[VANISHING].vanish();
                present = clients - 1;
            }
            "stop" => {
                world.supervise(Some(LONG));
                world.server.signal("TERM")?;
                if !world.run_until(PATIENCE, |world| world.ended.is_some())? {
                    bail!("the server does not end after SIGTERM");
                }
            }
            "start" => {
                world.start_server()?;
                if !world.run_until(PATIENCE, |world| world.count_live() >= present)? {
                    bail!("only {} of {present} came back", world.count_live());
                }
            }
            other => bail!("`{other}` is none of crash, return, vanish, stop and start"),
        }
        say(&format!("done: {order}"))?;
    }
    Ok(true)
}

/// Goes on until there is an order; `None` at the end of the input.
fn next_order(world: &mut World, orders: &Receiver<String>) -> Result<Option<String>> {
    let mut next = Err(TryRecvError::Empty);
    world.run_until(LONG, |_| {
        next = orders.try_recv();
        !matches!(next, Err(TryRecvError::Empty))
    })?;
    Ok(next.ok())
}

/// The world's loop must not wait for a line, so another thread does.
fn read_orders() -> Receiver<String> {
    let (sender, orders) = mpsc::channel();
    thread::spawn(move || {
        for line in io::stdin().lines().map_while(Result::ok) {
            if sender.send(line.trim().to_owned()).is_err() {
                return;
            }
        }
    });
    orders
}
