// Where the reader is: at the end, and stays there, or further up, and is not moved.

import { byId, on } from "./dom.js";

const NEAR_END = 48; // px
const NEAR_START = 800; // px: from here on what is earlier is fetched

export class Place extends EventTarget {
  #log = byId("log");
  isAtEnd = true;

  constructor() {
    super();
    on(this.#log, "scroll", () => this.#moved());
    // A phone's keyboard, a growing draft: neither leaves the end.
    new ResizeObserver(() => this.isAtEnd && this.toEnd()).observe(this.#log);
  }

  get isNearStart() {
    return this.#log.scrollTop < NEAR_START;
  }

  toEnd() {
    this.#log.scrollTop = this.#log.scrollHeight;
    this.#moved();
  }

  // Change what is shown: at the end, or above or below what is read.
  keep(change, isAbove) {
    const toEnd = this.#log.scrollHeight - this.#log.scrollTop;
    change();
    if (this.isAtEnd) return this.toEnd();
    if (isAbove) this.#log.scrollTop = this.#log.scrollHeight - toEnd;
    this.#moved();
  }

  #moved() {
    const { scrollHeight, scrollTop, clientHeight } = this.#log;
    this.isAtEnd = scrollHeight - scrollTop - clientHeight < NEAR_END;
    this.dispatchEvent(new Event("moved"));
  }
}
