// Points in time and durations as text. The words are the same as those of the server.

/** The units of relative times, in seconds. */
const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

/**
 * Returns a point in time relative to now, such as `5 min ago` or `in 2 d 23 h`. What is to come has two units: the second one of
 * a long time may be most of a day.
 */
export function relative(at, now = Date.now()) {
  const seconds = Math.floor((now - new Date(at).getTime()) / 1000);
  const distance = Math.abs(seconds);
  if (distance < 2) return "now";
  const first = UNITS.findIndex(([length]) => distance >= length);
  const [length, unit] = UNITS[first];
  const whole = `${Math.floor(distance / length)} ${unit}`;
  if (seconds > 0) return `${whole} ago`;
  const [part, smaller] = UNITS[first + 1] ?? [length];
  const rest = Math.floor((distance % length) / part);
  return rest > 0 ? `in ${whole} ${rest} ${smaller}` : `in ${whole}`;
}

/** Returns a point in time in full, such as `2026-11-30 18:50:04 UTC`. */
export function full(at) {
  return `${new Date(at).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

/** Returns how long something took, such as `830 ms`, `12.4 s` or `2 h 5 min`. */
export function duration(milliseconds) {
  const whole = (unit) => Math.floor(milliseconds / unit);
  if (milliseconds < 1000) return `${Math.max(0, Math.floor(milliseconds))} ms`;
  if (milliseconds < 60000) return `${whole(1000)}.${Math.floor((milliseconds % 1000) / 100)} s`;
  if (milliseconds < 3600000) return `${whole(60000)} min ${Math.floor((milliseconds % 60000) / 1000)} s`;
  if (milliseconds < 86400000) return `${whole(3600000)} h ${Math.floor((milliseconds % 3600000) / 60000)} min`;
  return `${whole(86400000)} d ${Math.floor((milliseconds % 86400000) / 3600000)} h`;
}

/** Returns a `<time>` element, whose text `page.js` keeps up to date. */
export function element(at) {
  const time = document.createElement("time");
  time.dateTime = at;
  time.title = full(at);
  time.textContent = relative(at);
  return time;
}

/** Brings the text of all `<time>` elements of a part of the page up to date. */
export function refresh(now = Date.now(), part = document) {
  for (const time of part.querySelectorAll("time[datetime]")) {
    const text = relative(time.dateTime, now);
    if (time.textContent !== text) time.textContent = text;
  }
}
