import assert from "node:assert/strict";
import { test } from "node:test";

import { check } from "../../host/src/dashboard/assets/json/check.js";
import { Formatter, formatted } from "../../host/src/dashboard/assets/json/format.js";
import { part } from "../../host/src/dashboard/assets/json/scan.js";
import { json, line, lines } from "../../host/src/dashboard/assets/printable.js";

test("a document is formatted as JSON.stringify does it", () => {
  const value = { a: [], b: {}, c: [1, "two", null, true, { d: "\"}] \\" }], "e,": { f: [[]] } };
  assert.equal(formatted(JSON.stringify(value)), JSON.stringify(value, null, 2));
  for (const scalar of ["1", "\"a\"", "null", "[]", "{}", " [ 1 ] "]) {
    assert.equal(formatted(scalar), JSON.stringify(JSON.parse(scalar), null, 2), scalar);
  }
});

test("numbers stay as they were written", () => {
  const text = '{"id":12345678901234567890,"price":1.10,"small":1e-400}';
  assert.equal(formatted(text), '{\n  "id": 12345678901234567890,\n  "price": 1.10,\n  "small": 1e-400\n}');
});

test("a large document comes in bounded parts that make the whole", () => {
  const text = JSON.stringify(Array.from({ length: 5_000 }, (_, at) => ({ at, name: `n${at}`, long: "é😀".repeat(3) })));
  const formatter = new Formatter(text);
  let whole = "";
  let parts = 0;
  while (!formatter.done) {
    const pieces = formatter.next(10_000);
    whole += pieces.map((piece) => piece.text).join("");
    parts += 1;
  }
  assert.equal(whole, JSON.stringify(JSON.parse(text), null, 2));
  assert.ok(parts > 10, `${parts}`);
});

test("a text of 10 MB is cut into pieces, between characters", () => {
  const text = JSON.stringify({ body: "a😀".repeat(3_000_000) });
  const formatter = new Formatter(text);
  const first = formatter.next(64 << 10);
  const length = first.reduce((sum, piece) => sum + piece.text.length, 0);
  assert.ok(length < 100_000, `${length}`);
  assert.equal(first[1].what, "key");
  assert.ok(first.slice(3).every((piece) => piece.what === "string"));
  assert.ok(!first.some((piece) => /\\ud83d/.test(piece.text)), "a character is not cut");
  assert.ok(!formatter.done);
});

test("a document that is nested deeply has a bounded indent", () => {
  const text = `${"[".repeat(5_000)}1${"]".repeat(5_000)}`;
  assert.ok(formatted(text).length < 5_000 * 450);
});

test("parts of an answer are found as they were written", () => {
  const answer = '{"steps": [ {"seq":3,"odd \\"{":"]","input":{"n":1.0},"result": null} ],"next_cursor":3}';
  assert.equal(part(answer, ["steps", 0, "input"]), '{"n":1.0}');
  assert.equal(part(answer, ["steps", 0, "input", "n"]), "1.0");
  assert.equal(part(answer, ["steps", 0, "result"]), "null");
  assert.equal(part(answer, ["next_cursor"]), "3");
  assert.equal(part(answer, ["steps", 0, 'odd "{']), '"]"');
  for (const missing of [["steps", 1], ["nothing"], ["next_cursor", "a"], ["steps", 0, "seq", 0]]) {
    assert.equal(part(answer, missing), undefined);
  }
});

test("characters that hide or reorder others are visible, and the data stays the same", () => {
  const data = { "a\u202e": "\u{e0041}\u009b\u007f\n\t\u001bé", b: ["\u2028", "\ud800"] };
  const text = formatted(JSON.stringify(data));
  assert.deepEqual(JSON.parse(text), data);
  assert.ok(!/[\u202e\u009b\u007f\u2028]/.test(text), text);
  assert.equal(json("\u202e"), "\\u202e");
  assert.equal(line("a\u202eb\n"), "a\\u{202e}b\\n");
  assert.equal(lines("a\u202eb\n"), "a\\u{202e}b\n");
  assert.equal(line(`a${"\u0301".repeat(10)}`), `a${"\u0301".repeat(8)}\\u{301}\\u{301}`);
  for (const text of ["grün e\u0301", "日本語 표 ไทย", "עברית العربية", "❤\ufe0f 👍🏽 → └─ ✔", ""]) assert.equal(line(text), text);
});

test("what is wrong with a document is said with its place", () => {
  const said = (text) => check(text)?.message;
  assert.equal(said('{"a": 1,\n "b" 2}'), "line 2, column 6: expected `:`, but found `2`");
  assert.equal(said('{"a": 1,}'), "line 1, column 9: expected the name of a member in double quotes, but found `}`");
  assert.equal(said("{a: 1}"), "line 1, column 2: expected the name of a member in double quotes, but found `a`");
  assert.equal(said('{"a": 1'), "line 1, column 8: expected `,` or `}`, but the text ends");
  assert.equal(said("[1 2]"), "line 1, column 4: expected `,` or `]`, but found `2`");
  assert.equal(said(""), "line 1, column 1: expected a value, but the text ends");
  assert.equal(said("yes"), "line 1, column 1: expected a value, but found `yes`");
  assert.equal(said("'a'"), "line 1, column 1: texts are in double quotes");
  assert.equal(said('"a'), "line 1, column 1: this text has no closing quote");
  assert.equal(said('"C:\\x"'), "line 1, column 4: this is not an escape of JSON: a backslash is written as `\\\\`");
  assert.equal(said("01"), "line 1, column 2: a number is not written so");
  assert.equal(said("{} x"), "line 1, column 4: expected the end of the document, but found `x`");
  assert.match(said("[".repeat(200)), /more than 127 levels/);
});

test("the check agrees with JSON.parse on random texts", () => {
  const signs = ['{', '}', '[', ']', ',', ':', '"', "a", "1", "-", ".", "0", "e", "\\", " ", "\n", "true", "null", '"a"', "\u0001"];
  let seed = 7;
  const random = (below) => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    return Math.floor((seed / 2 ** 31) * below);
  };
  const valid = ['{"a":[1,2.5e3,{"b":null}],"c":"\\u00e9"}', "[[],{},\"x\",-0.1,true]"];
  for (let round = 0; round < 20_000; round += 1) {
    let text = valid[random(valid.length)];
    for (let change = random(3); change >= 0; change -= 1) {
      const at = random(text.length + 1);
      text = text.slice(0, at) + signs[random(signs.length)] + text.slice(at + random(2));
    }
    let parses = true;
    try {
      JSON.parse(text);
    } catch {
      parses = false;
    }
    assert.equal(check(text) === undefined, parses, JSON.stringify(text));
  }
});
