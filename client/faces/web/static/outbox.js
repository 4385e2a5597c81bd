// Sends messages in order, each until the server has stored it.

import { now, setNow } from "./clock.js";
import { keep, kept, on } from "./dom.js";
import { AWAY, NO_ANSWER, NOT_STORED, RATE_LIMITED, UNAUTHORIZED, UNREACHABLE, longer } from "./rpc.js";

// Temporary errors. The first mean that the server is away (at UNAUTHORIZED and AWAY, the container is about to register
// again).
const STALLED = [NO_ANSWER, UNREACHABLE, UNAUTHORIZED, AWAY];
const PASSING = [...STALLED, RATE_LIMITED, NOT_STORED];
const WORDS = { [RATE_LIMITED]: "Sending too fast; retrying", [NOT_STORED]: "Waiting: the server cannot store it now" };
const FIRST_DELAY = 500; // ms
const SLOW = 5000; // ms: 100 times the server's usual time
const KEPT_AS = "ringback-unsent";

// Returns send(text, client_msg_id); the id is given only to send a refused message again.
export function startOutbox(call, store) {
  let isSending = false;
  let delay = FIRST_DELAY;
  let retry = null;

  const run = async () => {
    if (isSending) return;
    isSending = true;
    try {
      let next;
      while (!retry && store.canSend && (next = nextOf(store.unsent))) await attempt(next);
    } finally {
      isSending = false;
    }
  };

  // Each try has the same client_msg_id, so that the server stores the message once.
  const attempt = async (message) => {
    const { client_msg_id, text, tried } = message;
    message.tried = true; // may be stored from now on, until a response says that it is not
    const slow = setTimeout(() => store.setStalled(true), SLOW);
    try {
      const { seq, sent_at = new Date(now()).toISOString() } = await call("SendMessage", { text, client_msg_id });
      setNow(sent_at);
      const { id: sender_id, name: sender_name } = store.session;
      if (seq < store.messages[0]?.seq) store.takeBack(client_msg_id); // stored by an earlier try, not loaded here
      else store.add([{ seq, sender_id, sender_name, text, sent_at, client_msg_id }]);
    } catch (error) {
      if (error.code === undefined) throw error;
      if (![NO_ANSWER, UNREACHABLE].includes(error.code)) message.tried = tried;
      if (PASSING.includes(error.code)) return wait(error);
      // Otherwise the history has delivered the message.
      if (store.unsent.has(client_msg_id)) store.setUnsent(client_msg_id, text, error.message);
    } finally {
      clearTimeout(slow);
    }
    store.setStalled(false);
    store.setHeldUp("");
    delay = FIRST_DELAY;
  };

  const wait = ({ code, data }) => {
    store.setStalled(STALLED.includes(code));
    store.setHeldUp(WORDS[code] ?? "Waiting for the server");
    retry = setTimeout(runAnew, data.retry_after_ms ?? delay);
    delay = longer(delay);
  };

  const runAnew = () => {
    clearTimeout(retry);
    retry = null;
    run();
  };

  for (const message of kept("sessionStorage", KEPT_AS, [])) store.setUnsent(...message);
  on(store, "unsent", () => {
    const unsent = [...store.unsent.values()].map(({ client_msg_id, text, refusal }) => [client_msg_id, text, refusal, true]);
    keep("sessionStorage", KEPT_AS, unsent);
    window[unsent.length ? "addEventListener" : "removeEventListener"]("beforeunload", askBeforeClosing);
  });
  on(store, "caughtup", runAnew);

  return (text, client_msg_id = newId()) => {
    store.setUnsent(client_msg_id, text);
    store.dispatchEvent(new Event("sent"));
    run();
  };
}

// Closing the tab loses unsent messages. (A reload keeps them, but this event is the same for both.)
function askBeforeClosing(event) {
  event.preventDefault();
  event.returnValue = "unsent"; // Chrome before 119
}

function nextOf(unsent) {
  return [...unsent.values()].find(({ refusal }) => !refusal);
}

// Not crypto.randomUUID: without TLS it exists only on localhost.
function newId() {
  return crypto.getRandomValues(new Uint32Array(4)).join("-");
}
