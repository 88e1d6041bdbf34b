/**
 * AssemblyAI's streaming API (`/v3/ws`): a recogniser that decides turns itself.
 *
 * A turn's messages are cumulative and its words immutable once final, so each replaces the interim before
 * it. With formatted turns its end is told twice: the first, plain, is the word to prepare a reply on, the
 * second is the final. A turn whose second never came is closed by whatever comes of the next.
 */
import type { AssemblySettings } from "../settings.js";
import { AssemblySession } from "./assemblyai-session.js";
import type { SttWord } from "./provider.js";
import { SocketStt } from "./socket-stt.js";
import {
  type SocketSttDeps,
  type SttDialect,
  type SttReader,
  type TranscriptSink,
  textOf,
} from "./stt-dialect.js";

type Message = Readonly<Record<string, unknown>>;

export function assemblyStt(deps: SocketSttDeps<AssemblySettings>): SocketStt {
  return new SocketStt(
    assemblyDialect(deps.settings.formatTurns),
    (request, owner, onGone) => new AssemblySession(request, owner, { ...deps, onGone }),
    deps,
  );
}

function assemblyDialect(formatTurns: boolean): SttDialect {
  return {
    name: "assemblyai",
    leadInRepeats: false,
    idleBatchMs: 100,
    quietBatchMs: 240,
    // A message holds 50 to 1,000 ms.
    speechBatchMs: 60,
    crowdedBatchMs: 60,
    messageMinMs: 50,
    // "Not faster than real time", over some while that is not told: a replay's usual length, and no more.
    aheadMaxMs: 8_000,
    createReader: () => new AssemblyReader(formatTurns),
  };
}

interface Turn {
  readonly text: string;
  readonly words: readonly SttWord[];
  readonly startMs: number;
  readonly endMs: number;
}

class AssemblyReader implements SttReader {
  readonly #formatTurns: boolean;
  #startedOrder = -1;
  #closedOrder = -1;
  /** Ended, and its formatted form still to come. */
  #unformatted: Turn | null = null;
  #unformattedOrder = -1;
  #lastText = "";

  constructor(formatTurns: boolean) {
    this.#formatTurns = formatTurns;
  }

  read(message: Message, sink: TranscriptSink): void {
    switch (message["type"]) {
      case "Turn":
        this.#readTurn(message, sink);
        return;
      case "SpeechStarted": {
        const atMs = message["timestamp"];
        if (typeof atMs === "number" && atMs >= 0) sink.speechStarted(atMs);
        return;
      }
      case "Error":
        sink.failed({
          reason: "STREAM_BROKEN",
          what: "reported an error and gave up the stream",
          detail: {
            providerCode: codeOf(message["error_code"]),
            providerMessage: textOf(message["error"]),
          },
        });
        return;
      default: // Begin again, Termination and what they may add: nothing to act on
    }
  }

  #readTurn(message: Message, sink: TranscriptSink): void {
    const order = message["turn_order"];
    if (typeof order !== "number" || typeof message["transcript"] !== "string") {
      sink.failed({ reason: "PROTOCOL_ERROR", what: "sent a turn without order or transcript" });
      return;
    }
    if (this.#unformatted !== null && order > this.#unformattedOrder) this.#close(this.#unformatted, sink);
    if (order <= this.#closedOrder) return;
    const turn = turnOf(message);
    if (turn === null) return; // nothing was said
    if (order > this.#startedOrder) {
      this.#startedOrder = order;
      this.#lastText = "";
      sink.speechStarted(turn.startMs);
    }
    if (message["end_of_turn"] !== true) {
      if (turn.text === this.#lastText) return;
      this.#lastText = turn.text;
      sink.interim(turn.text, turn.words, turn.startMs, turn.endMs);
      return;
    }
    this.#unformattedOrder = order;
    if (!this.#formatTurns || message["turn_is_formatted"] === true) {
      this.#close(turn, sink);
      return;
    }
    this.#unformatted = turn;
    sink.eagerEndOfTurn(turn.text, turn.words, turn.startMs, turn.endMs);
  }

  #close(turn: Turn, sink: TranscriptSink): void {
    this.#unformatted = null;
    this.#closedOrder = this.#unformattedOrder;
    sink.final(turn.text, turn.words, turn.startMs, turn.endMs, true);
  }
}

/** A number by their page; a word would do as well. */
function codeOf(value: unknown): string {
  return typeof value === "number" ? String(value) : textOf(value);
}

/** All words, also the last that may still change; `transcript` holds the final ones alone. */
function turnOf(message: Message): Turn | null {
  const list = message["words"];
  const words: SttWord[] = [];
  for (const entry of Array.isArray(list) ? (list as readonly Message[]) : []) {
    const word = textOf(entry?.["text"]);
    const startMs = entry?.["start"];
    const endMs = entry?.["end"];
    if (word === "" || typeof startMs !== "number" || typeof endMs !== "number") continue;
    if (startMs >= 0 && endMs >= startMs) words.push({ word, startMs, endMs });
  }
  const first = words[0];
  if (first === undefined) return null;
  const text = words.map(({ word }) => word).join(" ");
  return { text, words, startMs: first.startMs, endMs: words.at(-1)!.endMs };
}
