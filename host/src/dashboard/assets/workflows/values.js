// What a person has entered in the fields of a form, and the JSON document that it is. No DOM.
//
// A state is what one field has: `{ text }` of texts, numbers and JSON, `{ value }` of yes or no, `{ index }` of a choice,
// `{ isSet, members }` of a group, `{ items }` of a list, `{ index, states }` of alternatives. Documents are made as text,
// because JavaScript changes numbers.

import { check } from "../json/check.js";
import { weight } from "./fields.js";

const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;
const STRING_OR_NUMBER = /"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g;
const WHOLE = /^-?(?:0|[1-9]\d*)$/;

/** The most blank items of all lists of a form. A list can demand any number; its words say how many. */
const MOST_BLANK_ITEMS = 20;

/** The most fields that a form shows, by their weight, those of all items counted. A browser shows them in about a second. */
const MOST_SHOWN = 3_000;

/** The number of fields and blank items for which a form still has room. */
class Room {
  fields = MOST_SHOWN;
  blankItems = MOST_BLANK_ITEMS;
}

/** The documents of the values of choices and constants, which are compared with many others. */
const documents = new WeakMap();

/** A number that JavaScript would change, as it was written. */
class Numeral {
  constructor(text) {
    this.text = text;
  }
}

/** Reads a JSON document. Numbers that JavaScript would change stay as they are. Throws a SyntaxError. */
export function parse(text) {
  JSON.parse(text);
  // A name that is nowhere in the document marks the numbers.
  let mark = "number";
  while (text.includes(mark)) mark += "_";
  const marked = text.replace(STRING_OR_NUMBER, (found) =>
    found.startsWith('"') || String(Number(found)) === found ? found : `{"${mark}":"${found}"}`,
  );
  return JSON.parse(marked, (_name, value) => (isObject(value) && Object.hasOwn(value, mark) ? new Numeral(value[mark]) : value));
}

function isObject(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value) && !(value instanceof Numeral);
}

