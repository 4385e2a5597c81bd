// The few things that every view needs of the document. Text gets in by textContent alone.

const TONES = 8; // as many as page.css has

export const byId = (id) => document.getElementById(id);

export function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

export function say(place, text) {
  place.textContent = text;
  place.hidden = !text;
}

export function button(className, text, onClick) {
  const made = element("button", className, text);
  made.type = "button";
  made.addEventListener("click", onClick);
  return made;
}

// A round sign with the first letter of a name, in a colour that goes with the id.
export function avatar(id, name) {
  let hash = 0x811c9dc5; // FNV-1a
  for (const char of id) hash = Math.imul(hash ^ char.codePointAt(0), 0x01000193);
  const made = element("span", `avatar tone-${(hash >>> 16) % TONES}`, [...name][0]?.toUpperCase() ?? "?");
  made.setAttribute("aria-hidden", "true");
  return made;
}
