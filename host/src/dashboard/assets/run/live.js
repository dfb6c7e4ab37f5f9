// Receives what changes of a run as it happens.

import { root, tenant } from "../api.js";
import { subscribeWorkflow } from "../forge.js";

/** The live view of a run. While it is connected, nobody needs to ask. */
export class Live {
  isConnected = false;

  /**
   * `onChange(value)` is called with each new state of the run, `onEnd()` after the last one, and `onConnection(isConnected)` when
   * the connection is there or lost.
   */
  constructor(run, { onChange, onEnd, onConnection }) {
    this.store = subscribeWorkflow(run, {
      url: root,
      tenant,
      payloads: false,
      onConnection: (isConnected) => {
        this.isConnected = isConnected;
        onConnection(isConnected);
      },
    });
    this.store.subscribe((value) => {
      if (value !== undefined && this.store.error === undefined) onChange(value);
    });
    this.store.result.then(onEnd, (error) => {
      this.isConnected = false;
      // A run that failed has ended, too. Another error is that of the subscription: the page asks from now on.
      if (error.run !== undefined) onEnd();
    });
  }
}
