// What may be done with the run.

import { href, request } from "../api.js";
import { copy } from "../clipboard.js";
import { ask } from "../dialog.js";
import { Tags } from "../tags.js";
import { documentOf } from "./documents.js";
import { FormDialog, body, randomKey, text } from "./forms.js";

/** The actions that need no more than a confirmation, or not even that. */
const COMMANDS = {
  pause: { path: "pause", said: "The run is paused." },
  resume: { path: "resume", said: "The run goes on." },
  cancel: {
    path: "cancel",
    said: "The run is being rolled back.",
    ask: {
      title: "Cancel this run?",
      body: "Its completed steps are compensated, the last one first. That cannot be stopped.",
      confirm: "Cancel the run",
      danger: true,
    },
  },
  terminate: {
    path: "terminate",
    said: "The run is terminated.",
    ask: {
      title: "Terminate this run?",
      body: "It ends at once as failed. None of its code is executed any longer, and nothing is compensated: cancel it instead, if its code can be executed.",
      confirm: "Terminate the run",
      danger: true,
    },
  },
};

/** Lets the buttons act. `onDone(text)` is called when an action has succeeded, `onFail(error)` when it has not. */
export class Actions {
  #dialogs = new Map();
  /** The tags in the dialog of another start. */
  #tags;

  constructor(element, { run, workflow, calls, onDone, onFail }) {
    Object.assign(this, { run, workflow, calls, onDone, onFail });
    element.addEventListener("click", ({ target }) => {
      const copied = target.closest("[data-copy]");
      if (copied !== null) void copy(copied.dataset.copy, copied);
      const button = target.closest("button[data-action]");
      if (button !== null) void this.#act(button);
    });
  }

  async #act(button) {
    const { action, event, call } = button.dataset;
    if (action === "event") this.#sendEvent(event);
    else if (action === "again") await this.#startAgain(button);
    else if (action === "resolve") this.#resolve(Number(call));
    else if (action === "delete") await this.#delete(button);
    else await this.#command(button, COMMANDS[action]);
  }

  #dialog(name) {
    if (!this.#dialogs.has(name)) this.#dialogs.set(name, new FormDialog(name));
    return this.#dialogs.get(name);
  }

  /** Sends a request of a button, which does nothing meanwhile. */
  async #busy(button, send) {
    button.disabled = true;
    try {
      await send();
    } catch (error) {
      this.onFail(error);
    } finally {
      button.disabled = false;
    }
  }

  async #command(button, { path, said, ask: question }) {
    if (question !== undefined && !(await ask(question))) return;
    await this.#busy(button, async () => {
      await request(`runs/${this.run}/${path}`, { method: "POST" });
      this.onDone(said);
    });
  }

  async #delete(button) {
    const question = {
      title: "Delete this run?",
      body: "Its journal, its documents and its logs are removed for good.",
      confirm: "Delete the run",
      danger: true,
    };
    if (!(await ask(question))) return;
    await this.#busy(button, async () => {
      await request(`runs/${this.run}`, { method: "DELETE" });
      location.assign(href("runs"));
    });
  }

  #sendEvent(name) {
    const dialog = this.#dialog("event");
    const { fields, json } = dialog;
    if (name !== undefined) fields.name.value = name;
    // A repeated attempt sends the same event.
    if (fields.key.value === "") fields.key.value = randomKey();
    dialog.open(async () => {
      const payload = json.payload.read("null");
      if (payload === undefined) return false;
      const path = `runs/${this.run}/events/${encodeURIComponent(fields.name.value)}`;
      await request(path, { method: "POST", body: body({ payload, key: text(fields.key.value) }) });
      this.onDone(`The event ${fields.name.value} is sent.`);
      json.payload.set("");
      fields.key.value = "";
      return true;
    });
  }

  async #startAgain(button) {
    const dialog = this.#dialog("again");
    const { fields, json } = dialog;
    const { takeover } = fields;
    this.#tags ??= new Tags(dialog.form);
    if (dialog.form.dataset.loaded === undefined) {
      await this.#busy(button, async () => {
        json.input.set(await documentOf(this.run, "input"));
        dialog.form.dataset.loaded = "";
      });
    }
    if (dialog.form.dataset.loaded === undefined) return;
    dialog.open(async () => {
      const input = json.input.read("{}");
      if (input === undefined) return false;
      const takes = takeover?.checked === true;
      const key = takes ? takeover.dataset.key : fields.key.value;
      const { run_id: id, existing } = await this.#start(
        body({
          input,
          version: fields.version.value === "" ? undefined : fields.version.value,
          key: text(key),
          tags: JSON.stringify(this.#tags.read()),
          on_failed: takes ? '"restart"' : undefined,
        }),
        key !== "",
      );
      if (existing !== undefined) this.onDone("The key has started a run before. That run is shown.");
      location.assign(href(`runs/${id}`));
      return true;
    });
  }

  async #start(sent, hasKey) {
    try {
      return await request(`workflows/${encodeURIComponent(this.workflow)}/start`, { method: "POST", body: sent });
    } catch (error) {
      const isUnknown = error.code === "unreachable" || error.code === "outcome_unknown";
      if (!isUnknown || hasKey) throw error;
      throw new Error(`${error.message} The run may have been started: look at the list of runs before you start it again.`);
    }
  }

  #resolve(seq) {
    const dialog = this.#dialog("resolve");
    const { fields, form, json } = dialog;
    const row = this.calls.journal.rows[seq];
    const said = form.querySelector("[data-said]");
    // A compensation returns nothing.
    const isUndone = row.kind === "compensation" || row.compensable;
    said.textContent = isUndone
      ? `What has become of the compensation of ${row.step_name}?`
      : `What has become of ${row.step_name}? The workflow gets the result, or the failure.`;
    const choose = () => {
      for (const part of form.querySelectorAll("[data-when]")) {
        part.hidden = part.dataset.when !== fields.outcome.value || (isUndone && part.dataset.when === "completed");
      }
    };
    form.onchange = choose;
    choose();
    dialog.open(async () => {
      const isCompleted = fields.outcome.value === "completed";
      const result = isUndone ? "null" : json.result.read("null");
      if (isCompleted && result === undefined) return false;
      const outcome = isCompleted ? { completed: result } : { failed: text(fields.reason.value) ?? "null" };
      await request(`runs/${this.run}/steps/${seq}/resolve`, { method: "POST", body: body(outcome) });
      this.onDone("The outcome is recorded.");
      form.reset();
      return true;
    });
  }
}
