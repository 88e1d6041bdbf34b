/** Where numbers were taken: every benchmark prints it, so that a figure never travels without its machine. */
import { execFileSync } from "node:child_process";
import { cpus, totalmem } from "node:os";

export interface MachineFacts {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly node: string;
  readonly platform: string;
  /** Short hash, with `+changes` when the tree differs from it; "unknown" outside a checkout. */
  readonly commit: string;
}

export function machineFacts(): MachineFacts {
  const processors = cpus();
  return {
    cpu: processors[0]?.model.trim() ?? "unknown",
    cores: processors.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    platform: `${process.platform} ${process.arch}`,
    commit: commit(),
  };
}

export function describeMachine(facts: MachineFacts): string {
  return `${facts.cores} × ${facts.cpu}, ${facts.memoryGiB} GiB, ${facts.platform}, Node ${facts.node}, commit ${facts.commit}`;
}

function commit(): string {
  const git = (...parameters: string[]): string =>
    execFileSync("git", parameters, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  try {
    return git("rev-parse", "--short", "HEAD") + (git("status", "--porcelain") === "" ? "" : "+changes");
  } catch {
    return "unknown";
  }
}
