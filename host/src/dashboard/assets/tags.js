// The tags of a start: rows with a name and a value.

import { button, make } from "./dom.js";

/** The most tags of a run. */
const MOST = 16;

/** The longest name and value. The API checks the bytes. */
const LONGEST_NAME = 64;
const LONGEST_VALUE = 255;

export class Tags {
  /** Makes the field work that a part of the page has. */
  constructor(element) {
    const field = element.querySelector("[data-tags]");
    this.rows = field.querySelector("ul");
    this.add = field.querySelector("button");
    this.add.addEventListener("click", () => this.#addRow().querySelector("input").focus());
    this.set(JSON.parse(field.dataset.tags));
  }

  /** Shows these tags instead of those that are there. */
  set(tags) {
    this.rows.replaceChildren();
    for (const [name, value] of Object.entries(tags)) this.#addRow(name, value);
  }

  /** Returns the tags as an object; `undefined` if there are none. Rows without a name and a value are left out. */
  read() {
    const entries = [...this.rows.children].map((row) => [...row.querySelectorAll("input")].map((input) => input.value.trim()));
    const filled = entries.filter(([name, value]) => name !== "" || value !== "");
    return filled.length === 0 ? undefined : Object.fromEntries(filled);
  }

  #addRow(name = "", value = "") {
    const field = (what, value, maxLength) =>
      make("input", { "aria-label": what, placeholder: what, value, maxLength, autocomplete: "off", spellcheck: false });
    const remove = button("Remove", { className: "quiet small", "aria-label": "Remove this tag" });
    const row = make("li", {}, field("Name", name, LONGEST_NAME), field("Value", value, LONGEST_VALUE), remove);
    remove.addEventListener("click", () => {
      row.remove();
      this.#changed();
      this.add.focus();
    });
    this.rows.append(row);
    this.#changed();
    return row;
  }

  #changed() {
    this.add.disabled = this.rows.childElementCount >= MOST;
  }
}
