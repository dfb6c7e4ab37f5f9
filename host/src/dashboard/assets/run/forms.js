// Dialogs with a form. A dialog stays open, with all that was entered, until its request has succeeded.

import { tell } from "../errors.js";
import { jsonField } from "../json/field.js";

/** A dialog of the page, by its name in `data-dialog`. */
export class FormDialog {
  /** Sends what was entered. */
  #send;

  constructor(name) {
    this.dialog = document.querySelector(`dialog[data-dialog="${name}"]`);
    this.form = this.dialog.querySelector("form");
    this.error = this.dialog.querySelector("[data-error]");
    this.submit = this.dialog.querySelector('[type="submit"]');
    this.json = Object.fromEntries(
      [...this.dialog.querySelectorAll("textarea[data-json]")].map((area) => [area.name, jsonField(area)]),
    );
    this.dialog.querySelector("[data-close]").addEventListener("click", () => this.dialog.close());
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#submitted();
    });
    for (const field of this.form.elements) {
      field.addEventListener("invalid", () => this.#say(field, field.validationMessage));
      field.addEventListener("input", () => this.#say(field, ""));
    }
  }

  get fields() {
    return this.form.elements;
  }

  /** Opens the dialog. `send()` sends what was entered; it returns `false` if a field is wrong, and throws errors. */
  open(send) {
    this.#send = send;
    tell(this.error, undefined);
    this.dialog.showModal();
    this.form.querySelector("input, textarea").focus();
  }

  async #submitted() {
    if (this.submit.disabled || !this.form.checkValidity()) {
      this.form.querySelector(":invalid")?.focus();
      return;
    }
    this.submit.disabled = true;
    tell(this.error, undefined);
    try {
      if ((await this.#send()) !== false) this.dialog.close();
    } catch (error) {
      tell(this.error, error);
    } finally {
      this.submit.disabled = false;
    }
  }

  #say(field, message) {
    const place = document.getElementById(`${field.id}-error`);
    if (place === null || field.dataset.json !== undefined) return;
    place.hidden = message === "";
    place.textContent = message;
    if (message === "") field.removeAttribute("aria-invalid");
    else field.setAttribute("aria-invalid", "true");
  }
}

/** Returns a body of the API whose documents stay as they were written: `{ name: text of JSON }`, without what is absent. */
export function body(members) {
  const present = Object.entries(members).filter(([, text]) => text !== undefined);
  const json = `{${present.map(([name, text]) => `${JSON.stringify(name)}:${text}`).join(",")}}`;
  return new Blob([json], { type: "application/json" });
}

/** Returns the JSON of a text; `undefined` if it is empty. */
export function text(value) {
  return value === "" ? undefined : JSON.stringify(value);
}

/** Returns a key that no other request has. `crypto.randomUUID` exists for HTTPS alone. */
export function randomKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
