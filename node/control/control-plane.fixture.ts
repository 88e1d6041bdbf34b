/**
 * A control plane for tests of the node's side: the real wire, the contract's rules of journals and leases, in memory,
 * and switches for what goes wrong. It outlives its server: `stop` and `start` are an outage.
 */
import { Server, ServerCredentials, type ServerDuplexStream, type ServerWritableStream } from "@grpc/grpc-js";
import {
  type AppendJournalRequest__Output,
  type AppendJournalResponse,
  type CallLease,
  type ConfirmCallRequest__Output,
  type ConnectNodeRequest__Output,
  type ConnectNodeResponse,
  type PlaceCallRequest__Output,
  type ReadJournalRequest__Output,
  type WatchTenantsRequest__Output,
  type WatchTenantsResponse,
  services,
} from "#proto";
import { LumentraError } from "#runtime/errors";
import { toDuration, toStatus } from "#runtime/rpc";
import { type JournalEvent, journalEventFromProto, journalEventToProto } from "#actors/journal";
import { type TenantConfig, tenantToProto } from "#actors/tenants";

type Unary<Request> = (
  call: { readonly request: Request },
  answer: (error: object | null, value?: object) => void,
) => void;

export interface FakeLease {
  readonly callId: string;
  epoch: number;
  nodeId: string;
  readonly tenantId: string;
  readonly carrier: string;
  readonly carrierCallId: string;
  readonly pii: { readonly from: string; readonly to: string };
  live: boolean;
}

export class FakeControlPlane {
  readonly journals = new Map<string, JournalEvent[]>();
  readonly leases = new Map<string, FakeLease>();
  readonly tenants = new Map<string, TenantConfig>();
  /** By node id; media URLs of those that said hello. */
  readonly nodes = new Map<
    string,
    {
      readonly mediaUrl: string;
      stream: ServerDuplexStream<ConnectNodeRequest__Output, ConnectNodeResponse> | null;
      draining: boolean;
    }
  >();
  /** Node ids of those that said in their hello that they are ready. */
  readonly readyAtHello = new Set<string>();
  /** Acknowledged in an earlier batch and sent again. */
  repeatedEvents = 0;
  /** What appending answers next, instead of storing. */
  readonly appendErrors: string[] = [];
  /** Events that it cannot store. */
  isPoison: (event: JournalEvent) => boolean = () => false;
  mediaTokenKeys: Buffer[] = [Buffer.alloc(32, 5)];
  /** Where the next calls go; null: where the asker prefers. */
  placeOn: string | null = null;
  placeDelay: Promise<void> | null = null;
  /** Nodes' hellos are heard, and welcomed once this resolves. */
  welcomeDelay: Promise<void> | null = null;
  readonly #watchers = new Set<ServerWritableStream<WatchTenantsRequest__Output, WatchTenantsResponse>>();
  #server: Server | null = null;
  #port = 0;
  #callCount = 0;
  #change = 1;

  get target(): string {
    return `127.0.0.1:${this.#port}`;
  }

