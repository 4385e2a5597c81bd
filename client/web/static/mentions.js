// Completes @name in the draft, the last speakers first.

import { avatar, byId, element, isComposing, on } from "./dom.js";

const BEGUN = /(?<![\p{L}\p{N}])@([^@\n]{0,32})$/u;
const MOST = 6;

export function completeMentions(store, draft) {
  const list = byId("mentions");
  let names = []; // that fit
  let chosen = 0;
  let hasMoved = false;

  const typed = () => BEGUN.exec(draft.value.slice(0, draft.selectionEnd))?.[1];

  const show = (fitting, at) => {
    [names, chosen, hasMoved] = [fitting, at ?? 0, at !== undefined];
    list.hidden = !names.length;
    list.replaceChildren(...names.map(drawOption));
    draft.setAttribute("aria-activedescendant", names.length ? `mention-${chosen}` : "");
  };

  const drawOption = (name, at) => {
    const option = element("li", "person", [avatar(name), element("bdi", "who", name)]);
    on(option, "mousedown", (event) => {
      event.preventDefault(); // the draft keeps the focus
      take(name);
    });
    return Object.assign(option, { id: `mention-${at}`, role: "option", ariaSelected: String(at === chosen) });
  };

  const look = () => {
    const begin = typed()?.toLowerCase();
    const fits = (name) => name.toLowerCase().startsWith(begin) && name.toLowerCase() !== begin;
    show(begin === undefined ? [] : lastSpeakersFirst(store).filter(fits).slice(0, MOST));
  };

  const take = (name) => {
    draft.setRangeText(`${name} `, draft.selectionEnd - typed().length, draft.selectionEnd, "end");
    draft.dispatchEvent(new Event("input"));
    show([]);
  };

  on(draft, "input", look);
  on(document, "selectionchange", () => names.length && typed() === undefined && show([]));
  on(draft, "blur", () => show([]));
  on(draft, "keydown", (event) => {
    if (!names.length || isComposing(event) || event.shiftKey) return;
    if (event.key === "Tab" || (event.key === "Enter" && hasMoved)) take(names[chosen]);
    else if (event.key === "Escape") show([]);
    else if (event.key === "ArrowDown") show(names, (chosen + 1) % names.length);
    else if (event.key === "ArrowUp") show(names, (chosen + names.length - 1) % names.length);
    else return;
    event.preventDefault();
  });
}

function lastSpeakersFirst({ members, messages, session }) {
  const spoke = new Map(messages.map(({ sender_id, is_system, seq }) => [sender_id, is_system ? 0 : seq]));
  const last = ({ id }) => spoke.get(id) ?? 0;
  const others = [...members.values()].filter(({ id }) => id !== session.id);
  return others.sort((one, other) => last(other) - last(one) || one.name.localeCompare(other.name)).map(({ name }) => name);
}
