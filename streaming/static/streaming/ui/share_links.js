// @ts-check
/** Share links of a session, for whoever may change it: made, copied, listed and revoked. */

import { make } from "./elements.js";
import { asker } from "./requests.js";

/**
 * An entry of GET sessions/<slug>/links
 * @typedef {object} ShareLink
 * @property {number} id @property {string} expires @property {string} created_by
 * @property {string | null} last_used @property {string | null} revoked
 */

const DAY = 86_400_000;
/** Days that a link may count, as offered. */
const DAYS = [1, 7, 30, 365];
const USUAL_DAYS = 7;

/**
 * @param {string} slug
 * @param {string} csrf token that changes must send
 * @param {(field: HTMLInputElement, note: HTMLElement) => Promise<void>} copyText
 * @returns {{element: HTMLElement, refresh: () => Promise<void>}} the part of the dialog, and what
 *   reads the list anew
 */
export function shareLinks(slug, csrf, copyText) {
  const path = `/api/sessions/${encodeURIComponent(slug)}/links`;
  const days = make("select", { id: "link-days" });
  for (const count of DAYS) {
    const option = make(
      "option",
      { value: String(count) },
      count === 1 ? "1 day" : `${count} days`,
    );
    option.selected = count === USUAL_DAYS;
    days.append(option);
  }
  const create = make("button", { type: "button", class: "button" }, "Make link");
  const field = make("input", { type: "url", readonly: "", "aria-label": "New share link" });
  const copy = make("button", { type: "button", class: "button primary" }, "Copy");
  const made = make("div", { class: "field-row" }, field, copy);
  made.hidden = true;
  const note = make("p", { role: "status" });
  const list = make("ul", { class: "share-links", "aria-label": "Share links" });

  const ask = asker(csrf);

  /** Do it, and say so if it fails. @param {() => Promise<void>} work */
  async function guarded(work) {
    try {
      await work();
    } catch (error) {
      note.textContent = error instanceof Error ? error.message : String(error);
    }
  }

  /** @param {ShareLink} link */
  function entry(link) {
    const used = link.last_used === null ? "never used" : `last used ${when(link.last_used)}`;
    const text = `Until ${when(link.expires)}, ${used}`;
    const revoke = make("button", { type: "button", class: "button" }, "Revoke");
    revoke.setAttribute("aria-label", `Revoke the link until ${when(link.expires)}`);
    revoke.addEventListener(
      "click",
      () =>
        void guarded(async () => {
          await ask("DELETE", `${path}/${link.id}`);
          note.textContent = "Revoked. Whoever watches by it is disconnected within seconds.";
          await refresh();
        }),
    );
    return make("li", { class: "field-row" }, text, revoke);
  }

  async function refresh() {
    await guarded(async () => {
      const answer = await ask("GET", path);
      /** @type {ShareLink[]} */
      const links = answer.links;
      const counting = links.filter(
        (link) => link.revoked === null && Date.parse(link.expires) > Date.now(),
      );
      list.replaceChildren(...counting.map(entry));
    });
  }

  create.addEventListener(
    "click",
    () =>
      void guarded(async () => {
        const expires = new Date(Date.now() + Number(days.value) * DAY).toISOString();
        const answer = await ask("POST", path, { expires, scope: "watch" });
        field.value = answer.url;
        made.hidden = false;
        note.textContent = "Copy it now: it is not shown again.";
        await refresh();
      }),
  );
  copy.addEventListener("click", () => void copyText(field, note));

  const element = make(
    "section",
    { "aria-labelledby": "share-links-title" },
    make("h3", { id: "share-links-title" }, "Share links"),
    make("p", {}, "Whoever has such a link may watch this session without a login."),
    make(
      "div",
      { class: "field-row" },
      make("label", { for: "link-days" }, "Valid for"),
      days,
      create,
    ),
    made,
    note,
    list,
  );
  return { element, refresh };
}

/** @param {string} time ISO 8601 */
function when(time) {
  return new Date(time).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
}
