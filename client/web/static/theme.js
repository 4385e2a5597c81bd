// Light or dark. No module: it runs before the first paint.

const KEPT_AS = "ringback-theme"; // in localStorage: for all tabs

function applyTheme() {
  const theme = localStorage.getItem(KEPT_AS) ?? "";
  document.documentElement.dataset.theme = theme;
  const choice = document.getElementById("theme");
  if (choice) choice.value = theme;
}

applyTheme();
addEventListener("storage", applyTheme);
addEventListener("DOMContentLoaded", applyTheme);
addEventListener("change", ({ target: { id, value } }) => {
  if (id !== "theme") return;
  localStorage.setItem(KEPT_AS, value);
  applyTheme();
});
