// @ts-check
/**
 * The library's cards, brought up to date in place. The server draws them; what it draws now is
 * compared with what is on the page, so that focus and scroll position stay.
 */

import { spokenDuration } from "./format.js";

/** @param {ParentNode} root in which durations are to be readable */
export function readableDurations(root) {
  for (const element of /** @type {NodeListOf<HTMLElement>} */ (
    root.querySelectorAll("[data-seconds]")
  )) {
    element.textContent = spokenDuration(Number(element.dataset.seconds));
  }
}

/** @param {string} slug @returns {HTMLElement | null} */
export function cardOf(slug) {
  return document.querySelector(`.card[data-slug="${CSS.escape(slug)}"]`);
}

/** Fetch this page again, and show what has changed. Does nothing if the server does not answer. */
export async function refreshCards() {
  const fresh = await fetchPage();
  const found = fresh?.getElementById("found");
  const here = document.getElementById("found");
  if (fresh === null || !found || here === null) return;
  readableDurations(found);
  const list = here.querySelector(".cards");
  const wanted = found.querySelector(".cards");
  if (list === null || wanted === null) here.replaceChildren(...found.childNodes);
  else update(list, [.../** @type {HTMLCollectionOf<HTMLElement>} */ (wanted.children)]);
  const [count, now] = [document, fresh].map((page) => page.getElementById("session-count"));
  if (count && now) count.textContent = now.textContent;
}

/** @returns {Promise<Document | null>} */
function fetchPage() {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    // Parsed by the browser, as a page without scripts: no string becomes HTML here.
    request.responseType = "document";
    request.open("GET", location.href);
    request.onloadend = () => resolve(request.status === 200 ? request.responseXML : null);
    request.send();
  });
}

/** @param {Element} list @param {HTMLElement[]} wanted */
function update(list, wanted) {
  const slugs = new Set(wanted.map((card) => card.dataset.slug));
  for (const card of /** @type {HTMLElement[]} */ ([...list.children])) {
    if (!slugs.has(card.dataset.slug)) card.remove();
  }
  wanted.forEach((fresh, place) => {
    const card = cardOf(fresh.dataset.slug ?? "");
    const at = list.children.item(place);
    if (card === null) list.insertBefore(document.adoptNode(fresh), at);
    else if (!card.isEqualNode(fresh)) replaceCard(card, document.adoptNode(fresh));
    else if (card !== at) list.insertBefore(card, at);
  });
}

/** @param {HTMLElement} card @param {HTMLElement} fresh */
function replaceCard(card, fresh) {
  const focused = card.contains(document.activeElement)
    ? document.activeElement?.tagName.toLowerCase()
    : null;
  card.replaceWith(fresh);
  if (focused) /** @type {HTMLElement | null} */ (fresh.querySelector(focused))?.focus();
}
