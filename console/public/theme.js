// Sets the theme before the first paint; the switch in the console keeps the choice under this name.
(function () {
  var kept = null;
  try {
    kept = localStorage.getItem("relay.theme");
  } catch (_) {
    // Storage can be forbidden: then the system decides.
  }
  var dark = kept ? kept === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "dark" : "light";
})();
