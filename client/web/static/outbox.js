// Sending: in the order of writing, one message at a time, until it is stored.

import { on } from "./dom.js";
import { AWAY, NO_ANSWER, NOT_STORED, RATE_LIMITED, UNAUTHORIZED, UNREACHABLE, longer } from "./rpc.js";

// What passes by itself (UNAUTHORIZED and AWAY: the container is about to take its seat again); all else stays.
const PASSING = [NO_ANSWER, UNREACHABLE, UNAUTHORIZED, AWAY, RATE_LIMITED, NOT_STORED];
const WORDS = { [RATE_LIMITED]: "Waiting: that was much at once", [NOT_STORED]: "Waiting: the server cannot store it now" };
const FIRST_DELAY = 500; // ms
const KEPT_AS = "ringback-unsent"; // in sessionStorage: outlives a reload

// Gives send(text, client_msg_id), the id if it is one that was refused.
export function startOutbox(call, store) {
  let isSending = false;
  let delay = FIRST_DELAY;
  let retry = null;

  const run = async () => {
    if (isSending) return;
    isSending = true;
    try {
      let next;
      while (!retry && store.canSend && (next = [...store.unsent.values()].find(({ refusal }) => !refusal))) await attempt(next);
    } finally {
      isSending = false;
    }
  };

  // With the same client_msg_id each time: what did arrive is not said twice.
  const attempt = async ({ client_msg_id, text }) => {
    try {
      const { seq } = await call("SendMessage", { text, client_msg_id });
      const { id: sender_id, name: sender_name } = store.session;
      store.add([{ seq, sender_id, sender_name, text, sent_at: new Date().toISOString(), client_msg_id }]);
    } catch (error) {
      if (error.code === undefined) throw error;
      if (PASSING.includes(error.code)) return wait(error);
      // Else it has come in by the history.
      if (store.unsent.has(client_msg_id)) store.setUnsent(client_msg_id, text, error.message);
    }
    store.setHeldUp("");
    delay = FIRST_DELAY;
  };

  const wait = ({ code, data }) => {
    store.setHeldUp(WORDS[code] ?? "Waiting for the server");
    retry = setTimeout(runAnew, data.retry_after_ms ?? delay);
    delay = longer(delay);
  };

  const runAnew = () => {
    clearTimeout(retry);
    retry = null;
    run();
  };

  for (const kept of JSON.parse(sessionStorage.getItem(KEPT_AS) ?? "[]")) store.setUnsent(...kept);
  on(store, "unsent", () => {
    const kept = [...store.unsent.values()].map(({ client_msg_id, text, refusal }) => [client_msg_id, text, refusal]);
    sessionStorage.setItem(KEPT_AS, JSON.stringify(kept));
  });
  on(store, "caughtup", runAnew);

  return (text, client_msg_id = newId()) => {
    store.setUnsent(client_msg_id, text);
    store.dispatchEvent(new Event("sent"));
    run();
  };
}

// Not crypto.randomUUID: a page that is not on localhost and has no TLS lacks it.
function newId() {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (part) => part.toString(36)).join("-");
}
