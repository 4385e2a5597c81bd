// The list of messages, including unsent messages.

import { byId, focusUnlessTouch, on } from "./dom.js";
import { drawPlainly, drawRow } from "./draw.js";
import { nameOfDay, rowsOf } from "./rows.js";

const LOOK_AT_CLOCK = 20_000; // ms

export function showMessages(store, place, reading, onEarlier, asks) {
  const [list, earlier, toEnd, draft] = ["messages", "earlier", "to-end", "draft"].map(byId);
  let drawn = new Map(); // key -> {row, node}
  let isLoading = false;
  let line = null; // reading.lineAfter at the last drawing

  const draw = () => {
    line = reading.lineAfter;
    const rows = rowsOf([...store.messages, ...store.unsentMessages], line, store);
    const now = new Map(rows.map((row) => [row.key, drawnAs(row)]));
    for (const [key, { node }] of drawn) {
      if (now.get(key)?.node !== node) node.remove();
    }
    let next = list.firstChild;
    for (const { node } of now.values()) {
      if (node === next) next = node.nextSibling;
      else list.insertBefore(node, next);
    }
    drawn = now;
    earlier.hidden = !store.hasEarlier;
  };

  const drawnAs = (row) => {
    const old = drawn.get(row.key);
    if (old && old.row.look === row.look && (old.row.message === row.message || row.message.state)) return old;
    return { row, node: Object.assign(drawSafely(row), { open: old?.node.open }) };
  };

  // A row that cannot be drawn must not stop the other rows.
  const drawSafely = (row) => {
    try {
      return drawRow(row, store, asks);
    } catch (error) {
      console.error(error);
      return drawPlainly(row);
    }
  };

  const drawInPlace = () => {
    reading.update(); // first, because it places the unread line
    place.keep(draw);
  };

  on(store, "messages", () => {
    drawInPlace();
    if (place.isAtEnd) store.trim();
  });
  on(store, "unsent", drawInPlace);
  on(store, "sent", () => place.toEnd());
  on(store, "cleared", () => {
    byId("remark").textContent = store.remark;
    place.isAtEnd = true;
  });

  // Updates "Today" and "Yesterday" after midnight.
  const drawIfDayIsOver = () => {
    const days = [...drawn.values()].filter(({ row }) => row.kind === "day");
    if (days.some(({ row }) => row.look !== nameOfDay(row.date))) place.keep(draw);
  };
  setInterval(drawIfDayIsOver, LOOK_AT_CLOCK);
  on(document, "visibilitychange", drawIfDayIsOver);

  const load = async () => {
    isLoading = true;
    const done = await onEarlier();
    isLoading = false;
    if (done) loadIfNear();
  };
  const loadIfNear = () => !isLoading && store.canSend && store.hasEarlier && place.isNearStart && load();
  on(earlier, "click", load);
  on(store, "caughtup", loadIfNear);

  on(toEnd, "click", () => {
    place.toEnd();
    focusUnlessTouch(draft);
  });
  const drawToEnd = () => {
    const { count } = reading;
    toEnd.hidden = place.isAtEnd;
    toEnd.classList.toggle("news", count > 0);
    toEnd.textContent = count ? `${count} new message${count === 1 ? "" : "s"}` : "To the newest";
  };
  on(place, "moved", () => {
    reading.update();
    drawToEnd();
    loadIfNear();
  });
  on(reading, "change", () => {
    if (line !== reading.lineAfter) place.keep(draw);
    drawToEnd();
  });
}
