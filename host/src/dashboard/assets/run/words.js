// Times, sizes and calls as text. No DOM.

/** Formats milliseconds as the command line does: `132 ms`, `1.24 s`, `2 min 5 s`, `3 h 12 min`, `2 d 3 h`. */
export function duration(milliseconds) {
  const whole = Math.max(0, Math.floor(milliseconds));
  const seconds = Math.floor(whole / 1_000);
  const two = (number) => String(number).padStart(2, "0");
  if (seconds === 0) return `${whole} ms`;
  // Truncated, not rounded: 59,999 ms are less than a minute.
  if (seconds < 10) return `${seconds}.${two(Math.floor((whole % 1_000) / 10))} s`;
  if (seconds < 60) return `${seconds}.${Math.floor((whole % 1_000) / 100)} s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)} h ${Math.floor((seconds % 3_600) / 60)} min`;
  return `${Math.floor(seconds / 86_400)} d ${Math.floor((seconds % 86_400) / 3_600)} h`;
}

/** Formats the time since the start of a run, with the parts that a step between two marks needs. */
export function offset(milliseconds, step) {
  if (milliseconds === 0) return "0";
  const days = Math.floor(milliseconds / 86_400_000);
  const hours = Math.floor((milliseconds % 86_400_000) / 3_600_000);
  const minutes = Math.floor((milliseconds % 3_600_000) / 60_000);
  const rest = milliseconds % 60_000;
  if (milliseconds < 1_000 && step < 1_000) return `${milliseconds} ms`;
  const decimals = step >= 1_000 ? 0 : step >= 100 ? 1 : step >= 10 ? 2 : 3;
  const seconds = (rest / 1_000).toFixed(decimals);
  const parts = [
    [days, `${days} d`],
    [hours, `${hours} h`],
    [minutes, `${minutes} min`],
    [rest, `${seconds} s`],
  ];
  return parts.filter(([number]) => number > 0).map(([, text]) => text).join(" ");
}

/** Formats a number of bytes: `812 B`, `74.1 KiB`, `1.2 MiB`. */
export function size(bytes) {
  if (bytes < 1_024) return `${bytes} B`;
  const units = ["KiB", "MiB", "GiB"];
  let value = bytes / 1_024;
  let unit = 0;
  while (value >= 1_024 && unit < units.length - 1) {
    value /= 1_024;
    unit += 1;
  }
  return `${value.toFixed(1)} ${units[unit]}`;
}

/** Formats a number with its noun: `1 call`, `40,000 calls`. */
export function count(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

/** Returns the method, the server and the path of a request; `undefined` if the call is none. */
export function requestParts({ kind, step_name: name }) {
  const found = kind === "http" ? /^([A-Z]+ )(\w+:\/\/[^/]*)(\/.*)$/su.exec(name) : null;
  return found === null ? undefined : { method: found[1], server: found[2], path: found[3] };
}

/** Returns the name of a call: its kind, unless its name tells it, and its name. */
export function label(row) {
  switch (row.kind) {
    case "step":
    case "http":
    case "time":
      return { kind: "", name: row.step_name };
    case "compensation":
      return { kind: "undo", name: row.step_name };
    default:
      return { kind: row.kind.replaceAll("_", " "), name: row.step_name };
  }
}

/** The words of the statuses of calls, with the signs of the command line. */
const STATUSES = {
  pending: { sign: "·", word: "pending", tone: "faint" },
  running: { sign: "●", word: "running", tone: "active" },
  completed: { sign: "✔", word: "completed", tone: "good" },
  failed: { sign: "✘", word: "failed", tone: "bad" },
  compensated: { sign: "↩", word: "rolled back", tone: "warn" },
  skipped: { sign: "–", word: "dropped", tone: "faint" },
};

/** Returns the sign, the word and the tone of a status. A newer host may have one that this page does not know. */
export function status(word) {
  return STATUSES[word] ?? { sign: "?", word, tone: "faint" };
}

/** Returns short remarks about a call, such as `2 attempts`. */
export function facts(row, wakesAt, now) {
  const remarks = [];
  if (row.status === "failed" && row.optional) remarks.push("optional");
  if (row.attempt > 1) remarks.push(`${row.attempt} attempts`);
  const isOpen = row.status === "running" || row.status === "pending";
  if (isOpen && wakesAt > now) {
    const left = duration(wakesAt - now);
    remarks.push(row.kind === "step" || row.kind === "compensation" ? `next attempt in ${left}` : `${left} left`);
  }
  return remarks;
}
