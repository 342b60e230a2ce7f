// Where the connection details come from: the command line, or a chat server's cut-down gateway.
import { connect } from "node:net";
import { readLines, toLine } from "../lines.mjs";

const AGAIN_MS = 200;

/** The details of the command line, handed out at the first join and at `rejoins` more. */
export function fixedGateway(o, rejoins) {
  let left = rejoins + 1;
  const state = {
    guild_id: o["guild-id"], channel_id: o["channel-id"], user_id: o["user-id"], session_id: o["session-id"],
    self_deaf: false, self_mute: false, self_video: false, deaf: false, mute: false, suppress: false,
    request_to_speak_timestamp: null,
  };
  return (methods) => ({
    /** Whether the details are handed out. */
    send(payload) {
      if (payload.d.channel_id === null) return true;
      if (left-- <= 0) return false;
      setImmediate(() => {
        methods.onVoiceStateUpdate(state);
        methods.onVoiceServerUpdate({ token: o.token, guild_id: o["guild-id"], endpoint: o.endpoint });
      });
      return true;
    },
  });
}

/** A chat server at this port; the connection is made anew whenever it breaks. */
export function lineGateway(port, user, left) {
  return (methods) => {
    let socket = null;
    let unsent = "";
    const open = () => {
      const mine = connect(port, "127.0.0.1");
      mine.on("error", () => {});
      mine.on("connect", () => {
        socket = mine;
        socket.write(toLine({ op: 2, d: { user_id: user } }) + unsent);
        unsent = "";
      });
      mine.on("close", () => {
        socket = null;
        setTimeout(open, AGAIN_MS);
      });
      readLines(mine, ({ t, d }) => {
        if (t === "VOICE_STATE_UPDATE") methods.onVoiceStateUpdate(d);
        if (t === "VOICE_SERVER_UPDATE") methods.onVoiceServerUpdate(d);
        if (t === "VOICE_STATE_UPDATE" && d.channel_id === null) left();
      });
    };
    open();
    return {
      send(payload) {
        const line = toLine(payload);
        if (socket) socket.write(line);
        else unsent += line;
        return true;
      },
    };
  };
}
