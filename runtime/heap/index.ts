/**
 * How much garbage V8 may hold.
 *
 * ```ts
 * keepYoungHeapsSmall(); // first of all, and again when a thread has begun
 * ```
 */
export { keepYoungHeapsSmall } from "./young-heaps.js";
