// The box to write in.

import { byId, isComposing, keep, kept, on } from "./dom.js";

const MAX_CHARS = 4096;
const KEPT_AS = "ringback-draft";

// Gives putBack(text).
export function showComposer(store, onSend) {
  const [form, draft, error] = ["composer", "draft", "draft-error"].map(byId);
  let recalled = 0; // the place from the end of the own text in the box; 0: none

  const changed = () => {
    keep("sessionStorage", KEPT_AS, draft.value);
    form.style.height = `${form.offsetHeight}px`; // so nothing moves while the draft is measured
    draft.style.height = "auto";
    draft.style.height = `${draft.scrollHeight + 2}px`; // 2: its border
    form.style.height = "";
  };

  const put = (text) => {
    draft.value = text;
    draft.dispatchEvent(new Event("input"));
  };

  on(draft, "input", () => {
    error.textContent = "";
    changed();
  });

  // Only over what was recalled: what is being written is not lost.
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
    if (event.defaultPrevented || isComposing(event)) return; // a mention was chosen; or Enter picks a word
    if (event.key === "Enter" && !event.shiftKey) form.requestSubmit();
    else if (event.key === "ArrowUp" ? !recall(1) : event.key !== "ArrowDown" || !recall(-1)) return;
    event.preventDefault();
  });

  on(form, "submit", (event) => {
    event.preventDefault();
    draft.focus();
    // Half a surrogate pair would be refused.
    const text = draft.value.toWellFormed().replace(/^\n+|\s+$/g, "");
    if (!text) return;
    const excess = [...text].length - MAX_CHARS; // as the server counts, not UTF-16
    if (excess > 0) return (error.textContent = `Too long by ${excess}: a message has at most ${MAX_CHARS} characters.`);
    recalled = 0;
    put("");
    onSend(text);
  });

  draft.value = kept("sessionStorage", KEPT_AS, "");
  on(store, "standing", changed); // its height, once it is shown

  return (text) => {
    put([text, draft.value].filter(Boolean).join("\n"));
    draft.focus();
  };
}
