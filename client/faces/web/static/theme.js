// Light or dark theme. Not a module, so that it runs before the first paint.

const KEPT_AS = "ringback-theme"; // in localStorage, for all tabs
const systemIsDark = matchMedia("(prefers-color-scheme: dark)");
let chosen = "";

function applyTheme() {
  try {
    chosen = localStorage.getItem(KEPT_AS) || "";
  } catch {} // forbidden: the choice lasts until the page is closed
  document.documentElement.dataset.theme = chosen || (systemIsDark.matches ? "dark" : "light");
  const choice = document.getElementById("theme");
  if (choice) choice.value = chosen;
}

applyTheme();
addEventListener("storage", applyTheme);
addEventListener("DOMContentLoaded", applyTheme);
systemIsDark.addEventListener("change", applyTheme);
addEventListener("change", ({ target: { id, value } }) => {
  if (id !== "theme") return;
  chosen = value;
  try {
    localStorage.setItem(KEPT_AS, value);
  } catch {} // full, or forbidden
  applyTheme();
});
