// Executes typed text and commands. The output of a command is shown above the draft, in this tab only.

import { byId, element, focusUnlessTouch, on } from "./dom.js";
import { conditionOf } from "./people.js";
import { HELP, readTyped } from "./typed.js";

const MOST_LISTED = 200;

export class Commands {
  #call;
  #store;
  #asks;

  // asks: {say(text), leave()}
  constructor(call, store, asks) {
    this.#call = call;
    this.#store = store;
    this.#asks = asks;
    on(byId("answer-close"), "click", () => {
      this.#tell(null);
      focusUnlessTouch(byId("draft"));
    });
    on(byId("draft"), "keydown", ({ key, defaultPrevented }) => {
      if (key === "Escape" && !defaultPrevented) this.#tell(null);
    });
  }

  // Returns a promise of an empty string, or of an error to show at the draft.
  async carryOut(typed) {
    const { kind, text } = readTyped(typed);
    if (kind === "mistake") return text;
    this.#tell(null);
    try {
      await this[kind](text);
      return "";
    } catch (error) {
      if (error.code === undefined) throw error;
      return error.message;
    }
  }

  nothing() {}

  say(text) {
    this.#asks.say(text);
  }

  help() {
    const rows = HELP.map(([usage, meaning]) => element("li", "", [element("code", "", usage), ` ${meaning}`]));
    this.#tell([element("ul", "", rows)]);
  }

  async who() {
    const { members, member_count: count } = await this.#call("ListMembers", { limit: MOST_LISTED });
    const listed = [...members].sort((one, other) => one.name.localeCompare(other.name));
    const parts = listed.flatMap((member, at) => [at ? ", " : "", ...this.#about(member)]);
    const more = count > listed.length ? ` and ${count - listed.length} more` : "";
    this.#tell([`${count} ${count === 1 ? "is" : "are"} here: `, ...parts, more]);
  }

  async nick(wanted) {
    const { name } = await this.#call("Rename", { name: wanted });
    this.#tell(["You are ", element("bdi", "", name), " now."]);
  }

  async quit(word) {
    if (word) await this.#call("SendMessage", { text: word });
    await this.#asks.leave();
  }

  #about(member) {
    const words = [member.id === this.#store.session.id ? "you" : "", conditionOf(member)].filter(Boolean).join(", ");
    return [element("bdi", "", member.name), words ? ` (${words})` : ""];
  }

  // null: hide the output.
  #tell(parts) {
    byId("answer-text").replaceChildren(...(parts ?? []));
    byId("answer").hidden = !parts;
  }
}
