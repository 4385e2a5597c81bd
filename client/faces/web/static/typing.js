// Typing notifications: sends them while the person types, and shows those of other members.

import { byId, element, on } from "./dom.js";

const TELL_EVERY = 3000; // ms
const GONE_AFTER = 5000; // ms without a further notification

// Returns a handler for the params of ReceiveTyping.
export function showTyping(store, call) {
  const typing = new Map(); // id -> {name, timer}
  let told = -TELL_EVERY;

  const draw = () => {
    const names = [...typing.values()].map(({ name }) => name).slice(0, 3);
    const parts = new Intl.ListFormat("en").formatToParts(names);
    const who = parts.map(({ type, value }) => (type === "element" ? element("bdi", "", value) : value));
    byId("typing").replaceChildren(...who, names.length ? ` ${names.length === 1 ? "is" : "are"} typing…` : "");
  };

  const forget = (id) => {
    clearTimeout(typing.get(id)?.timer);
    if (typing.delete(id)) draw();
  };

  on(byId("draft"), "input", ({ target }) => {
    if (!target.value.trim() || !store.canSend || performance.now() - told < TELL_EVERY) return;
    told = performance.now();
    call("SetTyping").catch(() => {});
  });
  on(store, "messages", ({ detail: added }) => added.forEach(({ sender_id }) => forget(sender_id)));

  return ({ sender_id: id, sender_name: name }) => {
    clearTimeout(typing.get(id)?.timer);
    typing.set(id, { name, timer: setTimeout(forget, GONE_AFTER, id) });
    draw();
  };
}
