// From messages to the rows that are drawn. Knows nothing of the document.

const SAME_BREATH = 5 * 60_000; // ms: for so long a name stands for further messages
const FOLD_FROM = 4; // notices in a row

// unreadAfter: a seq, or null. A row of the same key, look and message as before is drawn already.
export function rowsOf(messages, unreadAfter, store) {
  const rows = [];
  let notices = [];
  let day;
  let above; // whose name may stand for the next one
  const flush = () => {
    if (notices.length >= FOLD_FROM) rows.push({ kind: "folded", key: `folded ${notices[0].seq}`, look: notices.length, notices });
    else rows.push(...notices.map((message) => ({ kind: "notice", key: message.seq, message })));
    notices = [];
  };
  for (const message of messages) {
    const date = new Date(message.sent_at);
    if (date.toDateString() !== day) {
      flush();
      day = date.toDateString();
      rows.push({ kind: "day", key: day, look: new Date().toDateString(), date });
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
      date - Date.parse(above.sent_at) < SAME_BREATH;
    const { seq, client_msg_id, state = "", reason } = message;
    rows.push({ kind: "message", key: seq ?? client_msg_id, look: [follows && "follows", state, reason].join(), message, follows });
    above = message;
  }
  flush();
  return rows;
}

// "3 joined, 2 left"
export function summaryOf(notices) {
  const words = { join: "joined", leave: "left", rename: "renamed" };
  const counts = Object.entries(words).map(([event, word]) => [notices.filter((notice) => notice.event === event).length, word]);
  return counts.filter(([count]) => count).map((counted) => counted.join(" ")).join(", ") || `${notices.length} notices`;
}
