// Questions before something is changed.

/**
 * Asks for a confirmation, and returns whether it was given. `title` is the question, `body` says what happens: text or an
 * element. `confirm` names the action on the button; `danger` is for what cannot be undone.
 */
export function ask({ title, body, confirm, danger = false }) {
  const dialog = document.createElement("dialog");
  const heading = Object.assign(document.createElement("h2"), { textContent: title, id: "dialog-title" });
  dialog.setAttribute("aria-labelledby", heading.id);
  const text = body instanceof Node ? body : Object.assign(document.createElement("p"), { textContent: body ?? "" });
  const cancel = button("Back", "cancel");
  const go = button(confirm, "confirm");
  go.className = danger ? "danger" : "main";
  const actions = document.createElement("div");
  actions.className = "actions";
  actions.append(cancel, go);
  const form = document.createElement("form");
  form.method = "dialog";
  form.append(heading, text, actions);
  dialog.append(form);
  document.body.append(dialog);
  dialog.showModal();
  // The harmless answer is the default.
  (danger ? cancel : go).focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "confirm");
    });
  });
}

function button(label, value) {
  return Object.assign(document.createElement("button"), { textContent: label, value });
}
