// @ts-check
/** Watching together: create a room, share its link, see who is in it and who is in control. */

import { byId, make, makeDialog, setText } from "./elements.js";
import { setSetting, settings } from "./settings.js";
import { copyText } from "./share.js";

/** @typedef {import("../engine/engine.js").Engine} Engine */
/** @typedef {import("../engine/protocol.js").RoomState} RoomState */
/** @typedef {NonNullable<RoomState["people"]>[number]} Person */

const ACTIONS = {
  play: "started playback",
  pause: "paused",
  seek: "jumped to another time",
  speed: "changed the speed",
};
const LONGEST_NAME = 40;
/** From so many at once on, people are announced by their number, not by name. */
const CROWD = 4;

export class Rooms {
  /** @param {Engine} engine @param {(text: string) => void} announce to screen readers */
  constructor(engine, announce) {
    this.engine = engine;
    this.announce = announce;
    /** @type {RoomState | null} */
    this.last = null;
    this.start = make("button", { type: "button", class: "button primary" }, "Create a room");
    this.leave = make("button", { type: "button", class: "button" }, "Leave room");
    this.link = make("input", { type: "url", readonly: "", "aria-label": "Room link" });
    const copy = make("button", { type: "button", class: "button primary" }, "Copy");
    this.note = make("p", { role: "status" });
    this.invitation = make("div", { class: "field-row" }, this.link, copy);
    this.name = make("input", {
      type: "text",
      id: "room-name",
      maxlength: String(LONGEST_NAME),
      autocomplete: "nickname",
      placeholder: "viewer",
    });
    this.name.value = settings.name;
    const naming = make(
      "form",
      { class: "field-row" },
      make("label", { for: "room-name" }, "Your name"),
      this.name,
      make("button", { type: "submit", class: "button" }, "Save"),
    );
    this.count = make("p");
    this.people = make("ul", { class: "people", "aria-label": "People in the room" });
    this.leader = make("p", { class: "hint" });
    this.dialog = makeDialog(
      "room",
      "Watch together",
      make(
        "p",
        {},
        "Everyone in the room sees the same moment. Anyone can play, pause or seek for everyone.",
      ),
      naming,
      this.start,
      this.invitation,
      this.count,
      this.people,
      this.leader,
      this.leave,
      this.note,
    );
    byId("room-button").addEventListener("click", () => {
      this.note.textContent = "";
      this.show();
      this.dialog.showModal();
    });
    naming.addEventListener("submit", (event) => {
      event.preventDefault();
      this.rename(this.name.value.trim());
    });
    this.start.addEventListener("click", () => {
      const bytes = crypto.getRandomValues(new Uint8Array(9));
      this.join(
        [...bytes]
          .map((b) => b.toString(36).padStart(2, "0"))
          .join("")
          .slice(0, 12),
      );
    });
    this.leave.addEventListener("click", () => {
      engine.leave();
      this.last = null;
      this.show();
    });
    copy.addEventListener("click", () => void copyText(this.link, this.note));
    engine.on("room", (state) => this.update(state));
    engine.on("status", () => this.show());
    this.show();
  }

  /** @param {string} room */
  join(room) {
    if (this.engine.files) {
      setText(this.note, "Watching together needs a server. This page is a folder of files.");
      return;
    }
    this.engine.join(room, settings.name);
    this.show();
  }

  /** @param {string} name */
  rename(name) {
    setSetting("name", name);
    setText(
      this.note,
      name === ""
        ? "Name removed. You join your next room without a name."
        : `Name saved. Others see you as ${name}.`,
    );
    if (this.engine.room !== null && name !== "") this.join(this.engine.room);
  }

  /** @param {RoomState} message */
  update(message) {
    const before = this.last;
    this.last = message.room === null ? null : message;
    if (this.last !== null && before?.room === message.room) {
      this.announceChanges(before, message);
    }
    this.show();
  }

  /** Say who has joined, left or used the controls. @param {RoomState} before @param {RoomState} now */
  announceChanges(before, now) {
    const old = before.people ?? [];
    const present = now.people ?? [];
    const joined = present.filter((person) => !old.some(({ id }) => id === person.id));
    const left = old.filter((person) => !present.some(({ id }) => id === person.id));
    /** @type {string[]} */
    const news = [];
    for (const [people, what] of /** @type {[Person[], string][]} */ ([
      [joined, "joined"],
      [left, "left"],
    ])) {
      if (people.length === 0) continue;
      const who =
        people.length < CROWD
          ? people.map(({ name }) => name).join(", ")
          : `${people.length} viewers`;
      news.push(`${who} ${what}.`);
    }
    const led = now.led_by;
    const other = led && led.id !== now.you;
    if (other && (led.id !== before.led_by?.id || led.action !== before.led_by.action)) {
      news.push(`${led.name} ${ACTIONS[led.action]}.`);
    }
    if (news.length > 0) this.announce(news.join(" "));
  }

  show() {
    const inside = this.engine.room !== null;
    const last = inside ? this.last : null;
    this.start.hidden = inside;
    this.leave.hidden = this.invitation.hidden = !inside;
    this.count.hidden = this.people.hidden = this.leader.hidden = last === null;
    const button = byId("room-button");
    const badge = byId("room-count");
    badge.hidden = last === null;
    button.setAttribute("aria-pressed", String(inside));
    button.setAttribute(
      "aria-label",
      last === null ? "Watch together" : `Watch together, ${last.members} in the room`,
    );
    if (inside) {
      this.link.value = `${location.origin}${location.pathname}?room=${this.engine.room}`;
    }
    if (last === null) return;
    setText(badge, String(last.members));
    setText(
      this.count,
      last.members === 1 ? "You are the only one here." : `${last.members} people are watching:`,
    );
    const led = last.led_by;
    const lines = (last.people ?? []).map((person) => {
      const marks = [
        ...(person.id === last.you ? ["you"] : []),
        ...(person.id === led?.id ? ["in control"] : []),
      ];
      return marks.length > 0 ? `${person.name} (${marks.join(", ")})` : person.name;
    });
    if ([...this.people.children].map((item) => item.textContent).join("\n") !== lines.join("\n")) {
      this.people.replaceChildren(...lines.map((line) => make("li", {}, line)));
    }
    setText(
      this.leader,
      led
        ? `Last action: ${led.id === last.you ? "you" : led.name} ${ACTIONS[led.action]}.`
        : "No one has used the controls yet.",
    );
  }
}
