/** How a test steers the Groq emulator: scripts, faults, live streams. */
import type { FaultSwitch } from "../faults.js";
import type { ModelFault, ModelRequestInfo } from "./faults.js";
import type { Scripted } from "./reply.js";
import { type ChatRequest, lastUserText } from "./request.js";

/** A RegExp is tried on what the caller said last. */
export type ScriptMatch = RegExp | ((request: ChatRequest) => boolean);

export interface ScriptOptions {
  /** For how many requests; then the next script, or the rules, answer. @default unlimited */
  readonly times?: number;
}

export interface ScriptHandle {
  /** Requests it has answered. */
  readonly hits: number;
  remove(): void;
}

/** A streaming answer that is on its way. */
export interface LiveReply {
  readonly callId: string | null;
  readonly requestId: string;
  /** Resets the connection now. */
  cut(): void;
  /** Sends nothing more until `resume`, and leaves the connection open. */
  stall(): void;
  resume(): void;
}

export interface ModelControl {
  /** The latest script that matches answers in place of the rules. */
  script(
    match: ScriptMatch,
    reply: Scripted | ((request: ChatRequest) => Scripted),
    options?: ScriptOptions,
  ): ScriptHandle;
  clearScripts(): void;
  readonly faults: FaultSwitch<ModelFault, ModelRequestInfo>;
  /** Streams that have not ended. */
  readonly live: readonly LiveReply[];
  /** Requests since the start, refused ones included. */
  readonly requestCount: number;
  /** TCP connections since the start: to see that clients keep theirs. */
  readonly connectionCount: number;
}

/** A test that arms more than this forgot to remove them. */
const SCRIPTS_MAX = 1_000;

interface Script {
  readonly match: ScriptMatch;
  readonly reply: Scripted | ((request: ChatRequest) => Scripted);
  readonly times: number;
  hits: number;
}

export class ScriptBook {
  #scripts: Script[] = [];

  add(match: ScriptMatch, reply: Script["reply"], options: ScriptOptions = {}): ScriptHandle {
    if (this.#scripts.length >= SCRIPTS_MAX) throw new Error("too many scripts: clearScripts()");
    const script: Script = { match, reply, times: options.times ?? Infinity, hits: 0 };
    this.#scripts.push(script);
    return {
      get hits() {
        return script.hits;
      },
      remove: () => {
        this.#scripts = this.#scripts.filter((other) => other !== script);
      },
    };
  }

  clear(): void {
    this.#scripts = [];
  }

  replyTo(request: ChatRequest): Scripted | null {
    const said = lastUserText(request);
    const script = this.#scripts.findLast(
      ({ match, hits, times }) =>
        hits < times && (match instanceof RegExp ? said.search(match) !== -1 : match(request)),
    );
    if (script === undefined) return null;
    script.hits += 1;
    return typeof script.reply === "function" ? script.reply(request) : script.reply;
  }
}
