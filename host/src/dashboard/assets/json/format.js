// A JSON text with line breaks and indents, piece by piece, so that a large one does not hold up the page. No DOM.
//
// The text is not read into values: its numbers stay as they were written.

import { json as printable } from "../printable.js";
import { endOfString, endOfValue, skipSpace } from "./scan.js";

const INDENT = "  ";

/** The most characters of a string in one piece. A longer one is several pieces. */
const LONGEST_PIECE = 16 << 10;

/** The deepest indent. A deeper document is indented like this one, so that its size stays proportional to its text. */
const DEEPEST = 100;

/** Formats a document from its begin to its end, as much of it as it is asked for. */
export class Formatter {
  #text;
  #at = 0;
  #depth = 0;
  /** Where the string ends of which a part is formatted, and what it is. */
  #rest;

  constructor(text) {
    this.#text = text;
    this.#at = skipSpace(text, 0);
  }

  /** Whether the whole document is formatted. */
  get done() {
    return this.#at >= this.#text.length;
  }

  /** The characters of the document that are formatted. */
  get characters() {
    return this.#at;
  }

  /**
   * Returns the next pieces, of about `characters` of the document: `{ what, text }`, where `what` is `key`, `string`, `number`,
   * `word` or `sign`.
   */
  next(characters) {
    const pieces = [];
    const end = Math.min(this.#text.length, this.#at + characters);
    while (this.#at < end) this.#piece(pieces);
    return pieces;
  }

  #piece(pieces) {
    const text = this.#text;
    if (this.#rest !== undefined) {
      this.#string(pieces, this.#rest.end, this.#rest.what);
      return;
    }
    const first = text[this.#at];
    switch (first) {
      case "{":
      case "[": {
        const inside = skipSpace(text, this.#at + 1);
        if (text[inside] === "}" || text[inside] === "]") {
          pieces.push({ what: "sign", text: first + text[inside] });
          this.#at = skipSpace(text, inside + 1);
          return;
        }
        this.#depth += 1;
        pieces.push({ what: "sign", text: first + this.#newLine() });
        this.#at = inside;
        return;
      }
      case "}":
      case "]":
        this.#depth -= 1;
        pieces.push({ what: "sign", text: this.#newLine() + first });
        break;
      case ",":
        pieces.push({ what: "sign", text: first + this.#newLine() });
        break;
      case ":":
        pieces.push({ what: "sign", text: ": " });
        break;
      case '"': {
        const end = endOfString(text, this.#at);
        this.#string(pieces, end, text[skipSpace(text, end)] === ":" ? "key" : "string");
        return;
      }
      default: {
        const end = Math.max(endOfValue(text, this.#at), this.#at + 1);
        const isNumber = first === "-" || (first >= "0" && first <= "9");
        pieces.push({ what: isNumber ? "number" : "word", text: text.slice(this.#at, end) });
        this.#at = skipSpace(text, end);
        return;
      }
    }
    this.#at = skipSpace(text, this.#at + 1);
  }

  #string(pieces, end, what) {
    let until = Math.min(end, this.#at + LONGEST_PIECE);
    // Both halves of a character stay together.
    const isHalf = until < end && /[\ud800-\udbff]/.test(this.#text[until - 1]);
    if (isHalf) until += 1;
    pieces.push({ what, text: printable(this.#text.slice(this.#at, until)) });
    this.#rest = until < end ? { end, what } : undefined;
    this.#at = until < end ? until : skipSpace(this.#text, end);
  }

  #newLine() {
    return `\n${INDENT.repeat(Math.min(this.#depth, DEEPEST))}`;
  }
}

/** Returns a whole document with line breaks and indents. */
export function formatted(text) {
  const formatter = new Formatter(text);
  return formatter.next(text.length).map((piece) => piece.text).join("");
}
