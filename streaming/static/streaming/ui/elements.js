// @ts-check
/** Creating and finding elements of the page. */

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, string>} [attributes]
 * @param {(Node | string)[]} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/**
 * The element of that id; the template has it.
 * @template {HTMLElement} [T=HTMLElement]
 * @param {string} id
 * @returns {T}
 */
export function byId(id) {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`the page has no element #${id}`);
  return /** @type {T} */ (element);
}

/** Change a text only where it differs: the browser then has nothing to do. @param {Node} node @param {string} text */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * A dialog with a title and a button that closes it.
 * @param {string} id @param {string} title
 * @param {(Node | string)[]} body
 */
export function makeDialog(id, title, ...body) {
  const close = make(
    "button",
    { type: "button", class: "icon-button", "aria-label": "Close" },
    "✕",
  );
  const dialog = make(
    "dialog",
    { id, "aria-labelledby": `${id}-title` },
    make("div", { class: "dialog-head" }, make("h2", { id: `${id}-title` }, title), close),
    make("div", { class: "dialog-body" }, ...body),
  );
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  document.body.append(dialog);
  return dialog;
}