  /** On the port it had before, if it had one. */
  async start(): Promise<void> {
    const server = new Server();
    const unary =
      <Request>(handle: (request: Request) => object | Promise<object>): Unary<Request> =>
      (call, answer) => {
        Promise.resolve()
          .then(() => handle(call.request))
          .then(
            (value) => answer(null, value),
            (error: unknown) => answer(toStatus(error, "test")),
          );
      };
    const refuse = (): never => {
      throw new LumentraError("NOT_FOUND", "not in this fixture");
    };
    server.addService(services.NodeService.service, {
      registerNode: unary(() => ({ credential: "credential", expireTime: null, config: this.#config() })),
      connectNode: (stream: ServerDuplexStream<ConnectNodeRequest__Output, ConnectNodeResponse>) =>
        this.#connectNode(stream),
      fetchTenantSecrets: unary(refuse),
      listNodes: unary(refuse),
      getNode: unary(refuse),
      drainNode: unary(refuse),
      undrainNode: unary(refuse),
    });
    server.addService(services.PlacementService.service, {
      placeCall: unary((request: PlaceCallRequest__Output) => this.#place(request)),
      confirmCall: unary((request: ConfirmCallRequest__Output) => this.#confirm(request)),
      releaseCall: unary(({ callId, epoch }: { callId: string; epoch: number }) => {
        const lease = this.leases.get(callId);
        const released = lease?.epoch === epoch && this.leases.delete(callId);
        return { released };
      }),
      lookUpCall: unary(refuse),
    });
    server.addService(services.JournalService.service, {
      appendJournal: (stream: ServerDuplexStream<AppendJournalRequest__Output, AppendJournalResponse>) => {
        stream.on("data", (batch: AppendJournalRequest__Output) => stream.write(this.#append(batch)));
        stream.on("end", () => stream.end());
        stream.on("error", () => {});
      },
      readJournal: unary(({ callId, fromSequence }: ReadJournalRequest__Output) => {
        const events = this.journals.get(callId);
        if (events === undefined) throw new LumentraError("NOT_FOUND", "no such call");
        const page = events.slice(fromSequence, fromSequence + 5);
        return { events: page.map(journalEventToProto), more: fromSequence + 5 < events.length };
      }),
    });
    server.addService(services.TenantService.service, {
      ...Object.fromEntries(
        Object.keys(services.TenantService.service).map((name) => [
          name[0]!.toLowerCase() + name.slice(1),
          unary(refuse),
        ]),
      ),
      watchTenants: (stream: ServerWritableStream<WatchTenantsRequest__Output, WatchTenantsResponse>) =>
        this.#watch(stream),
    });
    this.#server = server;
    this.#port = await new Promise((resolve, reject) => {
      server.bindAsync(`127.0.0.1:${this.#port}`, ServerCredentials.createInsecure(), (error, port) =>
        error === null ? resolve(port) : reject(error),
      );
    });
  }

  /** As kill -9 does: connections break. */
  stop(): void {
    this.#server?.forceShutdown();
    this.#server = null;
    for (const node of this.nodes.values()) node.stream = null;
    this.#watchers.clear();
  }

  setTenant(config: TenantConfig): void {
    this.tenants.set(config.id, config);
    this.#change += 1;
    for (const watcher of this.#watchers) watcher.write(this.#changed(config));
  }

  deleteTenant(id: string): void {
    this.tenants.delete(id);
    this.#change += 1;
    for (const watcher of this.#watchers) {
      watcher.write({ resumeToken: String(this.#change), deleted: id });
    }
  }

  command(nodeId: string, message: ConnectNodeResponse): void {
    this.nodes.get(nodeId)!.stream!.write(message);
  }

  /** Another owner takes the call over. */
  moveLease(callId: string, nodeId: string): FakeLease {
    const lease = this.leases.get(callId)!;
    lease.epoch += 1;
    lease.nodeId = nodeId;
    return lease;
  }

  #connectNode(stream: ServerDuplexStream<ConnectNodeRequest__Output, ConnectNodeResponse>): void {
    let nodeId = "";
    stream.on("error", () => {});
    stream.on("end", () => stream.end());
    stream.on("data", (message: ConnectNodeRequest__Output) => {
      if (message.hello) {
        const { mediaUrl } = message.hello;
        nodeId = message.hello.region; // the credential names the node; here the region does
        if (message.hello.report?.ready === true) this.readyAtHello.add(nodeId);
        const draining = this.nodes.get(nodeId)?.draining ?? false;
        this.nodes.set(nodeId, { mediaUrl, stream, draining });
        const welcome = { config: this.#config(), draining, controlPlaneId: "fake" };
        if (this.welcomeDelay === null) stream.write({ welcome });
        else void this.welcomeDelay.then(() => stream.write({ welcome }));
      }
      for (const { callId, epoch, carrier, carrierCallId, tenantId, live } of message.leases?.leases ?? []) {
        const lease = this.leases.get(callId);
        if (lease === undefined) {
          const pii = { from: "", to: "" };
          this.leases.set(callId, { callId, epoch, nodeId, tenantId, carrier, carrierCallId, pii, live });
        } else if (lease.epoch > epoch) stream.write({ leaseLost: { callId, epoch: lease.epoch } });
      }
    });
  }

  async #place(request: PlaceCallRequest__Output): Promise<object> {
    await this.placeDelay;
    const { resume, callId: given, carrier, carrierCallId, tenantId, preferredNodeId } = request;
    const nodeId = this.placeOn ?? preferredNodeId;
    const known = [...this.leases.values()].find((lease) => lease.carrierCallId === carrierCallId);
    const mediaUrl = this.nodes.get(nodeId)?.mediaUrl ?? "";
    if (resume) {
      const journal = this.journals.get(given);
      if (journal?.at(-1)?.kind === "callEnded") throw new LumentraError("CALL_ENDED", "it is over");
      const old = this.leases.get(given) ?? known;
      const epoch = Math.max(Date.now(), (old?.epoch ?? journal?.at(-1)?.epoch ?? 0) + 1);
      const lease = { ...this.#lease(given, epoch, nodeId, request), live: false };
      this.leases.set(given, lease);
      return { callId: given, epoch, nodeId, mediaUrl, resumed: true };
    }
    if (known !== undefined) {
      return { callId: known.callId, epoch: known.epoch, nodeId: known.nodeId, mediaUrl, resumed: false };
    }
    const callId = `remote-${++this.#callCount}-${carrier}`;
    const epoch = Date.now();
    this.leases.set(callId, this.#lease(callId, epoch, nodeId, { ...request, tenantId }));
    return { callId, epoch, nodeId, mediaUrl, resumed: false };
  }

  #config() {
    const [reportInterval, leaseTime] = [toDuration(100), toDuration(5_000)];
    return { reportInterval, leaseTime, mediaTokenKeys: this.mediaTokenKeys };
  }

  #lease(callId: string, epoch: number, nodeId: string, request: PlaceCallRequest__Output): FakeLease {
    const { tenantId, carrier, carrierCallId } = request;
    const pii = { from: request.pii?.from ?? "", to: request.pii?.to ?? "" };
    return { callId, epoch, nodeId, tenantId, carrier, carrierCallId, pii, live: false };
  }

  #confirm({ callId, epoch }: ConfirmCallRequest__Output): object {
    const lease = this.leases.get(callId);
    if (lease === undefined) throw new LumentraError("NOT_FOUND", "no such call");
    if (epoch !== 0 && epoch !== lease.epoch) throw new LumentraError("CALL_LEASE_LOST", "another's");
    lease.live = true;
    const resumed = this.journals.has(callId);
    return { lease: lease satisfies CallLease, pii: lease.pii, resumed, leaseTime: toDuration(5_000) };
  }

  #append({ batchId, callId, epoch, events }: AppendJournalRequest__Output): AppendJournalResponse {
    const journal = this.journals.get(callId) ?? [];
    const refused = (errorCode: string) => ({ batchId, nextSequence: journal.length, errorCode });
    const scripted = this.appendErrors.shift();
    if (scripted !== undefined && scripted !== "") return refused(scripted);
    const fresh = events.map(journalEventFromProto).filter(({ sequence }) => sequence >= journal.length);
    if (fresh.some(this.isPoison)) return refused("JOURNAL_EVENT_INVALID");
    this.repeatedEvents += events.length - fresh.length;
    if (fresh.length > 0) {
      const last = journal.at(-1);
      if (last !== undefined && last.epoch > epoch) return refused("CALL_LEASE_LOST");
      if ((this.leases.get(callId)?.epoch ?? 0) > epoch) return refused("CALL_LEASE_LOST");
      if (fresh[0]!.sequence > journal.length) return refused("JOURNAL_GAP");
      if (last?.kind === "callEnded") return refused("CALL_ENDED");
      journal.push(...fresh);
      this.journals.set(callId, journal);
    }
    return { batchId, nextSequence: journal.length, errorCode: "" };
  }

  #watch(stream: ServerWritableStream<WatchTenantsRequest__Output, WatchTenantsResponse>): void {
    for (const config of this.tenants.values()) stream.write(this.#changed(config));
    stream.write({ resumeToken: String(this.#change), synced: {} });
    this.#watchers.add(stream);
    stream.on("close", () => this.#watchers.delete(stream));
    stream.on("error", () => {});
  }

  #changed(config: TenantConfig): WatchTenantsResponse {
    const snapshot = {
      config,
      resellerId: "reseller",
      version: 1,
      suspended: config.instructions === "suspended",
    };
    return { resumeToken: String(this.#change), changed: tenantToProto(snapshot) };
  }
}
