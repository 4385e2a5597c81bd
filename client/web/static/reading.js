// What has been read, in any tab: how much is unread, and where the line is that says so.

import { keep, kept, on } from "./dom.js";

const KEPT_AS = "ringback-read";

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
    const read = kept("localStorage", KEPT_AS, {});
    const newest = messages.at(-1).seq;
    this.#upTo = Math.max(this.#upTo ?? 0, read.epoch === epoch ? read.seq : 0) || newest;
    const unread = messages.filter((message) => message.seq > this.#upTo && !message.is_system && !this.#store.isMine(message));
    const isReading = !document.hidden && this.#place.isAtEnd;
    // No line for what comes in before one's eyes.
    const isNew = unread.length && !this.count && !(isReading && canSend);
    const lineAfter = isNew ? this.#upTo : this.lineAfter;
    if (isReading) this.#upTo = newest;
    if (isReading && (read.epoch !== epoch || read.seq < newest)) keep("localStorage", KEPT_AS, { epoch, seq: newest });
    this.#set(isReading ? 0 : unread.length, lineAfter);
  }

  #set(count, lineAfter) {
    const isChange = count !== this.count || lineAfter !== this.lineAfter;
    Object.assign(this, { count, lineAfter });
    if (isChange) this.dispatchEvent(new Event("change"));
  }
}
