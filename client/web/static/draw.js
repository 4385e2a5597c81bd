// Draws a row.

import { avatar, button, element, inTone } from "./dom.js";
import { isAction, isOnlyEmoji, partsOf, withoutMe } from "./format.js";
import { summaryOf } from "./rows.js";

const format = (options) => new Intl.DateTimeFormat([], options).format;
const timeOfDay = format({ hour: "2-digit", minute: "2-digit" });
const dayInFull = format({ dateStyle: "full" });
const inFull = format({ dateStyle: "full", timeStyle: "medium" });

// asks: {again(id, text), edit(id)}
export function drawRow({ kind, look, follows, date, message, notices }, store, asks) {
  if (kind === "day") return element("div", "day", look === date.toDateString() ? "Today" : dayInFull(date));
  if (kind === "unread") return element("div", "unread", "New");
  if (kind === "notice") return drawNotice(message);
  if (kind === "folded") return element("details", "folded", [element("summary", "", summaryOf(notices)), ...notices.map(drawNotice)]);
  return drawMessage(message, follows, store, asks);
}

// With a state it is not sent yet.
function drawMessage(message, follows, store, asks) {
  const { client_msg_id: id, sender_name: name, sent_at, text, state = "", reason, tried } = message;
  const isMine = store.isMine(message);
  const mentioned = !isMine && store.mentionsMe(text) ? "mentioned" : "";
  const head = inTone(element("div", "head", [element("bdi", "who", isMine ? "You" : name), drawTime(sent_at)]), name);
  const node = element("div", `message ${isMine ? "own" : "other"} ${follows ? "follows" : ""} ${state} ${mentioned}`, [avatar(name), head, drawText(name, text, store.mention)]);
  if (reason) {
    const trouble = element("div", "trouble", [reason]);
    if (state === "failed") trouble.append(button("Try again", () => asks.again(id, text)));
    if (state === "failed" || !tried) trouble.append(button("Edit", () => asks.edit(id))); // else it may be said already
    node.append(trouble);
  }
  return node;
}

function drawText(name, text, mention) {
  const action = isAction(text) ? "action" : "";
  const parts = partsOf(withoutMe(text), mention).map(([kind, part]) => (kind === "text" ? part : drawPart[kind](part)));
  if (action) parts.unshift(element("bdi", "", name), " ");
  return element("div", `text ${action} ${isOnlyEmoji(text) ? "large" : ""}`, parts);
}

const drawPart = {
  mention: (text) => element("span", "mention", text),
  code: (text) => element("code", "", text),
  block: (text) => element("pre", "", text),
  link(url) {
    const link = element("a", "", url);
    link.href = url; // partsOf lets only http and https be one
    link.target = "_blank";
    link.rel = "noopener noreferrer";
    return link;
  },
};

function drawNotice({ text, sent_at }) {
  return element("div", "notice", [element("div", "text", text), drawTime(sent_at)]);
}

function drawTime(sentAt) {
  const date = new Date(Date.parse(sentAt) || 0);
  return Object.assign(element("time", "", timeOfDay(date)), { dateTime: sentAt, title: inFull(date) });
}
