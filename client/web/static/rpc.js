// JSON-RPC 2.0 over one WebSocket that is opened again whenever it breaks.

const FIRST_DELAY = 500; // ms, doubling up to
const LONGEST_DELAY = 10_000;
const CONNECT_TIMEOUT = 8000;
const CALL_TIMEOUT = 25_000; // above what the container waits for its server

export const UNREACHABLE = -32000; // the container cannot reach the chat server
export const UNAUTHORIZED = -32001;
export const AWAY = -32002;
export const RATE_LIMITED = -32006;
export const JOIN_KEY_WRONG = -32008;
export const NOT_STORED = -32010;
export const NO_ANSWER = 0; // of this page's own: whether the call was carried out is not known

export class RpcError extends Error {
  constructor(code, message, data) {
    super(message);
    this.code = code;
    this.data = data ?? {};
  }
}

export class Rpc {
  #url;
  #events;
  #socket = null;
  #waiting = new Map(); // id -> {resolve, reject, timer}
  #nextId = 1;
  #delay = FIRST_DELAY;
  #retry = null;

  // events: onDown(reason), onNotice(method, params)
  constructor(url, events) {
    this.#url = url;
    this.#events = events;
  }

  connect() {
    clearTimeout(this.#retry);
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    const tooLate = setTimeout(() => socket.close(), CONNECT_TIMEOUT);
    socket.addEventListener("open", () => clearTimeout(tooLate));
    socket.addEventListener("message", (event) => this.#take(event.data));
    socket.addEventListener("close", (event) => {
      clearTimeout(tooLate);
      this.#lost(event.reason);
    });
  }

  // Try at once instead of waiting for the next turn (the computer woke up, the network is back).
  hurry() {
    if (this.#socket?.readyState === WebSocket.CLOSED) this.connect();
  }

  call(method, params = {}) {
    if (this.#socket?.readyState !== WebSocket.OPEN) {
      return Promise.reject(new RpcError(NO_ANSWER, "This page cannot reach its container."));
    }
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        reject(new RpcError(NO_ANSWER, "No answer came in time."));
      }, CALL_TIMEOUT);
      this.#waiting.set(id, { resolve, reject, timer });
      this.#socket.send(JSON.stringify({ jsonrpc: "2.0", id, method, params }));
    });
  }

  #take(text) {
    const frame = JSON.parse(text);
    this.#delay = FIRST_DELAY; // not at "open": a page that is turned away at once must wait longer each time
    if (frame.method !== undefined) {
      this.#events.onNotice(frame.method, frame.params);
      return;
    }
    const call = this.#waiting.get(frame.id);
    if (!call) return;
    this.#waiting.delete(frame.id);
    clearTimeout(call.timer);
    if (frame.error) call.reject(new RpcError(frame.error.code, frame.error.message, frame.error.data));
    else call.resolve(frame.result);
  }

  #lost(reason) {
    for (const call of this.#waiting.values()) {
      clearTimeout(call.timer);
      call.reject(new RpcError(NO_ANSWER, "The connection broke before an answer came."));
    }
    this.#waiting.clear();
    this.#retry = setTimeout(() => this.connect(), this.#delay * (0.8 + 0.4 * Math.random()));
    this.#delay = Math.min(2 * this.#delay, LONGEST_DELAY);
    this.#events.onDown(reason);
  }
}
