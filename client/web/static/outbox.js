// Sending: what is typed stands in a line and goes out in that order, one message at a time, until it is stored.

import { AWAY, NO_ANSWER, NOT_STORED, RATE_LIMITED, UNAUTHORIZED, UNREACHABLE } from "./rpc.js";

// What passes by itself, and how it is told; all else the server refuses for good.
const PASSING = new Map([
  [NO_ANSWER, "Waiting for the server"],
  [UNREACHABLE, "Waiting for the server"],
  [UNAUTHORIZED, "Waiting for the server"], // this one and AWAY: the container is about to take its seat again
  [AWAY, "Waiting for the server"],
  [RATE_LIMITED, "Waiting: that was much at once"],
  [NOT_STORED, "Waiting: the server cannot store it now"],
]);
const FIRST_DELAY = 500; // ms, doubling up to
const LONGEST_DELAY = 10_000;
const KEPT_AS = "ringback-unsent"; // in sessionStorage: it outlives a reload of this tab, not the tab

export class Outbox {
  #rpc;
  #store;
  #isSending = false;
  #delay = FIRST_DELAY;
  #retry = null;

  constructor(rpc, store) {
    this.#rpc = rpc;
    this.#store = store;
    for (const [id, text, reason] of JSON.parse(sessionStorage.getItem(KEPT_AS) ?? "[]")) store.setUnsent(id, text, reason);
    store.addEventListener("unsent", () => {
      const kept = [...store.unsent.values()].map(({ client_msg_id, text, reason }) => [client_msg_id, text, reason]);
      sessionStorage.setItem(KEPT_AS, JSON.stringify(kept));
    });
    store.addEventListener("caughtup", () => this.#runAnew());
  }

  send(text) {
    this.#store.setUnsent(newId(), text, "");
    this.#run();
  }

  // What was refused, in its old place in the line.
  again(client_msg_id) {
    this.#store.setUnsent(client_msg_id, this.#store.unsent.get(client_msg_id).text, "");
    this.#run();
  }

  #runAnew() {
    clearTimeout(this.#retry);
    this.#retry = null;
    this.#run();
  }

  async #run() {
    if (this.#isSending) return;
    this.#isSending = true;
    try {
      let next;
      while (!this.#retry && this.#store.canSend && (next = this.#store.nextToSend)) await this.#try(next);
    } finally {
      this.#isSending = false;
    }
  }

  // Every try has the same client_msg_id: if an earlier one did arrive, the message is not said twice.
  async #try({ client_msg_id, text }) {
    const store = this.#store;
    store.setInDoubt(true);
    try {
      const { seq } = await this.#rpc.call("SendMessage", { text, client_msg_id });
      const { id: sender_id, name: sender_name } = store.session;
      const sent_at = new Date().toISOString();
      store.add({ seq, sender_id, sender_name, text, is_system: false, event: null, sent_at, client_msg_id });
    } catch (error) {
      if (error.code === undefined) throw error;
      if (PASSING.has(error.code)) return this.#wait(error);
      // It may have come in by the history while its own answer got lost.
      if (store.unsent.has(client_msg_id)) store.setUnsent(client_msg_id, text, error.message);
    }
    store.setInDoubt(false);
    store.setHeldUp("");
    this.#delay = FIRST_DELAY;
  }

  #wait({ code, data }) {
    this.#store.setHeldUp(PASSING.get(code));
    this.#retry = setTimeout(() => this.#runAnew(), data.retry_after_ms ?? this.#delay);
    this.#delay = Math.min(2 * this.#delay, LONGEST_DELAY);
  }
}

// Not crypto.randomUUID: a page that is not on localhost and has no TLS lacks it.
function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
