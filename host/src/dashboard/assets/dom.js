// Makes elements. Text is always text: nothing of a tenant is read as HTML.

/**
 * Makes an element with properties (`{ className: "soft", onclick }`), attributes (`{ "aria-label": "Close" }`: names with a
 * hyphen, and `role`), and children: elements and texts. A child that is `null`, `undefined` or `false` is left out.
 */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined) continue;
    if (name.includes("-") || name === "role") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child != null && child !== false));
  return element;
}

/** Makes a button. */
export function button(label, properties = {}) {
  return make("button", { type: "button", ...properties }, label);
}

/** Sets the text of an element, if it differs: a screen reader reads each change of a live region. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Sets an attribute, if it differs. `undefined` removes it. */
export function setAttribute(element, name, value) {
  if (value === undefined) {
    element.removeAttribute(name);
    return;
  }
  const text = String(value);
  if (element.getAttribute(name) !== text) element.setAttribute(name, text);
}
