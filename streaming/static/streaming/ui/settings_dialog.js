// @ts-check
/** The dialog of settings: units, theme, what the picture shows, what is spoken. */

import { make, makeDialog, part } from "./elements.js";
import { onSetting, setSetting, settings, toggleTheme } from "./settings.js";

/** @typedef {import("./settings.js").Settings} Settings */

const SWITCHES = /** @type {[keyof Settings, string][]} */ ([
  ["labels", "Codes beside the marks"],
  ["trails", "Trails"],
  ["corners", "Corner numbers and sectors"],
  ["announce", "Speak race control to screen readers"],
]);

export function openSettings() {
  const rows = [];
  const units = make("select", { id: "units" });
  units.append(
    make("option", { value: "metric" }, "Kilometres, °C"),
    make("option", { value: "imperial" }, "Miles, °F"),
  );
  units.value = settings.units;
  units.addEventListener("change", () =>
    setSetting("units", units.value === "imperial" ? "imperial" : "metric"),
  );
  rows.push(make("div", { class: "field-row" }, make("label", { for: "units" }, "Units"), units));
  const theme = make("button", { type: "button", class: "button" }, "Change");
  theme.addEventListener("click", toggleTheme);
  rows.push(make("div", { class: "field-row" }, make("span", {}, "Light or dark"), theme));
  for (const [name, label] of SWITCHES) {
    const box = make("input", { type: "checkbox", id: `setting-${name}` });
    box.checked = Boolean(settings[name]);
    box.addEventListener("change", () => setSetting(name, /** @type {any} */ (box.checked)));
    onSetting(() => (box.checked = Boolean(settings[name])));
    rows.push(make("div", { class: "field-row" }, make("label", { for: box.id }, label), box));
  }
  const dialog = makeDialog("settings", "Settings", ...rows);
  part("settings-button").addEventListener("click", () => dialog.showModal());
}
