/**
 * A media node as the control plane sees it: registers, keeps its stream, reports, tells its leases when asked, places
 * and confirms calls and hands over journals. It holds no media.
 */
import { type EventEmitter, once } from "node:events";
import type { ClientDuplexStream } from "@grpc/grpc-js";
import { type JournalEvent, type JournalFact, journalEventToProto } from "#actors/journal";
import type {
  AppendJournalRequest,
  AppendJournalResponse__Output,
  ConnectNodeRequest,
  ConnectNodeResponse__Output,
  NodeReport,
  PlaceCallRequest,
  PlaceCallResponse__Output,
} from "#proto";
import { fromServiceError, RpcClient } from "#runtime/rpc";

export interface HeldCall {
  readonly callId: string;
  readonly epoch: number;
  readonly tenantId: string;
  readonly carrier: string;
  readonly carrierCallId: string;
  live: boolean;
  nextSequence: number;
}

export interface TestNodeOptions {
  readonly port: number;
  readonly nodeId: string;
  readonly bootstrapToken: string;
  readonly region?: string;
  readonly capacityCalls?: number;
  readonly reportMs?: number;
  /** Goes on with the registration of a node that was connected elsewhere. */
  readonly credential?: string;
  /** Says how it fares in its hello, and never again. */
  readonly helloOnly?: boolean;
}

export class TestNode {
  readonly nodeId: string;
  readonly held = new Map<string, HeldCall>();
  /** Everything the stream said, welcome first. */
  readonly heard: ConnectNodeResponse__Output[] = [];
  readonly acks: AppendJournalResponse__Output[] = [];
  readonly rpc: RpcClient;
  credential = "";
  report: NodeReport = {
    ready: true,
    draining: false,
    calls: 0,
    pressure: { rung: "PRESSURE_RUNG_UNSPECIFIED" },
  };
  /** How the stream ended: an error's code, or "ended". */
  readonly closed: Promise<string>;
  readonly #options: TestNodeOptions;
  #stream!: ClientDuplexStream<ConnectNodeRequest, ConnectNodeResponse__Output>;
  #journal: ClientDuplexStream<AppendJournalRequest, AppendJournalResponse__Output> | null = null;
  #timer: NodeJS.Timeout | undefined;
  #batchId = 0;
  #close: (how: string) => void = () => {};

  static async start(options: TestNodeOptions): Promise<TestNode> {
    const node = new TestNode(options);
    if (options.credential !== undefined) node.credential = options.credential;
    else {
      const request = { nodeId: options.nodeId, bootstrapToken: options.bootstrapToken };
      node.credential = (await node.rpc.call("NodeService", "RegisterNode", request)).credential;
    }
    await node.#connect();
    return node;
  }

  private constructor(options: TestNodeOptions) {
    this.#options = options;
    this.nodeId = options.nodeId;
    this.rpc = new RpcClient({
      target: `127.0.0.1:${options.port}`,
      security: { insecure: false },
      bearer: () => this.credential || null,
    });
    this.closed = new Promise((resolve) => {
      this.#close = resolve;
    });
  }

