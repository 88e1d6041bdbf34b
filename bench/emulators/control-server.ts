/**
 * The control endpoint: what `Emulators` offers, over HTTP, for tests and benches in another process.
 *
 * ```
 * GET    /control/info                      addresses, key, latencies, counts
 * PATCH  /control/latency  {…}              from the next draw on
 * PATCH  /control/limits   {…}
 * PATCH  /control/rates    {…}
 * POST   /control/faults   {target, fault, count, callId}
 * GET    /control/faults                    each that was armed, and how many things it has befallen
 * DELETE /control/faults                    disarms all
 * POST   /control/inject   {target, fault, callId}      on what is live now
 * POST   /control/scripts  {match, flags, callId, provider, times, reply}
 * DELETE /control/scripts
 * POST   /control/gates/<name>              opens a gate of a script
 * GET    /control/log?since=<seq>&kind=<kind>&callId=<id>
 * DELETE /control/log
 * ```
 * Loopback only: it has no password.
 */
import { type IncomingMessage, type Server, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { z } from "zod";
import {
  type ParsedScript,
  armSchema,
  injectSchema,
  latencySchema,
  limitsSchema,
  ratesSchema,
  scriptSchema,
} from "./control-schema.js";
import type { Emulators } from "./emulators.js";
import { ARMED_FAULTS_MAX, type ArmedFault } from "./faults.js";
import type { ScriptMatch } from "./llm/control.js";
import type { Scripted } from "./llm/reply.js";
import { lastUserText } from "./llm/request.js";
import { MODEL_VENDORS } from "./llm/vendors.js";

/** A script with a long reply; more is not a command. */
const BODY_MAX_BYTES = 1024 * 1024;
/** A test has a few; they are kept until the process ends. */
const GATES_MAX = 10_000;

interface Reply {
  readonly status: number;
  readonly body: unknown;
}

interface Armed {
  readonly target: string;
  readonly kind: string;
  readonly count: number;
  readonly armed: ArmedFault;
}

interface Gate {
  readonly opened: Promise<void>;
  open(): void;
}

export class ControlServer {
  readonly #emulators: Emulators;
  readonly #server: Server;
  readonly #gates = new Map<string, Gate>();
  /** The last ARMED_FAULTS_MAX. */
  readonly #armed: Armed[] = [];

  constructor(emulators: Emulators) {
    this.#emulators = emulators;
    this.#server = createServer((request, response) => {
      void this.#answer(request).then(({ status, body }) => {
        response.writeHead(status, { "content-type": "application/json" });
        response.end(JSON.stringify(body));
      });
    });
  }

  /** Its origin. */
  async listen(port: number): Promise<string> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(port, "127.0.0.1", resolve);
    });
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  async #answer(request: IncomingMessage): Promise<Reply> {
    const url = new URL(request.url ?? "/", "http://control");
    try {
      const body = await readJson(request);
      return { status: 200, body: this.#run(request.method ?? "GET", url, body) ?? {} };
    } catch (error) {
      const message = error instanceof z.ZodError ? z.prettifyError(error) : (error as Error).message;
      return { status: error instanceof UnknownCommand ? 404 : 400, body: { error: message } };
    }
  }

  #run(method: string, url: URL, body: unknown): unknown {
    const emulators = this.#emulators;
    const [, gateName] = /^\/control\/gates\/(.+)$/.exec(url.pathname) ?? [];
    if (gateName !== undefined && method === "POST") return this.#gate(decodeURIComponent(gateName)).open();
    switch (`${method} ${url.pathname}`) {
      case "GET /control/info":
        return this.#info();
      case "PATCH /control/latency":
        return emulators.setLatency(defined(latencySchema.parse(body)));
      case "PATCH /control/limits":
        return emulators.setLimits(defined(limitsSchema.parse(body)));
      case "PATCH /control/rates":
        return emulators.setRates(defined(ratesSchema.parse(body)));
      case "POST /control/faults":
        return this.#arm(body);
      case "GET /control/faults":
        return this.#faults();
      case "DELETE /control/faults":
        return this.#disarmAll();
      case "POST /control/inject":
        return this.#inject(body);
      case "POST /control/scripts":
        return this.#script(scriptSchema.parse(body));
      case "DELETE /control/scripts":
        for (const vendor of MODEL_VENDORS) emulators.models[vendor].clearScripts();
        return {};
      case "GET /control/log":
        return this.#log(url.searchParams);
      case "DELETE /control/log":
        return emulators.log.clear();
      default:
        throw new UnknownCommand(`no such command: ${method} ${url.pathname}`);
    }
  }

  #info(): object {
    const { urls, latency, deepgram, assemblyai, whisper, models, cartesia, elevenlabs, speech } =
      this.#emulators;
    return {
      urls,
      env: this.#emulators.env(),
      latency,
      deepgram: {
        live: deepgram.live.length,
        openedCount: deepgram.openedCount,
        refusedCount: deepgram.refusedCount,
      },
      assemblyai: {
        live: assemblyai.live.length,
        openedCount: assemblyai.openedCount,
        refusedCount: assemblyai.refusedCount,
      },
      whisper: { running: whisper.runningCount, requestCount: whisper.requestCount },
      ...Object.fromEntries(
        Object.entries(models).map(([vendor, { live, requestCount, connectionCount }]) => [
          vendor,
          { live: live.length, requestCount, connectionCount },
        ]),
      ),
      cartesia: {
        live: cartesia.live.length,
        activeContexts: cartesia.activeContexts,
        openedCount: cartesia.openedCount,
      },
      elevenlabs: {
        live: elevenlabs.live.length,
        activeContexts: elevenlabs.activeContexts,
        openedCount: elevenlabs.openedCount,
      },
      speech: {
        activeRequests: speech.activeRequests,
        requestCount: speech.requestCount,
        connectionCount: speech.connectionCount,
      },
    };
  }

  #arm(body: unknown): void {
    const command = armSchema.parse(body);
    const armed = this.#armedBy(command);
    if (this.#armed.length === ARMED_FAULTS_MAX) this.#armed.shift();
    this.#armed.push({ target: command.target, kind: command.fault.kind, count: command.count, armed });
  }

  #armedBy(command: z.output<typeof armSchema>): ArmedFault {
    const { deepgram, assemblyai, whisper, models, cartesia, elevenlabs, speech } = this.#emulators;
    const { count } = command;
    const callId = "callId" in command ? command.callId : undefined;
    const when = (info: { readonly callId: string | null }): boolean =>
      callId === undefined || info.callId === callId;
    switch (command.target) {
      case "deepgram":
        return deepgram.faults.arm(command.fault, { count, when });
      case "assemblyai":
        return assemblyai.faults.arm(command.fault, { count });
      case "whisper":
        return whisper.faults.arm(command.fault, { count });
      case "cartesiaSocket":
        return cartesia.socketFaults.arm(command.fault, { count });
      case "cartesiaContext":
        return cartesia.contextFaults.arm(command.fault, { count, when });
      case "elevenlabsSocket":
        return elevenlabs.socketFaults.arm(command.fault, { count });
      case "elevenlabsContext":
        return elevenlabs.contextFaults.arm(command.fault, { count, when });
      case "speech":
        return speech.faults.arm(command.fault, { count, when });
      default:
        return models[command.target].faults.arm(command.fault, { count, when });
    }
  }

  /** Also of those that were taken back since. */
  #faults(): object {
    const faults = this.#armed.map(({ target, kind, count, armed }) => ({
      target,
      kind,
      befallen: count - armed.remaining,
    }));
    return { faults };
  }

  #disarmAll(): void {
    const { deepgram, assemblyai, whisper, models, cartesia, elevenlabs, speech } = this.#emulators;
    deepgram.faults.clear();
    assemblyai.faults.clear();
    whisper.faults.clear();
    for (const vendor of MODEL_VENDORS) models[vendor].faults.clear();
    cartesia.socketFaults.clear();
    cartesia.contextFaults.clear();
    elevenlabs.socketFaults.clear();
    elevenlabs.contextFaults.clear();
    speech.faults.clear();
  }

  /** How many live things it befell. */
  #inject(body: unknown): object {
    const command = injectSchema.parse(body);
    const { deepgram, assemblyai, models, cartesia, elevenlabs } = this.#emulators;
    if (command.target === "cartesia" || command.target === "elevenlabs") {
      const { live } = command.target === "cartesia" ? cartesia : elevenlabs;
      for (const socket of live) socket.inject(command.fault);
      return { count: live.length };
    }
    if (command.target === "assemblyai") {
      for (const session of assemblyai.live) session.inject(command.fault);
      return { count: assemblyai.live.length };
    }
    const mine = (live: { readonly callId: string | null }): boolean =>
      command.callId === undefined || live.callId === command.callId;
    if (command.target === "deepgram") {
      const streams = deepgram.live.filter(mine);
      for (const stream of streams) stream.inject(command.fault);
      return { count: streams.length };
    }
    const replies = models[command.target].live.filter(mine);
    for (const reply of replies) reply[command.fault.kind]();
    return { count: replies.length };
  }

  #script(command: ParsedScript): void {
    const pattern = new RegExp(command.match, command.flags.replace(/[gy]/g, ""));
    const { callId, times } = command;
    const parts = command.reply.parts?.map((part) =>
      "gate" in part ? { gate: this.#gate(part.gate).opened } : part,
    );
    const reply = defined({ ...command.reply, parts }) as Scripted;
    const match: ScriptMatch = (request) =>
      (callId === undefined || request.user === callId) && pattern.test(lastUserText(request));
    const vendors = command.provider === undefined ? MODEL_VENDORS : [command.provider];
    for (const vendor of vendors) {
      this.#emulators.models[vendor].script(match, reply, times === undefined ? {} : { times });
    }
  }

  #gate(name: string): Gate {
    const known = this.#gates.get(name);
    if (known !== undefined) return known;
    if (this.#gates.size >= GATES_MAX) throw new Error(`more than ${GATES_MAX} gates`);
    let open = (): void => undefined;
    const opened = new Promise<void>((resolve) => {
      open = resolve;
    });
    const gate: Gate = { opened, open };
    this.#gates.set(name, gate);
    return gate;
  }

  #log(query: URLSearchParams): object {
    const since = Number(query.get("since") ?? 0);
    const kind = query.get("kind");
    const callId = query.get("callId");
    const entries = this.#emulators.log
      .since(since)
      .filter(
        (entry) => (kind === null || entry.kind === kind) && (callId === null || entry.callId === callId),
      );
    return { entries, lastSeq: entries.at(-1)?.seq ?? since };
  }
}

class UnknownCommand extends Error {}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const pieces: Buffer[] = [];
  let byteCount = 0;
  for await (const piece of request as AsyncIterable<Buffer>) {
    byteCount += piece.length;
    if (byteCount > BODY_MAX_BYTES) throw new Error("the command is too large");
    pieces.push(piece);
  }
  return byteCount === 0 ? {} : (JSON.parse(Buffer.concat(pieces).toString("utf8")) as unknown);
}

/** Without the keys that are undefined: absent means "leave as it is". */
function defined<Fields extends object>(
  fields: Fields,
): { [Key in keyof Fields]: Exclude<Fields[Key], undefined> } {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [Key in keyof Fields]: Exclude<Fields[Key], undefined> };
}
