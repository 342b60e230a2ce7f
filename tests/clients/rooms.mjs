// The HTTP API of the example of runtime-tokio, in place of a control link.
import { within } from "./programs.mjs";

const ANSWER_MS = 5000;

export class Rooms {
  #base;

  constructor(port) {
    this.#base = `http://127.0.0.1:${port}`;
  }

  /** Places a member; resolves with the connection details that a voice client needs. */
  async join({ user_id, channel_id, guild_id }) {
    const request = fetch(`${this.#base}/rooms/${channel_id}/members/${user_id}`, {
      method: "PUT", body: JSON.stringify({ guild: guild_id }),
    });
    const answer = await within(ANSWER_MS, "an answer over HTTP", request);
    const said = await answer.json();
    if (!answer.ok) throw new Error(`HTTP ${answer.status}: ${said.error}`);
    for (const key of ["session_id", "token", "endpoint"]) {
      if (typeof said[key] !== "string" || said[key] === "") throw new Error(`a ticket without ${key}`);
    }
    if (said.server_id !== guild_id) throw new Error(`a ticket for ${said.server_id}`);
    return said;
  }

  /** There is no link that could have failed. */
  check() {}

  close() {}
}
