// The box to write in; what it holds outlives a reload.

import { byId, on } from "./dom.js";

const MAX_CHARS = 4096;
const TELL_FROM = 3800; // characters
const KEPT_AS = "ringback-draft"; // in sessionStorage: each tab has its own

// Gives putBack(text).
export function showComposer(store, onSend) {
  const [form, draft, error, hint] = ["composer", "draft", "draft-error", "draft-hint"].map(byId);
  const usualHint = hint.textContent;
  let recalled = 0; // which of one's own texts is in the box: its place from the end, 0 for none

  const changed = () => {
    const chars = count(draft.value);
    sessionStorage.setItem(KEPT_AS, draft.value);
    hint.textContent = chars < TELL_FROM ? usualHint : `${chars} of ${MAX_CHARS} characters`;
    draft.style.height = "auto";
    draft.style.height = `${draft.scrollHeight + 2}px`; // 2: its border
  };

  const put = (text) => {
    draft.value = text;
    draft.dispatchEvent(new Event("input"));
  };

  on(draft, "input", () => {
    error.textContent = "";
    changed();
  });

  // Only over what was recalled, so that nothing that is being written gets lost.
  const recall = (step) => {
    const texts = [...store.messages, ...store.unsentMessages].filter((message) => !message.is_system && store.isMine(message)).map(({ text }) => text);
    const now = draft.value ? recalled : 0;
    const next = now + step;
    if (draft.value !== (now ? texts.at(-now) : "") || next < 0 || next > texts.length) return false;
    recalled = next;
    put(next ? texts.at(-next) : "");
    return true;
  };

  on(draft, "keydown", (event) => {
    if (event.defaultPrevented || event.isComposing) return; // a mention was chosen; or Enter picks a word (IME)
    if (event.key === "Enter" && !event.shiftKey) form.requestSubmit();
    else if (event.key === "ArrowUp" ? !recall(1) : event.key !== "ArrowDown" || !recall(-1)) return;
    event.preventDefault();
  });

  on(form, "submit", (event) => {
    event.preventDefault();
    draft.focus();
    // Half a surrogate pair is no text that anybody takes, and would hold up all that follows.
    const text = draft.value.toWellFormed().replace(/^\n+|\s+$/g, "");
    if (!text) return;
    const excess = count(text) - MAX_CHARS;
    if (excess > 0) return (error.textContent = `Too long by ${excess}: a message has at most ${MAX_CHARS} characters.`);
    recalled = 0;
    put("");
    onSend(text);
  });

  draft.value = sessionStorage.getItem(KEPT_AS) ?? "";
  on(store, "standing", changed); // its height can be measured only when it is shown

  return (text) => {
    put([text, draft.value].filter(Boolean).join("\n"));
    draft.focus();
  };
}

// Characters as the server counts them, not UTF-16 units.
const count = (text) => [...text].length;
