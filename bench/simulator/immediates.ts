/**
 * Immediates of a world, kept apart from the process's: while one runs, whatever calls `setImmediate` waits here for the
 * world to take it on. A turn of the real event loop costs more than what most timers of a call do.
 */
type Callback = (...parameters: unknown[]) => void;

class WorldImmediate {
  callback: Callback | null;
  readonly parameters: readonly unknown[];

  constructor(callback: Callback, parameters: readonly unknown[]) {
    this.callback = callback;
    this.parameters = parameters;
  }

  hasRef(): boolean {
    return true;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }
}

/**
 * What Node does between two timers: promises and `nextTick`s until none can go on. Awaiting a tick does the same from
 * inside a promise, at 450 ns in place of 60, and a world of ten calls has some ten thousand timers.
 */
const { _tickCallback: runPromises } = process as unknown as { readonly _tickCallback: () => void };

const { setImmediate: setReal, clearImmediate: clearReal } = globalThis;
let worldCount = 0;
let waiting: WorldImmediate[] = [];

function setInWorld(callback: Callback, ...parameters: unknown[]): unknown {
  if (worldCount === 0) return setReal(callback, ...parameters);
  const immediate = new WorldImmediate(callback, parameters);
  waiting.push(immediate);
  return immediate;
}

function clearInWorld(handle: NodeJS.Immediate | WorldImmediate | undefined): void {
  if (handle instanceof WorldImmediate) handle.callback = null;
  else clearReal(handle);
}

/** Until `leaveWorld`. What others of the process set meanwhile runs with the world's. */
export function enterWorld(): void {
  worldCount += 1;
  Object.assign(globalThis, {
    setImmediate: Object.assign(setInWorld, setReal),
    clearImmediate: clearInWorld,
  });
}

export function leaveWorld(): void {
  worldCount -= 1;
  if (worldCount > 0) return;
  Object.assign(globalThis, { setImmediate: setReal, clearImmediate: clearReal });
  for (const { callback, parameters } of waiting.splice(0))
    if (callback !== null) setReal(callback, ...parameters);
}

/**
 * Every promise that can go on, and every immediate, in the order of the event loop. From a callback of the real loop
 * alone: where a promise goes on already, none other can.
 */
export function runImmediates(): void {
  runPromises();
  while (waiting.length > 0) {
    const turn = waiting;
    waiting = [];
    for (const { callback, parameters } of turn) {
      if (callback === null) continue;
      callback(...parameters);
      runPromises();
    }
  }
}

/** `body` runs in a turn of the process's loop of its own: what takes real time moved on before. */
export function onNextTurn(body: () => void): void {
  setReal(body);
}
