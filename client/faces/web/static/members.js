// The present members: the server's list, updated by later notices.

const STEPS = { join: 1, leave: -1, rename: 0 };

export class Members {
  byId = new Map(); // id -> {id, name, state, behind}
  count = 0; // of all members, also beyond the list's limit
  #seq = 0; // the list includes the notices up to this seq

  set({ members, member_count, seq }) {
    this.byId = new Map(members.map((member) => [member.id, member]));
    this.count = member_count;
    this.#seq = seq;
  }

  // Returns whether the message changed the list.
  apply({ seq, event, sender_id: id, sender_name: name }) {
    if (seq <= this.#seq || !Object.hasOwn(STEPS, event)) return false;
    if (event === "leave") this.byId.delete(id);
    else this.byId.set(id, { id, name, state: "online" });
    this.count += STEPS[event];
    return true;
  }
}
