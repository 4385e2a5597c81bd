// Shows the join form or the room, and the status of the connection.

import { byId, focusUnlessTouch, on, say } from "./dom.js";

const NEWS = 8000; // ms that a text stays
const OFFLINE_AFTER = 5000; // ms

// Returns tell(error), which shows an error in the banner.
export function showStanding(store) {
  let connection = "Online"; // or Reconnecting…, or Offline
  let timer = null;
  let trouble = "";

  const draw = () => {
    byId("starting")?.remove(); // the page has started
    const isIn = Boolean(store.session.id) || store.isReturning;
    const wasIn = !byId("room").hidden;
    byId("join").hidden = isIn;
    byId("room").hidden = !isIn;
    const place = byId(isIn ? "draft" : "join-name");
    if (isIn !== wasIn) place.focus();
    else if (document.activeElement === document.body) focusUnlessTouch(place);
    byId("status").dataset.state = connection;
    say(byId("status"), connection);
    say(byId("banner"), trouble || (connection === "Reconnecting…" ? "" : wordsOf(store)));
  };

  const later = (wait, then) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      then();
      draw();
    }, wait);
  };

  const forgetNews = () => {
    trouble = "";
    store.session.detail = "";
  };

  const goOffline = () => {
    trouble = "";
    connection = "Offline";
  };

  on(store, "standing", () => {
    if (store.isLive) {
      connection = "Online";
      later(NEWS, forgetNews);
    } else if (connection === "Online") {
      connection = "Reconnecting…";
      later(OFFLINE_AFTER, goOffline);
    }
    draw();
  });

  return (error) => {
    if (error.code === undefined) throw error;
    trouble = error.message;
    draw();
    if (connection === "Online") later(NEWS, forgetNews);
  };
}

function wordsOf(store) {
  const stalled = store.isStalled ? "The chat server does not answer. Trying again until it works…" : "";
  return store.downWords || store.session.detail || stalled;
}
