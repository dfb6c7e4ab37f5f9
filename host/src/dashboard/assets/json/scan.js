// Finds parts of a JSON text without reading it into values, which would change its numbers. No DOM.
//
// The text comes from the API, so it is valid JSON.

const NOT_SPACE = /[^ \t\n\r]/g;
const QUOTE_OR_BRACKET = /["{}[\]]/g;
const END_OF_WORD = /[,\]} \t\n\r]|$/g;

/** Returns where a pattern is found next, or the end of the text. */
function next(pattern, text, at) {
  pattern.lastIndex = at;
  return pattern.exec(text)?.index ?? text.length;
}

/** Returns where the next part begins, after the white space. */
export function skipSpace(text, at) {
  return next(NOT_SPACE, text, at);
}

/** Returns where a string ends whose first quote is at `at`. */
export function endOfString(text, at) {
  for (let end = text.indexOf('"', at + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let slashes = 0;
    while (text[end - 1 - slashes] === "\\") slashes += 1;
    if (slashes % 2 === 0) return end + 1;
  }
  return text.length;
}

/** Returns where a value ends that begins at `at`. */
export function endOfValue(text, at) {
  const first = text[at];
  if (first === '"') return endOfString(text, at);
  if (first !== "{" && first !== "[") return next(END_OF_WORD, text, at);
  let depth = 0;
  for (let found = at; found < text.length; found = next(QUOTE_OR_BRACKET, text, found)) {
    const character = text[found];
    if (character === '"') {
      found = endOfString(text, found);
      continue;
    }
    depth += character === "{" || character === "[" ? 1 : -1;
    found += 1;
    if (depth === 0) return found;
  }
  return text.length;
}

/** Returns where the value of a member begins in the object at `at`; `undefined` if it has no such member. */
function memberAt(text, at, name) {
  if (text[at] !== "{") return undefined;
  at = skipSpace(text, at + 1);
  while (text[at] === '"') {
    const end = endOfString(text, at);
    const value = skipSpace(text, skipSpace(text, end) + 1);
    if (JSON.parse(text.slice(at, end)) === name) return value;
    at = skipSpace(text, endOfValue(text, value));
    if (text[at] === ",") at = skipSpace(text, at + 1);
  }
  return undefined;
}

/** Returns where an element begins in the list at `at`; `undefined` if it is shorter. */
function elementAt(text, at, index) {
  if (text[at] !== "[") return undefined;
  at = skipSpace(text, at + 1);
  for (let number = 0; text[at] !== "]" && at < text.length; number += 1) {
    if (number === index) return at;
    at = skipSpace(text, endOfValue(text, at));
    if (text[at] === ",") at = skipSpace(text, at + 1);
  }
  return undefined;
}

/** Returns the text of a part, such as `["steps", 0, "input"]`, as it was written; `undefined` if there is none. */
export function part(text, path) {
  let at = skipSpace(text, 0);
  for (const name of path) {
    at = typeof name === "number" ? elementAt(text, at, name) : memberAt(text, at, name);
    if (at === undefined) return undefined;
  }
  return text.slice(at, endOfValue(text, at));
}
