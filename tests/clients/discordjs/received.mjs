// Counts what arrives, for each SSRC.
import { StreamDigest, classify } from "./frames.mjs";

const PAYLOAD_TYPE = 120;

const newStream = (ssrc) => ({
  ssrc, user_id: null, datagrams: 0, first_seq: null, last_seq: null, gaps: 0, lost: 0, late: 0,
  payloads: 0, silence: 0, intact: 0, damaged: 0, foreign: 0, repeated: 0, tag: null,
  first_index: null, last_index: null, seen: new Set(), digest: new StreamDigest(), list: [],
});

function shortDigest(payload) {
  const digest = new StreamDigest();
  digest.add(payload);
  return digest.hex().slice(0, 16);
}

export class Received {
  #streams = new Map();
  #o;

  /**
   * `say` prints an event; `first` is called with the first intact frame of each stream, `reached` after
   * `until` different ones of one stream.
   */
  constructor({ say, digests, until, first, reached }) {
    this.#o = { say, digests, until, first, reached };
  }

  #stream(ssrc) {
    if (!this.#streams.has(ssrc)) this.#streams.set(ssrc, newStream(ssrc));
    return this.#streams.get(ssrc);
  }

  setUser(ssrc, userId) {
    this.#stream(ssrc).user_id = userId;
  }

  /** A datagram as it came from the socket, still sealed. */
  datagram(bytes) {
    if (bytes.length < 12 || bytes[0] >> 6 !== 2 || (bytes[1] & 0x7f) !== PAYLOAD_TYPE) return;
    const seq = bytes.readUInt16BE(2);
    const c = this.#stream(bytes.readUInt32BE(8));
    if (c.datagrams++ === 0) {
      c.first_seq = c.last_seq = seq;
      this.#o.say("first-datagram", { ssrc: c.ssrc, seq });
      return;
    }
    const step = (seq - c.last_seq) & 0xffff;
    if (step === 0 || step >= 0x8000) {
      c.late++;
      return;
    }
    if (step > 1) {
      c.gaps++;
      c.lost += step - 1;
      this.#o.say("gap", { ssrc: c.ssrc, after: c.last_seq, next: seq });
    }
    c.last_seq = seq;
  }

  /** A payload that the library has opened. */
  payload(ssrc, bytes) {
    const c = this.#stream(ssrc);
    c.payloads++;
    const { kind, tag, index } = classify(bytes);
    c[kind]++;
    if (kind === "silence") return;
    c.digest.add(bytes);
    if (this.#o.digests) c.list.push(shortDigest(bytes));
    if (kind === "intact") this.#intact(c, tag, index);
  }

  #intact(c, tag, index) {
    if (c.seen.has(index)) c.repeated++;
    c.seen.add(index);
    c.tag ??= tag;
    c.first_index = Math.min(c.first_index ?? index, index);
    c.last_index = Math.max(c.last_index ?? 0, index);
    if (c.seen.size === 1) {
      this.#o.say("first-frame", { ssrc: c.ssrc, index, tag });
      this.#o.first();
    }
    if (this.#o.until && c.seen.size >= this.#o.until) this.#o.reached();
  }

  summary() {
    return [...this.#streams.values()].map(({ seen, digest, list, ...c }) => ({
      ...c,
      missing: c.first_index === null ? 0 : c.last_index - c.first_index + 1 - seen.size,
      sha256: digest.hex(),
      ...(this.#o.digests ? { digests: list } : {}),
    }));
  }
}
