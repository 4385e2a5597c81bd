// The screen that goes with where one stands; the connection in words.

import { byId, on, say } from "./dom.js";

const NEWS = 8000; // ms
const OFFLINE_AFTER = 5000; // ms

// Gives tell(error).
export function showStanding(store) {
  let downSince = null;
  let timer = null;
  let trouble = "";

  const draw = () => {
    const isIn = Boolean(store.session.id) || store.isReturning;
    const wasIn = !byId("room").hidden;
    byId("join").hidden = isIn;
    byId("room").hidden = !isIn;
    if (isIn !== wasIn || document.activeElement === document.body) byId(isIn ? "draft" : "join-name").focus();
    const isDown = downSince !== null;
    const isOffline = isDown && Date.now() - downSince >= OFFLINE_AFTER;
    const state = isOffline ? "Offline" : isDown ? "Reconnecting…" : "Online";
    byId("status").dataset.state = state;
    say(byId("status"), state);
    say(byId("banner"), trouble || (isDown && !isOffline ? "" : store.downWords || store.session.detail || ""));
  };

  const drawLater = (wait) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      trouble = "";
      if (store.isOnline) store.session.detail = "";
      draw();
    }, wait);
  };

  on(store, "standing", () => {
    if (store.isOnline) {
      downSince = null;
      drawLater(NEWS);
    } else if (downSince === null) {
      downSince = Date.now();
      drawLater(OFFLINE_AFTER);
    }
    draw();
  });

  return (error) => {
    if (error.code === undefined) throw error;
    trouble = error.message;
    draw();
    if (downSince === null) drawLater(NEWS);
  };
}
