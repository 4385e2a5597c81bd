// The join form. Joins again by itself if this tab's registration is lost (after sleep, for example).

import { byId, isStorageForbidden, keep, kept, on, say } from "./dom.js";
import { wellFormed } from "./format.js";
import { JOIN_KEY_WRONG, NO_ANSWER, RATE_LIMITED, TAKEN, UNREACHABLE } from "./rpc.js";

const KEPT_AS = "ringback-name";
const RETRY = 2000; // ms
const FORGETFUL =
  "This browser lets no page here store anything, not even a cookie. You can chat, but whoever closes or reloads this tab " +
  "has left the room, and the name is free again after a minute.";
const GHOST = 60_000; // ms: how long the lost registration may hold the name, if the server does not report it

export function showJoin(store, call) {
  const [form, name, key, keyField, error, enter] =
    ["join-form", "join-name", "join-key", "join-key-field", "join-error", "join-button"].map(byId);
  let isEntering = false;

  // Returns a promise of the error, or of null on success.
  const register = (wanted) => {
    const params = { name: wanted, join_key: key.value || null, keep_name: !isStorageForbidden() };
    return call("Register", params).then(() => null, (refused) => refused);
  };

  const fail = (field, words) => {
    error.textContent = words;
    for (const input of [name, key]) input.setAttribute("aria-invalid", String(input === field));
    field?.focus();
  };

  const settle = (refused) => {
    isEntering = enter.disabled = false;
    if (!refused || store.session.id) return; // another tab of this browser was quicker
    if (refused.code !== JOIN_KEY_WRONG) return fail(name, refused.message);
    keyField.hidden = false;
    fail(key, key.value ? "That is not the join key." : "This chat asks for a join key.");
  };

  on(form, "submit", async (event) => {
    event.preventDefault();
    if (isEntering) return;
    fail(null, "");
    const wanted = wellFormed(name.value).trim();
    if (!wanted) return fail(name, "Enter a name first.");
    if (store.session.join_key_needed && !key.value) return fail(key, "This chat asks for a join key.");
    isEntering = enter.disabled = true;
    settle(await register(wanted));
  });

  const comeBack = async (wanted) => {
    isEntering = true;
    store.setReturning(true);
    const tooLong = Date.now() + GHOST;
    const passes = ({ code, data }) => [NO_ANSWER, UNREACHABLE, RATE_LIMITED].includes(code) || (code === TAKEN && !data?.retry_after_ms && Date.now() < tooLong);
    let refused = await register(wanted);
    while (refused && passes(refused) && !store.session.id) {
      store.session.detail = refused.code === TAKEN ? "Waiting until your name is free…" : refused.message;
      store.setReturning(true);
      await new Promise((resolve) => setTimeout(resolve, RETRY));
      refused = await register(wanted);
    }
    settle(refused);
    store.setReturning(false);
  };

  on(store, "standing", () => {
    const { connected, session } = store;
    if (session.join_key_needed) keyField.hidden = false;
    if (session.name) for (const where of ["sessionStorage", "localStorage"]) keep(where, KEPT_AS, session.name);
    else if (session.state !== "new") keep("sessionStorage", KEPT_AS, "");
    name.value ||= kept("localStorage", KEPT_AS, "");
    say(byId("join-note"), store.downWords || partingWords(store) || (isStorageForbidden() ? FORGETFUL : ""));
    const wasIn = kept("sessionStorage", KEPT_AS, "");
    if (wasIn && connected && !session.id && !isEntering && !error.textContent) comeBack(wasIn);
  });
}

function partingWords({ session: { state, detail }, dropped, unsent }) {
  if (state === "left") return `You have left the room.${dropped ? ` What still waited to be sent is dropped (${dropped}).` : ""}`;
  return (state === "replaced" ? detail : "") + (unsent.size ? " What you wrote is sent when you are back." : "");
}
