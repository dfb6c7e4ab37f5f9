// The input of a start, in a form or as JSON. One of them has it; switching moves it to the other.

import { setText } from "../dom.js";
import { jsonField } from "../json/field.js";
import { Form } from "./form.js";
import { blank, fill, parse, write } from "./values.js";

/** Why a document is not shown in the form. */
const NOT_WHOLE =
  "The form cannot show this document whole: a part of it is not described by the schema or does not fit it, or it has too many values.";

export class Input {
  /** The form; `undefined` if the input has no schema. */
  #form;
  #mode = "json";

  constructor(page) {
    this.find = (selector) => page.querySelector(selector);
    this.area = this.find("#start-text");
    this.json = jsonField(this.area);
    this.modes = this.find("#start-modes");
    this.modes.addEventListener("change", (event) => {
      if (event.target.value === "json") this.#toJson();
      else this.#toForm();
    });
  }

  /** Shows the input in the form of another schema, or as JSON if there is none. What was entered stays. */
  setField(field) {
    const isFirst = this.field === undefined && this.area.value.trim() === "{}";
    const text = this.#text();
    this.field = field;
    this.modes.hidden = field === undefined;
    this.#notice();
    if (field === undefined) {
      this.#showJson(text);
      return;
    }
    if (isFirst) this.#showForm(blank(field, true));
    else this.setText(text);
  }

  /** Shows a document: in the form, if that can show it whole. */
  setText(text) {
    this.#notice();
    const state = this.#state(text);
    if (state !== undefined) {
      this.#showForm(state);
      return;
    }
    this.#showJson(text);
    if (this.field !== undefined) this.#notice(NOT_WHOLE);
  }

  /** Returns the document as text. Shows what is wrong with it and returns `undefined` if it is none. */
  read() {
    this.#notice();
    if (this.#mode === "json") return this.json.read("{}");
    this.#form.clear();
    const { text, problems } = write(this.field, this.#form.state);
    if (problems.length === 0) return text;
    this.#form.show(problems);
    return undefined;
  }

  /** Shows problems at their fields. Returns whether each has one. */
  show(problems) {
    return this.#mode === "form" && this.#form.show(problems);
  }

  /** Returns the document as it is, also if parts of it are missing. */
  #text() {
    return this.#mode === "json" ? this.area.value : write(this.field, this.#form.state).text;
  }

  /** Returns the state of the form that shows a document; `undefined` if there is none. */
  #state(text) {
    if (this.field === undefined) return undefined;
    try {
      return fill(this.field, parse(text));
    } catch {
      return undefined;
    }
  }

  #toJson() {
    this.#notice();
    this.#showJson(this.#text());
    this.area.focus();
  }

  #toForm() {
    this.#notice();
    const text = this.json.read("{}");
    const state = text === undefined ? undefined : this.#state(text);
    if (state !== undefined) {
      this.#showForm(state);
      return;
    }
    this.#check("json");
    if (text !== undefined) this.#notice(NOT_WHOLE);
  }

  #showJson(text) {
    this.#show("json");
    this.json.set(text);
  }

  #showForm(state) {
    this.#form = new Form(this.field, state);
    this.find("#start-form").replaceChildren(this.#form.element);
    this.#show("form");
  }

  #show(mode) {
    this.#mode = mode;
    this.find("#start-form").hidden = mode !== "form";
    this.find("#start-json").hidden = mode !== "json";
    this.#check(mode);
  }

  #check(mode) {
    this.modes.querySelector(`[value=${mode}]`).checked = true;
  }

  #notice(text) {
    const notice = this.find("#start-notice");
    notice.hidden = text === undefined;
    setText(notice, text ?? "");
  }
}
