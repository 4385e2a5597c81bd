// Arranges messages in rows, without the DOM.

import { now } from "./clock.js";

const SAME_BREATH = 5 * 60_000; // ms: messages of a sender within it share a head
const FOLD_FROM = 4; // notices in a row

// unreadAfter: a seq, or null. Rows with equal key, look and message need no new drawing.
export function rowsOf(messages, unreadAfter, store) {
  const rows = [];
  let notices = [];
  let day = { from: 0, to: 0 }; // ms
  let above; // the message whose head the next message may share
  let aboveAt;
  const flush = () => {
    if (notices.length >= FOLD_FROM) {
      rows.push({ kind: "folded", key: `folded ${notices[0].seq}`, look: notices.length, notices });
    } else {
      rows.push(...notices.map((message) => ({ kind: "notice", key: message.seq, message })));
    }
    notices = [];
  };
  for (const message of messages) {
    const { seq, client_msg_id, sent_at } = message;
    const at = Date.parse(sent_at);
    if (!(at >= day.from && at < day.to)) {
      flush();
      day = dayOf(at);
      const date = new Date(at || 0);
      rows.push({ kind: "day", key: `day ${seq ?? client_msg_id}`, look: nameOfDay(date), date });
      above = null;
    }
    if (message.is_system) {
      notices.push(message);
      above = null;
      continue;
    }
    flush();
    if (unreadAfter !== null && seq > unreadAfter && !store.isMine(message)) {
      if (message !== messages[0]) rows.push({ kind: "unread", key: "unread" });
      unreadAfter = above = null;
    }
    const follows = isSameSpeaker(above, message) && at - aboveAt < SAME_BREATH;
    rows.push({ kind: "message", key: seq ?? client_msg_id, look: lookOf(message, follows), message, follows });
    above = message;
    aboveAt = at;
  }
  flush();
  return rows;
}

function isSameSpeaker(above, { sender_id, sender_name }) {
  return Boolean(above) && above.sender_id === sender_id && above.sender_name === sender_name;
}

function lookOf({ state, reason, tried }, follows) {
  return state ? `${state} ${reason} ${follows} ${tried}` : follows;
}

function dayOf(at) {
  return { from: new Date(at).setHours(0, 0, 0, 0), to: new Date(at).setHours(24, 0, 0, 0) };
}

// "Today", "Yesterday", or empty for any other day.
export function nameOfDay(date) {
  const today = new Date(now());
  const yesterday = new Date(today.getFullYear(), today.getMonth(), today.getDate() - 1);
  if (date.toDateString() === today.toDateString()) return "Today";
  return date.toDateString() === yesterday.toDateString() ? "Yesterday" : "";
}

// "3 joined, 2 left"
export function summaryOf(notices) {
  const words = { join: "joined", leave: "left", rename: "renamed" };
  const count = (event) => notices.filter((notice) => notice.event === event).length;
  const counts = Object.entries(words).map(([event, word]) => [count(event), word]);
  const told = counts.filter(([number]) => number).map((counted) => counted.join(" "));
  return told.join(", ") || `${notices.length} notices`;
}
