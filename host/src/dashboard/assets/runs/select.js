// The selection of runs: with the mouse, with Shift for a range, and with the arrow keys.

/** The milliseconds for which rows stay where they are after the pointer has moved over them. */
const AIM = 3000;

/** Lets rows of a list be selected. Returns the selection. */
export function select(list) {
  const part = document.querySelector('[data-part="list"]');
  const bar = document.getElementById("bulk");
  const count = document.getElementById("selected");
  /** The box that was changed last, from which a range begins. */
  let anchor;
  /** When the pointer has moved over the list. */
  let pointed = -AIM;

  const boxes = () => [...part.querySelectorAll('td.pick input[type="checkbox"]')];
  const all = () => document.getElementById("select-all");
  const rows = () => list.rows().filter((row) => row.querySelector("td.pick input")?.checked);

  function show() {
    const selected = rows().length;
    // Without this module they do nothing.
    for (const box of boxes()) box.hidden = false;
    for (const row of list.rows()) row.classList.toggle("selected", row.querySelector("td.pick input")?.checked ?? false);
    if (all()) {
      all().hidden = false;
      all().checked = selected > 0 && selected === boxes().length;
      all().indeterminate = selected > 0 && selected < boxes().length;
    }
    if (!bar) return;
    bar.hidden = selected === 0;
    count.textContent = selected === 1 ? "1 run is selected." : `${selected} runs are selected.`;
  }

  function clear() {
    for (const box of boxes()) box.checked = false;
    show();
  }

  /** Gives all boxes from the anchor to this one its state. */
  function range(to, checked) {
    const known = boxes();
    const [from, until] = [known.indexOf(anchor ?? to), known.indexOf(to)].sort((a, b) => a - b);
    for (const box of known.slice(Math.max(0, from), until + 1)) box.checked = checked;
  }

  part.addEventListener("click", (event) => {
    const box = event.target.closest("td.pick input, #select-all");
    if (!box) return;
    if (box.id === "select-all") for (const other of boxes()) other.checked = box.checked;
    else if (event.shiftKey) range(box, box.checked);
    if (box.id !== "select-all") anchor = box;
    show();
  });

  part.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const box = event.target.closest("td.pick input");
    if (!step || !box) return;
    event.preventDefault();
    const known = boxes();
    const next = known[known.indexOf(box) + step];
    if (!next) return;
    next.focus();
    if (event.shiftKey) {
      box.checked = next.checked = true;
      anchor = next;
      show();
    }
  });

  part.addEventListener("pointermove", () => {
    pointed = performance.now();
  });

  // Rows that move under the pointer or the keys lead to the wrong run.
  list.isBusy = () => rows().length > 0 || part.matches(":focus-within") || performance.now() - pointed < AIM;
  list.onChange = show;
  show();
  return { rows, clear };
}
