// What every view needs of the document. A string becomes text by textContent, never HTML.

const TONES = 8; // as many as tokens.css has

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

// What outlives a reload, if the browser lets it, in all tabs (localStorage) or in this one (sessionStorage).
export function keep(where, key, value) {
  try {
    window[where].setItem(key, JSON.stringify(value));
  } catch {} // full, or forbidden
}

export function kept(where, key, otherwise) {
  try {
    return JSON.parse(window[where].getItem(key)) ?? otherwise;
  } catch {
    return otherwise;
  }
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

// A colour goes with a name, so that whoever comes back has it again.
export function inTone(made, name) {
  let hash = 0x811c9dc5; // FNV-1a
  for (const char of name.toLowerCase()) hash = Math.imul(hash ^ char.codePointAt(0), 0x01000193);
  made.style.setProperty("--tone", `var(--tone-${(hash >>> 16) % TONES})`);
  return made;
}

export function avatar(name) {
  const made = element("span", "avatar", [...name][0]?.toUpperCase() ?? "?");
  made.ariaHidden = "true";
  return inTone(made, name);
}
