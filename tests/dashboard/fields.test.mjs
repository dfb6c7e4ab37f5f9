import assert from "node:assert/strict";
import { test } from "node:test";

import { fields, isForm } from "../../host/src/dashboard/assets/workflows/fields.js";
import { above, below, blank, fill, json, limits, parse, write } from "../../host/src/dashboard/assets/workflows/values.js";

/** The schema that `schemars` derives for the order of `tests/guests/checked`. */
const ORDER = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  title: "Order",
  description: "An order of a customer.",
  type: "object",
  properties: {
    sku: { description: "The article.", type: "string" },
    count: { description: "How many.", type: "integer", format: "uint32", minimum: 1, maximum: 100, default: 1 },
    gift: { type: "boolean", default: false },
    until: { type: ["string", "null"], format: "date-time" },
    delivery: { description: "How it is sent.", $ref: "#/$defs/Delivery", default: "standard" },
    payment: { $ref: "#/$defs/Payment" },
    address: { description: "Where.", anyOf: [{ $ref: "#/$defs/Address" }, { type: "null" }] },
    notes: { type: "array", items: { type: "string" }, default: [] },
    extra: { default: null },
  },
  required: ["sku", "payment"],
  $defs: {
    Delivery: { description: "A speed.", type: "string", enum: ["standard", "express"] },
    Payment: {
      oneOf: [
        {
          description: "By card.",
          type: "object",
          properties: { kind: { type: "string", const: "card" }, token: { type: "string" } },
          required: ["kind", "token"],
        },
        {
          type: "object",
          properties: { kind: { type: "string", const: "transfer" }, iban: { type: "string" }, owner: { type: ["string", "null"] } },
          required: ["kind", "iban"],
        },
      ],
    },
    Address: { type: "object", properties: { street: { type: "string" }, town: { type: "string" } }, required: ["street", "town"] },
  },
};

/** Returns the field of a member. */
function member(field, name) {
  return field.members.find((member) => member.name === name);
}

/** Returns the document of a field in which nothing was entered. */
function empty(schema) {
  const field = fields(schema);
  return write(field, blank(field, true));
}

/** Returns the document of a form after it was filled with a document. */
function filled(schema, text) {
  const field = fields(schema);
  const state = fill(field, parse(text));
  return state && write(field, state);
}

test("a struct is a group of fields with their words", () => {
  const order = fields(ORDER);
  assert.equal(order.kind, "group");
  assert.equal(order.description, "An order of a customer.");
  assert.deepEqual(
    order.members.map(({ name, field }) => [name, field.kind]),
    [
      ["sku", "text"],
      ["payment", "variant"],
      ["count", "integer"],
      ["gift", "boolean"],
      ["until", "text"],
      ["delivery", "choice"],
      ["address", "group"],
      ["notes", "list"],
      ["extra", "json"],
    ],
  );
  assert.deepEqual(order.members.filter((member) => member.isRequired).map((member) => member.name), ["sku", "payment"]);
  assert.equal(member(order, "sku").field.description, "The article.");
  assert.equal(member(order, "delivery").field.description, "How it is sent.", "the words of the place come first");
  assert.equal(member(order, "address").field.isNullable, true);
  assert.deepEqual(member(order, "payment").field.options.map((option) => option.label), ["card", "transfer"]);
  assert.equal(limits(member(order, "count").field), "1 to 100");
  assert.equal(limits(member(order, "until").field), "a time such as 2026-11-30T12:00:00Z");
  assert.equal(limits(fields({ type: "string", minLength: 1 })), "at least 1 character");
  assert.equal(limits(fields({ type: "string", minLength: 0, maxLength: 1 })), "0 to 1 characters");
});

test("an order is written as it was entered", () => {
  const order = fields(ORDER);
  const state = blank(order, true);
  state.members.get("sku").text = "tea \"green\"";
  state.members.get("count").text = " 3 ";
  const payment = state.members.get("payment");
  payment.index = 1;
  payment.states[1] = blank(member(order, "payment").field.options[1].field, true);
  payment.states[1].members.get("iban").text = "DE02";
  const { text, problems } = write(order, state);
  assert.deepEqual(problems, []);
  assert.deepEqual(JSON.parse(text), {
    sku: "tea \"green\"",
    count: 3,
    gift: false,
    delivery: "standard",
    payment: { kind: "transfer", iban: "DE02" },
  });
});

test("what cannot be written has the path that the API would name", () => {
  const order = fields(ORDER);
  const state = blank(order, true);
  state.members.get("count").text = "many";
  const { problems } = write(order, state);
  assert.deepEqual(problems, [
    { path: "$.payment", message: "Choose one." },
    { path: "$.count", message: "This must be a whole number, such as 42." },
  ]);
});

