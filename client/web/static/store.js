// What this page knows. Views listen to it.

import { now } from "./clock.js";
import { Members } from "./members.js";
import { Names } from "./names.js";
import { NO_CONNECTION } from "./rpc.js";
import { Tones } from "./tones.js";

const KEPT = 300; // messages, at the end
const KEPT_AWAY = 5000; // for one who stays far up
const OVERLAP = 50; // messages read again after a break: one's own come out of turn

export class Store extends EventTarget {
  connected = false;
  downWords = "";
  session = { state: "new" }; // and detail, id, name, server, join_key_needed
  isReturning = false; // to a seat that is gone
  messages = []; // by seq
  remark = ""; // before them
  unsent = new Map(); // client_msg_id -> {client_msg_id, text, refusal, tried, sent_at}
  dropped = 0;
  isStalled = false; // the container answers, the chat server does not
  epoch = null;
  myName = "";
  #oldestKept = 0; // seq
  #heldUp = ""; // why the unsent waits
  #known = null; // up to this seq all of others has been taken
  #caughtUp = false;
  #newestPushed = 0;
  #ownIds = new Set();
  #members = new Members();
  #names = new Names();
  #isDoubted = false; // the container has not answered for a while
  #tones = new Tones();

  get isOnline() {
    return this.connected && this.session.state === "online";
  }

  // For people: what is said now arrives now.
  get isLive() {
    return this.isOnline && !this.isStalled && !this.#isDoubted;
  }

  // The history first: it may have what was stored while the answer got lost.
  get canSend() {
    return this.isOnline && this.#caughtUp;
  }

  // With a state: pending, waiting or failed.
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

  // From here on the history is to be read; null: its end.
  get known() {
    return this.#known;
  }

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
      this.unsent.clear(); // whoever comes next must not say it
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

  // A pattern of @name of anybody who is known.
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

  // One's own, of another tab, proves nothing about those before it.
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

  // From anywhere; what is here already counts once.
  add(messages) {
    const here = new Set(this.messages.map(({ seq }) => seq));
    const added = messages.filter(({ seq }) => !here.has(seq) && here.add(seq));
    this.messages = [...this.messages, ...added].sort((one, other) => one.seq - other.seq);
    if (added.filter(({ client_msg_id }) => this.unsent.delete(client_msg_id)).length) this.#emit("unsent");
    if (added.filter((message) => this.#members.apply(message)).length) this.#count();
    this.#names.learn(added.map(({ sender_name }) => sender_name));
    this.#emit("messages", added);
  }

  // Whatever was stored up to seq has been added.
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

  // Give up an unsent message, and give its text.
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
