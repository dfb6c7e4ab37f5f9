// Uploads a component that was dropped or chosen, and shows the answer.

import { headers, href, parsed, refusal, unreachable, url } from "../api.js";
import { make, setText } from "../dom.js";
import { explained } from "../errors.js";
import { line } from "../printable.js";
import { size } from "../run/words.js";

/** The content type of a component. */
const COMPONENT = "application/wasm";

export class Upload {
  /** How many elements that the pointer has entered with a file it has not left. */
  #entered = 0;

  /** `onDone()` shows what is deployed now, after an upload. */
  constructor(element, onDone) {
    this.element = element;
    this.onDone = onDone;
    this.find = (selector) => element.querySelector(selector);
    const file = this.find("#upload-file");
    file.addEventListener("change", () => {
      if (file.files.length > 0) void this.send(file.files[0]);
      // The same file can be chosen again after it was compiled again.
      file.value = "";
    });
    this.find("#upload-stop").addEventListener("click", () => this.request?.abort());
    this.#takeDrops();
    element.hidden = false;
  }

  /** Files may be dropped anywhere on the page: a browser would open one that misses the field. */
  #takeDrops() {
    const isFile = (event) => event.dataTransfer?.types.includes("Files");
    const mark = (change) => {
      this.#entered = change === 0 ? 0 : this.#entered + change;
      this.element.toggleAttribute("data-over", this.#entered > 0);
    };
    addEventListener("dragenter", (event) => isFile(event) && mark(1));
    addEventListener("dragleave", (event) => isFile(event) && mark(-1));
    addEventListener("dragover", (event) => isFile(event) && event.preventDefault());
    addEventListener("drop", (event) => {
      if (!isFile(event)) return;
      event.preventDefault();
      mark(0);
      const [file] = event.dataTransfer.files;
      if (file !== undefined) void this.send(file);
    });
  }

  /** Sends a file, unless one is being sent. */
  async send(file) {
    if (this.request !== undefined) return;
    this.#outcome();
    this.#step(`Sending ${line(file.name)} (${size(file.size)})`, 0);
    try {
      const answer = await this.#post(file);
      if (answer !== undefined) await this.#registered(answer);
    } catch (error) {
      this.#refused(file, error);
    } finally {
      this.request = undefined;
      this.find("#upload-progress").hidden = true;
    }
  }

  /** Posts a file. A request of `fetch` does not tell how much was sent. Returns `undefined` if it was stopped. */
  #post(file) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      this.request = request;
      request.open("POST", url("workflows"));
      for (const [name, value] of Object.entries(headers())) request.setRequestHeader(name, value);
      request.setRequestHeader("Content-Type", COMPONENT);
      request.upload.addEventListener("progress", ({ loaded, total }) => {
        if (loaded < total) this.#step(`Sending ${line(file.name)}: ${size(loaded)} of ${size(total)}`, loaded / total);
      });
      request.upload.addEventListener("load", () => this.#step(`Checking and compiling ${line(file.name)}`));
      request.addEventListener("load", () => {
        const document = parsed(request.responseText);
        if (request.status < 300 && document != null) resolve(document);
        else reject(refusal(request, document));
      });
      request.addEventListener("abort", () => resolve(undefined));
      request.addEventListener("error", () => reject(unreachable()));
      request.send(file);
    });
  }

  /** Shows what happens, and how much of it is done. */
  #step(text, done) {
    const bar = this.find("#upload-bar");
    this.find("#upload-progress").hidden = false;
    setText(this.find("#upload-step"), text);
    if (done === undefined) bar.removeAttribute("value");
    else bar.value = done;
  }

  #outcome(...children) {
    this.find("#upload-outcome").replaceChildren(...children);
  }

  async #registered({ created, workflows, kept }) {
    const title = created ? "Deployed" : "This component was deployed before";
    const list = (versions) =>
      make(
        "ul",
        { className: "plain" },
        ...versions.map(({ name, version }) =>
          make("li", {}, make("a", { href: href(`workflows/${encodeURIComponent(name)}`) }, name), ` v${version}`),
        ),
      );
    const notice = make("div", { className: "notice", "data-kind": "good" }, make("p", {}, make("strong", {}, title)), list(workflows));
    if (kept.length > 0) {
      const why = "These versions have other code already, and keep it. Increment their version to deploy the new code:";
      notice.append(make("p", {}, why), list(kept));
    }
    this.#outcome(notice);
    if (!created) return;
    try {
      await this.onDone();
    } catch (error) {
      // It is deployed all the same.
      notice.append(make("p", {}, "The list cannot be read: ", ...explained(error)));
    }
  }

  #refused(file, error) {
    this.#outcome(
      make(
        "div",
        { className: "notice", "data-kind": "bad" },
        make("p", {}, make("strong", {}, `${line(file.name)} was not deployed`)),
        make("pre", { className: "refusal", tabIndex: 0 }, ...explained(error)),
      ),
    );
  }
}
