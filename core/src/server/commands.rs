//! Which [`Command`] changes what, whoever gave it: LVSP or a host in process.
//!
//! Not here: what becomes of channels (`channels`), of voice states (`placement`), and of what is
//! stated again after an IDENTIFY (`restatement`).

use super::Server;
use super::channels::Stated;
use super::placement::Placement;
use crate::command::{Command, Target};
use crate::ids::ControlId;
use crate::reasons::Refused;
use crate::time::Timestamp;
use crate::wire::lvsp::VoiceInfo;
use crate::wire::secret::Secret;

/// An empty secret is none: whoever leaves it out in some languages writes it so, and it would let
/// everybody in.
fn given(secret: Option<Secret>) -> Option<Secret> {
    secret.filter(|secret| !secret.is_empty())
}

impl Server {
    /// Carries out a command on the channels of one chat server.
    ///
    /// Applications that drive channels in process call this; LVSP messages end here as well.
    /// What changed is told to that chat server and leaves as [`Event`](crate::output::Event)s.
    ///
    /// # Errors
    /// Why the command was refused; nothing changed then.
    pub fn handle_command(
        &mut self,
        now: Timestamp,
        client: ControlId,
        command: Command,
    ) -> Result<(), Refused> {
        let now = self.advance(now);
        if usize::from(client.0) >= self.controls.len() {
            return Err(Refused::Unknown("control client"));
        }
        match command {
            Command::SetChannel { channel, guild, bitrate, token } => {
                let stated = Stated { channel, guild, bitrate, token: given(token) };
                self.set_channel(now, client, stated).map(|_| ())
            }
            Command::DestroyChannel { channel } => {
                self.destroy_channel(now, client, channel);
                Ok(())
            }
            Command::Place { user, channel, guild, session_id, token, flags } => {
                let (session_id, token) = (given(session_id), given(token));
                let placement = Placement { user, channel, guild, session_id, token, flags };
                self.place(now, client, placement)
            }
            Command::SetFlags { target, flags } => self.set_flags(now, client, &target, flags),
            Command::Remove { target } => {
                self.remove(now, client, &target);
                Ok(())
            }
        }
    }

    /// The voice state that a chat server means, if it means exactly one: as it is in force, with
    /// the token and endpoint that its voice client needs.
    ///
    /// A chat server is told over LVSP; this is for applications that give commands in process.
    #[must_use]
    pub fn voice_state(&self, client: ControlId, target: &Target) -> Option<VoiceInfo> {
        let id = self.find_one(client, target)?;
        self.voice_info(id, true)
    }
}
