// A JSON document as a part of a page: formatted, with its size, a button that copies it and one that downloads it.
//
// The document is loaded when it is shown. A large one is formatted as far as it is read.

import { copy } from "./clipboard.js";
import { button, make } from "./dom.js";
import { explained } from "./errors.js";
import { Formatter } from "./json/format.js";
import { count, size } from "./run/words.js";

/** The characters of a document that are shown at first, and those that are added at once. */
const FIRST = 16 << 10;
const MORE = 128 << 10;

/** The characters that are formatted in one turn, so that the page answers in between. */
const TURN = 16 << 10;

/**
 * Returns an element that shows a document. `load(signal)` returns its text; `undefined` if there is none. `name` is the name
 * of the downloaded file.
 */
export function documentView({ title, name, load, signal }) {
  const info = make("span", { className: "soft" });
  const buttons = make("span", { className: "json-buttons" });
  const body = make("div", { className: "json-body" }, make("p", { className: "soft" }, "Loading"));
  const view = make(
    "section",
    { className: "json", "aria-label": title },
    make("header", {}, make("h4", {}, title), info, buttons),
    body,
  );
  const show = async () => {
    body.replaceChildren(make("p", { className: "soft" }, "Loading"));
    try {
      const text = await load(signal);
      if (signal?.aborted) return;
      if (text === undefined) {
        body.replaceChildren(make("p", { className: "soft" }, "None"));
        return;
      }
      const bytes = new Blob([text]);
      info.textContent = size(bytes.size);
      buttons.replaceChildren(copyButton(text, title), downloadButton(bytes, name, title));
      body.replaceChildren(...formattedView(text, title));
    } catch (error) {
      if (error.name === "AbortError") return;
      body.replaceChildren(
        make("p", { className: "error-text", role: "alert" }, ...explained(error)),
        button("Try again", { onclick: show }),
      );
    }
  };
  void show();
  return view;
}

function copyButton(text, title) {
  const copies = button("Copy", { className: "quiet small", "aria-label": `Copy: ${title}` });
  copies.addEventListener("click", () => copy(text, copies));
  return copies;
}

function downloadButton(bytes, name, title) {
  return button("Download", {
    className: "quiet small",
    "aria-label": `Download: ${title}`,
    onclick: () => {
      const link = make("a", { href: URL.createObjectURL(bytes), download: name });
      link.click();
      URL.revokeObjectURL(link.href);
    },
  });
}

/** Returns the text of a document, and the buttons that show more of it. */
function formattedView(text, title) {
  const formatter = new Formatter(text);
  const pre = make("pre", { tabIndex: 0, "aria-label": title });
  const rest = make("p", { className: "json-rest soft" });
  let waiting = [];
  const add = (characters) => {
    const pieces = waiting.concat(formatter.next(characters));
    // A block begins on a new line, so it ends with one: the pieces after the last one wait for the next block.
    const cut = formatter.done ? pieces.length : pieces.findLastIndex((piece) => piece.text.includes("\n"));
    const block = cut > 0 ? pieces.splice(0, cut) : pieces.splice(0);
    waiting = pieces;
    pre.append(make("span", { className: "json-block" }, ...block.map(pieceElement)));
    const left = text.length - formatter.characters;
    rest.hidden = formatter.done;
    if (!formatter.done) rest.replaceChildren(`${count(left, "character")} more `, more, " ", all);
  };
  const more = button("Show more", { className: "small", onclick: () => add(MORE) });
  const all = button("Show all", {
    className: "small",
    onclick: async () => {
      all.disabled = true;
      more.disabled = true;
      while (!formatter.done && pre.isConnected) {
        add(TURN);
        await new Promise(requestAnimationFrame);
      }
    },
  });
  add(FIRST);
  return [pre, rest];
}

function pieceElement({ what, text }) {
  return what === "sign" ? text : make("span", { className: `json-${what}` }, text);
}
