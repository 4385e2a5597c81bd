// The scroll position of the message list.

import { byId, on } from "./dom.js";

const NEAR_END = 48; // px
const NEAR_START = 800; // px: from here on earlier messages are loaded

export class Place extends EventTarget {
  #log = byId("log");
  isAtEnd = true;

  constructor() {
    super();
    on(this.#log, "scroll", () => this.#moved());
    new ResizeObserver(() => this.isAtEnd && this.toEnd()).observe(this.#log);
  }

  get isNearStart() {
    return this.#log.scrollTop < NEAR_START;
  }

  toEnd() {
    this.#log.scrollTop = this.#log.scrollHeight;
    this.#moved();
  }

  // Calls change(), and keeps the first visible row in place, or the next row if that is removed.
  keep(change) {
    const seen = this.isAtEnd ? [] : this.#rowsInView();
    change();
    if (this.isAtEnd) return this.toEnd();
    const still = seen.find(({ row }) => row.isConnected);
    if (still) this.#log.scrollTop += still.row.offsetTop - still.top;
    this.#moved();
  }

  #rowsInView() {
    const rows = byId("messages").children;
    let [from, to] = [0, rows.length];
    while (from < to) {
      const middle = (from + to) >> 1;
      const { offsetTop, offsetHeight } = rows[middle];
      if (offsetTop + offsetHeight > this.#log.scrollTop) to = middle;
      else from = middle + 1;
    }
    return [...Array(4)].map((_, at) => rows[from + at]).filter(Boolean).map((row) => ({ row, top: row.offsetTop }));
  }

  #moved() {
    const { scrollHeight, scrollTop, clientHeight } = this.#log;
    this.isAtEnd = scrollHeight - scrollTop - clientHeight < NEAR_END;
    this.dispatchEvent(new Event("moved"));
  }
}
