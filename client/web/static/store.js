// What this page knows: where it stands, the messages in order of seq, what is not sent yet, who is here.
// Views listen; nobody else changes it.

const KEPT = 1000; // messages held at a time; older ones are read again when asked for

export class Store extends EventTarget {
  connected = false;
  downWords = ""; // why not, in words
  session = { state: "new", detail: "", id: null, name: null, server: "", join_key_needed: false };
  messages = []; // by seq
  unsent = new Map(); // client_msg_id -> {client_msg_id, text, reason}, as typed; reason: why it was refused
  heldUp = ""; // why what is not refused has to wait, in words
  dropped = 0; // how many were still unsent when this browser left the room
  members = new Map(); // id -> name
  memberCount = 0;
  epoch = null;
  oldestKept = 0; // seq
  known = null; // every message up to this seq has been taken; null before the first history
  #caughtUp = false;
  #newestPushed = 0;
  #inDoubt = Infinity; // above this seq there may be a message of one's own whose answer got lost
  #membersSeq = 0;
  #ownIds = new Set(); // a seat lost and taken anew has another id

  get isOnline() {
    return this.connected && this.session.state === "online";
  }

  // The history comes first: what is stored already, its answer lost, is found there and need not be sent again.
  get canSend() {
    return this.isOnline && this.#caughtUp;
  }

  get nextToSend() {
    return [...this.unsent.values()].find(({ reason }) => !reason);
  }

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
    if (session.state === "left") this.#dropUnsent();
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
    if (this.unsent.delete(message.client_msg_id)) this.#emit("unsent");
    this.#emit("message", { message, next: this.messages[at + 1] });
    return true;
  }

  // From where on the history is to be read again.
  get behind() {
    return this.known === null ? null : Math.min(this.known, this.#inDoubt);
  }

  // Whatever was stored up to seq has been added.
  caughtUp(seq) {
    this.known = Math.max(seq, this.#newestPushed);
    this.#inDoubt = Math.max(this.#inDoubt, seq);
    this.#caughtUp = true;
    this.#emit("caughtup");
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
    this.unsent.set(client_msg_id, { client_msg_id, text, reason });
    this.#emit("unsent");
  }

  setInDoubt(isInDoubt) {
    this.#inDoubt = isInDoubt ? Math.min(this.#inDoubt, this.known) : Infinity;
  }

  setHeldUp(words) {
    if (words === this.heldUp) return;
    this.heldUp = words;
    this.#emit("unsent");
  }

  #dropUnsent() {
    this.dropped = this.unsent.size;
    this.unsent.clear();
    this.#emit("unsent");
  }

  // Give up an unsent message, and give its text.
  takeBack(client_msg_id) {
    const { text } = this.unsent.get(client_msg_id);
    this.unsent.delete(client_msg_id);
    this.#emit("unsent");
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
