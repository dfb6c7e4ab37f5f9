// The marks of the time axis. No DOM.

import { across } from "./view.js";
import { offset } from "./words.js";

/** The distance between two marks that have room for their texts, in pixels. */
const DISTANCE = 84;

/** The steps between marks, in milliseconds, as people count time. */
const STEPS = [
  ...[1, 2, 5, 10, 20, 50, 100, 200, 500],
  ...[1, 2, 5, 10, 15, 30].map((seconds) => seconds * 1_000),
  ...[1, 2, 5, 10, 15, 30].map((minutes) => minutes * 60_000),
  ...[1, 2, 3, 6, 12].map((hours) => hours * 3_600_000),
  ...[1, 2, 7, 14, 30, 90, 365].map((days) => days * 86_400_000),
];

/** The width of a character of a text, and of the room around a text, in pixels. */
const CHARACTER = 6.5;
const ROOM = 8;

/** The most marks, whatever the width. */
const MOST = 100;

/** Returns the smallest step that is at least this long. */
function stepOf(milliseconds) {
  return STEPS.find((step) => step >= milliseconds) ?? STEPS.at(-1);
}

/**
 * Returns the marks of a view that is `width` pixels wide, in their order: `{ at, text, isBefore }` with `at` across the view. The
 * text is the time since the start of the run; it stands before its mark where it would be cut off behind it.
 */
export function ticks(scale, view, width) {
  const marks = [];
  /** Where the last text ends. */
  let end = 0;
  for (const part of scale.parts) {
    if (part.folded) continue;
    const left = Math.max(0, across(view, part.place));
    const right = Math.min(1, across(view, part.place + part.length));
    const pixels = (right - left) * width;
    if (pixels <= 0) continue;
    const first = scale.time(Math.max(view.from, part.place));
    const last = scale.time(Math.min(view.to, part.place + part.length));
    const step = stepOf(((last - first) * DISTANCE) / pixels);
    const since = Math.ceil((first - scale.from) / step) * step;
    for (let time = since; time <= last - scale.from && marks.length < MOST; time += step) {
      const at = across(view, scale.place(scale.from + time));
      const text = offset(time, step);
      const length = text.length * CHARACTER + ROOM;
      const isBefore = at * width + length > width;
      const begin = at * width - (isBefore ? length : 0);
      const previous = marks.at(-1);
      // Beside a folded gap, the marks of two parts come close.
      if (previous !== undefined && (begin < end || (at - previous.at) * width < DISTANCE / 2)) continue;
      marks.push({ at, text, isBefore });
      end = begin + length;
    }
  }
  return marks;
}

/** Returns the folded gaps that a view shows: `{ from, to, milliseconds }`, across the view. */
export function folds(scale, view) {
  return scale.parts
    .filter((part) => part.folded)
    .map((part) => ({
      from: across(view, part.place),
      to: across(view, part.place + part.length),
      milliseconds: part.end - part.time,
    }))
    .filter(({ from, to }) => to > 0 && from < 1);
}
