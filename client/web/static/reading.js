// What has been read, in any tab: how much is unread, and where the line is that says so.

import { on } from "./dom.js";

const KEPT_AS = "ringback-read"; // in localStorage: {epoch, seq}

export class Reading extends EventTarget {
  #store;
  #place;
  #upTo = null; // the last seq that was read; null before the first history
  count = 0; // unread messages of others
  lineAfter = null; // the seq behind which the unread line stands

  constructor(store, place) {
    super();
    this.#store = store;
    this.#place = place;
    const update = () => this.update();
    on(document, "visibilitychange", update);
    on(window, "storage", update);
    on(store, "sent", () => this.#set(this.count, null)); // whoever answers has read
    on(store, "cleared", () => {
      this.#upTo = null;
      this.#set(0, null);
    });
  }

  update() {
    const { messages, epoch, canSend } = this.#store;
    if (!epoch || !messages.length) return;
    const kept = JSON.parse(localStorage.getItem(KEPT_AS) ?? "{}");
    const newest = messages.at(-1).seq;
    this.#upTo = Math.max(this.#upTo ?? 0, kept.epoch === epoch ? kept.seq : 0) || newest;
    const unread = messages.filter((message) => message.seq > this.#upTo && !message.is_system && !this.#store.isMine(message));
    const isReading = !document.hidden && this.#place.isAtEnd;
    // No line for what comes in before one's eyes.
    const isNew = unread.length && !this.count && !(isReading && canSend);
    const lineAfter = isNew ? this.#upTo : this.lineAfter;
    if (isReading) this.#upTo = newest;
    if (isReading && (kept.epoch !== epoch || kept.seq < newest)) localStorage.setItem(KEPT_AS, JSON.stringify({ epoch, seq: newest }));
    this.#set(isReading ? 0 : unread.length, lineAfter);
  }

  #set(count, lineAfter) {
    const isChange = count !== this.count || lineAfter !== this.lineAfter;
    Object.assign(this, { count, lineAfter });
    if (isChange) this.dispatchEvent(new Event("change"));
  }
}
