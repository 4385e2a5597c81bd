// Who is here, and how they are reached; on a phone a drawer.

import { avatar, byId, element, on } from "./dom.js";

const MUCH = 20; // messages; a few are always on their way

export function showPeople(store) {
  const draw = () => {
    const others = [...store.members.values()].filter(({ id }) => id !== store.session.id);
    others.sort((one, other) => one.name.localeCompare(other.name));
    const shown = [{ name: store.myName, words: "you" }, ...others];
    const count = Math.max(store.memberCount, shown.length);
    const more = count - shown.length;
    byId("people-title").textContent = `Who is here (${count})`;
    byId("people-button").textContent = count === 1 ? "1 person" : `${count} people`;
    byId("people-list").replaceChildren(...shown.map(drawPerson), ...(more ? [element("li", "hint", `and ${more} more`)] : []));
  };
  on(store, "members", draw);
  on(store, "standing", draw);
}

function drawPerson({ name, state, behind, words = "" }) {
  const isAway = state === "unreachable";
  if (behind >= (isAway ? 1 : MUCH)) words = `${behind} behind`;
  if (isAway) words = `unreachable${words && ", "}${words}`;
  const column = element("div", "name", [element("bdi", "who", name), element("span", "state", words)]);
  column.title = name;
  return element("li", `person ${isAway ? "unreachable" : ""}`, [avatar(name), column]);
}
