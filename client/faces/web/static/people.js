// The list of members and their delivery state; a drawer in narrow windows.

import { avatar, byId, element, on } from "./dom.js";

const MUCH = 20; // messages; a few are always in flight

export function showPeople(store) {
  const draw = () => {
    const others = [...store.members.values()].filter(({ id }) => id !== store.session.id);
    others.sort((one, other) => one.name.localeCompare(other.name));
    const me = { id: store.session.id ?? "", name: store.myName, words: "you" };
    const shown = [me, ...others];
    const count = Math.max(store.memberCount, shown.length);
    const more = count - shown.length;
    byId("people-title").textContent = `Who is here (${count})`;
    byId("people-button").textContent = count === 1 ? "1 person" : `${count} people`;
    const rest = more ? [element("li", "hint", `and ${more} more`)] : [];
    byId("people-list").replaceChildren(...shown.map((person) => drawPerson(person, store)), ...rest);
  };
  on(store, "members", draw);
  on(store, "standing", draw);
  showDrawer(byId("people"), byId("people-button"), byId("people-close"));
}

// The drawer of narrow windows.
function showDrawer(drawer, opener, closer) {
  const set = (isOpen) => {
    drawer.classList.toggle("open", isOpen);
    opener.setAttribute("aria-expanded", String(isOpen));
  };
  const close = () => {
    if (!drawer.classList.contains("open")) return;
    set(false);
    opener.focus();
  };
  on(opener, "click", () => {
    set(true);
    closer.focus();
  });
  on(closer, "click", close);
  on(document, "keydown", ({ key }) => key === "Escape" && close());
  on(document, "click", ({ target }) => !drawer.contains(target) && !opener.contains(target) && close());
}

// "unreachable, 12 behind"
export function conditionOf({ state, behind }) {
  const isAway = state === "unreachable";
  const isBehind = behind >= (isAway ? 1 : MUCH);
  return [isAway ? "unreachable" : "", isBehind ? `${behind} behind` : ""].filter(Boolean).join(", ");
}

function drawPerson(person, store) {
  const { id, name, words = conditionOf(person) } = person;
  const isAway = person.state === "unreachable";
  const column = element("div", "name", [element("bdi", "who", name), element("span", "state", words)]);
  column.title = name;
  return element("li", `person ${isAway ? "unreachable" : ""}`, [avatar(name, store.toneOf(id, name)), column]);
}
