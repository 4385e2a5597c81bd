// Brings the store up to date whenever the session is online again.

import { byId, on } from "./dom.js";
import { NO_ANSWER, UNREACHABLE } from "./rpc.js";

const PAGE = 100; // messages read at first, and for "earlier"
const CATCH_UP = 300; // the maximum of GetHistory
const RETRY = 2000; // ms
const LOOK_AGAIN = 15_000; // ms: delivery states of members are not pushed
const LOOK_STALLED = 3000; // ms, while the server does not respond
const RESTORED = "The server was restored from a backup. What was said after that backup is gone.";
const BEGUN_ANEW = "The server has begun a new log. What was said before is gone.";

const identityOf = ({ seq, sender_id, text }) => `${seq} ${sender_id} ${text}`;

export function startSync(call, store) {
  let wanted = false;
  let running = false;

  // Returns whether the steps succeeded. aria-busy silences screen readers meanwhile.
  const tried = async (steps) => {
    byId("log").setAttribute("aria-busy", "true");
    try {
      await steps();
      store.setStalled(false);
      return true;
    } catch (error) {
      if (error.code === undefined) throw error;
      if ([NO_ANSWER, UNREACHABLE].includes(error.code)) store.setStalled(true);
      return false;
    } finally {
      byId("log").setAttribute("aria-busy", "false");
    }
  };

  const members = async () => store.setMembers(await call("ListMembers", { limit: 200 }));

  // The server has a new log. A log restored from a backup contains messages that are here.
  const another = async () => {
    const end = await call("GetHistory", { limit: PAGE });
    const old = store.messages.filter(({ seq }) => seq <= store.known); // later messages are of the new log
    const here = new Set(old.map(identityOf));
    const isRestored = end.messages.some((message) => here.has(identityOf(message)));
    store.clear(isRestored ? RESTORED : BEGUN_ANEW);
    store.take(end);
    store.caughtUp(end.seq);
  };

  const history = async () => {
    let after = store.behind;
    for (;;) {
      const page = await call("GetHistory", after === null ? { limit: PAGE } : { after, limit: CATCH_UP });
      if (after !== null && page.epoch !== store.epoch) return another();
      store.take(page);
      if (after === null || page.messages.length < CATCH_UP) return store.caughtUp(page.seq);
      after = page.messages.at(-1).seq;
    }
  };

  const run = async () => {
    wanted = true;
    if (running) return;
    running = true;
    while (wanted) {
      wanted = false;
      const done = await tried(() => members().then(history));
      if (!done) setTimeout(() => store.isOnline && run(), RETRY);
    }
    running = false;
  };

  const earlier = () =>
    tried(async () => {
      const before = store.messages[0].seq;
      const page = await call("GetHistory", { before, limit: PAGE });
      const isStillFirst = store.messages[0]?.seq === before && store.epoch === page.epoch;
      if (isStillFirst) store.take(page);
    });

  const look = () => store.canSend && !document.hidden && tried(members);
  setInterval(look, LOOK_AGAIN);
  setInterval(() => store.isStalled && look(), LOOK_STALLED);
  on(document, "visibilitychange", look);
  return { run, earlier };
}
