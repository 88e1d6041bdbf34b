/**
 * What a benchmark suite takes and gives back. A suite measures and returns; printing is its caller's, as
 * a table or as JSON.
 */
export interface SuiteOptions {
  /** How long to measure, warm-up included, shared among the rows. Tests pass a few hundredths. */
  readonly seconds: number;
  /** The caller prints JSON: a suite that shows progress keeps quiet. */
  readonly json: boolean;
}

export interface SuiteResult {
  readonly name: string;
  /** One measurement each; the keys name the columns, units last (`nsPerFrame`). */
  readonly rows: Record<string, number | string>[];
  /** What a reader must know to read the rows: conditions, checks that passed, digests. */
  readonly notes: string[];
  /** What was wrong, in words: the rows then do not count, and the run fails. */
  readonly failures?: readonly string[];
}
