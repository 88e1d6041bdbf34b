/** What one protocol for language models says on the wire, and how its reader tells a reply what it read. */
import type { LumentraError } from "#runtime/errors";
import type { Failure, Failures } from "../failures.js";
import type { HttpAnswer } from "../http-transport.js";
import type { LlmRequest, LlmUsage } from "./provider.js";

/** One protocol, or one vendor's form of it. */
export interface LlmDialect {
  readonly name: string;
  /** Of the API within the origin, unless the address that was set has a path of its own. */
  readonly basePath: string;
  readonly generatePath: string;
  headers(apiKey: string): Readonly<Record<string, string>>;
  body(request: LlmRequest): object;
  reader(reply: Reply): ReplyReader;
  /** Of an answer that is not 200. */
  errorOf(answer: HttpAnswer, failures: Failures, unixMs: number): LumentraError;
}

/** What a reader tells of what it read. All of it is ignored once the reply has settled. */
export interface Reply {
  readonly failures: Failures;
  /** As of now; what came first is written over. */
  usage: LlmUsage | null;
  /** The model is at work: text, thinking, a tool call. */
  progress(): void;
  text(delta: string): void;
  /** As ToolCallAssembler reads it. */
  toolFragment(fragment: unknown): void;
  /** The protocol's last word. `cut`: the reply ended at its length limit. */
  finish(cut: boolean): void;
  fail(failure: Failure): void;
  failWith(error: LumentraError): void;
}

export interface ReplyReader {
  /** One server-sent event; `name` is "" for one without. */
  read(name: string, data: string): void;
}
