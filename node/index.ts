/**
 * The composition root: a media node from settings.
 *
 * ```ts
 * const node = await startNode(resolveSettings(process.env));
 * await node.drain(60_000);
 * await node.close();
 * ```
 */
export { type RunningNode, startNode } from "./node.js";
export { PROVIDER_ACCOUNTS, type ProviderAccount } from "./provider-accounts.js";
export { accountsNotSetUp, providerSettings, variablesOf } from "./provider-settings.js";
export { runNode } from "./run.js";
export { type Environment, type Settings, resolveSettings, settingsSchema } from "./settings.js";
export { ApologyStore } from "./apologies.js";
export { LocalPlacement } from "./control/placement.js";
export { RemotePlacement } from "./control/remote-placement.js";
export { JournalStore } from "./journal-store.js";
export { Switchboard, type SwitchboardDeps } from "./switchboard.js";
