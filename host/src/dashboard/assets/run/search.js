// Which calls a search shows. No DOM.

import { isQuiet } from "./journal.js";

/** Returns the text of a call in which a search looks. */
function textOf(row) {
  return `${row.kind} ${row.step_name} ${row.error_kind ?? ""} ${row.error ?? ""}`.toLowerCase();
}

/** Returns whether calls fit a search; `undefined` if all do. A text such as `#17` is the position of a call. */
export function matcher({ text = "", status = "", kind = "" }) {
  const words = text.trim().toLowerCase().split(/\s+/).filter((word) => word !== "");
  if (words.length === 0 && status === "" && kind === "") return undefined;
  const position = words.length === 1 && /^#\d+$/.test(words[0]) ? Number(words[0].slice(1)) : undefined;
  return (row) => {
    if (status !== "" && row.status !== status) return false;
    if (kind !== "" && row.kind !== kind) return false;
    if (position !== undefined) return row.seq === position;
    if (words.length === 0) return true;
    const found = textOf(row);
    return words.every((word) => found.includes(word));
  };
}

/**
 * Returns which calls are shown, as a function of their position (`undefined` if all are), and the number of those that fit
 * the search. With a call that fits, those that it is in are shown.
 */
export function shown(journal, { search = {}, quiet = false }) {
  const matches = matcher(search);
  if (matches === undefined) {
    const isShown = quiet ? undefined : (seq) => !isQuiet(journal.rows[seq]) || journal.below.has(seq);
    return { isShown, found: undefined };
  }
  const keep = new Uint8Array(journal.rows.length);
  let found = 0;
  // A parent has a lower position than its calls: from the end, one pass reaches all of them.
  for (let seq = journal.rows.length - 1; seq > 0; seq -= 1) {
    const row = journal.rows[seq];
    if (row === undefined) continue;
    if (matches(row)) {
      found += 1;
      keep[seq] = 1;
    }
    if (keep[seq] === 1) keep[journal.parentOf(row)] = 1;
  }
  return { isShown: (seq) => keep[seq] === 1, found };
}

/** Returns the words of the kinds and the statuses that the calls have, in the order of the alphabet. */
export function choices(journal) {
  const kinds = new Set();
  const statuses = new Set();
  for (const row of journal.rows) {
    if (row === undefined) continue;
    kinds.add(row.kind);
    statuses.add(row.status);
  }
  return { kinds: [...kinds].sort(), statuses: [...statuses].sort() };
}
