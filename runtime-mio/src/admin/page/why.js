// "Why is it silent?": a speaker and a listener are chosen, and the server walks the way between
// them. It is asked again in every round, so the answer changes when the cause is removed.

import { $, attribute, el, list, text } from "./dom.js";
import { RECORD_S, recorder } from "./channels.js";

const OUTCOMES = new Map([[true, "ok"], [false, "fails"], [null, "unknown"]]);

export class Why {
  #speaker = null;
  #listener = null;
  #scrolled = true;
  /** Called when another pair was chosen. */
  onchange = () => {};

  constructor(poke) {
    this.poke = poke;
    $("why-swap").addEventListener("click", () => this.#set(this.#listener, this.#speaker));
    $("why-clear").addEventListener("click", () => this.#set(null, null));
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.#speaker && event.target.id !== "search") this.#set(null, null);
    });
    this.#hint();
  }

  /** A member was pressed: the first is the speaker, the second the listener, the third begins anew. */
  choose(member) {
    const role = this.roleOf(member);
    if (role === "speaker") this.#set(this.#listener, null);
    else if (role === "listener") this.#set(this.#speaker, null);
    else if (this.#speaker && !this.#listener) this.#set(this.#speaker, member);
    else this.#set(member, null);
  }

  roleOf(member) {
    if (member.id === this.#speaker?.id) return "speaker";
    return member.id === this.#listener?.id ? "listener" : "";
  }

  /** What pressing a member does, for those who cannot see it. */
  label(member) {
    const role = this.roleOf(member);
    if (role) return `${member.user_id}, chosen as ${role}`;
    return `${member.user_id}, choose as ${this.#speaker && !this.#listener ? "listener" : "speaker"}`;
  }

  /** Whoever reconnected is the same user under another id. */
  recognise(members) {
    const again = (chosen) => {
      if (!chosen || members.some((member) => member.id === chosen.id)) return chosen;
      return members.find((member) => member.user_id === chosen.user_id && member.channel_id === chosen.channel_id) ?? chosen;
    };
    this.#speaker = again(this.#speaker);
    this.#listener = again(this.#listener);
  }

  /** What to ask the server, if a pair is chosen. */
  path() {
    if (!this.#speaker || !this.#listener) return null;
    return `v1/explain?speaker=${encodeURIComponent(this.#speaker.id)}&listener=${encodeURIComponent(this.#listener.id)}`;
  }

  /** Takes the answer to a path; another pair may have been chosen since it was asked. */
  take(path, answer) {
    if (path !== this.path()) return;
    const verdict = $("verdict");
    if (!answer) {
      attribute(verdict, "data-audible", "false");
      text(verdict, "One of the two has left. Choose again.");
      this.#steps([]);
      return;
    }
    const steps = answer.steps ?? [];
    // Without a step that fails, there is nothing to hear at the moment.
    const fails = steps.some((step) => step.ok === false);
    attribute(verdict, "data-audible", answer.audible ? "true" : fails ? "false" : "idle");
    text(verdict, answer.summary);
    this.#steps(steps);
    if (!this.#scrolled) {
      this.#scrolled = true;
      $("why").scrollIntoView({ block: "nearest" });
    }
  }

  #set(speaker, listener) {
    this.#speaker = speaker;
    this.#listener = listener;
    this.#scrolled = false;
    text($("why-speaker"), speaker?.user_id ?? "–");
    text($("why-listener"), listener?.user_id ?? "–");
    $("why-swap").disabled = !(speaker && listener);
    $("why-clear").disabled = !speaker;
    text($("verdict"), speaker && listener ? "Checking …" : "");
    attribute($("verdict"), "data-audible", null);
    this.#steps([]);
    this.#recordings();
    this.#hint();
    this.onchange();
    if (this.path()) this.poke();
  }

  #hint() {
    const hint = this.#listener ? "" : this.#speaker
      ? "Now choose who should hear them."
      : "Choose two members of a channel: first who speaks, then who should hear them. The server checks every step between the two.";
    text($("why-hint"), hint);
    $("why-hint").hidden = hint === "";
  }

  /** The way, with the first step that fails made to stand out; its detail says what to do. */
  #steps(steps) {
    const first = steps.findIndex((step) => step.ok === false);
    const make = () => el("li", {},
      el("span", { class: "outcome" }), el("strong", {}), el("span", { class: "detail" }));
    list($("steps"), steps.map((step, at) => ({ ...step, at })), (step) => `${step.at} ${step.name}`, make, (node, step) => {
      const [outcome, name, detail] = node.children;
      attribute(node, "data-ok", OUTCOMES.get(step.ok ?? null));
      attribute(node, "data-first", step.at === first ? "true" : null);
      text(outcome, OUTCOMES.get(step.ok ?? null));
      text(name, step.name.replaceAll("_", " "));
      text(detail, step.detail ?? "");
    });
  }

  #recordings() {
    const pair = [["speaker", this.#speaker], ["listener", this.#listener]].filter(([, member]) => member);
    const make = ([role, member]) => recorder(member, `Capture the ${role}'s packet headers for ${RECORD_S} s`);
    list($("recordings"), pair, ([role, member]) => `${role} ${member.id}`, make, () => {});
  }
}
