// @ts-check
/** Runs before the first paint, so that a page does not flash in the wrong colours. */
(() => {
  const light = matchMedia("(prefers-color-scheme: light)");
  const apply = () => {
    const stored = localStorage.getItem("replay.theme");
    const theme =
      stored === "light" || stored === "dark" ? stored : light.matches ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
  };
  apply();
  light.addEventListener("change", apply);
  addEventListener("storage", apply);
  addEventListener("replay-theme", apply);
})();
