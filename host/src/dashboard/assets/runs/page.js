// The page of the runs: keeps the table up to date, applies filters without leaving the page, and selects runs.

import { bulk } from "./bulk.js";
import { filters } from "./filters.js";
import { List } from "./list.js";
import { live } from "./live.js";
import { select } from "./select.js";

const list = new List(document.querySelector('[data-part="list"]'));
const selection = select(list);
const updates = live(list);
filters(list, selection, updates);
bulk(selection, () => updates.now());
