// A text area for a JSON document, which says where the text is wrong while it is written.

import { setText } from "../dom.js";
import { check } from "./check.js";
import { formatted } from "./format.js";

/** The milliseconds after the last key until the text is checked: nobody wants to be interrupted. */
const PAUSE = 400;

/** Makes a text area a JSON field. Its error is in the element with the id of the field and `-error`. */
export function jsonField(area) {
  const error = document.getElementById(`${area.id}-error`);
  let timer;
  const said = () => {
    const wrong = area.value.trim() === "" ? undefined : check(area.value);
    error.hidden = wrong === undefined;
    setText(error, wrong === undefined ? "" : `Not JSON: ${wrong.message}`);
    if (wrong === undefined) area.removeAttribute("aria-invalid");
    else area.setAttribute("aria-invalid", "true");
    return wrong;
  };
  area.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(said, PAUSE);
  });
  return {
    /** Sets the document, with line breaks and indents if it is one. */
    set(text) {
      area.value = text.trim() === "" || check(text) !== undefined ? text : formatted(text);
      area.setSelectionRange(0, 0);
      area.scrollTop = 0;
      said();
    },
    /** Returns the text, `absent` if it is empty. If it is wrong, goes to that place and returns `undefined`. */
    read(absent) {
      clearTimeout(timer);
      const wrong = said();
      if (wrong !== undefined) {
        area.focus();
        area.setSelectionRange(wrong.at, Math.min(wrong.at + 1, area.value.length));
        return undefined;
      }
      return area.value.trim() === "" ? absent : area.value;
    },
  };
}
