// Tracks the read position over all tabs: the number of unread messages, and the place of the unread line.

import { keep, kept, on } from "./dom.js";

const KEPT_AS = "ringback-read";

export class Reading extends EventTarget {
  #store;
  #place;
  #upTo = null; // the last read seq; null before the first history
  count = 0; // unread messages, without own
  lineAfter = null; // the unread line follows this seq

  constructor(store, place) {
    super();
    this.#store = store;
    this.#place = place;
    const update = () => this.update();
    on(document, "visibilitychange", update);
    on(window, "storage", update);
    on(store, "sent", () => this.#set(this.count, null)); // sending a message implies having read
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
    // No line for messages that arrive while the person reads.
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
