// Who is here, how they are reached, and one's own name; on a phone a drawer.

import { avatar, byId, element, on } from "./dom.js";

const MUCH = 20; // messages; a few are always on their way

export function showPeople(store, call, tell) {
  const [title, list, me, myAvatar, toggle] = ["people-title", "people-list", "me", "my-avatar", "people-button"].map(byId);

  const draw = () => {
    const others = [...store.members.values()].filter(({ id }) => id !== store.session.id);
    others.sort((one, other) => one.name.localeCompare(other.name));
    const count = Math.max(store.memberCount, others.length + 1);
    const more = count - others.length - 1;
    title.textContent = `Who is here (${count})`;
    toggle.textContent = count === 1 ? "1 person" : `${count} people`;
    list.replaceChildren(...others.map(drawPerson), ...(more ? [element("li", "hint", `and ${more} more`)] : []));
  };

  const drawMe = () => {
    if (document.activeElement !== me) me.value = store.myName;
    myAvatar.replaceChildren(avatar(store.myName));
  };
  on(store, "members", draw);
  on(store, "standing", () => (draw(), drawMe()));

  on(me, "change", () => {
    const name = me.value.trim();
    if (name !== store.myName) call("Rename", { name }).catch(tell);
    me.blur();
    drawMe();
  });
}

function drawPerson({ name, state, behind }) {
  const isAway = state === "unreachable";
  const words = [isAway && "unreachable", behind >= (isAway ? 1 : MUCH) && `${behind} behind`].filter(Boolean).join(", ");
  const column = element("div", "name", [element("bdi", "who", name), element("span", "state", words)]);
  column.title = name;
  return element("li", `person ${isAway ? "unreachable" : ""}`, [avatar(name), column]);
}
