// The view of who is here; on a narrow screen it opens over the messages.

import { avatar, byId, element } from "./dom.js";

export function showPeople(store) {
  const [people, title, list, toggle] = ["people", "people-title", "people-list", "people-button"].map(byId);

  const draw = () => {
    const others = [...store.members].filter(([id]) => id !== store.session.id);
    others.sort(([, one], [, other]) => one.localeCompare(other));
    const mine = store.session.id ? [[store.session.id, store.session.name]] : [];
    const shown = [...mine, ...others];
    const count = Math.max(store.memberCount, shown.length);
    list.replaceChildren(...shown.map(([id, name]) => drawPerson(id, name, id === store.session.id)));
    if (count > shown.length) list.append(element("li", "more", `and ${count - shown.length} more`));
    title.textContent = `Who is here (${count})`;
    toggle.textContent = count === 1 ? "1 person" : `${count} people`;
  };
  store.addEventListener("members", draw);
  store.addEventListener("standing", draw);

  const open = (isOpen) => {
    people.classList.toggle("open", isOpen);
    toggle.setAttribute("aria-expanded", String(isOpen));
  };
  toggle.addEventListener("click", () => open(!people.classList.contains("open")));
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !people.classList.contains("open")) return;
    open(false);
    toggle.focus();
  });
  document.addEventListener("click", (event) => {
    if (!people.contains(event.target) && event.target !== toggle) open(false);
  });
}

function drawPerson(id, name, isMe) {
  const person = element("li", "person");
  const who = element("bdi", "who", name);
  who.title = name;
  person.append(avatar(id, name), who);
  if (isMe) person.append(element("span", "me", "you"));
  return person;
}
