// A document, for the libraries that render into one.

import { Window } from "happy-dom";

/** What the libraries take from the global object of a browser. */
const GLOBALS = ["document", "Node", "Element", "HTMLElement", "HTMLIFrameElement", "Text", "Comment"];

const window = new Window();
Object.assign(globalThis, { window }, Object.fromEntries(GLOBALS.map((name) => [name, Reflect.get(window, name)])));

/** Returns a new element of the page. */
export function place(): HTMLElement {
  return document.body.appendChild(document.createElement("main"));
}

/** Waits until the text of an element is this. */
export async function untilShown(element: HTMLElement, text: string): Promise<void> {
  if (element.textContent === text) return;
  await new Promise<void>((resolve) => {
    const observer = new window.MutationObserver(() => {
      if (element.textContent !== text) return;
      observer.disconnect();
      resolve();
    });
    observer.observe(element as never, { subtree: true, childList: true, characterData: true });
  });
}
