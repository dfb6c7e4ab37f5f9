// Uploads, starts, waits and cancels with the client that @hey-api/openapi-ts has generated.

import { strict as assert } from "node:assert";
import { openAsBlob } from "node:fs";

import { cancelRun, showRun, startRun, uploadComponent } from "./client";
import { client } from "./client/client.gen";

function setting(name: string): string {
  const value = process.env[name];
  assert(value !== undefined, `${name} is not set`);
  return value;
}

async function main() {
  client.setConfig({ baseUrl: setting("SERVER"), auth: setting("API_KEY") });

  const upload = await uploadComponent({ body: await openAsBlob(setting("COMPONENT")) });
  assert(upload.data?.created, JSON.stringify(upload.error));
  const { name } = upload.data.workflows[0];

  const start = (run: string, wait?: number) =>
    startRun({ path: { name }, query: { wait }, body: { input: JSON.parse(setting(run)) } });

  const finished = (await start("QUICK", 60)).data;
  assert(finished !== undefined && "status" in finished, "the run is final");
  assert.equal(finished.status, "completed");

  const started = (await start("SLEEPING")).data;
  assert(started !== undefined && "run_id" in started, "the run is started");
  const path = { id: started.run_id };
  const cancelling = await cancelRun({ path });
  assert.equal(cancelling.response?.status, 202);
  const cancelled = (await showRun({ path, query: { wait: 60 } })).data;
  assert.equal(cancelled?.status, "compensated");

  const refused = await startRun({ path: { name: "nothing" }, body: {} });
  assert.equal(refused.error?.error.code, "unknown_workflow");

  console.log(JSON.stringify({ finished: finished.id, cancelled: cancelled?.id }));
}

main();
