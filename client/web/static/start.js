// Before all else, and in words that every browser understands: says what keeps the page from starting.

(function () {
  var trouble = "";

  function tell() {
    var place = document.getElementById("starting");
    if (!trouble || !place) return; // started: main.js takes it away
    place.className += " broken";
    document.getElementById("starting-trouble").textContent = trouble;
  }

  // Captured, since what cannot be loaded tells only its element.
  function hear(event) {
    var file = event.target && (event.target.src || event.target.href);
    if (!trouble) trouble = file ? "Could not be loaded: " + file : "A script failed: " + event.message;
    tell();
  }

  window.addEventListener("error", hear, true);
  document.addEventListener("DOMContentLoaded", tell);
})();
