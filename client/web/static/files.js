// Files cannot be sent. Whoever drops or pastes one is told so, and the page stays: a browser would open it instead.

import { byId, on } from "./dom.js";

const WORDS = "Files cannot be sent here, only text.";

export function refuseFiles() {
  on(document, "dragover", (event) => isAllowed(event) || event.preventDefault()); // else there would be no drop
  on(document, "drop", (event) => {
    if (isAllowed(event)) return;
    event.preventDefault();
    if (hasFiles(event.dataTransfer)) tell();
  });
  on(document, "paste", (event) => {
    // Office programs put a picture of what is copied beside its text.
    if (!hasFiles(event.clipboardData) || event.clipboardData.types.includes("text/html")) return;
    if (!event.clipboardData.types.includes("text/plain")) event.preventDefault();
    tell();
  });
}

function hasFiles(transfer) {
  return transfer !== null && transfer.types.includes("Files");
}

// Text may be dropped where one writes.
function isAllowed({ target, dataTransfer }) {
  return !hasFiles(dataTransfer) && target instanceof Element && target.matches("textarea, input");
}

function tell() {
  const place = byId(byId("room").hidden ? "join-error" : "draft-error");
  setTimeout(() => (place.textContent = WORDS)); // after the paste, which takes earlier words away
}
