// A real host: a process that runs `forge serve`, at an address that outlives restarts.

import { strict as assert } from "node:assert";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { createClient, type Client, type Options } from "../src/index.ts";

/** Returns a setting that `tests/tests/typescript_client.rs` makes. */
function setting(name: string): string {
  const value = process.env[name];
  assert(value, `${name} is not set: \`cargo test -p forge-tests --test typescript_client\` sets it`);
  return value;
}

/** A host with the workflow `program`, whose input is what it does. */
export class Host {
  readonly url: string;
  readonly #folder: string;
  readonly #flags: string[];
  readonly #door: Door;
  #process: ChildProcess | undefined;
  #log = "";

  private constructor(folder: string, flags: string[], door: Door) {
    this.#folder = folder;
    this.#flags = flags;
    this.#door = door;
    this.url = door.url;
  }

  /** Starts a host with an empty database. */
  static async start(flags: string[] = []): Promise<Host> {
    const host = new Host(await mkdtemp(join(tmpdir(), "forge-client-")), flags, await Door.open());
    await host.launch();
    return host;
  }

  /** Starts a host and uploads the workflow. */
  static async withProgram(flags: string[] = []): Promise<Host> {
    const host = await Host.start(flags);
    await host.deploy();
    return host;
  }

  /** Uploads the workflow. */
  async deploy(key?: string): Promise<void> {
    const headers: Record<string, string> = { "content-type": "application/wasm" };
    if (key) headers["authorization"] = `Bearer ${key}`;
    const body = await readFile(setting("FORGE_COMPONENT"));
    const response = await fetch(`${this.url}/_api/workflows`, { method: "POST", headers, body });
    assert(response.ok, await response.text());
  }

  /** Returns a client of the API. */
  client(options: Options = {}): Client {
    return createClient({ url: this.url, ...options });
  }

  /** Starts a run of a program. */
  async run(program: unknown[], client: Client = this.client()): Promise<string> {
    const { run_id } = await client.start("program", { services: "http://127.0.0.1:9", body: program });
    return run_id;
  }

  /** Creates an API key. */
  async key(role: string, by?: string): Promise<string> {
    const headers: Record<string, string> = { "content-type": "application/json" };
    if (by) headers["authorization"] = `Bearer ${by}`;
    const body = JSON.stringify({ name: role, role, host: !by });
    const response = await fetch(`${this.url}/_api/keys`, { method: "POST", headers, body });
    assert(response.ok, response.statusText);
    return (await response.json()).token;
  }

  /** Ends the process with SIGKILL. */
  async kill(): Promise<void> {
    const process = this.#process;
    assert(process, "the host runs");
    this.#process = undefined;
    process.kill("SIGKILL");
    await once(process, "exit");
  }

  /** Starts the process and waits until it serves. */
  async launch(): Promise<void> {
    const flags = ["--database", `sqlite:${this.#folder}/forge.db`, "--component-cache", `${this.#folder}/cache`];
    const host = spawn(setting("FORGE_BINARY"), ["serve", "--listen", "127.0.0.1:0", ...flags, ...this.#flags]);
    this.#process = host;
    host.stderr.on("data", (text) => (this.#log += text));
    for await (const line of createInterface(host.stdout)) {
      this.#log += `${line}\n`;
      const port = line.match(/^forge .* serves http:\/\/127\.0\.0\.1:(\d+)/)?.[1];
      if (port) {
        host.stdout.resume();
        this.#door.port = Number(port);
        return;
      }
    }
    assert.fail(`the host does not serve:\n${this.#log}`);
  }

  /** The connections to `/_api/live` that are open. */
  get watching(): number {
    return this.#door.watching.size;
  }

  /** The connections to `/_api/live` so far. */
  get watched(): number {
    return this.#door.watched;
  }

  /** Waits until so many connections to `/_api/live` are open. */
  async untilWatching(count: number): Promise<void> {
    while (this.watching !== count) await once(this.#door.changes, "change");
  }

  /** The address without the proxy, until the process ends. */
  get direct(): string {
    return `http://127.0.0.1:${this.#door.port}`;
  }

  /** Keeps back what the host sends on connections to `/_api/live`, or lets it through. */
  set holding(is: boolean) {
    this.#door.hold(is);
  }

  /** Refuses connections, and cuts those that are open, or accepts connections again. */
  set reachable(is: boolean) {
    this.#door.close(!is);
  }

  /** Ends the process and removes the database. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process) await this.kill();
    await this.#door.remove();
    await rm(this.#folder, { recursive: true });
  }
}

/** The address of a host: a proxy, because the port of the process is another one after each start. */
class Door {
  readonly url: string;
  /** The port of the process. */
  port = 0;
  /** The connections to `/_api/live`: each end with the client, with that with the host. */
  readonly watching = new Map<Socket, Socket>();
  watched = 0;
  readonly changes = new EventTarget();
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #closed = false;

  private constructor(server: Server) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on("connection", (client) => this.#accept(client));
  }

  static async open(): Promise<Door> {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    return new Door(server);
  }

  close(is: boolean): void {
    this.#closed = is;
    if (is) for (const socket of this.#sockets) socket.destroy();
  }

  hold(is: boolean): void {
    for (const [client, host] of this.watching) {
      if (is) host.unpipe(client);
      else host.pipe(client);
    }
  }

  async remove(): Promise<void> {
    this.close(true);
    this.#server.close();
    await once(this.#server, "close");
  }

  #accept(client: Socket): void {
    if (this.#closed) {
      client.destroy();
      return;
    }
    const host = connect(this.port, "127.0.0.1");
    const ends: [Socket, Socket][] = [[client, host], [host, client]];
    for (const [from, to] of ends) {
      this.#sockets.add(from);
      from.pipe(to);
      from.on("error", () => {});
      from.on("close", () => {
        this.#sockets.delete(from);
        to.destroy();
      });
    }
    // A client may send several requests on a connection, each in a chunk of its own.
    client.on("data", (chunk) => {
      if (chunk.toString().startsWith("GET /_api/live")) this.#watch(client, host);
    });
  }

  #watch(client: Socket, host: Socket): void {
    this.watched++;
    const changed = () => this.changes.dispatchEvent(new Event("change"));
    this.watching.set(client, host);
    client.on("close", () => {
      this.watching.delete(client);
      changed();
    });
    changed();
  }
}
