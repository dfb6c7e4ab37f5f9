// What keys do in the tree of the calls, as the pattern of tree grids has it. No DOM.

import { EXPANDED } from "./tree.js";

/** The places by which an arrow key moves the shown time, as a part of it. */
const MOVE = 0.2;

/**
 * Returns what a key does: `{ line }` moves to a line, `{ line, expand }` opens or closes it, `{ open: true }` shows the
 * details, `{ close: true }` closes them, `{ zoom }` shows that part of the present width, `{ whole: true }` the whole run,
 * and `{ move }` moves the time. `undefined` if the key does nothing here.
 */
export function meaning({ key, shift }, calls, rowsOnScreen) {
  const { lines } = calls;
  const at = calls.activeLine;
  const to = (line) => ({ line: Math.max(0, Math.min(lines.length - 1, line)) });
  if (shift && key === "ArrowLeft") return { move: -MOVE };
  if (shift && key === "ArrowRight") return { move: MOVE };
  switch (key) {
    case "+":
    case "=":
      return { zoom: 1 / 2 };
    case "-":
    case "_":
      return { zoom: 2 };
    case "0":
      return { whole: true };
    case "Escape":
      return { close: true };
    default:
  }
  if (at === -1) return undefined;
  switch (key) {
    case "ArrowDown":
      return to(at + 1);
    case "ArrowUp":
      return to(at - 1);
    case "PageDown":
      return to(at + rowsOnScreen);
    case "PageUp":
      return to(at - rowsOnScreen);
    case "Home":
      return to(0);
    case "End":
      return to(lines.length - 1);
    case "ArrowRight":
      if (calls.canExpand(at)) return { line: at, expand: true };
      return lines.state[at] === EXPANDED ? to(at + 1) : to(at);
    case "ArrowLeft":
      if (calls.canCollapse(at)) return { line: at, expand: false };
      return lines.parent[at] === -1 ? to(at) : to(lines.parent[at]);
    case "Enter":
    case " ":
      return { open: true };
    default:
      return undefined;
  }
}
