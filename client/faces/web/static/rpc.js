// JSON-RPC 2.0 over a WebSocket to the container, the client process that serves this page. Reconnects by itself.

import { hasJumped, suggestNow } from "./clock.js";
import { on } from "./dom.js";

const FIRST_DELAY = 500; // ms
const CONNECT_TIMEOUT = 8000;
const CALL_TIMEOUT = 25_000; // longer than the container waits for the server
const CHECK_TIMEOUT = 4000;
const DOUBT_AFTER = 1000; // after a check without a response
const QUIET = 3000; // after a request without a response, the connection is checked
const LONG_QUIET = 10_000; // without any frame, the connection is checked as well
const BEAT = 5000; // if the timer comes much later, the computer slept

export const UNREACHABLE = -32000; // the container cannot reach the chat server
export const UNAUTHORIZED = -32001;
export const AWAY = -32002;
export const TAKEN = -32003;
export const RATE_LIMITED = -32006;
export const JOIN_KEY_WRONG = -32008;
export const NOT_STORED = -32010;
export const NO_ANSWER = 0; // only in this page; the server may have handled the request

export const NO_CONNECTION = "This page has no connection to the chat.";

export const longer = (delay) => Math.min(2 * delay, 10_000);
const failure = (code, message, data = {}) => Object.assign(new Error(message), { code, data });

// Returns call(method, params): a promise of the result, rejected with an Error with code and data.
// onDoubt(isInDoubt): the connection may be dead, or not any more. why(): a promise of the reason it did not open.
export function connect(url, { onDown, onNotice, onDoubt, why }) {
  const waiting = new Map(); // id -> {resolve, reject, timer}
  let socket = null; // null: waiting for the next try
  let nextId = 1;
  let delay = FIRST_DELAY;
  let heardAt = 0;
  let retry;

  const open = () => {
    clearTimeout(retry);
    const made = (socket = new WebSocket(url));
    let hasOpened = false;
    const tooLate = setTimeout(() => lost(made, "", hasOpened), CONNECT_TIMEOUT);
    on(made, "open", () => {
      clearTimeout(tooLate);
      hasOpened = true;
      check(false); // the response contains the time
    });
    on(made, "message", ({ data }) => made === socket && take(JSON.parse(data)));
    on(made, "close", ({ reason }) => {
      clearTimeout(tooLate);
      lost(made, reason, hasOpened);
    });
  };

  const take = ({ id, method, params, result, error }) => {
    heardAt = performance.now();
    delay = FIRST_DELAY; // not at "open", so that the delay grows if the container closes the connection at once
    if (method) return onNotice(method, params);
    const call = waiting.get(id);
    if (!call) return;
    waiting.delete(id);
    clearTimeout(call.timer);
    if (error) call.reject(failure(error.code, error.message, error.data));
    else call.resolve(result);
  };

  // The connection is closed, or does not respond.
  const lost = (which, reason = "", hasOpened = true) => {
    if (which !== socket) return;
    socket = null;
    which.close();
    for (const call of waiting.values()) {
      clearTimeout(call.timer);
      call.reject(failure(NO_ANSWER, "The connection broke before an answer came."));
    }
    waiting.clear();
    retry = setTimeout(open, delay * (0.8 + 0.4 * Math.random()));
    delay = longer(delay);
    onDown(reason);
    if (!hasOpened) explain();
  };

  const explain = async () => {
    const words = await why();
    if (words && socket?.readyState !== WebSocket.OPEN) onDown(words);
  };

  const call = (method, params = {}, timeout = CALL_TIMEOUT) =>
    new Promise((resolve, reject) => {
      if (socket?.readyState !== WebSocket.OPEN) return reject(failure(NO_ANSWER, NO_CONNECTION));
      const id = nextId++;
      const timer = setTimeout(() => {
        waiting.delete(id);
        reject(failure(NO_ANSWER, "No answer came in time."));
      }, timeout);
      waiting.set(id, { resolve, reject, timer });
      socket.send(JSON.stringify({ jsonrpc: "2.0", id, method, params }));
      const sentAt = performance.now();
      if (timeout > QUIET + CHECK_TIMEOUT) setTimeout(() => waiting.has(id) && heardAt < sentAt && check(), QUIET);
    });

  // Detects a dead connection, after sleep for example. The container answers GetTime without the server.
  const check = (isInDoubt = false) => {
    const checked = socket;
    if (!checked) return open();
    if (checked.readyState !== WebSocket.OPEN) return;
    const doubt = setTimeout(onDoubt, DOUBT_AFTER, true);
    if (isInDoubt) onDoubt(true);
    call("GetTime", {}, CHECK_TIMEOUT)
      .then(({ now }) => suggestNow(now))
      .catch(({ code }) => code === NO_ANSWER && lost(checked))
      .finally(() => {
        clearTimeout(doubt);
        onDoubt(false);
      });
  };

  on(window, "online", () => check());
  on(window, "offline", () => check(true)); // a container on this computer still answers
  on(document, "visibilitychange", () => document.hidden || check());
  let last = Date.now();
  setInterval(() => {
    const hasSlept = Date.now() - last > 3 * BEAT;
    last = Date.now();
    const isQuiet = !document.hidden && performance.now() - heardAt > LONG_QUIET;
    if (hasSlept || hasJumped() || (socket && isQuiet)) check();
  }, BEAT);
  open();
  return call;
}
