// Unread messages while the page is in the background: title, icon, notifications.

import { byId, on } from "./dom.js";

export function showUnread(store, reading) {
  const draw = () => {
    const { count } = reading;
    document.title = `${count ? `(${count}) ` : ""}${store.session.id ? "Lobby – " : ""}Ringback`;
    byId("icon").href = `static/icon${count > 9 ? "-many" : count ? `-${count}` : ""}.svg`;
  };
  on(reading, "change", draw);
  on(store, "standing", draw);
}

export function notifyOfMentions(store) {
  if (!("Notification" in window)) return;
  const ask = byId("notify");
  const draw = () => (ask.hidden = Notification.permission !== "default");
  on(ask, "click", () => Notification.requestPermission().then(draw));
  draw();

  on(store, "messages", ({ detail: added }) => {
    if (!document.hidden || store.behind === null || Notification.permission !== "granted") return;
    for (const message of added) {
      if (!message.is_system && !store.isMine(message) && store.mentionsMe(message.text)) show(message);
    }
  });

  const show = ({ seq, sender_name, text }) => {
    const tag = `ringback ${store.epoch} ${seq}`; // the same in all tabs, so that it is shown once
    try {
      on(new Notification(`${sender_name} mentioned you`, { body: text, tag }), "click", () => window.focus());
    } catch {
      // On phones only service workers may show notifications.
    }
  };
}
