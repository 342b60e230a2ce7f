// The voice states of one guild: what clients ask for, what the voice server answers, and the two
// events that tell a client where to connect. Kept in a file, as a chat server keeps them in its
// database, so that a restart can state them again.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { INFO } from "./lvsp.mjs";

export class Guild {
  #id;
  #file;
  #lvsp;
  #dispatch;
  #states = new Map();
  #asked = new Set(); // users whose client waits for its answer
  #unsettled = new Set(); // users of whom something was ordered and not answered yet

  /** `dispatch(user, t, d)` reaches a client's own gateway session. */
  constructor({ id, file, lvsp, dispatch }) {
    this.#id = id;
    this.#file = file;
    this.#lvsp = lvsp;
    this.#dispatch = dispatch;
    if (existsSync(file)) this.#states = new Map(JSON.parse(readFileSync(file)));
    lvsp.on("info", (type, data) => this.#hear(type, data));
    lvsp.on("ready", (resumed) => this.#restate(resumed ? [] : this.#states.keys()));
  }

  /** Op 4 of a client, or the like by a moderator. */
  ask(user, channel) {
    if (channel === null) return this.leave(user);
    const known = this.#states.get(user);
    const state = { user_id: user, guild_id: this.#id, channel_id: channel, ...this.#flags(known) };
    // In the same channel the secrets stay; in another one the voice server draws new ones.
    if (known?.channel_id === channel) Object.assign(state, { session_id: known.session_id, token: known.token });
    this.#keep(state);
    this.#asked.add(user);
    this.#unsettled.add(user);
    this.#create(state);
  }

  leave(user) {
    if (!this.#states.delete(user)) return;
    this.#save();
    this.#unsettled.add(user);
    this.#leave(user);
    this.#dispatch(user, "VOICE_STATE_UPDATE", { guild_id: this.#id, user_id: user, channel_id: null });
  }

  setFlags(user, flags) {
    const state = this.#states.get(user);
    if (!state) return;
    this.#keep({ ...state, ...flags });
    this.#unsettled.add(user);
    this.#lvsp.info(INFO.VST_UPDATE, { user_id: user, guild_id: this.#id, ...flags });
  }

  #flags(state) {
    const { mute = false, deaf = false } = state ?? {};
    return { mute, deaf };
  }

  /** As Litecord's code does on every join: the channel and the voice state in one breath. */
  #create(state) {
    this.#lvsp.info(INFO.CHANNEL_REQ, { channel_id: state.channel_id, guild_id: this.#id });
    this.#lvsp.info(INFO.VST_CREATE, state);
  }

  #leave(user) {
    this.#lvsp.info(INFO.VST_LEAVE, { user_id: user, guild_id: this.#id });
  }

  /**
   * The control link is back: `users` again, session ids and tokens included, and whatever was
   * ordered and not answered, because it may have been lost on the way. Saying it twice does no harm.
   */
  #restate(users) {
    for (const user of new Set([...users, ...this.#unsettled])) {
      const state = this.#states.get(user);
      if (state) this.#create(state);
      else this.#leave(user);
    }
  }

  #hear(type, data) {
    const known = this.#states.get(data?.user_id);
    const leaves = type === INFO.VST_LEAVE;
    if (leaves && !known) this.#unsettled.delete(data?.user_id);
    if (type === INFO.VST_UPDATE && known) this.#answered(known, data);
    if (leaves && known?.session_id === data.session_id && data.reason !== "removed") {
      this.#states.delete(data.user_id);
      this.#save();
      this.#dispatch(data.user_id, "VOICE_STATE_UPDATE", { ...data, guild_id: this.#id, channel_id: null });
    }
  }

  #answered(known, { channel_id, session_id, token, endpoint, mute, deaf, suppress }) {
    if (channel_id !== known.channel_id) return; // of a move that was overtaken
    if (mute === known.mute && deaf === known.deaf) this.#unsettled.delete(known.user_id);
    const state = { ...known, session_id };
    if (token) Object.assign(state, { token });
    this.#keep(state);
    const common = { guild_id: this.#id, channel_id, user_id: known.user_id, session_id };
    const news = session_id !== known.session_id || (token && token !== known.token);
    const own = { self_mute: false, self_deaf: false, self_video: false, request_to_speak_timestamp: null };
    this.#dispatch(known.user_id, "VOICE_STATE_UPDATE", { ...common, mute, deaf, suppress, ...own });
    // Only to who asked, or has to come anew: a client that is told where it is connects again.
    if (token && (this.#asked.delete(known.user_id) || news)) {
      this.#dispatch(known.user_id, "VOICE_SERVER_UPDATE", { guild_id: this.#id, token, endpoint });
    }
  }

  #keep(state) {
    this.#states.set(state.user_id, state);
    this.#save();
  }

  #save() {
    writeFileSync(this.#file, JSON.stringify([...this.#states]));
  }
}
