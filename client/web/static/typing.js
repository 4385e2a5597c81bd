// Who is typing: told while one types, and heard of others.

import { byId, on } from "./dom.js";

const TELL_EVERY = 3000; // ms
const GONE_AFTER = 5000; // ms without a further word

// Gives hear(params) for ReceiveTyping.
export function showTyping(store, call) {
  const typing = new Map(); // id -> {name, timer}
  let told = 0;

  const draw = () => {
    const names = [...typing.values()].map(({ name }) => name);
    const who = new Intl.ListFormat("en").format(names.slice(0, 3));
    byId("typing").textContent = who && `${who} ${names.length === 1 ? "is" : "are"} typing…`;
  };

  const forget = (id) => {
    clearTimeout(typing.get(id)?.timer);
    if (typing.delete(id)) draw();
  };

  on(byId("draft"), "input", ({ target }) => {
    if (!target.value.trim() || !store.canSend || Date.now() - told < TELL_EVERY) return;
    told = Date.now();
    call("SetTyping").catch(() => {});
  });
  on(store, "messages", ({ detail: added }) => added.forEach(({ sender_id }) => forget(sender_id)));

  return ({ sender_id: id, sender_name: name }) => {
    clearTimeout(typing.get(id)?.timer);
    typing.set(id, { name, timer: setTimeout(forget, GONE_AFTER, id) });
    draw();
  };
}