test("a document is shown in the form and written again as it was", () => {
  const documents = [
    { sku: "tea", payment: { kind: "card", token: "t" } },
    { sku: "two\nlines", count: 7, gift: true, until: "2026-11-30T12:00:00Z", delivery: "express", payment: { kind: "transfer", iban: "x", owner: "y" } },
    { sku: "a", payment: { kind: "card", token: "" }, address: { street: "s", town: "t" }, notes: ["a", "b"], extra: { any: [1] } },
  ];
  for (const document of documents) {
    const { text, problems } = filled(ORDER, JSON.stringify(document));
    assert.deepEqual(problems, []);
    assert.deepEqual(JSON.parse(text), document);
  }
});

test("a document that the form cannot show whole is not shown in it", () => {
  const payment = { kind: "card", token: "t" };
  for (const document of [
    { sku: "tea", payment, unknown: 1 },
    { sku: "tea" },
    { sku: 1, payment },
    { sku: "tea", payment, until: "two\nlines" },
    { sku: "tea", payment: { kind: "cash" } },
    { sku: "tea", payment, count: 1.5 },
    [],
    null,
  ]) {
    assert.equal(filled(ORDER, JSON.stringify(document)), undefined, JSON.stringify(document));
  }
});

test("numbers stay as they were written", () => {
  const schema = { type: "object", properties: { id: { type: "integer" }, price: { type: "number" }, more: {} } };
  const text = '{"id":12345678901234567890,"price":1.10,"more":[1e400,0.1]}';
  assert.equal(filled(schema, text).text, text);
  assert.equal(json(parse(text)), text);
});

test("each kind of schema has its field", () => {
  const table = [
    [{ type: "string", format: "date" }, { kind: "text", input: "date", format: "date" }],
    [{ type: "string", format: "email" }, { kind: "text", input: "email", format: "email" }],
    [{ type: "string", minLength: 1, title: " " }, { kind: "text", input: "area", minLength: 1 }],
    [{ type: "number", minimum: 0 }, { kind: "number", minimum: 0 }],
    [{ type: ["boolean", "null"] }, { kind: "boolean", isNullable: true }],
    [{ const: 7 }, { kind: "constant", value: 7 }],
    [{ type: "null" }, { kind: "constant", value: null }],
    [{ enum: ["a", 1, null] }, { kind: "choice", options: [{ value: "a", label: "a" }, { value: 1, label: "1" }], isNullable: true }],
    [
      { oneOf: [{ const: "a", description: "First." }, { enum: ["b"] }] },
      { kind: "choice", options: [{ value: "a", label: "a", description: "First." }, { value: "b", label: "b" }] },
    ],
    [{ allOf: [{ type: "boolean" }], description: "Words." }, { kind: "boolean", description: "Words." }],
    [
      { allOf: [{ type: "object", properties: { a: { type: "null" } }, required: ["a"] }, { properties: { b: {} } }] },
      {
        kind: "group",
        members: [
          { name: "a", isRequired: true, field: { kind: "constant", value: null } },
          { name: "b", isRequired: false, field: { kind: "json" } },
        ],
      },
    ],
    [
      { anyOf: [{ type: "string" }, { type: "array", items: { type: "integer" } }] },
      {
        kind: "variant",
        options: [
          { label: "Text", description: undefined, field: { kind: "text", input: "area" } },
          { label: "List", description: undefined, field: { kind: "list", item: { kind: "integer" } } },
        ],
      },
    ],
  ];
  for (const [schema, field] of table) assert.deepEqual(fields(schema), field, JSON.stringify(schema));
});

test("what a form cannot show is a field for JSON", () => {
  for (const schema of [
    true,
    {},
    { type: ["string", "integer"] },
    { type: "object" },
    { type: "object", additionalProperties: { type: "string" } },
    { type: "array", prefixItems: [{}] },
    { properties: { a: {} }, oneOf: [{ required: ["a"] }], type: "object" },
    { if: {}, type: "string" },
    { $ref: "#/nothing" },
    { $ref: "https://example.com" },
    { $ref: "#" },
    { type: "object", properties: {}, required: ["a"] },
    7,
  ]) {
    assert.equal(isForm(fields(schema)), false, JSON.stringify(schema));
  }
});

test("a recursive type ends in a field for JSON", () => {
  const tree = { type: "object", properties: { value: { type: "integer" }, next: { anyOf: [{ $ref: "#" }, { type: "null" }] } }, required: ["value"] };
  const field = fields({ $ref: "#/$defs/Tree", $defs: { Tree: { ...tree, properties: { ...tree.properties, next: { $ref: "#/$defs/Tree" } } } } });
  assert.equal(member(field, "next").field.kind, "json");
  const { text } = filled(tree, '{"value":1,"next":{"value":2,"next":{"value":3}}}');
  assert.deepEqual(JSON.parse(text), { value: 1, next: { value: 2, next: { value: 3 } } });
});

test("a schema that leads to the same part in many ways has a bounded number of fields", () => {
  const $defs = {};
  for (let level = 0; level < 11; level += 1) {
    const next = level === 10 ? { type: "string" } : { $ref: `#/$defs/${level + 1}` };
    $defs[level] = { type: "object", properties: Object.fromEntries("abcdefghij".split("").map((name) => [name, next])) };
  }
  const count = (field) => 1 + (field.members ?? []).reduce((sum, member) => sum + count(member.field), 0);
  assert.ok(count(fields({ $ref: "#/$defs/0", $defs })) < 20000);
});

