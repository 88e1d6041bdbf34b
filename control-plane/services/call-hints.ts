/**
 * "Something happened to this call", from the control plane that stored it to all that have watchers: on
 * `calls:<tenant>` for those who watch a call or a tenant, on `calls` for those who watch more. A hint has no word of
 * what happened; watchers read the store.
 *
 * Invariants
 * H1 Hints may be lost and may come twice: nothing rests on them but how soon a watcher looks.
 * H2 A topic is subscribed once per control plane while somebody listens, and the listeners here hear of what was stored
 *    here without the way over the directory.
 */
import type { Logger } from "#runtime/telemetry";
import type { Directory } from "../directory/directory.js";
import type { CallRow } from "../store/store.js";

export interface CallHint {
  readonly callId: string;
  readonly tenantId: string;
  readonly resellerId: string;
  /** Events stored. */
  readonly nextSequence: number;
}

type Listener = (hint: CallHint) => void;

interface Topic {
  readonly listeners: Set<Listener>;
  /** Null: the directory was away; the next who listens tries again. */
  subscribed: Promise<() => void> | null;
}

export class CallHints {
  readonly #directory: Directory;
  readonly #controlPlaneId: string;
  readonly #log: Logger;
  readonly #topics = new Map<string, Topic>();
  #isMute = false;

  constructor(options: {
    readonly directory: Directory;
    readonly controlPlaneId: string;
    readonly log: Logger;
  }) {
    this.#directory = options.directory;
    this.#controlPlaneId = options.controlPlaneId;
    this.#log = options.log;
  }

  /** A call's row or journal changed in the store. */
  announce({ id: callId, tenantId, resellerId, nextSequence }: CallRow): void {
    const hint: CallHint = { callId, tenantId, resellerId, nextSequence };
    const message = JSON.stringify({ ...hint, from: this.#controlPlaneId });
    for (const topic of [tenantTopic(tenantId), ALL_CALLS]) {
      this.#hear(topic, hint); // H2
      this.#directory.publish(topic, message).then(
        () => {
          this.#isMute = false;
        },
        (error: unknown) => {
          if (!this.#isMute)
            this.#log.warn({ error }, "watchers elsewhere are not told of calls; they look by themselves");
          this.#isMute = true;
        },
      );
    }
  }

  /** While the directory cannot be subscribed to, only what happens here is heard (H1). */
  async listen(tenantId: string | null, listener: Listener): Promise<() => void> {
    const name = tenantId === null ? ALL_CALLS : tenantTopic(tenantId);
    const topic: Topic = this.#topics.get(name) ?? { listeners: new Set(), subscribed: null };
    this.#topics.set(name, topic);
    topic.subscribed ??= this.#subscribe(name, topic);
    // A wrapper, so that one function given twice hears twice.
    const own: Listener = (hint) => listener(hint);
    topic.listeners.add(own);
    await topic.subscribed;
    return () => {
      topic.listeners.delete(own);
      if (topic.listeners.size > 0 || this.#topics.get(name) !== topic) return;
      this.#topics.delete(name);
      void topic.subscribed?.then((unsubscribe) => unsubscribe());
    };
  }

  async #subscribe(name: string, topic: Topic): Promise<() => void> {
    try {
      return await this.#directory.subscribe(name, (message) => {
        const { from, ...hint } = JSON.parse(message) as CallHint & { from: string };
        if (from !== this.#controlPlaneId) this.#hear(name, hint);
      });
    } catch (error) {
      this.#log.warn({ error }, "calls stored elsewhere are not heard of; watchers look by themselves");
      topic.subscribed = null;
      return () => {};
    }
  }

  #hear(name: string, hint: CallHint): void {
    for (const listener of this.#topics.get(name)?.listeners ?? []) listener(hint);
  }
}

const ALL_CALLS = "calls";

function tenantTopic(tenantId: string): string {
  return `calls:${tenantId}`;
}
