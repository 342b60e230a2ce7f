//! Clients of other servers, for the same load as the project's own.

pub(crate) mod forwarder;
pub(crate) mod mumble;

use std::time::Duration;

use anyhow::Result;
use lvsp_mio::clock;
use lvsp_mio::load::Swarm;

/// Lets so much time pass for a swarm; what is heard meanwhile does not count.
fn pass(swarm: &mut impl Swarm, time: Duration) -> Result<()> {
    let until = clock::now() + time;
    while clock::now() < until {
        swarm.turn(until, &mut |_, _, _| ())?;
    }
    Ok(())
}
