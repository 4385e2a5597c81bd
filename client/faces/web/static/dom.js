// DOM helpers for all views. Strings are set by textContent, never as HTML.

export const byId = (id) => document.getElementById(id);
export const on = (target, type, listener) => target.addEventListener(type, listener);

// Whether an input method handles the key. Safari reports the key that ends it afterwards, with keyCode 229.
export const isComposing = (event) => event.isComposing || event.keyCode === 229;

// content: a string, or an array of nodes and strings
export function element(tag, className, content = []) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (typeof content === "string") made.textContent = content;
  else made.append(...content);
  return made;
}

// Values that the browser did not store (storage full or forbidden); lost at a reload.
const unstored = new Map();

// Stores a value beyond a reload, if the browser allows it: for all tabs (localStorage) or this tab (sessionStorage).
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

// Whether cookies are forbidden, too: then even reading window.localStorage throws.
export function isStorageForbidden() {
  try {
    return !window.localStorage;
  } catch {
    return true;
  }
}

// Not on touch screens: there the focus would open a keyboard over the messages.
export function focusUnlessTouch(box) {
  if (!matchMedia("(pointer: coarse)").matches) box.focus();
}

// Replaces the selection in a focused box as if typed, so that Ctrl-Z undoes it.
export function insertText(box, text) {
  if (document.execCommand("insertText", false, text)) return;
  box.setRangeText(text, box.selectionStart, box.selectionEnd, "end");
  box.dispatchEvent(new Event("input"));
}

export function say(place, text) {
  if (place.textContent !== text) place.textContent = text; // an unchanged text must not be announced again
  place.hidden = !text;
}

export function button(text, onClick) {
  const made = element("button", "", text);
  on(made, "click", onClick);
  return made;
}

// Sets the colour of a person.
export function inTone(made, tone) {
  made.style.setProperty("--tone", `var(--tone-${tone})`);
  return made;
}

export function avatar(name, tone) {
  const made = element("span", "avatar", [...name][0]?.toUpperCase() ?? "?");
  made.setAttribute("aria-hidden", "true");
  return inTone(made, tone);
}
