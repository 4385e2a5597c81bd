// Completes @name in the draft; lists the latest speakers first.

import { avatar, byId, element, insertText, isComposing, on } from "./dom.js";
import { begunMention } from "./format.js";

const MOST = 6;

export function completeMentions(store, draft) {
  const list = byId("mentions");
  let people = []; // the matching members: {id, name}
  let chosen = 0;
  let isComplete = false; // the typed text is a full name: Enter sends, unless the person has selected a member

  const typed = () => begunMention(draft.value.slice(0, draft.selectionEnd));

  const show = (fitting, at = 0) => {
    [people, chosen] = [fitting, at];
    list.hidden = !people.length;
    list.replaceChildren(...people.map(drawOption));
    draft.setAttribute("aria-activedescendant", people.length ? `mention-${chosen}` : "");
  };

  const drawOption = ({ id, name }, at) => {
    const option = element("li", "person", [avatar(name, store.toneOf(id, name)), element("bdi", "who", name)]);
    option.id = `mention-${at}`;
    option.setAttribute("role", "option");
    option.setAttribute("aria-selected", String(at === chosen));
    on(option, "mousedown", (event) => {
      event.preventDefault(); // keeps the focus in the draft
      take(name);
    });
    return option;
  };

  const look = () => {
    const begin = typed()?.toLowerCase();
    if (begin === undefined) return show([]);
    const fitting = lastSpeakersFirst(store).filter(({ name }) => name.toLowerCase().startsWith(begin));
    const longer = fitting.filter(({ name }) => name.toLowerCase() !== begin);
    isComplete = longer.length < fitting.length;
    show(longer.slice(0, MOST));
  };

  const take = (name) => {
    draft.setSelectionRange(draft.selectionEnd - typed().length, draft.selectionEnd);
    insertText(draft, `${name} `);
    show([]);
  };

  const move = (step) => {
    isComplete = false;
    show(people, (chosen + step + people.length) % people.length);
  };

  on(draft, "input", look);
  on(document, "selectionchange", () => people.length && typed() === undefined && show([]));
  on(draft, "blur", () => show([]));
  on(draft, "keydown", (event) => {
    if (!people.length || isComposing(event) || event.shiftKey) return;
    if (event.key === "Tab" || (event.key === "Enter" && !isComplete)) take(people[chosen].name);
    else if (event.key === "Escape") show([]);
    else if (event.key === "ArrowDown") move(1);
    else if (event.key === "ArrowUp") move(-1);
    else return;
    event.preventDefault();
  });
}

function lastSpeakersFirst({ members, messages, session }) {
  const spoke = new Map(messages.map(({ sender_id, is_system, seq }) => [sender_id, is_system ? 0 : seq]));
  const last = ({ id }) => spoke.get(id) ?? 0;
  const others = [...members.values()].filter(({ id }) => id !== session.id);
  return others.sort((one, other) => last(other) - last(one) || one.name.localeCompare(other.name));
}
