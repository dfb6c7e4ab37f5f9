// Tells when the runs of a list have changed.

import { root } from "../api.js";
import { subscribeRuns } from "../forge.js";

/** Follows the list of runs at an address of the page. */
export class Changes {
  #address;
  #leave;
  /** Whether the host tells of changes. */
  isConnected = false;

  /** `onChange` is called when a run of the list has changed, has come or has gone. */
  constructor(onChange) {
    this.onChange = onChange;
  }

  /** Follows the list that `query`, a query of the API, selects. Does nothing if this is the list of this address already. */
  follow(address, query) {
    if (address === this.#address) return;
    this.stop();
    this.#address = address;
    let isRead = false;
    const runs = subscribeRuns(Object.fromEntries(new URLSearchParams(query)), {
      url: root,
      tenant: document.documentElement.dataset.tenant,
      onConnection: (is) => {
        this.isConnected = is;
      },
    });
    this.#leave = runs.subscribe((list) => {
      if (list === undefined) return;
      // The first list is the one that the page has.
      if (isRead) this.onChange();
      isRead = true;
    });
  }

  stop() {
    this.#leave?.();
    this.#leave = this.#address = undefined;
    this.isConnected = false;
  }
}
