// The search for calls, and the buttons of the tree and the axis.

import { setText } from "../dom.js";
import { choices } from "./search.js";
import { WHOLE, isWhole, zoomed } from "./view.js";
import { count, label, status } from "./words.js";

/** The milliseconds after a key until the search begins: in a large run, it takes a part of a second. */
const PAUSE = 120;

/** The search form. `onChange` is called when other lines are shown, `onView` when another part of the time is. */
export class Tools {
  constructor(form, counter, calls, { onChange, onView }) {
    this.form = form;
    this.counter = counter;
    this.calls = calls;
    let timer;
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", () => {
      // At once: the fields are brought up to date meanwhile.
      this.#read();
      clearTimeout(timer);
      timer = setTimeout(onChange, PAUSE);
    });
    const does = {
      collapse: () => calls.collapseAll(),
      expand: () => calls.expandAll(),
      in: () => (calls.view = zoomed(calls.view, 1 / 2)),
      out: () => (calls.view = zoomed(calls.view, 2)),
      whole: () => (calls.view = WHOLE),
    };
    form.addEventListener("click", ({ target }) => {
      const what = target.closest("[data-do]")?.dataset.do;
      if (what === undefined) return;
      does[what]();
      if (what === "collapse" || what === "expand") onChange();
      else onView();
    });
    // A browser fills the fields of a page that is loaded again.
    this.#read();
  }

  #read() {
    const { text, status: word, kind, quiet, fold } = this.form.elements;
    this.calls.search = { text: text.value, status: word.value, kind: kind.value };
    this.calls.quiet = quiet.checked;
    this.calls.fold = fold.checked;
  }

  /** Brings the fields up to date: the search may have been dropped, and calls of another kind may have come. */
  refresh({ isLoading, total }) {
    const { calls, form } = this;
    const { kinds, statuses } = choices(calls.journal);
    offer(form.elements.kind, kinds, (kind) => label({ kind, step_name: "" }).kind || kind);
    offer(form.elements.status, statuses, (word) => status(word).word);
    if (form.elements.text.value !== calls.search.text && calls.search.text === "") form.elements.text.value = "";
    for (const name of ["status", "kind"]) if (calls.search[name] === "") form.elements[name].value = "";
    form.elements.quiet.checked = calls.quiet;
    form.querySelector('[data-do="out"]').disabled = isWhole(calls.view);
    form.querySelector('[data-do="whole"]').disabled = isWhole(calls.view);
    const known = calls.journal.size;
    const all = isLoading && total > known ? `${known.toLocaleString("en")} of ${count(total, "call")}` : count(known, "call");
    setText(this.counter, calls.found === undefined ? all : `${calls.found.toLocaleString("en")} of ${count(known, "call")}`);
  }
}

/** Offers these words in a selection, after its first choice. What is chosen stays. */
function offer(select, words, name) {
  const offered = [...select.options].slice(1).map((option) => option.value);
  if (offered.join() === words.join()) return;
  const chosen = select.value;
  while (select.options.length > 1) select.remove(1);
  for (const word of words) select.add(new Option(name(word), word));
  if (words.includes(chosen)) select.value = chosen;
}
