// Reads a JSON Schema into the fields of a form. No DOM.
//
// A field has a `kind`, a `title`, a `description`, whether it may be `null`, and its `default`. What a form cannot show well
// becomes a field for JSON: the API checks the whole input anyway.

/** The most references and alternatives within one another that fields are made for. A recursive type is deeper. */
const DEEPEST = 12;

/** The most values of a choice that are offered as a list. */
const MOST_CHOICES = 500;

/** The most fields of a form. A schema can lead to the same part in many ways, each of which has fields of its own. */
const MOST_FIELDS = 1000;

/** The choices whose elements are as many as those of a field. */
const CHOICES_OF_A_FIELD = 10;

/** The length up to which a text has one line. */
const ONE_LINE = 100;

/** The formats of strings for which a browser has a field of its own. */
const INPUTS = { date: "date", email: "email", "idn-email": "email", uri: "url", time: "text", "date-time": "text" };

/** Reads the schema of an input. Returns the field of the whole input. */
export function fields(schema) {
  return new Reader(schema).field(schema, [], 0);
}

/** Returns the number of fields without choices that take as long to show as a field without its members and items. */
export function weight(field) {
  return 1 + (field.options?.length ?? 0) / CHOICES_OF_A_FIELD;
}

/** Returns whether a form is of use: not if the whole input is JSON. */
export function isForm(field) {
  return field.kind !== "json";
}

class Reader {
  made = 0;

  constructor(root) {
    this.root = root;
  }

  /** Returns the field of a schema. `inside` has the references that lead to it. */
  field(schema, inside, depth) {
    const { keywords, refs } = this.resolved(schema, inside);
    this.made += 1;
    if (keywords === undefined || depth > DEEPEST || this.made > MOST_FIELDS) {
      return { kind: "json", ...defined({ title: text(schema?.title), description: text(schema?.description) }) };
    }
    const about = { title: text(keywords.title), description: text(keywords.description), default: keywords.default };
    const { rest, isNullable } = withoutNull(keywords);
    const made = this.kind(rest, refs, depth);
    this.made += weight(made) - 1;
    // The words of the place come before those of the type.
    return { ...made, ...defined(about), ...(isNullable || made.isNullable ? { isNullable: true } : {}) };
  }

  /**
   * Follows references. Keywords beside a reference count, too. Returns no keywords if a reference leads out of the schema or
   * into itself.
   */
  resolved(schema, inside) {
    if (schema === true) return { keywords: {}, refs: inside };
    let keywords = schema;
    let refs = inside;
    while (typeof keywords?.$ref === "string") {
      if (refs.includes(keywords.$ref)) return {};
      const { $ref, ...beside } = keywords;
      const target = at(this.root, $ref);
      if (!isObject(target)) return {};
      refs = [...refs, $ref];
      keywords = { ...target, ...beside };
    }
    return isObject(keywords) ? { keywords, refs } : {};
  }

  kind(keywords, refs, depth) {
    if ("const" in keywords) return { kind: "constant", value: keywords.const };
    if (Array.isArray(keywords.enum)) return choice(keywords.enum.map((value) => ({ value })));
    // Alternatives beside members belong together: no field shows both.
    const alternatives = keywords.oneOf ?? keywords.anyOf;
    if (Array.isArray(alternatives) && keywords.properties === undefined) {
      return this.alternatives(alternatives, refs, depth);
    }
    const isPlain = alternatives === undefined && keywords.allOf === undefined && keywords.if === undefined;
    if (!isPlain) return Array.isArray(keywords.allOf) ? this.all(keywords, refs, depth) : { kind: "json" };
    switch (keywords.type) {
      case "string":
        return string(keywords);
      case "integer":
      case "number":
        return number(keywords);
      case "boolean":
        return { kind: "boolean" };
      case "null":
        return { kind: "constant", value: null };
      case "array":
        return this.list(keywords, refs, depth);
      case "object":
        return this.group(keywords, refs, depth);
      default:
        return { kind: "json" };
    }
  }

  /** Schemas that apply together: one of them, or objects whose members are joined. */
  all({ allOf, ...beside }, refs, depth) {
    const parts = [beside, ...allOf].map((part) => this.resolved(part, refs));
    if (parts.some((part) => part.keywords === undefined)) return { kind: "json" };
    const filled = parts.filter((part) => Object.keys(part.keywords).some((name) => !["title", "description", "default"].includes(name)));
    if (filled.length === 1) return this.field(filled[0].keywords, filled[0].refs, depth + 1);
    const isGroup = (part) => part.keywords.properties !== undefined || part.keywords.required !== undefined;
    const isMore = (part) => part.keywords.oneOf ?? part.keywords.anyOf ?? part.keywords.allOf ?? part.keywords.if;
    if (!filled.every((part) => isGroup(part) && isMore(part) === undefined)) return { kind: "json" };
    const joined = {
      type: "object",
      properties: Object.assign({}, ...filled.map((part) => part.keywords.properties)),
      required: filled.flatMap((part) => part.keywords.required ?? []),
    };
    return this.group(joined, filled.flatMap((part) => part.refs), depth);
  }

