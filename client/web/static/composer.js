// The box to write in. A draft leaves it only when it is on its way.

import { byId } from "./dom.js";

const MAX_CHARS = 4096;
const TELL_FROM = 3800; // characters: from here on the count is shown

export function showComposer(store, onSend) {
  const [form, draft, error, hint] = ["composer", "draft", "draft-error", "draft-hint"].map(byId);
  const usualHint = hint.textContent;

  const grow = () => {
    draft.style.height = "auto";
    draft.style.height = `${draft.scrollHeight + 2}px`; // 2: its border
  };
  const count = (text) => [...text].length; // characters as the server counts them, not UTF-16 units

  draft.addEventListener("input", () => {
    error.textContent = "";
    const chars = count(draft.value);
    hint.textContent = chars < TELL_FROM ? usualHint : `${chars} of ${MAX_CHARS} characters`;
    grow();
  });

  store.addEventListener("standing", () => {
    if (store.connected && store.session.state === "online") error.textContent = "";
  });

  draft.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return; // isComposing: Enter picks a word (IME)
    event.preventDefault();
    form.requestSubmit();
  });

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    draft.focus();
    const text = draft.value.replace(/^\n+|\s+$/g, "");
    if (!text) return;
    error.textContent = problem(store, count(text));
    if (error.textContent) return;
    onSend(text);
    draft.value = "";
    draft.dispatchEvent(new Event("input"));
  });

  return {
    putBack(text) {
      draft.value = [text, draft.value].filter(Boolean).join("\n");
      draft.dispatchEvent(new Event("input"));
      draft.focus();
    },
  };
}

function problem(store, chars) {
  if (chars > MAX_CHARS) return `Too long by ${chars - MAX_CHARS}: a message has at most ${MAX_CHARS} characters.`;
  if (!store.connected) return "Not sent: this page cannot reach its container. Your text stays here.";
  if (store.session.state !== "online") return "Not sent: the chat server is away. Your text stays here.";
  return "";
}
