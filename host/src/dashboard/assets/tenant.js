// What an admin changes on the pages of tenants: API keys, and whether a tenant is suspended.

import { request } from "./api.js";
import { copy } from "./clipboard.js";
import { ask } from "./dialog.js";
import { button, make } from "./dom.js";
import { tell } from "./errors.js";

const DAY = 24 * 60 * 60 * 1000;

const keys = document.querySelector("[data-keys]");
const isHost = keys?.hasAttribute("data-host") ?? false;

for (const pressed of document.querySelectorAll("[data-revoke]")) on(pressed, "click", () => revoke(pressed));
for (const form of document.querySelectorAll("[data-new-key]")) on(form, "submit", () => create(form));
for (const pressed of document.querySelectorAll("[data-suspend]")) on(pressed, "click", () => suspend(pressed));

/** Calls a function for an event, and shows its error beside the element. The element does nothing meanwhile. */
function on(element, event, act) {
  element.addEventListener(event, async (happened) => {
    happened.preventDefault();
    if (element.dataset.busy) return;
    element.dataset.busy = "true";
    try {
      await act();
    } catch (error) {
      fail(element, error);
    } finally {
      delete element.dataset.busy;
    }
  });
}

/** Shows what went wrong, after the part of the page that has the element. */
function fail(element, error) {
  const place = element.closest("section, .head");
  let notice = place.nextElementSibling;
  if (!notice?.matches("[role='alert']")) {
    notice = make("p", { className: "notice", role: "alert", "data-kind": "bad" });
    place.after(notice);
  }
  tell(notice, error);
}

async function revoke(pressed) {
  const { revoke: id, name } = pressed.dataset;
  const isOwn = pressed.hasAttribute("data-own");
  const confirmed = await ask({
    title: `Revoke the API key ${name}?`,
    body: isOwn
      ? "It is the key of your session, which ends. What uses the key is refused from now on. This cannot be undone."
      : "What uses the key, its sessions and its run tokens is refused from now on. This cannot be undone.",
    confirm: "Revoke",
    danger: true,
  });
  if (!confirmed) return;
  await request(`keys/${encodeURIComponent(id)}${isHost ? "?host=true" : ""}`, { method: "DELETE" });
  location.reload();
}

async function create(form) {
  const fields = new FormData(form);
  const key = { name: fields.get("name"), role: fields.get("role"), host: isHost };
  const days = Number(fields.get("days"));
  if (days > 0) key.expires_at = new Date(Date.now() + days * DAY).toISOString();
  const created = await request("keys", { method: "POST", body: key });
  await show(created.token);
  location.reload();
}

/** Shows a new key, which nobody can see again. */
async function show(token) {
  const field = make("input", { value: token, readOnly: true, "aria-label": "The API key" });
  field.addEventListener("focus", () => field.select());
  const copying = button("Copy");
  copying.addEventListener("click", () => copy(token, copying));
  const line = make("div", { className: "token" }, field, copying);
  const body = make("div", {}, make("p", {}, "Copy it now: it is shown only once."), line);
  await ask({ title: "The new API key", body, confirm: "Done" });
}

async function suspend(pressed) {
  const suspended = pressed.dataset.suspend === "true";
  const name = pressed.dataset.tenantName;
  const confirmed = await ask({
    title: suspended ? `Suspend the tenant ${name}?` : `Resume the tenant ${name}?`,
    body: suspended
      ? "It becomes read-only: its runs stop where they are, requests under way are aborted, and nothing can be started. Runs go on when it is resumed."
      : "Its runs go on where they were. Requests that were aborted are sent again.",
    confirm: suspended ? "Suspend" : "Resume",
    danger: suspended,
  });
  if (!confirmed) return;
  await request(`tenants/${encodeURIComponent(name)}`, { method: "PATCH", body: { suspended } });
  location.reload();
}
