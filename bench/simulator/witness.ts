/**
 * Compares, while calls run, what their owners know with what their journals say: at the end of each tick, for every call
 * that has written since (replay equals live).
 */
import { type Call, History, replayJournal } from "#actors/call";
import type { JournalEvent } from "#actors/journal";
import type { LlmMessage } from "#actors/providers";
import type { TenantConfig } from "#actors/tenants";
import type { CallStart } from "#runtime/cluster";
import type { Seams } from "./seams.js";

interface Owner {
  readonly start: CallStart;
  readonly call: Call;
  readonly events: JournalEvent[];
  isStale: boolean;
}

/** Enough to see what is wrong. */
const MISMATCHES_MAX = 3;

export class Witness {
  readonly mismatches: string[] = [];
  comparedCount = 0;
  /** By call: when something happened that its journal lacks. */
  readonly lostAtMs = new Map<string, number[]>();
  readonly #tenant: TenantConfig;
  readonly #seams: Seams;
  readonly #owners = new Map<string, Owner>();
  readonly #stale = new Set<Owner>();

  constructor(tenant: TenantConfig, seams: Seams) {
    this.#tenant = tenant;
    this.#seams = seams;
  }

  onCall(start: CallStart, call: Call): void {
    const journal = (start.resumed?.journal ?? []) as readonly JournalEvent[];
    this.#owners.set(keyOf(start.callId, start.epoch), { start, call, events: [...journal], isStale: false });
  }

  onWritten(event: JournalEvent): void {
    const owner = this.#owners.get(keyOf(event.callId, event.epoch));
    if (owner === undefined) return;
    owner.events.push(event);
    this.#stale.add(owner);
  }

  /** Its journal threw, or dropped what it did: that is not in it. */
  onJournalLost(event: JournalEvent): void {
    const known = this.lostAtMs.get(event.callId);
    if (known === undefined) this.lostAtMs.set(event.callId, [event.atMs]);
    else known.push(event.atMs);
    const owner = this.#owners.get(keyOf(event.callId, event.epoch));
    if (owner !== undefined) this.#stale.delete(owner);
    this.#owners.delete(keyOf(event.callId, event.epoch));
  }

  onTicked(): void {
    for (const owner of this.#stale) this.#compare(owner);
    this.#stale.clear();
  }

  #compare({ start, call, events: all }: Owner): void {
    if (this.mismatches.length >= MISMATCHES_MAX) return;
    this.comparedCount += 1;
    const events = this.#seams.toReplay?.(all) ?? all;
    const history = new History("system");
    const replayed = replayJournal(events, history, this.#tenant);
    const live = call.conversation;
    const open = openReplyOf(all);
    const known: LlmMessage[] = [...live.messages];
    if (open !== "") known.push({ role: "assistant", content: open });
    const expected = JSON.stringify(comparable(known));
    const found = JSON.stringify(comparable(history.messages("")));
    const where = `${start.callId} under epoch ${start.epoch}, after ${all.length} events (${all.at(-1)?.kind})`;
    if (replayed.turn !== live.turn)
      this.mismatches.push(`${where}: turn ${live.turn} replays as ${replayed.turn}`);
    // A number that is whole may stand in the journal as keys alone for a while.
    else if (!replayed.digits.endsWith(live.digits))
      this.mismatches.push(`${where}: keys "${live.digits}" replay as "${replayed.digits}"`);
    else if (expected !== found) this.mismatches.push(`${where}: ${expected} replays as ${found}`);
  }
}

/** Ids of tool calls are made up anew by whoever replays. */
function comparable(messages: readonly LlmMessage[]): unknown {
  return messages.flatMap((message): unknown[] => {
    if (message.role === "system") return [];
    if (message.role === "tool") return [{ role: "tool", content: message.content }];
    if (!("toolCalls" in message) || message.toolCalls === undefined) return [message];
    return [{ ...message, toolCalls: message.toolCalls.map((call) => ({ ...call, id: "" })) }];
  });
}

/** What was being said when the journal stops: the owner adds it to the history when it is over. */
function openReplyOf(events: readonly JournalEvent[]): string {
  let heard = "";
  for (const event of events) {
    if (event.kind === "agentProgress") heard = event.pii.heard;
    if (event.kind === "agentTurn") heard = "";
  }
  return heard;
}

function keyOf(callId: string, epoch: number): string {
  return `${callId}/${epoch}`;
}
