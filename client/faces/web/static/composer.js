// The message input box (the draft).

import { byId, isComposing, keep, kept, on } from "./dom.js";
import { wellFormed } from "./format.js";

const KEPT_AS = "ringback-draft";

// carryOut(typed) returns a promise of an error text, or of an empty string. Returns putBack(text).
export function showComposer(store, carryOut) {
  const [form, draft, error] = ["composer", "draft", "draft-error"].map(byId);
  let recalled = 0; // which own message is in the box, counted from the newest (1); 0: none

  const changed = () => {
    keep("sessionStorage", KEPT_AS, draft.value);
    form.style.height = `${form.offsetHeight}px`; // fixed, so that the layout does not move while the draft is measured
    draft.style.height = "auto";
    draft.style.height = `${draft.scrollHeight + 2}px`; // 2: the border
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

  const ownTexts = () => {
    const own = [...store.messages, ...store.unsentMessages].filter((message) => store.isMine(message));
    return own.filter(({ is_system }) => !is_system).map(({ text }) => text);
  };

  // Replaces only a recalled text, never a text being written.
  const recall = (step) => {
    const texts = ownTexts();
    const now = draft.value ? recalled : 0;
    const next = now + step;
    if (draft.value !== (now ? texts.at(-now) : "") || next < 0 || next > texts.length) return false;
    recalled = next;
    put(next ? texts.at(-next) : "");
    return true;
  };

  on(draft, "keydown", (event) => {
    if (event.defaultPrevented || isComposing(event)) return; // mentions.js or the input method uses the key
    if (event.key === "Enter" && !event.shiftKey) form.requestSubmit();
    else if (event.key === "ArrowUp" ? !recall(1) : event.key !== "ArrowDown" || !recall(-1)) return;
    event.preventDefault();
  });

  on(form, "submit", async (event) => {
    event.preventDefault();
    draft.focus();
    const typed = wellFormed(draft.value);
    recalled = 0;
    put("");
    const refused = await carryOut(typed);
    if (!refused) return;
    putBack(typed);
    error.textContent = refused;
  });

  const putBack = (text) => {
    put([text, draft.value].filter(Boolean).join("\n"));
    draft.focus();
  };

  draft.value = kept("sessionStorage", KEPT_AS, "");
  on(store, "standing", changed); // the height can be measured only when the draft is visible
  return putBack;
}
