// Says where a JSON text that a person writes is wrong. No DOM.

/** The most levels of arrays and objects that the API accepts. */
const MOST_LEVELS = 127;

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const WORD = /[\p{L}\p{N}_$]+/uy;

/** What is wrong with a text, and where. */
class Wrong extends Error {
  constructor(at, message) {
    super(message);
    this.at = at;
  }
}

class Reader {
  at = 0;

  constructor(text) {
    this.text = text;
  }

  /** Reads white space and returns the next character; `undefined` at the end. */
  peek() {
    while (" \t\n\r".includes(this.text[this.at] ?? "x")) this.at += 1;
    return this.text[this.at];
  }

  /** Returns the next characters as an error names them. */
  found() {
    if (this.at >= this.text.length) return "the text ends";
    const word = this.match(WORD);
    if (word !== undefined) return `found \`${word.length > 20 ? `${word.slice(0, 20)}…` : word}\``;
    return `found \`${String.fromCodePoint(this.text.codePointAt(this.at))}\``;
  }

  match(pattern) {
    pattern.lastIndex = this.at;
    return pattern.exec(this.text)?.[0];
  }

  expected(what) {
    return new Wrong(this.at, `expected ${what}, but ${this.found()}`);
  }

  value(level) {
    const first = this.peek();
    if (first === '"') return this.string();
    if (first === "{" || first === "[") {
      if (level >= MOST_LEVELS) throw new Wrong(this.at, `there are more than ${MOST_LEVELS} levels of arrays and objects`);
      return first === "{" ? this.object(level + 1) : this.list(level + 1);
    }
    const number = this.match(NUMBER);
    if (number !== undefined) {
      this.at += number.length;
      if (/[\p{L}\p{N}_.]/u.test(this.text[this.at] ?? " ")) throw new Wrong(this.at, "a number is not written so");
      return undefined;
    }
    for (const word of ["true", "false", "null"]) {
      if (this.match(WORD) === word) {
        this.at += word.length;
        return undefined;
      }
    }
    if (first === "'") throw new Wrong(this.at, "texts are in double quotes");
    throw this.expected("a value");
  }

  string() {
    const begin = this.at;
    for (this.at += 1; this.text[this.at] !== '"'; this.at += 1) {
      const character = this.text[this.at];
      if (character === undefined) throw new Wrong(begin, "this text has no closing quote");
      if (character === "\n") throw new Wrong(begin, "this text has no closing quote on its line");
      if (character < " ") throw new Wrong(this.at, "a control character in a text is written as an escape");
      if (character === "\\") this.escape();
    }
    this.at += 1;
  }

  escape() {
    const escape = /\\(?:["\\/bfnrt]|u[\da-fA-F]{4})/y;
    const found = this.match(escape);
    if (found === undefined) throw new Wrong(this.at, "this is not an escape of JSON: a backslash is written as `\\\\`");
    this.at += found.length - 1;
  }

  object(level) {
    this.at += 1;
    if (this.peek() === "}") return this.skip();
    for (;;) {
      if (this.peek() !== '"') throw this.expected("the name of a member in double quotes");
      this.string();
      if (this.peek() !== ":") throw this.expected("`:`");
      this.at += 1;
      this.value(level);
      if (this.peek() === "}") return this.skip();
      if (this.peek() !== ",") throw this.expected("`,` or `}`");
      this.at += 1;
    }
  }

  list(level) {
    this.at += 1;
    if (this.peek() === "]") return this.skip();
    for (;;) {
      this.value(level);
      if (this.peek() === "]") return this.skip();
      if (this.peek() !== ",") throw this.expected("`,` or `]`");
      this.at += 1;
    }
  }

  skip() {
    this.at += 1;
  }
}

/** Returns what is wrong with a text as JSON, `{ at, line, column, message }`; `undefined` if it is a JSON document. */
export function check(text) {
  const reader = new Reader(text);
  try {
    reader.value(0);
    if (reader.peek() !== undefined) throw reader.expected("the end of the document");
    return undefined;
  } catch (error) {
    if (!(error instanceof Wrong)) throw error;
    const before = text.slice(0, error.at).split("\n");
    const [line, column] = [before.length, [...before.at(-1)].length + 1];
    return { at: error.at, line, column, message: `line ${line}, column ${column}: ${error.message}` };
  }
}
