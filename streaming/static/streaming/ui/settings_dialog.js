// @ts-check
/** The settings dialog: units, theme, what the picture shows, what is read aloud. */

import { byId, make, makeDialog } from "./elements.js";
import { onSetting, setSetting, settings, toggleTheme } from "./settings.js";

/** @typedef {import("./settings.js").SwitchName} SwitchName */

const SWITCHES = /** @type {[SwitchName, string][]} */ ([
  ["labels", "Driver codes"],
  ["trails", "Trails"],
  ["corners", "Corner numbers and sectors"],
  ["announce", "Read race control aloud (screen readers)"],
]);

export function openSettings() {
  const rows = [];
  const units = make("select", { id: "units" });
  units.append(
    make("option", { value: "metric" }, "Metric (km/h, °C)"),
    make("option", { value: "imperial" }, "Imperial (mph, °F)"),
  );
  units.value = settings.units;
  units.addEventListener("change", () =>
    setSetting("units", units.value === "imperial" ? "imperial" : "metric"),
  );
  rows.push(make("div", { class: "field-row" }, make("label", { for: "units" }, "Units"), units));
  const theme = make("button", { type: "button", class: "button" }, "Switch light/dark");
  theme.addEventListener("click", toggleTheme);
  rows.push(make("div", { class: "field-row" }, make("span", {}, "Theme"), theme));
  for (const [name, label] of SWITCHES) {
    const box = make("input", { type: "checkbox", id: `setting-${name}` });
    box.checked = settings[name];
    box.addEventListener("change", () => setSetting(name, box.checked));
    onSetting(() => (box.checked = settings[name]));
    rows.push(make("div", { class: "field-row" }, make("label", { for: box.id }, label), box));
  }
  const dialog = makeDialog("settings", "Settings", ...rows);
  byId("settings-button").addEventListener("click", () => dialog.showModal());
}