  async #connect(): Promise<void> {
    const { region = "east", capacityCalls = 100, reportMs = 100, helloOnly = false } = this.#options;
    this.#stream = this.rpc.connect("NodeService", "ConnectNode");
    this.#stream.on("data", (message: ConnectNodeResponse__Output) => this.#hear(message));
    this.#stream.on("error", (error) => {
      const known = fromServiceError(error) as Error & { code?: string };
      this.#close(known.code ?? known.message);
    });
    this.#stream.on("end", () => this.#close("ended"));
    const mediaUrl = `wss://${this.nodeId}.example`;
    const hello = { region, version: "test", mediaUrl, capacityCalls };
    this.#stream.write({ hello: { ...hello, ...(helloOnly && { report: this.report }) } });
    if (!helloOnly) this.#stream.write({ report: this.report });
    await this.hears(({ welcome }) => Boolean(welcome));
    if (helloOnly) return;
    // Asked with the first report: it has been heard.
    await this.hears(({ reportLeases }) => Boolean(reportLeases));
    this.#timer = setInterval(() => this.sendReport(), reportMs);
  }

  sendReport(): void {
    if (!this.#stream.writableEnded) this.#stream.write({ report: this.report });
  }

  tellLeases(): void {
    if (this.#stream.writableEnded) return; // asked while it said goodbye
    const leases = [...this.held.values()].map(
      ({ callId, epoch, tenantId, carrier, carrierCallId, live }) => {
        return { callId, epoch, nodeId: this.nodeId, tenantId, carrier, carrierCallId, live };
      },
    );
    this.#stream.write({ leases: { leases, last: true } });
  }

  #hear(message: ConnectNodeResponse__Output): void {
    this.heard.push(message);
    if (message.reportLeases) this.tellLeases();
    if (message.leaseLost) this.held.delete(message.leaseLost.callId);
    (this.#stream as EventEmitter).emit("heard");
  }

  /** The first message that it heard, or hears, of which this is true. */
  async hears(isIt: (message: ConnectNodeResponse__Output) => boolean): Promise<ConnectNodeResponse__Output> {
    for (;;) {
      const found = this.heard.find(isIt);
      if (found !== undefined) return found;
      await Promise.race([
        once(this.#stream, "heard"),
        this.closed.then((how) => {
          throw new Error(`${this.nodeId}'s stream is over: ${how}`);
        }),
      ]);
    }
  }

  place(request: Partial<PlaceCallRequest>): Promise<PlaceCallResponse__Output> {
    return this.rpc.call("PlacementService", "PlaceCall", {
      carrier: "twilio",
      tenantId: "dentist",
      pii: { from: "+12025550100", to: "+12025550101" },
      preferredNodeId: this.nodeId,
      ...request,
    });
  }

  /** Media of a call that was placed here has arrived. */
  async confirm(callId: string, epoch = 0): Promise<HeldCall> {
    const { lease } = await this.rpc.call("PlacementService", "ConfirmCall", { callId, epoch });
    const { tenantId, carrier, carrierCallId } = lease!;
    const call = {
      callId,
      epoch: lease!.epoch,
      tenantId,
      carrier,
      carrierCallId,
      live: true,
      nextSequence: 0,
    };
    this.held.set(callId, call);
    return call;
  }

  /** Placed here, confirmed, and its first event stored. */
  async begin(carrierCallId: string, tenantId = "dentist"): Promise<HeldCall> {
    const { callId, epoch, refusal } = await this.place({ carrierCallId, tenantId });
    if (refusal !== "PLACEMENT_REFUSAL_UNSPECIFIED") throw new Error(refusal);
    const call = await this.confirm(callId, epoch);
    await this.append(call, started(call, this.nodeId));
    return call;
  }

  async release({ callId, epoch }: HeldCall): Promise<boolean> {
    this.held.delete(callId);
    return (await this.rpc.call("PlacementService", "ReleaseCall", { callId, epoch })).released;
  }

  /** One batch of facts that go on from what this node appended last; its answer. */
  append(call: HeldCall, ...facts: JournalFact[]): Promise<AppendJournalResponse__Output> {
    const events = eventsOf(call, call.nextSequence, facts);
    call.nextSequence += facts.length;
    return this.send(call.callId, call.epoch, events);
  }

  /** One batch as it is given. */
  async send(
    callId: string,
    epoch: number,
    events: readonly JournalEvent[],
  ): Promise<AppendJournalResponse__Output> {
    if (this.#journal === null) {
      this.#journal = this.rpc.connect("JournalService", "AppendJournal");
      this.#journal.setMaxListeners(0);
      this.#journal.on("error", () => {});
      this.#journal.on("data", (ack: AppendJournalResponse__Output) => {
        this.acks.push(ack);
        this.#journal?.emit(`ack ${ack.batchId}`, ack);
      });
    }
    const batchId = ++this.#batchId;
    const answered = once(this.#journal, `ack ${batchId}`);
    this.#journal.write({ batchId, callId, epoch, events: events.map(journalEventToProto) });
    const [ack] = (await answered) as [AppendJournalResponse__Output];
    return ack;
  }

  /** Ends the journal stream as a node that drains does; resolves when the control plane has ended its side. */
  async endJournal(): Promise<void> {
    if (this.#journal === null) return;
    const ended = once(this.#journal, "end");
    this.#journal.end();
    await ended;
    this.#journal = null;
  }

  /** Said goodbye: the node is taken off the list. */
  async goodbye(): Promise<void> {
    clearInterval(this.#timer);
    this.#stream.end();
    await this.closed;
    this.rpc.close();
  }

  /** As killed: nothing is said any more. */
  kill(): void {
    clearInterval(this.#timer);
    this.#stream.cancel();
    this.#journal?.cancel();
    this.rpc.close();
  }
}

export function eventsOf(
  call: Pick<HeldCall, "callId" | "epoch">,
  fromSequence: number,
  facts: readonly JournalFact[],
): JournalEvent[] {
  return facts.map((fact, index) => ({
    ...fact,
    callId: call.callId,
    sequence: fromSequence + index,
    epoch: call.epoch,
    atMs: 1_000 + index,
    atUnixMs: Date.now(),
  }));
}

export function started(call: HeldCall, nodeId: string): JournalFact {
  const { tenantId, carrier, carrierCallId } = call;
  return {
    kind: "callStarted",
    tenantId,
    carrier,
    carrierCallId,
    nodeId,
    pii: { from: "+12025550100", to: "+12025550101" },
  };
}

export function said(turn: number, text = `words of turn ${turn}`): JournalFact {
  return { kind: "callerTurn", turn, throughAtMs: null, pii: { said: text } };
}

export const HUNG_UP: JournalFact = {
  kind: "callEnded",
  outcome: { kind: "callerHungUp" },
  durationMs: 1_000,
};
