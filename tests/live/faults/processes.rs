//! What happens to the processes: they are killed or stopped, and given another certificate.

use std::time::Duration;

use anyhow::{Result, bail};

use super::{GOAL, LIMIT, Scene};
use crate::member::Member;
use crate::world::World;

pub(super) fn kill_server(scene: &mut Scene<'_>) -> Result<String> {
    scene.world.kill_server()?;
    scene.mark();
    Ok(String::new())
}

pub(super) fn kill_chat_server(scene: &mut Scene<'_>) -> Result<String> {
    let away = scene.time();
    let lost = scene.world.record(None).lost;
    scene.world.chat.crash(away);
    let meanwhile = scene.endure_audibly(away)?;
    if !scene.world.run_until(LIMIT, |world| world.chat.is_ready())? {
        bail!("the chat server did not get back in");
    }
    scene.mark();
    let lost = scene.expect_none_lost(lost);
    Ok(format!("{meanwhile}, {lost} connections lost"))
}

pub(super) fn stop(scene: &mut Scene<'_>) -> Result<String> {
    scene.world.server.signal("STOP")?;
    scene.world.run_for(Duration::from_secs(scene.options.stop_seconds))?;
    scene.world.server.signal("CONT")?;
    scene.mark();
    Ok(String::new())
}

pub(super) fn swap_certificate(scene: &mut Scene<'_>) -> Result<String> {
    let lost = scene.world.record(None).lost;
    let trust = scene.world.server.write_certificate()?;
    scene.world.server.signal("HUP")?;
    let reloaded = |world: &mut World| world.server.log_tail(20).contains("certificate reloaded");
    if !scene.world.run_until(GOAL, reloaded)? {
        bail!("the certificate was not reloaded:\n{}", scene.world.server.log_tail(20));
    }
    scene.world.trust_only(trust);
    let (early, clients) = (scene.early, scene.clients);
    scene.world.members[early..].iter_mut().for_each(Member::want);
    scene.mark();
    let all = |world: &mut World| world.count_live() == clients;
    scene.world.run_until(LIMIT, all)?;
    let lost = scene.expect_none_lost(lost);
    Ok(format!(
        "{lost} connections lost; {} newcomers who trust the new certificate alone",
        clients - early
    ))
}
