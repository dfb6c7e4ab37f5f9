// What every page does.

import { refresh } from "./time.js";

/** The milliseconds between two updates of relative times: they are exact to a second only below a minute. */
const REFRESH = 5000;

setInterval(() => {
  if (document.visibilityState === "visible") refresh();
}, REFRESH);
document.addEventListener("visibilitychange", () => refresh());
