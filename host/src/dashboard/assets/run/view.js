// The part of the axis that is shown, `{ from, to }` in places between 0 and 1. No DOM.

/** The whole axis. */
export const WHOLE = Object.freeze({ from: 0, to: 1 });

/** The smallest part that is shown. With it, a millisecond of an hour is as wide as the screen. */
const SMALLEST = 1e-7;

function clamped(from, size) {
  size = Math.min(1, Math.max(SMALLEST, size));
  from = Math.min(1 - size, Math.max(0, from));
  return { from, to: from + size };
}

/** Returns a view that is `factor` times as wide, where the place `at` stays where it is. */
export function zoomed(view, factor, at = (view.from + view.to) / 2) {
  const size = Math.min(1, Math.max(SMALLEST, (view.to - view.from) * factor));
  const share = (at - view.from) / (view.to - view.from);
  return clamped(at - share * size, size);
}

/** Returns a view that is moved by a part of its own width. */
export function moved(view, part) {
  const size = view.to - view.from;
  return clamped(view.from + part * size, size);
}

/** Returns the view between two places, in either order. */
export function between(one, other) {
  return clamped(Math.min(one, other), Math.abs(one - other));
}

/** Returns whether the whole axis is shown. */
export function isWhole(view) {
  return view.from === 0 && view.to === 1;
}

/** Returns where a place is in a view: 0 is the left edge and 1 the right one. */
export function across(view, place) {
  return (place - view.from) / (view.to - view.from);
}
