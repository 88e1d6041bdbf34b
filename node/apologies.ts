/**
 * What callers hear when the shard under them is gone: audio the shards have rendered ahead, by tenant, kept
 * on the main thread because it is needed just when no shard can be asked. µ-law, 8 kHz.
 */
export class ApologyStore {
  readonly #audio = new Map<string, Uint8Array>();

  /** One per tenant: bounded by the tenants file. */
  set(tenantId: string, audio: Uint8Array): void {
    this.#audio.set(tenantId, audio);
  }

  /** The tenant's own; any tenant's before none; null when nothing was ever rendered. */
  get(tenantId: string): Uint8Array | null {
    return this.#audio.get(tenantId) ?? this.#audio.values().next().value ?? null;
  }
}
