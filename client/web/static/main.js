// Puts the parts together.

import { showComposer } from "./composer.js";
import { byId, on } from "./dom.js";
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

const store = new Store();
const call = connect(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`, {
  onDown: (reason) => store.setDown(reason),
  onNotice(method, params) {
    if (method === "Session") takeSession(params);
    else if (method === "ReceiveMessage") store.push(params.message);
    else if (method === "ReceiveTyping") hearTyping(params);
  },
});

function takeSession(session) {
  store.setSession(session);
  if (session.state === "online") sync.run();
}

const sync = startSync(call, store);
const place = new Place();
const reading = new Reading(store, place);
const tell = showStanding(store); // first: what is hidden cannot be measured
showMessages(store, place, reading, sync.earlier, {
  again: (id, text) => send(text, id),
  edit: (id) => putBack(store.takeBack(id)),
});
completeMentions(store, byId("draft")); // before the composer: its keys come first
const putBack = showComposer(store, (text) => send(text));
const hearTyping = showTyping(store, call);
const send = startOutbox(call, store);
showUnread(store, reading);
notifyOfMentions(store);
showPeople(store);
showJoin(store, call);
on(byId("leave"), "click", () => call("Unregister").catch(tell));
