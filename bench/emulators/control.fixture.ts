/** Emulators, and their control endpoint as another process would use it. */
import assert from "node:assert/strict";
import type { Test } from "tap";
import type { ArmCommand } from "./control-schema.js";
import { ControlServer } from "./control-server.js";
import { type Emulators, startEmulators } from "./emulators.js";
import { EMULATOR_API_KEY, type EmulatorOptions } from "./options.js";

export const BEARER = { authorization: `Bearer ${EMULATOR_API_KEY}` };

export interface SteeredEmulators {
  readonly emulators: Emulators;
  readonly arm: (command: ArmCommand) => Promise<void>;
  readonly info: () => Promise<Readonly<Record<string, Readonly<Record<string, unknown>>>>>;
}

export async function startSteered(t: Test, options: EmulatorOptions = {}): Promise<SteeredEmulators> {
  const emulators = await startEmulators(options);
  const control = new ControlServer(emulators);
  const controlUrl = await control.listen(0);
  t.teardown(() => Promise.all([control.close(), emulators.close()]));
  return {
    emulators,
    async arm(command) {
      const request = { method: "POST", body: JSON.stringify(command) };
      const response = await fetch(`${controlUrl}/control/faults`, request);
      assert.equal(response.status, 200, await response.text());
    },
    async info() {
      const response = await fetch(`${controlUrl}/control/info`);
      return (await response.json()) as Readonly<Record<string, Readonly<Record<string, unknown>>>>;
    },
  };
}
