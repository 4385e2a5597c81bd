// The view of what was said: keeps its place, or the end if that is where the reader was.

import { avatar, button, byId, element } from "./dom.js";

const NEAR_END = 48; // px
const SAME_BREATH = 5 * 60_000; // ms: further messages of one person stand under one name
const timeOfDay = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const dayAndTime = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const inFull = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });

export function showMessages(store, { onAgain, onEdit, onEarlier }) {
  const [log, list, unsent, earlier, toEnd] = ["log", "messages", "unsent", "earlier", "to-end"].map(byId);
  const nodes = new Map(); // seq -> node
  let pinned = true; // the reader is at the end

  const isAtEnd = () => log.scrollHeight - log.scrollTop - log.clientHeight < NEAR_END;
  const toTheEnd = () => {
    log.scrollTop = log.scrollHeight;
    pinned = true;
    toEnd.hidden = true;
  };
  log.addEventListener("scroll", () => {
    pinned = isAtEnd();
    if (pinned) toEnd.hidden = true;
  });
  new ResizeObserver(() => pinned && toTheEnd()).observe(log); // a phone's keyboard, a growing draft
  toEnd.addEventListener("click", toTheEnd);

  store.addEventListener("message", ({ detail: { message, next } }) => {
    const node = drawMessage(message, store.isMine(message));
    const below = next ? nodes.get(next.seq) : null;
    const height = log.scrollHeight;
    nodes.set(message.seq, node);
    list.insertBefore(node, below);
    follow(node);
    if (below) follow(below);
    if (pinned) toTheEnd();
    else if (below && below.offsetTop <= log.scrollTop + log.clientHeight) log.scrollTop += log.scrollHeight - height;
    else toEnd.hidden = false;
    if (pinned) store.trim();
  });

  store.addEventListener("trimmed", ({ detail: gone }) => {
    for (const { seq } of gone) {
      nodes.get(seq).remove();
      nodes.delete(seq);
    }
    follow(list.firstChild);
    toTheEnd();
  });

  store.addEventListener("cleared", ({ detail: remark }) => {
    nodes.clear();
    list.replaceChildren(...(remark ? [element("div", "message notice", remark)] : []));
    toTheEnd();
  });

  const drawAllUnsent = () => {
    const isMore = store.unsent.size > unsent.childElementCount;
    const words = store.isOnline ? store.heldUp : "Waiting for the server";
    unsent.replaceChildren(...[...store.unsent.values()].map((message) => drawUnsent(message, words, onAgain, onEdit)));
    if (isMore || pinned) toTheEnd();
  };
  store.addEventListener("unsent", drawAllUnsent);
  store.addEventListener("standing", drawAllUnsent);

  // While the history comes in, a screen reader keeps quiet.
  store.addEventListener("busy", ({ detail: isBusy }) => log.setAttribute("aria-busy", String(isBusy)));

  store.addEventListener("log", () => {
    earlier.hidden = !store.messages.length || store.messages[0].seq <= store.oldestKept;
  });
  earlier.addEventListener("click", async () => {
    earlier.disabled = true;
    pinned = false;
    await onEarlier();
    pinned = isAtEnd();
    earlier.disabled = false;
  });
}

function drawMessage(message, isMine) {
  const node = element("div", `message ${message.is_system ? "notice" : isMine ? "own" : "other"}`);
  node.dataset.seq = message.seq;
  node.dataset.sender = message.is_system ? "" : message.sender_id;
  node.dataset.at = Date.parse(message.sent_at);
  const text = element("div", "text", message.text);
  text.dir = "auto";
  if (message.is_system) {
    node.append(text, drawTime(message.sent_at));
    return node;
  }
  const head = element("div", "head");
  const who = element("bdi", "who", isMine ? "You" : message.sender_name);
  head.append(who, drawTime(message.sent_at));
  node.append(avatar(message.sender_id, message.sender_name), head, text);
  return node;
}

// With a reason it was refused; else it waits, if there are words why, or is on its way.
function drawUnsent({ client_msg_id, text, reason }, waiting, onAgain, onEdit) {
  const node = element("div", `message own ${reason ? "failed" : waiting ? "waiting" : "pending"}`);
  const head = element("div", "head", reason ? "Not sent" : waiting || "Sending…");
  const body = element("div", "text", text);
  body.dir = "auto";
  const edit = button("plain", "Edit", () => onEdit(client_msg_id));
  node.append(head);
  if (reason) {
    const trouble = element("div", "trouble", reason);
    trouble.append(button("plain", "Try again", () => onAgain(client_msg_id)), edit);
    node.append(body, trouble);
  } else {
    node.append(...(waiting ? [edit, body] : [body]));
  }
  return node;
}

function drawTime(sentAt) {
  const date = new Date(sentAt);
  if (Number.isNaN(date.getTime())) return element("time", "", "");
  const isToday = date.toDateString() === new Date().toDateString();
  const time = element("time", "", (isToday ? timeOfDay : dayAndTime).format(date));
  time.dateTime = sentAt;
  time.title = inFull.format(date);
  return time;
}

// Whether a message goes on from the one above it, and needs no name of its own.
function follow(node) {
  const above = node?.previousElementSibling;
  const goesOn =
    above && node.dataset.sender && above.dataset.sender === node.dataset.sender &&
    node.dataset.at - above.dataset.at < SAME_BREATH;
  node?.classList.toggle("follows", Boolean(goesOn));
}
