// Chooses a colour for each person, if possible not used by another member. By id, because names can be reused.

import { keep, kept } from "./dom.js";

export const TONES = 12; // as in tokens.css

const KEPT_AS = "ringback-tones";
const MOST_KEPT = 300;

export class Tones {
  #known = new Map(kept("localStorage", KEPT_AS, [])); // id -> [tone, name]

  // Returns the same colour for an id as long as this browser stores it. here: ids of the members.
  of(id, name, here) {
    const known = this.#known.get(id);
    if (known) return known[0];
    const tone = this.#choose(id, name, new Set(here));
    this.#known.set(id, [tone, name]);
    keep("localStorage", KEPT_AS, [...this.#known].slice(-MOST_KEPT));
    return tone;
  }

  // Starts at a hash of the id, and prefers colours that no member has and that no other id with this name had.
  #choose(id, name, here) {
    const cost = Array(TONES).fill(0);
    for (const [other, [tone, otherName]] of this.#known) {
      if (here.has(other)) cost[tone] += 1;
      if (otherName === name) cost[tone] += here.size + 1;
    }
    const first = hashOf(id) % TONES;
    const inOrder = cost.map((_, step) => (first + step * 5) % TONES); // 5, because neighbouring colours are similar
    return inOrder.reduce((best, tone) => (cost[tone] < cost[best] ? tone : best));
  }
}

function hashOf(id) {
  let hash = 0x811c9dc5; // FNV-1a
  for (const char of id) hash = Math.imul(hash ^ char.codePointAt(0), 0x01000193);
  return hash >>> 16;
}
