// Who is here: the list as the server gave it, and the notices since then.

const STEPS = { join: 1, leave: -1, rename: 0 };

export class Members {
  byId = new Map(); // id -> {id, name, state, behind}
  count = 0; // of all, also of those that are not listed
  #seq = 0; // up to which the list has the notices

  set({ members, member_count, seq }) {
    this.byId = new Map(members.map((member) => [member.id, member]));
    this.count = member_count;
    this.#seq = seq;
  }

  // Whether it changed something.
  apply({ seq, event, sender_id: id, sender_name: name }) {
    if (seq <= this.#seq || !Object.hasOwn(STEPS, event)) return false;
    if (event === "leave") this.byId.delete(id);
    else this.byId.set(id, { id, name, state: "online" });
    this.count += STEPS[event];
    return true;
  }
}
