// The elements of a form's fields: one function for each kind of field.

import { button, make, setText } from "../dom.js";
import { jsonField } from "../json/field.js";
import { line, lines } from "../printable.js";
import { below, blank, limits } from "./values.js";

let ids = 0;

/** Returns an id that no other element has. */
function newId() {
  ids += 1;
  return `field-${ids}`;
}

/**
 * Returns the element of a field, which keeps its state up to date. `place` says where it is: its `path`, its `name`, whether it
 * `isRequired`, and whether it `isWhole`: the input itself, which needs no name.
 */
export function element(field, state, place) {
  switch (field.kind) {
    case "text":
      return named(field, place, (about) => text(field, state, about));
    case "integer":
    case "number":
      return named(field, place, (about) => number(field, state, about));
    case "boolean":
      return state.value !== undefined && !field.isNullable && (place.isRequired || field.default !== undefined)
        ? checkbox(field, state, place)
        : named(field, place, (about) => yesOrNo(state, about, place));
    case "choice":
      return named(field, place, (about, hint) => choice(field, state, about, place, hint));
    case "constant":
      return constant(field, place);
    case "group":
      return group(field, state, place);
    case "list":
      return list(field, state, place);
    case "variant":
      return variant(field, state, place);
    default:
      return named(field, place, (about) => jsonArea(state, about));
  }
}

/** The name of a field, as programs know it, with its title if that says more. */
function nameOf(field, { name, isRequired, isWhole }) {
  const title = field.title !== undefined && field.title !== name ? line(field.title) : undefined;
  if (isWhole) return [title ?? "Input"];
  return [
    make("code", {}, line(name)),
    title && make("span", { className: "title" }, title),
    !isRequired && make("span", { className: "optional" }, "optional"),
  ];
}

/** Returns the words about a field, and the element for its errors. */
function words(field, id) {
  const said = [field.description, limits(field)].filter((part) => part !== undefined).map(lines);
  const hint = make("p", { className: "hint", id: `${id}-hint`, hidden: said.length === 0 }, said.join(" · "));
  const error = make("p", { className: "error-text", id: `${id}-error`, "data-error": "", hidden: true });
  return { hint, error };
}

/** Returns a field with one control, its label and its words. */
function named(field, place, control) {
  const id = newId();
  const { hint, error } = words(field, id);
  const about = { id, "aria-describedby": `${hint.id} ${error.id}`, ...(place.isRequired ? { "aria-required": "true" } : {}) };
  const label = make("label", { htmlFor: id }, ...nameOf(field, place));
  return make("div", { className: "field", "data-path": place.path }, label, control(about, hint), hint, error);
}

function text(field, state, about) {
  const properties = { ...about, value: state.text, spellcheck: false, autocomplete: "off" };
  const input =
    field.input === "area" ? make("textarea", { ...properties, rows: 1, className: "line" }) : make("input", { ...properties, type: field.input });
  input.addEventListener("input", () => {
    state.text = input.value;
  });
  return input;
}

function number(field, state, about) {
  // Not a field for numbers: that would change large ones.
  const inputMode = field.kind === "integer" && field.minimum >= 0 ? "numeric" : field.kind === "number" ? "decimal" : "text";
  const input = make("input", { ...about, value: state.text, inputMode, className: "number", autocomplete: "off" });
  input.addEventListener("input", () => {
    state.text = input.value;
  });
  return input;
}

function checkbox(field, state, place) {
  const id = newId();
  const { hint, error } = words(field, id);
  const input = make("input", { id, type: "checkbox", checked: state.value, "aria-describedby": `${hint.id} ${error.id}` });
  input.addEventListener("change", () => {
    state.value = input.checked;
  });
  const label = make("label", { htmlFor: id, className: "check" }, input, ...nameOf(field, { ...place, isRequired: true }));
  return make("div", { className: "field", "data-path": place.path }, label, hint, error);
}

function yesOrNo(state, about, { isRequired }) {
  const options = [[isRequired ? "Choose yes or no" : "Not set", undefined], ["Yes", true], ["No", false]];
  return select(about, options.map(([label, value]) => ({ label, isChosen: value === state.value })), (index) => {
    state.value = options[index][1];
  });
}

function choice(field, state, about, { isRequired }, hint) {
  const none = { label: isRequired && !field.isNullable ? "Choose one" : "Not set", isChosen: state.index === undefined };
  const options = field.options.map((option, index) => ({ label: option.label, isChosen: index === state.index }));
  const base = hint.textContent;
  const describe = () => {
    const said = [base, lines(field.options[state.index]?.description ?? "")].filter((part) => part !== "");
    hint.hidden = said.length === 0;
    setText(hint, said.join(" · "));
  };
  describe();
  return select(about, [none, ...options], (index) => {
    state.index = index === 0 ? undefined : index - 1;
    describe();
  });
}

