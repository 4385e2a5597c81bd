// What to say when nothing answers at this page's address any more.

const GONE_AFTER = 30_000; // ms; a container that is made anew takes less

// Gives words(), asked whenever there is no connection (empty at first), and found(), told when there is one again.
export function watchAddress() {
  let since = 0;
  return {
    words: () => {
      since ||= Date.now();
      return Date.now() - since < GONE_AFTER ? "" : goneWords(location);
    },
    found: () => (since = 0),
  };
}

// Neither page nor container knows at which port of this computer Docker publishes it next.
function goneWords({ origin, protocol, hostname, port }) {
  const stable = `http://${hostname}:9998`; // of the service "page" in docker-compose.yml, without CHAT_PUBLISH_PAGE
  const isOther = protocol === "http:" && port && origin !== stable;
  const orThere = isOther ? ` In Docker Compose, the page for everybody is usually at ${stable}.` : "";
  return `${origin} does not answer any more. The chat is stopped, or this page has another address now. Ask whoever runs the chat for it (docker compose port client 8080).${orThere}`;
}
