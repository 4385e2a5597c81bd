// Runs before all else, in words that every browser understands: says what keeps the page from starting.
// A file that did not load is loaded again with the page: Chromium, for one, breaks off what it loads whenever a network
// of this computer comes or goes (ERR_NETWORK_CHANGED).

(function () {
  var isReloaded = performance.navigation && performance.navigation.type === 1;
  var WAIT = isReloaded ? 10000 : 1000; // ms
  var trouble = "";

  function tell() {
    var place = document.getElementById("starting");
    if (!trouble || !place) return; // started: main.js takes it away
    place.className += " broken";
    document.getElementById("starting-trouble").textContent = trouble;
  }

  function reload() {
    if (isReloaded && !document.getElementById("starting")) return; // it works, if not well
    var request = new XMLHttpRequest();
    request.addEventListener("load", function () {
      location.reload();
    });
    request.addEventListener("error", reloadLater); // the browser's own page of an error would stay
    request.open("GET", location.href);
    request.send();
  }

  function reloadLater() {
    setTimeout(reload, WAIT);
  }

  // Captured, since what cannot be loaded tells only its element.
  function hear(event) {
    var file = event.target && (event.target.src || event.target.href);
    if (!trouble && file) reloadLater();
    if (!trouble) trouble = file ? "Could not be loaded: " + file + ". Trying again…" : "A script failed: " + event.message;
    tell();
  }

  window.addEventListener("error", hear, true);
  document.addEventListener("DOMContentLoaded", function () {
    var links = document.querySelectorAll("link[rel=stylesheet]");
    for (var i = 0; i < links.length; i++) if (!hasRules(links[i].sheet)) hear({ target: links[i] }); // failed before this script
    tell();
  });

  // Firefox has no sheet where none was loaded; Chromium has one that nobody may read.
  function hasRules(sheet) {
    try {
      return Boolean(sheet.cssRules.length);
    } catch (e) {
      return false;
    }
  }
})();