/** Returns a list of options, of which one is chosen. `choose` gets its index. */
function select(about, options, choose) {
  const input = make("select", about, ...options.map(({ label, isChosen }) => make("option", { selected: isChosen }, line(label))));
  input.addEventListener("change", () => choose(input.selectedIndex));
  return input;
}

function constant(field, place) {
  const value = typeof field.value === "string" ? field.value : JSON.stringify(field.value);
  const { hint, error } = words(field, newId());
  const name = make("p", { className: "label" }, ...nameOf(field, { ...place, isRequired: true }));
  return make("div", { className: "field", "data-path": place.path }, name, make("p", {}, make("code", {}, line(value))), hint, error);
}

function jsonArea(state, about) {
  const area = make("textarea", { ...about, value: state.text, rows: 3, spellcheck: false, autocomplete: "off", placeholder: "JSON" });
  area.addEventListener("input", () => {
    state.text = area.value;
  });
  // It looks for its element for errors when that is in the page.
  requestAnimationFrame(() => area.isConnected && jsonField(area));
  return area;
}

/** Returns a part of the form with a name and fields of its own. */
function part(field, place, ...children) {
  const { hint, error } = words(field, newId());
  const legend = make("legend", {}, ...nameOf(field, place));
  const properties = { className: place.isWhole ? "part whole" : "part", "data-path": place.path, "aria-describedby": `${hint.id} ${error.id}` };
  return make("fieldset", properties, legend, hint, error, ...children);
}

function group(field, state, place) {
  const body = make("div", { className: "fields" });
  const fill = () => {
    const members = state.isSet
      ? field.members.map(({ name, isRequired, field: member }) =>
          element(member, state.members.get(name), { path: below(place.path, name), name, isRequired }),
        )
      : [];
    body.replaceChildren(...members);
    body.hidden = members.length === 0;
  };
  fill();
  if (place.isRequired && !field.isNullable) return part(field, place, body);
  const input = make("input", { type: "checkbox", checked: state.isSet });
  input.addEventListener("change", () => {
    state.isSet = input.checked;
    fill();
  });
  return part(field, place, make("label", { className: "check" }, input, "Set ", make("code", {}, line(place.name ?? "it"))), body);
}

function list(field, state, place) {
  const body = make("ol", { className: "items" });
  const what = place.name ?? "the list";
  const fill = () => {
    body.replaceChildren(...state.items.map(item));
    body.hidden = state.items.length === 0;
  };
  const item = (of, index) => {
    const remove = button("Remove", { className: "quiet small", "aria-label": `Remove item ${index + 1} of ${what}` });
    remove.addEventListener("click", () => {
      state.items.splice(index, 1);
      fill();
      (body.children[Math.min(index, state.items.length - 1)]?.querySelector("input, select, textarea") ?? add).focus();
    });
    const shown = element(field.item, of, { path: `${place.path}[${index}]`, name: String(index + 1), isRequired: true });
    return make("li", {}, shown, remove);
  };
  const add = button("Add an item", { className: "small", "aria-label": `Add an item to ${what}` });
  add.addEventListener("click", () => {
    state.items.push(blank(field.item, true));
    fill();
    body.lastElementChild.querySelector("input, select, textarea, button").focus();
  });
  fill();
  return part(field, place, body, add);
}

function variant(field, state, place) {
  const body = make("div", { className: "fields" });
  const fill = () => {
    const option = field.options[state.index];
    if (option === undefined) {
      body.replaceChildren();
    } else {
      state.states[state.index] ??= blank(option.field, true);
      body.replaceChildren(...shownOption(option, state.states[state.index], place));
    }
    body.hidden = body.childElementCount === 0;
  };
  const none = { label: place.isRequired && !field.isNullable ? "Choose one" : "Not set", isChosen: state.index === undefined };
  const options = field.options.map(({ label }, index) => ({ label, isChosen: index === state.index }));
  const chosen = select({ "aria-label": `Kind of ${place.name ?? "input"}` }, [none, ...options], (index) => {
    state.index = index === 0 ? undefined : index - 1;
    fill();
  });
  fill();
  return part(field, place, chosen, body);
}

/** Returns the fields of an alternative. The member that tells it from others is chosen already, and has no field. */
function shownOption({ label, description, field }, state, place) {
  const hint = description === undefined ? [] : [make("p", { className: "hint" }, lines(description))];
  if (field.kind === "constant") return hint;
  if (field.kind !== "group") return [...hint, element({ ...field, description: undefined }, state, { ...place, name: label, isRequired: true })];
  const members = field.members.filter((member) => member.field.kind !== "constant");
  const shown = members.map(({ name, isRequired, field: member }) =>
    element(member, state.members.get(name), { path: below(place.path, name), name, isRequired }),
  );
  return [...hint, ...shown];
}
