// The box to write in. What it lets go is sent, be it later.

import { byId } from "./dom.js";

const MAX_CHARS = 4096;
const TELL_FROM = 3800; // characters: from here on the count is shown
const MAX_UNSENT = 100;

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

  draft.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return; // isComposing: Enter picks a word (IME)
    event.preventDefault();
    form.requestSubmit();
  });

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    draft.focus();
    const text = wellFormed(draft.value).replace(/^\n+|\s+$/g, "");
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
  if (store.unsent.size >= MAX_UNSENT) return `Not sent: ${MAX_UNSENT} messages wait already. Your text stays here.`;
  return "";
}

// Half a surrogate pair is no text that anybody takes: it would wait for ever, and all that follows behind it.
function wellFormed(text) {
  return new TextDecoder().decode(new TextEncoder().encode(text));
}
