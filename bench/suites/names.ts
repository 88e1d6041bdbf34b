/** The suites by the names that `npm run bench -- NAME` takes, for a parser that loads none of them. */
export const SUITE_NAMES = ["control", "edge", "memory", "rings", "codec", "vad", "placement"] as const;
export type SuiteName = (typeof SUITE_NAMES)[number];