/** Returns a value as a JSON document. */
export function json(value) {
  if (value instanceof Numeral) return value.text;
  if (Array.isArray(value)) return `[${value.map(json).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const members = Object.entries(value).map(([name, member]) => `${JSON.stringify(name)}:${json(member)}`);
  return `{${members.join(",")}}`;
}

/** Returns the state of a field in which nothing was entered: its default, or nothing. */
export function blank(field, isRequired, room = new Room()) {
  room.fields -= weight(field);
  if (field.default !== undefined && field.default !== null) {
    const filled = fill(field, field.default, room);
    if (filled !== undefined) return filled;
  }
  switch (field.kind) {
    case "boolean":
      return { value: isRequired && !field.isNullable ? false : undefined };
    case "choice":
      return { index: undefined };
    case "constant":
      return {};
    case "group":
      return group(field, isRequired && !field.isNullable, room);
    case "list":
      return { items: isRequired ? blankItems(field, room) : [] };
    case "variant":
      return { index: undefined, states: [] };
    default:
      return { text: "" };
  }
}

function group(field, isSet, room) {
  const members = field.members.map((member) => [member.name, blank(member.field, member.isRequired, room)]);
  return { isSet, members: new Map(members) };
}

/** Returns the items that a list needs, as far as there is room. The others can be added. */
function blankItems({ item, minItems = 0 }, room) {
  const items = [];
  while (items.length < minItems && room.blankItems > 0 && room.fields > 0) {
    room.blankItems -= 1;
    items.push(blank(item, true, room));
  }
  return items;
}

/** Returns the state of a field that shows a value. Returns `undefined` if the field cannot show it whole. */
export function fill(field, value, room = new Room()) {
  room.fields -= weight(field);
  if (room.fields < 0) return undefined;
  if (value === null && field.isNullable) return blank({ ...field, default: undefined }, false, room);
  switch (field.kind) {
    case "text":
      // A field of one line drops the others.
      return typeof value === "string" && (field.input === "area" || !/[\r\n]/.test(value)) ? { text: value } : undefined;
    case "integer":
    case "number": {
      const text = value instanceof Numeral || typeof value === "number" ? json(value) : undefined;
      return text !== undefined && (field.kind === "number" || WHOLE.test(text)) ? { text } : undefined;
    }
    case "boolean":
      return typeof value === "boolean" ? { value } : undefined;
    case "choice": {
      const index = documentsOf(field).indexOf(json(value));
      return index === -1 ? undefined : { index };
    }
    case "constant":
      return documentsOf(field).includes(json(value)) ? {} : undefined;
    case "group":
      return fillGroup(field, value, room);
    case "list": {
      const items = Array.isArray(value) ? value.map((item) => fill(field.item, item, room)) : [undefined];
      return items.includes(undefined) ? undefined : { items };
    }
    case "variant": {
      for (const [index, option] of field.options.entries()) {
        const filled = fill(option.field, value, room);
        if (filled !== undefined) return { index, states: Object.assign([], { [index]: filled }) };
      }
      return undefined;
    }
    default:
      return { text: json(value) };
  }
}

/** Returns the documents of the values of a choice or a constant. */
function documentsOf(field) {
  if (!documents.has(field)) documents.set(field, (field.options ?? [field]).map(({ value }) => json(value)));
  return documents.get(field);
}

function fillGroup(field, value, room) {
  if (!isObject(value)) return undefined;
  const known = new Set(field.members.map((member) => member.name));
  if (Object.keys(value).some((name) => !known.has(name))) return undefined;
  const state = { isSet: true, members: new Map() };
  for (const { name, isRequired, field: member } of field.members) {
    const isThere = Object.hasOwn(value, name);
    if (!isThere && isRequired) return undefined;
    // A member that is not there has no default, because the value has none.
    const filled = isThere ? fill(member, value[name], room) : blank({ ...member, default: undefined }, false, room);
    if (filled === undefined) return undefined;
    state.members.set(name, filled);
  }
  return state;
}

/**
 * Returns the document of a form, `{ text, problems }`. Problems, `{ path, message }`, are what cannot be written as JSON; the
 * limits of the schema are checked by the API.
 */
export function write(field, state) {
  const problems = [];
  const text = written(field, state, true, "$", problems);
  return { text: text ?? "null", problems };
}

/** Returns the text of a field; `undefined` if it is left out. */
function written(field, state, isRequired, path, problems) {
  const nothing = (message) => {
    if (!isRequired) return undefined;
    if (field.isNullable) return "null";
    problems.push({ path, message });
    return "null";
  };
  switch (field.kind) {
    case "text":
      // A required text may be empty, unless it must be of a form that no empty text has.
      if (state.text === "" && (!isRequired || field.isNullable)) return nothing();
      return JSON.stringify(state.text);
    case "integer":
    case "number":
      return number(field, state.text.trim(), nothing, path, problems);
    case "boolean":
      return state.value === undefined ? nothing("Choose yes or no.") : String(state.value);
    case "choice":
      return state.index === undefined ? nothing("Choose one.") : json(field.options[state.index].value);
    case "constant":
      return json(field.value);
    case "group":
      return state.isSet ? members(field, state, path, problems) : nothing("This part is needed.");
    case "list":
      return items(field, state, isRequired, path, problems);
    case "variant": {
      if (state.index === undefined) return nothing("Choose one.");
      const option = field.options[state.index];
      return written(option.field, state.states[state.index], true, path, problems);
    }
    default:
      return document(state.text.trim(), nothing, path, problems);
  }
}

function number(field, text, nothing, path, problems) {
  if (text === "") return nothing(field.kind === "integer" ? "Enter a whole number." : "Enter a number.");
  const isNumber = (field.kind === "integer" ? WHOLE : NUMBER).test(text);
  // The API compares a number with the schema, and reads none that is larger than those of JavaScript.
  if (isNumber && Number.isFinite(Number(text))) return text;
  const wanted = field.kind === "integer" ? "a whole number, such as 42" : "a number, such as 4.2";
  problems.push({ path, message: isNumber ? "This number is too large." : `This must be ${wanted}.` });
  return "null";
}

function members(field, state, path, problems) {
  const texts = [];
  for (const member of field.members) {
    const place = below(path, member.name);
    const text = written(member.field, state.members.get(member.name), member.isRequired, place, problems);
    if (text !== undefined) texts.push(`${JSON.stringify(member.name)}:${text}`);
  }
  return `{${texts.join(",")}}`;
}

function items(field, state, isRequired, path, problems) {
  if (state.items.length === 0 && !isRequired) return undefined;
  if (state.items.length === 0 && field.isNullable) return "null";
  const texts = state.items.map((item, index) => written(field.item, item, true, `${path}[${index}]`, problems));
  return `[${texts.join(",")}]`;
}

function document(text, nothing, path, problems) {
  if (text === "") return nothing("Enter a JSON document.");
  const wrong = check(text);
  if (wrong === undefined) return text;
  problems.push({ path, message: `Not JSON: ${wrong.message}.` });
  return "null";
}

/** Returns the path of a member, as the API writes it: `$.name`, or `$["a name"]`. */
export function below(path, name) {
  return /^[\p{Alphabetic}\p{N}_-]+$/u.test(name) ? `${path}.${name}` : `${path}[${JSON.stringify(name)}]`;
}

/** Returns the path of which a path is a part: `$.a` of `$.a[1]`. Returns `undefined` for `$`. */
export function above(path) {
  if (path === "$") return undefined;
  const quoted = /\["(?:[^"\\]|\\.)*"\]$/.exec(path);
  const part = quoted ?? /(?:\[\d+\]|\.[^.[\]]+)$/.exec(path);
  return part === null ? "$" : path.slice(0, part.index);
}

/** Returns the words for the limits of a field, such as `1 to 100`; `undefined` if it has none. */
export function limits(field) {
  const words = [];
  const range = (least, most, unit) => {
    const bounds =
      least !== undefined && most !== undefined ? (least === most ? `exactly ${least}` : `${least} to ${most}`)
      : least !== undefined ? `at least ${least}`
      : most !== undefined ? `at most ${most}`
      : undefined;
    if (bounds !== undefined) words.push(unit === undefined ? bounds : `${bounds} ${unit}${/^[a-z ]+ 1$/.test(bounds) ? "" : "s"}`);
  };
  // The limits of Rust's types of numbers tell nobody anything.
  const sensible = (bound) => (bound !== undefined && Math.abs(bound) < 2 ** 31 - 1 ? bound : undefined);
  if (field.kind === "integer" || field.kind === "number") {
    range(sensible(field.minimum), sensible(field.maximum));
    if (field.exclusiveMinimum !== undefined) words.push(`more than ${field.exclusiveMinimum}`);
    if (field.exclusiveMaximum !== undefined) words.push(`less than ${field.exclusiveMaximum}`);
    if (field.multipleOf !== undefined) words.push(`a multiple of ${field.multipleOf}`);
  }
  if (field.kind === "text") range(field.minLength, field.maxLength, "character");
  if (field.kind === "list") range(field.minItems, field.maxItems, "item");
  if (field.format === "date-time") words.push("a time such as 2026-11-30T12:00:00Z");
  if (field.format === "uuid") words.push("a UUID");
  if (field.pattern !== undefined) words.push(`the pattern ${field.pattern}`);
  return words.length === 0 ? undefined : words.join(", ");
}
