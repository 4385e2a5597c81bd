// The screen to come in by.

import { byId, say } from "./dom.js";
import { JOIN_KEY_WRONG } from "./rpc.js";

export function showJoin(store, rpc) {
  const [form, name, key, keyField, error, enter] =
    ["join-form", "join-name", "join-key", "join-key-field", "join-error", "join-button"].map(byId);
  let lastName = "";

  const fail = (field, words) => {
    error.textContent = words;
    for (const input of [name, key]) input.setAttribute("aria-invalid", String(input === field));
    field?.focus();
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (enter.disabled) return;
    fail(null, "");
    const wanted = name.value.trim();
    if (!wanted) return fail(name, "Enter a name first.");
    enter.disabled = true;
    enter.textContent = "Joining…";
    try {
      await rpc.call("Register", key.value ? { name: wanted, join_key: key.value } : { name: wanted });
    } catch (refused) {
      if (refused.code === undefined) throw refused;
      if (refused.code === JOIN_KEY_WRONG) keyField.hidden = false;
      fail(refused.code === JOIN_KEY_WRONG ? key : name, joinWords(refused, key.value));
    } finally {
      enter.disabled = false;
      enter.textContent = "Join the room";
    }
  });

  store.addEventListener("standing", () => {
    const { session } = store;
    if (session.join_key_needed) keyField.hidden = false;
    if (session.name) lastName = session.name;
    if (!name.value && lastName) name.value = lastName;
    byId("join-server").textContent = session.server ? `Chat server: ${session.server}` : "";
    say(byId("join-note"), store.downWords || partingWords(store, lastName));
  });
}

function joinWords(refused, key) {
  if (refused.code !== JOIN_KEY_WRONG) return refused.message;
  return key ? "That is not the join key." : "This chat asks for a join key.";
}

function partingWords({ session, dropped, nextToSend }, lastName) {
  const words = [];
  if (session.state === "left") words.push("You have left the room.");
  else if (session.state === "replaced") words.push(session.detail);
  else if (lastName) words.push("Your seat is gone: this page was closed or asleep for too long, or its container was started anew.");
  if (session.state === "left" && dropped) words.push(`What still waited to be sent is dropped (${dropped}).`);
  if (nextToSend) words.push("What you wrote meanwhile is sent when you are back.");
  return words.join(" ");
}
