// What this page knows: where it stands, the messages in order of seq, what is not sent yet, who is here.
// Views listen; nobody else changes it.

const KEPT = 1000; // messages held at a time; older ones are read again when asked for

export class Store extends EventTarget {
  connected = false;
  downWords = ""; // why not, in words
  session = { state: "new", detail: "", id: null, name: null, server: "", join_key_needed: false };
  messages = []; // by seq
  unsent = new Map(); // client_msg_id -> {client_msg_id, text, reason, since}; reason is "" while it is on its way
  members = new Map(); // id -> name
  memberCount = 0;
  epoch = null;
  oldestKept = 0; // seq
  known = null; // every message up to this seq has been taken; null before the first history
  #caughtUp = false;
  #newestPushed = 0;
  #membersSeq = 0;
  #ownIds = new Set(); // a seat lost and taken anew has another id

  setConnected(connected, reason) {
    this.connected = connected;
    this.downWords = connected ? "" : `${reason || "This page cannot reach its container."} Trying again until it works…`;
    if (!connected) this.#caughtUp = false;
    this.#emit("standing");
  }

  setSession(session) {
    const seatBefore = this.session.id;
    this.session = session;
    this.#caughtUp = false; // a new seat begins at the newest message: what lies between comes with the history
    if (session.id) this.#ownIds.add(session.id);
    if (seatBefore && !session.id) this.clear("");
    if (session.state === "left") this.unsent.clear();
    this.#emit("standing");
  }

  isMine(message) {
    return this.#ownIds.has(message.sender_id);
  }

  // A message that was pushed. One's own comes from another tab, out of turn, and proves nothing about those before it.
  push(message) {
    if (!this.isMine(message)) {
      this.#newestPushed = Math.max(this.#newestPushed, message.seq);
      if (this.#caughtUp) this.known = Math.max(this.known, message.seq);
    }
    if (this.add(message) && message.seq > this.#membersSeq) this.#applyNotice(message);
  }

  // A message from anywhere; tells whether it is new here.
  add(message) {
    let at = this.messages.length;
    while (at > 0 && this.messages[at - 1].seq > message.seq) at -= 1;
    if (at > 0 && this.messages[at - 1].seq === message.seq) return false;
    this.messages.splice(at, 0, message);
    if (this.isMine(message) && this.unsent.delete(message.client_msg_id)) {
      this.#emit("unsent", message.client_msg_id);
    }
    this.#emit("message", { message, next: this.messages[at + 1] });
    return true;
  }

  // From where on the history is to be read again: a message whose answer got lost stands above what it followed.
  get behind() {
    if (this.known === null) return null;
    return Math.min(this.known, ...[...this.unsent.values()].map(({ since }) => since));
  }

  caughtUp(seq) {
    this.known = Math.max(seq, this.#newestPushed);
    this.#caughtUp = true;
  }

  setBusy(isBusy) {
    this.#emit("busy", isBusy);
  }

  // The epoch of the log and its oldest message, as each history tells them.
  setLog(epoch, oldest) {
    this.epoch = epoch;
    this.oldestKept = oldest;
    this.#emit("log");
  }

  clear(remark) {
    this.messages = [];
    this.known = null;
    this.#newestPushed = 0;
    this.#membersSeq = 0;
    this.#emit("cleared", remark);
  }

  trim() {
    if (this.messages.length > KEPT + 100) {
      this.#emit("trimmed", this.messages.splice(0, this.messages.length - KEPT));
      this.#emit("log");
    }
  }

  setUnsent(client_msg_id, text, reason) {
    const since = this.unsent.get(client_msg_id)?.since ?? this.known ?? 0;
    this.unsent.set(client_msg_id, { client_msg_id, text, reason, since });
    this.#emit("unsent", client_msg_id);
  }

  // Give up an unsent message, and give its text.
  takeBack(client_msg_id) {
    const { text } = this.unsent.get(client_msg_id);
    this.unsent.delete(client_msg_id);
    this.#emit("unsent", client_msg_id);
    return text;
  }

  setMembers(members, count, seq) {
    this.members = new Map(members.map(({ id, name }) => [id, name]));
    this.memberCount = count;
    this.#membersSeq = seq;
    for (const message of this.messages) if (message.seq > seq) this.#applyNotice(message);
    this.#emit("members");
  }

  #applyNotice({ event, sender_id: id, sender_name: name }) {
    if (event === "leave") {
      this.memberCount -= 1;
      this.members.delete(id);
    } else if (event === "join" || event === "rename") {
      if (event === "join") this.memberCount += 1;
      this.members.set(id, name);
    } else {
      return;
    }
    this.#emit("members");
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
