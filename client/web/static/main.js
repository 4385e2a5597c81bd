// Puts the parts together, and shows the screen that goes with where this browser stands.

import { showComposer } from "./composer.js";
import { byId, say } from "./dom.js";
import { showJoin } from "./join.js";
import { showMessages } from "./messages.js";
import { Outbox } from "./outbox.js";
import { showPeople } from "./people.js";
import { Rpc } from "./rpc.js";
import { Store } from "./store.js";
import { Sync } from "./sync.js";

const NEWS_MS = 8000;
const STATES = { online: "Online", reconnecting: "Reconnecting…" };

const store = new Store();
const rpc = new Rpc(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`, {
  onDown(reason) {
    store.setConnected(false, reason);
  },
  onNotice(method, params) {
    if (method === "Session") takeSession(params);
    else if (method === "ReceiveMessage") store.push(params.message);
  },
});
const sync = new Sync(rpc, store);
const outbox = new Outbox(rpc, store);
let trouble = ""; // of something the person asked for, until the next change
let newsTimer = null;

function takeSession(session) {
  trouble = "";
  store.setSession(session);
  store.setConnected(true);
  clearTimeout(newsTimer);
  if (session.state !== "online") return;
  newsTimer = setTimeout(() => {
    session.detail = ""; // "connected again" is of interest for a moment
    drawStanding();
  }, NEWS_MS);
  sync.run();
}

function tell(error) {
  if (error.code === undefined) throw error;
  trouble = error.message;
  drawStanding();
}

function drawStanding() {
  const { connected, session } = store;
  const isIn = Boolean(session.id);
  const wasIn = !byId("room").hidden;
  byId("join").hidden = isIn;
  byId("room").hidden = !isIn;
  if (isIn !== wasIn || document.activeElement === document.body) byId(isIn ? "draft" : "join-name").focus();
  const status = byId("status");
  status.textContent = connected ? (STATES[session.state] ?? session.state) : "Not connected";
  status.dataset.state = connected ? session.state : "down";
  say(byId("banner"), store.downWords || trouble || session.detail);
}

showJoin(store, rpc);
showMessages(store, {
  onAgain: (id) => outbox.again(id),
  onEdit: (id) => composer.putBack(store.takeBack(id)),
  onEarlier: () => sync.earlier().catch(tell),
});
showPeople(store);
const composer = showComposer(store, (text) => outbox.send(text));
store.addEventListener("standing", drawStanding);
byId("leave").addEventListener("click", () => rpc.call("Unregister").catch(tell));
addEventListener("online", () => rpc.hurry());
document.addEventListener("visibilitychange", () => document.hidden || rpc.hurry());
rpc.connect();
