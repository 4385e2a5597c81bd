// What every view needs of the document. A string becomes text by textContent, never HTML.

export const byId = (id) => document.getElementById(id);
export const on = (target, type, listener) => target.addEventListener(type, listener);

// By an input method; in Safari the key that ends it comes afterwards, as 229.
export const isComposing = (event) => event.isComposing || event.keyCode === 229;

// content: the text, or the nodes in it
export function element(tag, className, content = []) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (typeof content === "string") made.textContent = content;
  else made.append(...content);
  return made;
}

// What the browser does not let be stored (it is full, or forbidden); gone with a reload.
const unstored = new Map();

// What outlives a reload, if the browser lets it, in all tabs (localStorage) or in this one (sessionStorage).
export function keep(where, key, value) {
  unstored.delete(where + key);
  try {
    window[where].setItem(key, JSON.stringify(value));
  } catch {
    unstored.set(where + key, value);
  }
}

export function kept(where, key, otherwise) {
  if (unstored.has(where + key)) return unstored.get(where + key);
  try {
    return JSON.parse(window[where].getItem(key)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

// Whether the browser refuses cookies, too: it then refuses the very object.
export function isStorageForbidden() {
  try {
    return !window.localStorage;
  } catch {
    return true;
  }
}

// Without a tap on the box: not where the focus would raise a keyboard over what is read.
export function focusUnlessTouch(box) {
  if (!matchMedia("(pointer: coarse)").matches) box.focus();
}

// In the place of what is selected in a box that has the focus; as if it was typed, so that Ctrl-Z takes it back.
export function insertText(box, text) {
  if (document.execCommand("insertText", false, text)) return;
  box.setRangeText(text, box.selectionStart, box.selectionEnd, "end");
  box.dispatchEvent(new Event("input"));
}

export function say(place, text) {
  if (place.textContent !== text) place.textContent = text; // else a screen reader says it again
  place.hidden = !text;
}

export function button(text, onClick) {
  const made = element("button", "", text);
  on(made, "click", onClick);
  return made;
}

// In the colour of a person.
export function inTone(made, tone) {
  made.style.setProperty("--tone", `var(--tone-${tone})`);
  return made;
}

export function avatar(name, tone) {
  const made = element("span", "avatar", [...name][0]?.toUpperCase() ?? "?");
  made.setAttribute("aria-hidden", "true");
  return inTone(made, tone);
}
