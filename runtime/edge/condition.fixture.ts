/** Something that changes, and tests that wait for it to have become so. */
export class Condition {
  #waiters: { readonly holds: () => boolean; readonly resolve: () => void }[] = [];

  changed(): void {
    const waiting = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiting) {
      if (waiter.holds()) waiter.resolve();
      else this.#waiters.push(waiter);
    }
  }

  async until(holds: () => boolean): Promise<void> {
    if (holds()) return;
    await new Promise<void>((resolve) => {
      this.#waiters.push({ holds, resolve });
    });
  }
}
