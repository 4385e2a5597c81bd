// Draws a row of the message list.

import { avatar, button, element, inTone } from "./dom.js";
import { isAction, isOnlyEmoji, partsOf, withoutMe } from "./format.js";
import { summaryOf } from "./rows.js";

const formatter = (options) => new Intl.DateTimeFormat([], options);
const timeOfDay = formatter({ hour: "2-digit", minute: "2-digit" });
const dayInFull = formatter({ dateStyle: "full" });
const inFull = formatter({ dateStyle: "full", timeStyle: "medium" });

// asks: {again(id, text), edit(id)}
export function drawRow({ kind, look, follows, date, message, notices }, store, asks) {
  if (kind === "day") return element("div", "day", look || dayInFull.format(date));
  if (kind === "unread") return element("div", "unread", "New");
  if (kind === "notice") return drawNotice(message);
  if (kind === "folded") return drawFolded(notices);
  return drawMessage(message, follows, store, asks);
}

// The fallback for a row that cannot be drawn: names and texts only.
export function drawPlainly({ message, notices = [message] }) {
  const lines = notices.map((each) => `${each?.sender_name ?? ""}: ${each?.text ?? ""}`);
  return element("div", "message other", [element("div", "text", lines.join("\n"))]);
}

// A message with a state is not stored on the server yet.
function drawMessage(message, follows, store, asks) {
  const { client_msg_id: id, sender_id, sender_name: name, sent_at, text, state = "", reason, tried } = message;
  const isMine = store.isMine(message);
  const mentioned = !isMine && store.mentionsMe(text) ? "mentioned" : "";
  const tone = store.toneOf(sender_id ?? "", name);
  const who = element("bdi", "who", isMine ? "You" : name);
  const head = inTone(element("div", "head", [who, drawTime(sent_at, follows)]), tone);
  const parts = [avatar(name, tone), head, drawText(name, text, store.mention)];
  const node = element("div", `message ${isMine ? "own" : "other"} ${follows ? "follows" : ""} ${state} ${mentioned}`, parts);
  if (state === "pending") node.setAttribute("aria-live", "off"); // announced once, when it is stored
  if (reason) {
    const trouble = element("div", "trouble", [reason]);
    if (state === "failed") trouble.append(button("Try again", () => asks.again(id, text)));
    if (state === "failed" || !tried) trouble.append(button("Edit", () => asks.edit(id))); // else it may be stored
    node.append(trouble);
  }
  return node;
}

function drawText(name, text, mention) {
  const action = isAction(text) ? "action" : "";
  const parts = partsOf(withoutMe(text), mention).map(([kind, part]) => (kind === "text" ? part : drawPart[kind](part)));
  if (action) parts.unshift(element("bdi", "", name), " ");
  return inItsDirection(element("div", `text ${action} ${isOnlyEmoji(text) ? "large" : ""}`, parts));
}

// The browser takes the direction (right to left for Hebrew) from the first letters.
function inItsDirection(node) {
  node.dir = "auto";
  return node;
}

const drawPart = {
  mention: (text) => element("bdi", "mention", text),
  code: (text) => element("code", "", text),
  block: (text) => inItsDirection(element("pre", "", text)),
  link(url) {
    const link = element("a", "", url);
    link.href = url; // partsOf makes links of http and https only
    link.target = "_blank";
    link.rel = "noopener noreferrer";
    return link;
  },
};

function drawFolded(notices) {
  return element("details", "folded", [element("summary", "", summaryOf(notices)), ...notices.map(drawNotice)]);
}

// The server's sentence is English; bdi isolates the name, which may run right to left.
function drawNotice({ text, sender_name: name, sent_at }) {
  const parts = name && text.startsWith(name) ? [element("bdi", "", name), text.slice(name.length)] : [text];
  return element("div", "notice", [element("div", "text", parts), drawTime(sent_at)]);
}

// A row that continues the row above has room for hour and minute only; AM or PM is shown in the row above.
function drawTime(sentAt, isShort = false) {
  const date = new Date(Date.parse(sentAt) || 0);
  const shown = isShort ? hourAndMinute(date) : timeOfDay.format(date);
  return Object.assign(element("time", "", shown), { dateTime: sentAt, title: inFull.format(date) });
}

function hourAndMinute(date) {
  const parts = timeOfDay.formatToParts(date);
  const at = ["hour", "minute"].map((wanted) => parts.findIndex(({ type }) => type === wanted));
  const between = parts.slice(Math.min(...at), Math.max(...at) + 1);
  return between.map(({ value }) => value.trim()).join("");
}
