/** The comparison as an SVG: a panel a figure, a bar an agent and condition. It stands alone, in light and dark. */
import { shown } from "#bench/load";
import { AGENT_TITLES, spreadOf } from "./comparison.js";
import type { SideBySide } from "./side-by-side.js";
import type { AgentName } from "./subjects.js";

interface Bar {
  readonly agent: AgentName;
  readonly blocked: boolean;
}

const CALM: readonly Bar[] = [
  { agent: "plain", blocked: false },
  { agent: "node-1", blocked: false },
];
const BOTH: readonly Bar[] = [
  ...CALM,
  { agent: "plain", blocked: true },
  { agent: "node-1", blocked: true },
  { agent: "node-2", blocked: true },
];

const PANELS: readonly { readonly figure: string; readonly title: string; readonly bars: readonly Bar[] }[] =
  [
    { figure: "calls within objective", title: "calls within objective", bars: BOTH },
    { figure: "turns within objective", title: "turns within objective", bars: BOTH },
    { figure: "added p50", title: "added delay, p50", bars: BOTH },
    { figure: "added p99", title: "added delay, p99", bars: BOTH },
    { figure: "node CPU per call and second", title: "CPU per call and second", bars: CALM },
    { figure: "node memory per call", title: "memory per call", bars: CALM },
  ];

const WIDTH = 860;
const MARGIN = 24;
const GAP = 32;
const PANEL_WIDTH = (WIDTH - 2 * MARGIN - GAP) / 2;
const LABEL_WIDTH = 172;
const VALUE_WIDTH = 64;
const BAR_WIDTH = PANEL_WIDTH - LABEL_WIDTH - VALUE_WIDTH;
const ROW_HEIGHT = 20;
const HEAD_HEIGHT = 26;
const TOP = 58;

const STYLE = `text{font:12px system-ui,sans-serif;fill:#1b1f24}.t{font-size:15px;font-weight:600}.h{font-weight:600}.d{fill:#626c78}
.plain{fill:#c96a1f}.node{fill:#3564c9}.blocked{opacity:.6}rect.ground{fill:#fff}
@media(prefers-color-scheme:dark){text{fill:#e6e9ee}.d{fill:#98a2b0}.plain{fill:#f0a35c}.node{fill:#7ea6ff}rect.ground{fill:#14171c}}`;

export function renderComparison(sides: SideBySide): string {
  const panels: string[] = [];
  let y = TOP;
  for (let at = 0; at < PANELS.length; at += 2) {
    const pair = PANELS.slice(at, at + 2);
    pair.forEach((panel, column) => {
      panels.push(panelOf(sides, panel, MARGIN + column * (PANEL_WIDTH + GAP), y));
    });
    y += HEAD_HEIGHT + Math.max(...pair.map(({ bars }) => bars.length)) * ROW_HEIGHT + 14;
  }
  const title = `Side by side: ${sides.calls} calls, ${sides.mix}, ${sides.seconds} s, ${sides.rounds} ${sides.rounds === 1 ? "round" : "rounds"}`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" role="img" aria-label="${title}">
<style>${STYLE}</style>
<rect class="ground" width="${WIDTH}" height="${y}" rx="8"/>
<text class="t" x="${MARGIN}" y="28">${title}</text>
<text class="d" x="${MARGIN}" y="46">blocked: one more call holds its thread for 300 ms every 2 s; figures are of the others</text>
${panels.join("\n")}
</svg>
`;
}

function panelOf(sides: SideBySide, panel: (typeof PANELS)[number], x: number, y: number): string {
  const bars = panel.bars.map((bar) => ({
    bar,
    spread: spreadOf(sides, bar.agent, bar.blocked, panel.figure),
  }));
  const most = Math.max(...bars.map(({ spread }) => spread?.median ?? 0), Number.MIN_VALUE);
  const rows = bars.map(({ bar, spread }, index) => {
    const top = y + HEAD_HEIGHT + index * ROW_HEIGHT;
    const width = Math.max(1, ((spread?.median ?? 0) / most) * BAR_WIDTH);
    const kind = `${bar.agent === "plain" ? "plain" : "node"}${bar.blocked ? " blocked" : ""}`;
    const label = `${AGENT_TITLES[bar.agent]}${bar.blocked ? ", blocked" : ""}`;
    const value = spread === null ? "–" : `${shown(spread.median)} ${spread.unit}`;
    return `<text class="d" x="${x}" y="${top + 11}">${label}</text><rect class="${kind}" x="${x + LABEL_WIDTH}" y="${top}" width="${width.toFixed(1)}" height="14" rx="2"/><text x="${(x + LABEL_WIDTH + width + 5).toFixed(1)}" y="${top + 11}">${value}</text>`;
  });
  return `<text class="h" x="${x}" y="${y + 12}">${panel.title}</text>${rows.join("")}`;
}
