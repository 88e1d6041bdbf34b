/**
 * The actor that owns a call: a thin loop that hands each message to the call's stages. Its supervision is
 * here too: a call that crashes is stopped, gives up what it holds and leaves rings and journal as they are. The node
 * has the journal, and lets another actor go on from it (node/recovery.ts); restarted in here, it would have nothing
 * but a state that is not to be trusted.
 */
import { Actor, type ActorContext, type ActorProps, type StopReason } from "#runtime/actor";
import type { CallOutcome, CallStart } from "#runtime/cluster";
import { LumentraError } from "#runtime/errors";
import { Call, type CallDeps } from "./call.js";

export type CallMessage =
  /** The leg's in-ring has something. Constant: told at most once while it waits. */
  | { readonly kind: "ringsReady" }
  /** A drain's grace runs out, or somebody hung up for us: say goodbye and go. */
  | { readonly kind: "endSoon"; readonly outcome: CallOutcome }
  /** Another owner has the call: go without a word, on the line or in the journal. */
  | { readonly kind: "abandon"; readonly outcome: CallOutcome }
  /** Another actor of this node goes on: find the moment for it. */
  | { readonly kind: "handOver" }
  /** A stage's callback threw: it is thrown again where the supervisor sees it. */
  | { readonly kind: "crashed"; readonly error: unknown };

export const RINGS_READY: CallMessage = { kind: "ringsReady" };

/** "Rings ready" is told once at a time, the rest a few times in a call's life: more is a bug somewhere. */
const CALL_MAILBOX_CAPACITY = 16;

export interface CallActorDeps extends Omit<CallDeps, "onCrash" | "clock" | "log"> {
  /** Told of the call before it begins: for who compares what it knows with its journal. */
  readonly onCall?: ((start: CallStart, call: Call) => void) | undefined;
}

export function callActorProps(deps: CallActorDeps): ActorProps<CallMessage> {
  return {
    name: deps.start.callId,
    create: () => new CallActor(deps),
    mailboxCapacity: CALL_MAILBOX_CAPACITY,
    supervise: () => "stop",
  };
}

class CallActor extends Actor<CallMessage> {
  readonly #deps: CallActorDeps;
  #call: Call | null = null;
  #isOver = false;

  constructor(deps: CallActorDeps) {
    super();
    this.#deps = deps;
  }

  override preStart(context: ActorContext<CallMessage>): void {
    this.#deps.enter();
    try {
      this.#begin(context);
    } finally {
      this.#deps.leave();
    }
  }

  #begin(context: ActorContext<CallMessage>): void {
    const deps = this.#deps;
    // One by one: of `{ ...deps, more }` each call's has a hidden class of its own, and `Object.assign` makes a dictionary
    // of so many; all that asks them is slow then, and either takes 2 KiB.
    this.#call = new Call({
      clock: context.clock,
      log: context.log.child({ callId: deps.start.callId }),
      start: deps.start,
      leg: deps.leg,
      tenant: deps.tenant,
      stt: deps.stt,
      llm: deps.llm,
      tts: deps.tts,
      tools: deps.tools,
      cache: deps.cache,
      messages: deps.messages,
      counters: deps.counters,
      lull: deps.lull,
      emit: deps.emit,
      enter: deps.enter,
      leave: deps.leave,
      wakeEdge: deps.wakeEdge,
      maySpeculate: deps.maySpeculate,
      hangUp: deps.hangUp,
      onCrash: (error) => context.self.tell({ kind: "crashed", error }),
      onEnded: (outcome) => {
        this.#call = null;
        this.#isOver = true;
        deps.onEnded(outcome);
        context.stop();
      },
    });
    deps.onCall?.(deps.start, this.#call);
    this.#call.begin();
  }

  receive(message: CallMessage): void {
    this.#deps.enter();
    try {
      this.#handle(message);
    } finally {
      this.#deps.leave();
    }
  }

  #handle(message: CallMessage): void {
    switch (message.kind) {
      case "ringsReady":
        return this.#call?.onRingsReady();
      case "endSoon":
        return this.#call?.endSoon(message.outcome);
      case "abandon":
        return this.#call?.abandon(message.outcome);
      case "handOver":
        return this.#call?.handOver();
      case "crashed":
        throw message.error;
    }
  }

  override postStop(context: ActorContext<CallMessage>, reason: StopReason): void {
    if (this.#isOver) return;
    if (reason.kind === "failed") context.log.error({ err: reason.error }, "the call crashed");
    const outcome: CallOutcome = reason.kind === "failed" ? crashOutcome(reason.error) : { kind: "drained" };
    // It may have crashed while it was built: then there is nothing to release but its slot.
    if (this.#call === null) this.#deps.onEnded(outcome);
    else if (reason.kind === "failed") this.#call.relinquish(outcome);
    else this.#call.end(outcome);
  }
}

function crashOutcome(error: unknown): CallOutcome {
  return { kind: "actorCrashed", code: error instanceof LumentraError ? error.code : "INTERNAL" };
}
