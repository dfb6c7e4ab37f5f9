// Shows the fields of an input, and keeps what is entered in their state.

import { make, setText } from "../dom.js";
import { lines } from "../printable.js";
import { above } from "./values.js";
import { element as elementOf } from "./widgets.js";

export class Form {
  constructor(field, state) {
    this.state = state;
    this.element = make("div", { className: "fields" }, elementOf(field, state, { path: "$", isRequired: true, isWhole: true }));
  }

  /** Removes what was said about fields. */
  clear() {
    for (const error of this.element.querySelectorAll("[data-error]")) {
      error.hidden = true;
      setText(error, "");
    }
    for (const wrong of this.element.querySelectorAll("[aria-invalid]")) wrong.removeAttribute("aria-invalid");
  }

  /** Shows problems, `{ path, message }`, at their fields, and goes to the first one. Returns whether each has a field. */
  show(problems) {
    this.clear();
    const fields = new Map();
    for (const field of this.element.querySelectorAll("[data-path]")) {
      // The parts of a variant that is one field have its path, too.
      if (!fields.has(field.dataset.path)) fields.set(field.dataset.path, field);
    }
    const places = problems.map(({ path, message }) => this.#mark(fields, path, message));
    places.find((place) => place !== undefined)?.focus();
    return places.every((place) => place !== undefined);
  }

  /** Shows a problem at its field, or at the nearest one around it. Returns the element to go to. */
  #mark(fields, path, message) {
    for (let place = path; place !== undefined; place = above(place)) {
      const field = fields.get(place);
      const error = field?.querySelector(":scope > [data-error]");
      if (error == null) continue;
      setText(error, error.textContent === "" ? lines(message) : `${error.textContent} ${lines(message)}`);
      error.hidden = false;
      const control = field.querySelector("input:not([type=hidden]), select, textarea, button");
      if (control === null) return undefined;
      control.setAttribute("aria-invalid", "true");
      // The first control of a part with several says what is wrong with the part.
      const said = (control.getAttribute("aria-describedby") ?? "").split(" ");
      if (!said.includes(error.id)) control.setAttribute("aria-describedby", [...said, error.id].join(" ").trim());
      return control;
    }
    return undefined;
  }
}
