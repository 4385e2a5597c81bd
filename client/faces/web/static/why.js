// Finds out over HTTP why the WebSocket does not open: a browser does not report the reason to a page.

const TIMEOUT = 5000; // ms
const SURE_AFTER = 2; // failures while HTTP works; a single failure may be a restart

const NO_UPGRADE =
  "Ringback answers, but the WebSocket of this page does not get through to it. A proxy in between has to pass it on " +
  "(nginx: proxy_http_version 1.1 and the headers Upgrade and Connection).";
const OTHER = "Something else answers in Ringback's place, a login perhaps: load this page again.";

// Returns why(): a promise of the reason as a text, empty if it is not known yet.
export function explainer(url) {
  let clear = 0; // consecutive failures without a problem over HTTP

  return async () => {
    const problem = await ask(url);
    clear = problem === null ? clear + 1 : 0;
    return problem ?? (clear >= SURE_AFTER ? NO_UPGRADE : "");
  };
}

// Returns a promise of the problem as a text, null if there is none, "" if the container does not respond.
async function ask(url) {
  const ended = new AbortController();
  const timer = setTimeout(() => ended.abort(), TIMEOUT);
  try {
    const response = await fetch(url, { cache: "no-store", signal: ended.signal });
    if (response.status >= 500) return `The proxy before Ringback answers ${response.status}: it cannot reach it.`;
    if (!response.ok) return `${OTHER} (It answers ${response.status}.)`;
    return readProblem(await response.text());
  } catch {
    return ""; // no response: the page shows that anyway
  } finally {
    clearTimeout(timer);
  }
}

function readProblem(text) {
  try {
    return JSON.parse(text).problem;
  } catch {
    return OTHER;
  }
}
