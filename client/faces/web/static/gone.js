// The text to show when this page's address has stopped answering.

const GONE_AFTER = 30_000; // ms; recreating a container takes less

// Returns words(), the text while disconnected (empty for the first 30 s), and found(), to be called when connected.
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

// Neither the page nor its container can know the port that Docker publishes next.
function goneWords({ origin, protocol, hostname, port }) {
  const stable = `http://${hostname}:9998`; // of the service "page" in docker-compose.yml, without CHAT_PUBLISH_PAGE
  const isOther = protocol === "http:" && port && origin !== stable;
  const orThere = isOther ? ` In Docker Compose, the page for everybody is usually at ${stable}.` : "";
  return `${origin} does not answer any more. The chat is stopped, or this page has another address now. Ask whoever runs the chat for it (docker compose port client 8080).${orThere}`;
}
