// Text of tenants, guests and servers with visible escapes in place of characters that hide or reorder others. No DOM.
//
// The same rules as those of the command line, in `host/src/printable.rs`.

/** The most marks without a width, such as accents, after a character. */
const MOST_MARKS = 8;

/**
 * Control characters, and characters that are invisible or change the order or the lines of those around them. The forms of
 * symbols (U+FE0E and U+FE0F) are treated apart.
 */
const DECEIVING =
  /[\u{0}-\u{1f}\u{7f}-\u{9f}\u{ad}\u{34f}\u{61c}\u{115f}\u{1160}\u{17b4}\u{17b5}\u{180b}-\u{180f}\u{200b}-\u{200f}\u{2028}-\u{202e}\u{2060}-\u{206f}\u{3164}\u{fe00}-\u{fe0d}\u{feff}\u{ffa0}\u{fff0}-\u{fffb}\u{1bca0}-\u{1bca3}\u{1d173}-\u{1d17a}\u{e0000}-\u{e0fff}]/u;

/** The form of a symbol: an emoji, or text. After a letter, it would only be invisible. */
const FORM = /[\u{fe0e}\u{fe0f}]/u;

/** A symbol that has forms. */
const SYMBOL = /[^\p{L}\p{N}\u{0}-\u{7f}\u{fe0e}\u{fe0f}]/u;

/** What a quick look finds that needs a closer one. */
const SUSPECT = new RegExp(`${DECEIVING.source}|${FORM.source}|\\p{M}{${MOST_MARKS + 1}}|[\\ud800-\\udfff]`, "u");

/** Returns the escape of a character in a text: `\u{202e}`, or `\n` and its like. */
function escaped(character) {
  const short = { "\n": "\\n", "\r": "\\r", "\t": "\\t" }[character];
  return short ?? `\\u{${character.codePointAt(0).toString(16)}}`;
}

/** Returns the escape of a character in a JSON document, whose data stays the same. */
function escapedInJson(character) {
  let text = "";
  for (let at = 0; at < character.length; at += 1) {
    text += `\\u${character.charCodeAt(at).toString(16).padStart(4, "0")}`;
  }
  return text;
}

function withEscapes(text, escape, isKept) {
  if (!SUSPECT.test(text)) return text;
  let visible = "";
  let previous = "";
  let marks = 0;
  for (const character of text) {
    marks = /\p{M}/u.test(character) ? marks + 1 : 0;
    const isForm = FORM.test(character);
    const isHalf = /^[\ud800-\udfff]$/.test(character);
    const isShown = isForm ? SYMBOL.test(previous) : !isHalf && !DECEIVING.test(character) && marks <= MOST_MARKS;
    if (isShown || isKept(character)) {
      visible += character;
      previous = character;
    } else {
      visible += escape(character);
      previous = "";
    }
  }
  return visible;
}

/** Returns a text for one line: a line break is shown as `\n`. */
export function line(text) {
  return withEscapes(text, escaped, () => false);
}

/** Returns a text whose line breaks and tabs stay. */
export function lines(text) {
  return withEscapes(text, escaped, (character) => character === "\n" || character === "\t");
}

/** Returns a part of a JSON document with JSON's own escapes. */
export function json(text) {
  return withEscapes(text, escapedInJson, (character) => "\n\r\t".includes(character));
}