test("a list that demands many items begins with a few, and says how many it needs", () => {
  const nested = (sizes) => sizes.reduceRight((items, minItems) => ({ type: "array", items, minItems }), { type: "string" });
  const count = (state) => (state.items ?? []).reduce((sum, item) => sum + 1 + count(item), 0);
  for (const sizes of [[1e9], [1e9, 1e9], [400, 400, 400], [300000], [Number.MAX_SAFE_INTEGER]]) {
    const field = fields(nested(sizes));
    assert.equal(count(blank(field, true)), 20);
    assert.equal(limits(field), `at least ${sizes[0]} items`);
  }
  // All lists of a form have them together, also those of parts that are not set.
  const lists = { type: "object", properties: Object.fromEntries("abcdef".split("").map((name) => [name, nested([5])])), required: "abcdef".split("") };
  const twice = { type: "object", properties: { one: lists, two: lists }, required: ["one"] };
  const form = blank(fields(twice), true);
  const items = [...form.members.values()].flatMap((part) => [...part.members.values()]).map(count);
  assert.equal(items.reduce((sum, one) => sum + one, 0), 20);
});

test("defaults that lead to more fields than a browser shows are left out", () => {
  let made = 0;
  const count = (state) => {
    made += 1;
    for (const part of state.items ?? state.members?.values() ?? []) count(part);
  };
  const many = { type: "array", items: { type: "integer" }, default: Array.from({ length: 2000 }, () => 0) };
  // Each item of the first default has a part with a default of its own.
  const part = { type: "object", properties: { many } };
  const items = { type: "object", properties: { part } };
  count(blank(fields({ type: "array", items, default: Array.from({ length: 9000 }, () => ({})) }), true));
  // One default at a hundred places.
  const places = Array.from({ length: 100 }, (_, at) => [`place${at}`, { $ref: "#/$defs/many" }]);
  count(blank(fields({ type: "object", properties: Object.fromEntries(places), $defs: { many } }), true));
  assert.ok(made > 2000 && made < 5000, `${made}`);
  const choice = { enum: Array.from({ length: 400 }, (_, at) => at) };
  const chosen = blank(fields({ type: "array", items: choice, default: Array.from({ length: 5000 }, () => 399) }), true);
  assert.deepEqual(chosen, { items: [] });
});

test("a document with more values than a browser shows is not shown in the form", () => {
  const list = { type: "array", items: { type: "integer" } };
  const document = (length) => `[${Array.from({ length }, () => 0).join(",")}]`;
  assert.equal(filled(list, document(2000)).text, document(2000));
  assert.equal(filled(list, document(500000)), undefined);
});

test("choices count as fields", () => {
  const choice = { enum: Array.from({ length: 500 }, (_, at) => at) };
  const places = Object.fromEntries(Array.from({ length: 900 }, (_, at) => [`place${at}`, { $ref: "#/$defs/choice" }]));
  const form = fields({ type: "object", properties: places, $defs: { choice } });
  assert.ok(form.members.filter(({ field }) => field.kind === "choice").length < 30);
});

test("a field in which nothing was entered is left out, null, or its default", () => {
  assert.deepEqual(JSON.parse(empty({ type: "object", properties: { a: { type: "string" }, b: { type: "integer", default: 7 } } }).text), { b: 7 });
  assert.equal(empty({ type: ["integer", "null"] }).text, "null");
  assert.deepEqual(empty({ type: "integer" }).problems, [{ path: "$", message: "Enter a whole number." }]);
  assert.equal(empty({ type: "string" }).text, '""');
  assert.equal(empty({ type: "boolean" }).text, "false");
  assert.equal(empty({ type: "array", items: { type: "string" }, minItems: 2 }).text, '["",""]');
  assert.deepEqual(empty({}).problems, [{ path: "$", message: "Enter a JSON document." }]);
});

test("a number that is too large is said at its field", () => {
  for (const [schema, number] of [["number", "1e400"], ["number", "-1e309"], ["integer", "9".repeat(400)]]) {
    const { problems } = write(fields({ type: schema }), { text: number });
    assert.deepEqual(problems, [{ path: "$", message: "This number is too large." }], number);
  }
  assert.equal(write(fields({ type: "number" }), { text: "1.7e308" }).text, "1.7e308");
});

test("paths are those of the API", () => {
  assert.equal(below("$", "a-b_ü1"), "$.a-b_ü1");
  assert.equal(below("$.a[1]", 'a "b".c'), '$.a[1]["a \\"b\\".c"]');
  const up = ['$.a[1]["a \\"b\\".c"]', "$.a[1]", "$.a", "$", undefined];
  for (const [index, path] of up.slice(0, -1).entries()) assert.equal(above(path), up[index + 1]);
});
