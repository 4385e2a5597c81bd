// Runs first, in syntax for every browser, and shows why the page does not start.
// If a file does not load, reloads the page: Chromium, for example, aborts loads whenever a network of this computer
// appears or disappears (ERR_NETWORK_CHANGED).

(function () {
  var isReloaded = performance.navigation && performance.navigation.type === 1;
  var WAIT = isReloaded ? 10000 : 1000; // ms
  var trouble = "";

  function showTrouble() {
    var place = document.getElementById("starting");
    if (!trouble || !place) return; // started: standing.js has removed it
    place.className += " broken";
    document.getElementById("starting-trouble").textContent = trouble;
  }

  function reload() {
    if (isReloaded && !document.getElementById("starting")) return; // the page works, though a file is missing
    var request = new XMLHttpRequest();
    request.addEventListener("load", function () {
      location.reload();
    });
    request.addEventListener("error", reloadLater); // a reload now would end in the browser's error page
    request.open("GET", location.href);
    request.send();
  }

  function reloadLater() {
    setTimeout(reload, WAIT);
  }

  // Only files that the page needs: a missing icon must not reload a page in use.
  function neededFile(element) {
    if (element && element.tagName === "SCRIPT") return element.src;
    return element && element.rel === "stylesheet" ? element.href : "";
  }

  // Listens in the capture phase, because load errors do not bubble.
  function onError(event) {
    var file = neededFile(event.target);
    if (trouble || !(file || event.message)) return;
    trouble = file ? "Could not be loaded: " + file + ". Trying again…" : "A script failed: " + event.message;
    if (file) reloadLater();
    showTrouble();
  }

  window.addEventListener("error", onError, true);
  document.addEventListener("DOMContentLoaded", function () {
    var links = document.querySelectorAll("link[rel=stylesheet]");
    for (var i = 0; i < links.length; i++) if (!hasRules(links[i].sheet)) onError({ target: links[i] }); // failed before this script
    showTrouble();
  });

  // Without a loaded file, Firefox has no sheet, and Chromium a sheet that throws when read.
  function hasRules(sheet) {
    try {
      return Boolean(sheet.cssRules.length);
    } catch (e) {
      return false;
    }
  }
})();
