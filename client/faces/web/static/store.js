// The state of this page. Views listen to its events.

import { now } from "./clock.js";
import { Members } from "./members.js";
import { Names } from "./names.js";
import { NO_CONNECTION } from "./rpc.js";
import { Tones } from "./tones.js";

const KEPT = 300; // the newest messages
const KEPT_AWAY = 5000; // while the reader is scrolled up
const OVERLAP = 50; // messages read again after a break, because own messages may arrive out of order

export class Store extends EventTarget {
  connected = false;
  downWords = "";
  session = { state: "new" }; // and detail, id, name, server, join_key_needed
  isReturning = false; // is joining again, after the registration was lost
  messages = []; // by seq
  remark = ""; // shown before the messages
  unsent = new Map(); // client_msg_id -> {client_msg_id, text, refusal, tried, sent_at}
  dropped = 0;
  isStalled = false; // the container answers, the chat server does not
  epoch = null;
  myName = "";
  #oldestKept = 0; // seq
  #heldUp = ""; // why unsent messages wait
  #known = null; // all messages of other members up to this seq have arrived
  #caughtUp = false;
  #newestPushed = 0;
  #ownIds = new Set();
  #members = new Members();
  #names = new Names();
  #isDoubted = false; // the container may not respond any more
  #tones = new Tones();

  get isOnline() {
    return this.connected && this.session.state === "online";
  }

  // The status to show: messages arrive without delay.
  get isLive() {
    return this.isOnline && !this.isStalled && !this.#isDoubted;
  }

  // Not before the history is read: it may contain a message whose response was lost.
  get canSend() {
    return this.isOnline && this.#caughtUp;
  }

  // Adds a state: pending, waiting or failed.
  get unsentMessages() {
    const waits = this.isLive ? this.#heldUp : "Waiting for the server";
    return [...this.unsent.values()].map((message) => ({
      ...message,
      sender_id: this.session.id,
      sender_name: this.myName,
      state: message.refusal ? "failed" : waits ? "waiting" : "pending",
      reason: message.refusal || waits,
    }));
  }

  get hasEarlier() {
    return this.messages[0]?.seq > this.#oldestKept;
  }

  get known() {
    return this.#known;
  }

  // The seq after which the history has to be read; null: read only its end.
  get behind() {
    if (this.#known === null) return null;
    const before = this.messages.filter(({ seq }) => seq <= this.#known);
    return before.at(-OVERLAP)?.seq ?? 0;
  }

  setDown(reason) {
    this.connected = this.#caughtUp = false;
    this.downWords = `${reason || NO_CONNECTION} Trying again until it works…`;
    this.#stand();
  }

  setSession(session) {
    this.session = session;
    this.connected = true;
    this.downWords = "";
    this.isStalled = false;
    this.#caughtUp = false; // what lies between is history
    if (session.id) {
      this.#ownIds.add(session.id);
      this.myName = session.name;
      this.#names.setMine(session.name);
    }
    if (session.state === "left") {
      this.dropped = this.unsent.size;
      this.unsent.clear(); // the next person at this tab must not send them
      this.clear();
    }
    this.#stand();
  }

  // id -> {id, name, state, behind}
  get members() {
    return this.#members.byId;
  }

  get memberCount() {
    return this.#members.count;
  }

  // The pattern of @name for all known names.
  get mention() {
    return this.#names.mention;
  }

  isMine({ state, sender_id }) {
    return Boolean(state) || this.#ownIds.has(sender_id);
  }

  mentionsMe(text) {
    return this.#names.mentionMe(text);
  }

  toneOf(id, name) {
    return this.#tones.of(id, name, this.members.keys());
  }

  // An own message from another tab does not prove that earlier messages have arrived.
  push(message) {
    if (!this.isMine(message)) {
      this.#newestPushed = message.seq;
      if (this.#caughtUp) this.#known = message.seq;
    }
    this.add([message]);
    this.trim(KEPT_AWAY);
  }

  take({ epoch, oldest, messages }) {
    this.epoch = epoch;
    this.#oldestKept = oldest;
    this.add(messages);
  }

  // Adds messages from any source; ignores those already present.
  add(messages) {
    const here = new Set(this.messages.map(({ seq }) => seq));
    const added = messages.filter(({ seq }) => !here.has(seq) && here.add(seq));
    this.messages = [...this.messages, ...added].sort((one, other) => one.seq - other.seq);
    if (added.filter(({ client_msg_id }) => this.unsent.delete(client_msg_id)).length) this.#emit("unsent");
    if (added.filter((message) => this.#members.apply(message)).length) this.#count();
    this.#names.learn(added.map(({ sender_name }) => sender_name));
    this.#emit("messages", added);
  }

  // All messages stored up to seq have been added.
  caughtUp(seq) {
    this.#known = Math.max(seq, this.#newestPushed);
    this.#caughtUp = true;
    this.#emit("caughtup");
  }

  clear(remark = "") {
    this.messages = [];
    this.remark = remark;
    this.epoch = this.#known = null;
    this.#newestPushed = 0;
    this.#emit("cleared");
    this.#emit("messages", []);
  }

  trim(kept = KEPT) {
    if (this.messages.length <= 2 * kept) return;
    this.messages = this.messages.slice(-kept);
    this.#emit("messages", []);
  }

  setReturning(isReturning) {
    this.isReturning = isReturning;
    this.#stand();
  }

  setStalled(isStalled) {
    if (this.isStalled === isStalled) return;
    this.isStalled = isStalled;
    this.#stand();
  }

  setDoubted(isDoubted) {
    if (this.#isDoubted === isDoubted) return;
    this.#isDoubted = isDoubted;
    this.#stand();
  }

  setUnsent(client_msg_id, text, refusal, tried) {
    const sent_at = new Date(now()).toISOString();
    this.unsent.set(client_msg_id, { client_msg_id, text, refusal, tried, sent_at });
    this.#emit("unsent");
  }

  setHeldUp(words) {
    this.#heldUp = words;
    this.#emit("unsent");
  }

  // Removes an unsent message, and returns its text.
  takeBack(client_msg_id) {
    const { text } = this.unsent.get(client_msg_id);
    this.unsent.delete(client_msg_id);
    this.#emit("unsent");
    return text;
  }

  setMembers(listed) {
    this.#members.set(listed);
    for (const message of this.messages) this.#members.apply(message);
    this.#count();
  }

  #count() {
    this.#names.learn([...this.members.values()].map(({ name }) => name));
    this.#emit("members");
  }

  #stand() {
    this.#emit("standing");
    this.#emit("unsent");
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
