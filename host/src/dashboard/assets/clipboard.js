// Copies text.

import { make } from "./dom.js";

/** The milliseconds for which a button says that it has copied. */
const SAID_FOR = 1_500;

/** Copies a text, and says on the button whether that worked. */
export async function copy(text, button) {
  const copied = await write(text);
  button.dataset.label ??= button.textContent;
  button.textContent = copied ? "Copied" : "Not copied";
  setTimeout(() => {
    button.textContent = button.dataset.label;
  }, SAID_FOR);
}

async function write(text) {
  try {
    // Browsers have it for HTTPS and for this machine alone.
    if (navigator.clipboard !== undefined) {
      await navigator.clipboard.writeText(text);
      return true;
    }
  } catch {
    // The browser does not allow it. The other way may work.
  }
  const area = make("textarea", { value: text, readOnly: true, className: "unseen" });
  // In a dialog, what is outside of it cannot be selected.
  (document.querySelector("dialog[open]") ?? document.body).append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  return copied;
}
