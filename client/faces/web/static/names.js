// The names that can be mentioned: of all members and of past speakers, because @Ann-Marie does not mention Ann.

import { mentionOf, mentions } from "./format.js";

const MOST = 1000; // limits the pattern, which is tried at each @

export class Names {
  mention = null; // the pattern of @name for all known names
  #all = new Set();
  #mentionOfMe = null;

  setMine(name) {
    this.#mentionOfMe = mentionOf([name]);
    this.learn([name]);
  }

  learn(names) {
    const before = this.#all.size;
    for (const name of names) {
      if (name && this.#all.size < MOST) this.#all.add(name);
    }
    if (this.#all.size > before) this.mention = mentionOf(this.#all);
  }

  mentionMe(text) {
    return this.#mentionOfMe !== null && mentions(text, this.#mentionOfMe, this.mention);
  }
}
