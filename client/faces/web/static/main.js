// Connects the parts of the page.

import { Commands } from "./commands.js";
import { showComposer } from "./composer.js";
import { byId, on } from "./dom.js";
import { refuseFiles } from "./files.js";
import { watchAddress } from "./gone.js";
import { showJoin } from "./join.js";
import { completeMentions } from "./mentions.js";
import { showMessages } from "./messages.js";
import { notifyOfMentions, showUnread } from "./notify.js";
import { startOutbox } from "./outbox.js";
import { showPeople } from "./people.js";
import { Place } from "./place.js";
import { Reading } from "./reading.js";
import { connect } from "./rpc.js";
import { showStanding } from "./standing.js";
import { Store } from "./store.js";
import { startSync } from "./sync.js";
import { showTyping } from "./typing.js";
import { explainer } from "./why.js";

// Relative to the page, which a proxy may serve below a path.
const status = new URL("status", location.href);
status.searchParams.set("origin", location.origin);
const socket = new URL("ws", location.href);
socket.protocol = location.protocol === "https:" ? "wss:" : "ws:";
socket.search = socket.hash = "";

const store = new Store();
const address = watchAddress();
const call = connect(socket.href, {
  onDown: (reason) => store.setDown(reason || address.words()),
  onDoubt: (isInDoubt) => store.setDoubted(isInDoubt),
  onNotice(method, params) {
    if (method === "Session") takeSession(params);
    else if (method === "ReceiveMessage") store.push(params.message);
    else if (method === "ReceiveTyping") hearTyping(params);
  },
  why: explainer(status.href),
});

function takeSession(session) {
  address.found();
  store.setSession(session);
  if (session.state === "online") sync.run();
}

const sync = startSync(call, store);
const place = new Place();
const reading = new Reading(store, place);
const tell = showStanding(store); // first, because hidden elements cannot be measured
showMessages(store, place, reading, sync.earlier, {
  again: (id, text) => send(text, id),
  edit: (id) => putBack(store.takeBack(id)),
});
completeMentions(store, byId("draft")); // before the composer, so that it gets the keys first
const leave = () => call("Unregister").catch(tell);
const commands = new Commands(call, store, { say: (text) => send(text), leave });
const putBack = showComposer(store, (typed) => commands.carryOut(typed));
const hearTyping = showTyping(store, call);
const send = startOutbox(call, store);
showUnread(store, reading);
notifyOfMentions(store);
showPeople(store);
showJoin(store, call);
refuseFiles();
on(byId("leave"), "click", leave);
