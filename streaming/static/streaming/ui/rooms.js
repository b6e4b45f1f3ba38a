// @ts-check
/** Watching together: make a room, share its link, see who is there and who leads. */

import { make, makeDialog, part, setText } from "./elements.js";
import { setSetting, settings } from "./settings.js";
import { copyText } from "./share.js";

/** @typedef {import("../engine/engine.js").Engine} Engine */
/** @typedef {{id: string, name: string}} Person */
/** @typedef {{room: string|null, members: number, people?: Person[], you?: string,
 *   led_by?: {id: string, name: string, action: string} | null}} RoomMessage */

const DEEDS = /** @type {Record<string, string>} */ ({
  play: "started to play",
  pause: "paused",
  seek: "moved the playhead",
  speed: "changed the speed",
});
const LONGEST_NAME = 40;
/** More than so many at once are not read out by name. */
const CROWD = 4;

export class Rooms {
  /** @param {Engine} engine @param {(text: string) => void} say politely, to who listens */
  constructor(engine, say) {
    this.engine = engine;
    this.say = say;
    /** @type {RoomMessage | null} */
    this.last = null;
    this.start = make("button", { type: "button", class: "button primary" }, "Make a room");
    this.leave = make("button", { type: "button", class: "button" }, "Leave the room");
    this.link = make("input", { type: "url", readonly: "", "aria-label": "Link to the room" });
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
      make("button", { type: "submit", class: "button" }, "Use it"),
    );
    this.count = make("p");
    this.people = make("ul", { class: "people", "aria-label": "In the room" });
    this.leader = make("p", { class: "hint" });
    this.dialog = makeDialog(
      "room",
      "Watch together",
      make(
        "p",
        {},
        "Everyone in a room shares one playhead. Whoever plays, pauses or seeks leads, until somebody else does.",
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
    part("room-button").addEventListener("click", () => {
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
    engine.on("room", (message) => this.told(message));
    engine.on("status", () => this.show());
    this.show();
  }

  /** @param {string} room */
  join(room) {
    this.engine.join(room, settings.name);
    this.show();
  }

  /** @param {string} name */
  rename(name) {
    setSetting("name", name);
    setText(
      this.note,
      name === "" ? "From the next room on you have no name." : `You are called ${name}.`,
    );
    if (this.engine.room !== null && name !== "") this.join(this.engine.room);
  }

  /** @param {RoomMessage} message */
  told(message) {
    const before = this.last;
    this.last = message.room === null ? null : message;
    if (this.last !== null && before?.room === message.room) this.announce(before, this.last);
    this.show();
  }

  /** Who has come, gone or taken over. @param {RoomMessage} before @param {RoomMessage} now */
  announce(before, now) {
    const old = before.people ?? [];
    const present = now.people ?? [];
    const come = present.filter((person) => !old.some(({ id }) => id === person.id));
    const gone = old.filter((person) => !present.some(({ id }) => id === person.id));
    /** @type {string[]} */
    const news = [];
    for (const [people, what] of /** @type {[Person[], string][]} */ ([
      [come, "joined"],
      [gone, "left"],
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
      news.push(`${led.name} ${DEEDS[led.action] ?? "leads"}.`);
    }
    if (news.length > 0) this.say(news.join(" "));
  }

  show() {
    const inside = this.engine.room !== null;
    const last = inside ? this.last : null;
    this.start.hidden = inside;
    this.leave.hidden = this.invitation.hidden = !inside;
    this.count.hidden = this.people.hidden = this.leader.hidden = last === null;
    const button = part("room-button");
    const badge = part("room-count");
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
      last.members === 1 ? "You are alone in the room." : `${last.members} are in the room:`,
    );
    const led = last.led_by;
    const lines = (last.people ?? []).map((person) => {
      const marks = [
        ...(person.id === last.you ? ["you"] : []),
        ...(person.id === led?.id ? ["leads"] : []),
      ];
      return marks.length > 0 ? `${person.name} (${marks.join(", ")})` : person.name;
    });
    if ([...this.people.children].map((item) => item.textContent).join("\n") !== lines.join("\n")) {
      this.people.replaceChildren(...lines.map((line) => make("li", {}, line)));
    }
    const deed = led ? (DEEDS[led.action] ?? "led") : "";
    setText(
      this.leader,
      led ? `Last: ${led.id === last.you ? "you" : led.name} ${deed}.` : "Nobody has led yet.",
    );
  }
}
