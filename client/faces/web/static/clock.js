// The server's time of day. The computer's own clock may be years off, and may be set while the page is open.

const JUMP = 5000; // ms

let known = null; // {server, date, elapsed}: the server's time, and the computer's clocks at that moment

const sinceKnown = () => Date.now() - known.date;

// During sleep only Date runs in every browser; only Date can be set. If the two differ, ask the server for the time.
export const hasJumped = () => known !== null && Math.abs(sinceKnown() - (performance.now() - known.elapsed)) > JUMP;

export function now() {
  return known === null ? Date.now() : known.server + sinceKnown();
}

export function setNow(time) {
  const server = Date.parse(time);
  if (server) known = { server, date: Date.now(), elapsed: performance.now() };
}

// An estimate, such as the container's clock: used only if no server time is known.
export function suggestNow(time) {
  if (known === null || hasJumped()) setNow(time);
}