  alternatives(schemas, refs, depth) {
    const resolved = schemas.map((schema) => this.resolved(schema, refs));
    if (resolved.some((one) => one.keywords === undefined)) return { kind: "json" };
    const named = resolved.map(({ keywords }) => keywords);
    // Several lists of values are one: a type with and without words about its values.
    const values = named.flatMap(constants);
    if (values.every((value) => value !== undefined)) return choice(values);
    if (named.length === 1) return this.field(schemas[0], refs, depth + 1);
    const options = schemas.map((schema, index) => {
      const field = this.field(schema, refs, depth + 1);
      return { label: label(named[index], field, index), description: field.description, field };
    });
    return { kind: "variant", options };
  }

  list(keywords, refs, depth) {
    const item = keywords.items;
    if (keywords.prefixItems !== undefined || item === undefined || typeof item === "boolean") return { kind: "json" };
    const { minItems, maxItems } = keywords;
    return { kind: "list", item: this.field(item, refs, depth + 1), ...defined({ minItems, maxItems }) };
  }

  group(keywords, refs, depth) {
    const properties = Object.entries(isObject(keywords.properties) ? keywords.properties : {});
    // A map from names to values, or any object.
    if (properties.length === 0) return keywords.additionalProperties === false ? { kind: "group", members: [] } : { kind: "json" };
    const required = Array.isArray(keywords.required) ? keywords.required : [];
    const members = properties.map(([name, schema]) => ({
      name,
      isRequired: required.includes(name),
      field: this.field(schema, refs, depth + 1),
    }));
    // A member that must be there and is not described has no field.
    if (required.some((name) => !properties.some(([known]) => known === name))) return { kind: "json" };
    // What is needed comes first. A schema of Rust has its members in the order of their names.
    return { kind: "group", members: [...members.filter((one) => one.isRequired), ...members.filter((one) => !one.isRequired)] };
  }
}

function string({ format, minLength, maxLength, pattern }) {
  // A text without a form of its own may have several lines.
  const isFree = format === undefined && pattern === undefined && !(maxLength <= ONE_LINE);
  const input = isFree ? "area" : (INPUTS[format] ?? "text");
  return { kind: "text", input, ...defined({ format: text(format), minLength, maxLength, pattern: text(pattern) }) };
}

function number({ type, minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf }) {
  const bounds = defined({ minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf });
  return { kind: type, ...bounds };
}

function choice(options) {
  if (options.length > MOST_CHOICES) return { kind: "json" };
  const shown = ({ value, title, description }) => ({
    value,
    label: title ?? (typeof value === "string" ? value : JSON.stringify(value)),
    ...defined({ description }),
  });
  return { kind: "choice", options: options.map(shown) };
}

/** Returns the values of a schema that allows nothing else; `[undefined]` if it allows more. */
function constants(keywords) {
  const { title, description } = keywords;
  if ("const" in keywords) return [{ value: keywords.const, title: text(title), description: text(description) }];
  if (Array.isArray(keywords.enum)) return keywords.enum.map((value) => ({ value }));
  return [undefined];
}

/** Returns the name of an alternative: its title, the value that tells it from others, its only member, or its type. */
function label(keywords, field, index) {
  if (text(keywords.title) !== undefined) return keywords.title;
  const members = field.kind === "group" ? field.members : [];
  const tag = members.find((member) => member.field.kind === "constant" && typeof member.field.value === "string");
  if (tag !== undefined) return tag.field.value;
  if (members.length === 1) return members[0].name;
  const words = { text: "Text", integer: "Whole number", number: "Number", boolean: "Yes or no", list: "List", choice: "Choice" };
  if (field.kind === "constant") return typeof field.value === "string" ? field.value : JSON.stringify(field.value);
  return words[field.kind] ?? `Alternative ${index + 1}`;
}

/** Takes `null` out of what a schema allows. */
function withoutNull(keywords) {
  const { type } = keywords;
  if (Array.isArray(type)) {
    const others = type.filter((name) => name !== "null");
    const rest = { ...keywords, type: others.length === 1 ? others[0] : others };
    if (Array.isArray(rest.enum)) rest.enum = rest.enum.filter((value) => value !== null);
    return { rest, isNullable: others.length < type.length };
  }
  if (Array.isArray(keywords.enum) && keywords.enum.includes(null) && keywords.enum.length > 1) {
    return { rest: { ...keywords, enum: keywords.enum.filter((value) => value !== null) }, isNullable: true };
  }
  for (const name of ["anyOf", "oneOf"]) {
    const schemas = keywords[name];
    if (!Array.isArray(schemas)) continue;
    const others = schemas.filter((schema) => !(schema?.type === "null" || schema?.const === null));
    if (others.length > 0 && others.length < schemas.length) return { rest: { ...keywords, [name]: others }, isNullable: true };
  }
  return { rest: keywords, isNullable: false };
}

/** Returns the part of a document to which a reference leads: `#` or `#/…`. */
function at(document, reference) {
  if (reference !== "#" && !reference.startsWith("#/")) return undefined;
  let part = document;
  for (const escaped of reference.split("/").slice(1)) {
    let name;
    try {
      name = decodeURIComponent(escaped).replaceAll("~1", "/").replaceAll("~0", "~");
    } catch {
      return undefined;
    }
    if (part === null || typeof part !== "object" || !Object.hasOwn(part, name)) return undefined;
    part = part[name];
  }
  return part;
}

function isObject(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

function text(value) {
  return typeof value === "string" && value.trim() !== "" ? value : undefined;
}

function defined(record) {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined));
}
