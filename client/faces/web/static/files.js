// Refuses dropped and pasted files, and says so. Otherwise the browser would replace the page by the dropped file.

import { byId, on } from "./dom.js";

const WORDS = "Files cannot be sent here, only text.";

export function refuseFiles() {
  on(document, "dragover", (event) => isAllowed(event) || event.preventDefault()); // required to get drop events
  on(document, "drop", (event) => {
    if (isAllowed(event)) return;
    event.preventDefault();
    if (hasFiles(event.dataTransfer)) tell();
  });
  on(document, "paste", (event) => {
    // Office programs add a picture of the copied text to the clipboard.
    if (!hasFiles(event.clipboardData) || event.clipboardData.types.includes("text/html")) return;
    if (!event.clipboardData.types.includes("text/plain")) event.preventDefault();
    tell();
  });
}

function hasFiles(transfer) {
  return transfer !== null && transfer.types.includes("Files");
}

// Text may be dropped into input boxes.
function isAllowed({ target, dataTransfer }) {
  return !hasFiles(dataTransfer) && target instanceof Element && target.matches("textarea, input");
}

function tell() {
  const place = byId(byId("room").hidden ? "join-error" : "draft-error");
  setTimeout(() => (place.textContent = WORDS)); // after the paste's input event, which clears the error
}
