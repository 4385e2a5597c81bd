// From messages to rows. Knows nothing of the document.

const SAME_BREATH = 5 * 60_000; // ms under one name
const FOLD_FROM = 4; // notices in a row

// unreadAfter: a seq, or null. Rows alike in key, look and message are drawn alike.
export function rowsOf(messages, unreadAfter, store) {
  const rows = [];
  let notices = [];
  let day = { from: 0, to: 0 }; // ms
  let above; // whose name may stand for the next one
  let aboveAt;
  const flush = () => {
    if (notices.length >= FOLD_FROM) rows.push({ kind: "folded", key: `folded ${notices[0].seq}`, look: notices.length, notices });
    else rows.push(...notices.map((message) => ({ kind: "notice", key: message.seq, message })));
    notices = [];
  };
  for (const message of messages) {
    const at = Date.parse(message.sent_at);
    if (!(at >= day.from && at < day.to)) {
      flush();
      day = dayOf(at);
      rows.push({ kind: "day", key: `day ${message.seq}`, look: new Date().toDateString(), date: new Date(at || 0) });
      above = null;
    }
    if (message.is_system) {
      notices.push(message);
      above = null;
      continue;
    }
    flush();
    if (unreadAfter !== null && message.seq > unreadAfter && !store.isMine(message)) {
      if (message !== messages[0]) rows.push({ kind: "unread", key: "unread" });
      unreadAfter = above = null;
    }
    const follows =
      above && above.sender_id === message.sender_id && above.sender_name === message.sender_name &&
      at - aboveAt < SAME_BREATH;
    const { seq, client_msg_id, state, reason } = message;
    rows.push({ kind: "message", key: seq ?? client_msg_id, look: state ? state + reason + follows + message.tried : follows, message, follows });
    above = message;
    aboveAt = at;
  }
  flush();
  return rows;
}

function dayOf(at) {
  return { from: new Date(at).setHours(0, 0, 0, 0), to: new Date(at).setHours(24, 0, 0, 0) };
}

// "3 joined, 2 left"
export function summaryOf(notices) {
  const words = { join: "joined", leave: "left", rename: "renamed" };
  const counts = Object.entries(words).map(([event, word]) => [notices.filter((notice) => notice.event === event).length, word]);
  return counts.filter(([count]) => count).map((counted) => counted.join(" ")).join(", ") || `${notices.length} notices`;
}
