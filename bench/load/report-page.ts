/** How a report looks, and the script that draws its charts; both are written into the page as they stand. */
import { PALETTE } from "#bench/report";

export const PAGE_STYLE = `
:root { ${variables(PALETTE.light)} }
@media (prefers-color-scheme: dark) { :root { ${variables(PALETTE.dark)} } }
* { box-sizing:border-box }
body { margin:0; background:var(--ground); color:var(--ink); font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif }
header,main { max-width:1180px; margin:0 auto; padding:0 20px }
header { padding-top:28px }
h1 { font-size:26px; margin:0; letter-spacing:-.01em } h1 span { color:var(--dim); font-weight:400 }
h2 { font-size:17px; margin:32px 0 10px }
header p { color:var(--dim); margin:4px 0 } .verdict { font-weight:600 } .verdict.good { color:var(--good) } .verdict.bad,.verdict .bad { color:var(--bad) }
.tiles { display:grid; grid-template-columns:repeat(auto-fit,minmax(128px,1fr)); gap:12px; margin-top:20px }
.tile,.chart { background:var(--card); border:1px solid var(--line); border-radius:10px; padding:12px 14px }
.tile b { display:block; font-size:23px; font-variant-numeric:tabular-nums } .tile small { font-size:13px; color:var(--dim); font-weight:400 }
.tile span { color:var(--dim); font-size:13px } .tile i { display:block; font-style:normal; font-size:12.5px; color:var(--good) } .tile i.missed { color:var(--bad) }
#charts { display:grid; grid-template-columns:repeat(auto-fit,minmax(min(480px,100%),1fr)); gap:14px; margin-top:14px }
.chart { min-width:0; overflow:hidden } .chart h3 { margin:0; font-size:14px } .chart p { margin:0 0 6px; color:var(--dim); font-size:12.5px }
.u-legend { font-size:12px; color:var(--dim); text-align:left } .u-legend .u-marker { border-radius:2px }
.scroll { overflow-x:auto; background:var(--card); border:1px solid var(--line); border-radius:10px }
table { border-collapse:collapse; width:100%; font-variant-numeric:tabular-nums } th,td { text-align:left; padding:6px 14px; border-top:1px solid var(--line); white-space:nowrap }
.uplot table { width:auto } .uplot th, .uplot td { border:0; padding:1px 6px }
thead th { border-top:0; color:var(--dim); font-weight:500; font-size:13px } .n { text-align:right }
tr.better td:last-child, tr.flat td:last-child { color:var(--good) } tr.worse td:last-child, tr.leaks td:last-child { color:var(--bad) }
@media (max-width: 600px) { .scroll td:first-child { white-space:normal; min-width:150px } .scroll th,.scroll td { padding:6px 8px } }
.hint { color:var(--dim); font-size:13px; margin:18px 0 -4px }
ul { padding-left:20px } main { padding-bottom:48px }
`;

export const PAGE_SCRIPT = `
const W = DATA.windows, lastS = W.length > 0 ? W[W.length - 1].atS : 0;
// Of a long run in minutes, of a soak in hours.
const [unit, unitS] = lastS <= 600 ? ["s", 1] : lastS <= 3 * 3600 ? ["min", 60] : ["h", 3600];
const xs = W.map((w) => w.atS / unitS);
const pick = (f) => W.map((w) => { const v = f(w); return v === undefined ? null : v; });
const perCall = (f) => pick((w) => w.up > 0 && f(w) !== null ? f(w) * 1000 / w.up : null);
const p = (key, q) => pick((w) => w[key] && w[key][q]);
const shards = Math.max(0, ...W.map((w) => w.shardCores.length));
const isDoor = DATA.ratePerSecond !== undefined;
// A goal is a dashed line in the colour of the series it is for, which is the first unless it is named.
const G = (figure, label) => DATA.goals[figure] === undefined ? [] : [[DATA.goals[figure], label]];
const CHARTS = [
  ["Answers, ms", "from the instant a request was due", [["p50", p("answerMs","p50")], ["p95", p("answerMs","p95")], ["p99", p("answerMs","p99")]]],
  ["CPU, cores", "of what answers, and of what asks", isDoor ? [["what answers", pick((w) => w.nodeCores)], ["of it the main thread", pick((w) => w.edgeCores)], ["the generator", pick((w) => w.generatorCores)]] : []],
  ["Voice to voice, ms", "from the caller's last sample to the reply's first", [["p50", p("voiceToVoiceMs","p50")], ["p95", p("voiceToVoiceMs","p95")], ["p99", p("voiceToVoiceMs","p99")]], [...G("voice to voice p50", "p50"), ...G("voice to voice p95", "p95")]],
  ["Added by the node, ms", "voice to voice less what the providers took and the tools were late", [["p50", p("addedMs","p50")], ["p95", p("addedMs","p95")], ["p99", p("addedMs","p99")]], [...G("added p50", "p50"), ...G("added p99", "p99")]],
  ["Calls up", "as the callers see it; the node's own count beside it", [["up", pick((w) => isDoor ? null : w.up)], ["node", pick((w) => w.nodeCalls)]]],
  ["CPU per call, ms a second", "of the node, and of what drives it", [["node", perCall((w) => w.nodeCores)], ["callers", perCall((w) => w.generatorCores)], ["emulators", perCall((w) => w.emulatorCores)]], G("node CPU per call and second", "node")],
  ["CPU by thread, cores", "one is a whole core: what reaches it is the wall", isDoor ? [] : [["edge", pick((w) => w.edgeCores)], ...Array.from({ length: shards }, (_, i) => ["shard " + i, pick((w) => w.shardCores[i])])]],
  ["Memory of the node, MiB", "resident", [["RSS", pick((w) => w.nodeRssMiB)]]],
  ["Event loops late, ms", "p99 of each window", [["edge", pick((w) => w.edgeLoopP99Ms)], ["worst thread", pick((w) => w.worstLoopP99Ms)]]],
  ["Pacing error, ms", "p99 of each window, bound of the node's bucket", [["p99", pick((w) => w.pacingP99Ms)]], G("pacing error p99, at most", "p99")],
  ["The generator itself late, ms", "p99 of its frames: what it cannot keep up with is not the node's", isDoor ? [] : [["p99", pick((w) => w.generatorLateP99Ms)]]],
  ["What went wrong", "in each window", isDoor ? [] : [["refused", pick((w) => w.refused)], ["failed", pick((w) => w.failed)], ["wrong turns", pick((w) => w.wrong)], ["drops", pick((w) => w.drops)], ["underruns", pick((w) => w.underruns)]]],
];
const root = document.getElementById("charts");
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const number = (v) => v == null ? "–" : v.toLocaleString("en", Math.abs(v) >= 100 ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: 3 });
let drawn = [];
/** Where measuring begins, if calls came before. */
const steady = W.findIndex((w) => w.phase === "steady");
const steadyAt = steady > 0 ? (W[steady - 1].atS) / unitS : null;
function lines(goals, labels) {
  return (u) => {
    const { ctx, bbox } = u, ratio = devicePixelRatio;
    ctx.save(); ctx.lineWidth = ratio; ctx.setLineDash([5 * ratio, 4 * ratio]);
    const line = (colour, x0, y0, x1, y1) => { ctx.strokeStyle = colour; ctx.beginPath(); ctx.moveTo(x0, y0); ctx.lineTo(x1, y1); ctx.stroke(); };
    for (const [most, label] of goals) {
      const y = Math.round(u.valToPos(most, "y", true));
      line(css("--c" + Math.max(0, labels.indexOf(label)) % 5), bbox.left, y, bbox.left + bbox.width, y);
    }
    if (steadyAt !== null) { const x = Math.round(u.valToPos(steadyAt, "x", true)); line(css("--dim"), x, bbox.top, x, bbox.top + bbox.height); }
    ctx.restore();
  };
}
function draw() {
  for (const plot of drawn) plot.destroy();
  root.textContent = ""; drawn = [];
  const boxes = CHARTS.map(([title, what, series, goals = []]) => {
    const known = series.filter(([, ys]) => ys.some((y) => y !== null));
    if (known.length === 0) return null;
    const box = document.createElement("div"); box.className = "chart"; box.setAttribute("role", "figure"); box.setAttribute("aria-label", title + ", " + what);
    const h = document.createElement("h3"); h.textContent = title;
    const sub = document.createElement("p"); sub.textContent = what + (goals.length === 0 ? "" : "; goal: " + goals.map(([most, label]) => (goals.length > 1 ? label + " " : "") + number(most)).join(", "));
    box.append(h, sub); root.append(box);
    return [box, known, goals];
  });
  // Once all stand: the first would be as wide as the page.
  for (const [box, known, goals] of boxes.filter(Boolean)) {
    const highest = Math.max(0, ...goals.map(([most]) => most));
    const axis = { stroke: css("--dim"), grid: { stroke: css("--line"), width: 1 }, ticks: { stroke: css("--line"), width: 1 }, font: "11px system-ui" };
    drawn.push(new uPlot({
      width: box.clientWidth - 28, height: 200, cursor: { sync: { key: "load" } },
      scales: { x: { time: false }, y: { range: (u, lo, hi) => [Math.min(0, lo ?? 0), Math.max(hi ?? 0, highest) * 1.08 || 1] } },
      hooks: { draw: [lines(goals, known.map(([label]) => label))] },
      axes: [{ ...axis, size: 34, values: (u, vs) => vs.map((v) => number(v) + " " + unit) }, { ...axis, size: 52, values: (u, vs) => vs.map(number) }],
      series: [{ label: "at", value: (u, v) => v == null ? "–" : number(v) + " " + unit }, ...known.map(([label], i) => ({ label, stroke: css("--c" + i % 5), width: 1.6, spanGaps: true, points: { show: xs.length < 40, size: 4 }, value: (u, v) => number(v) }))],
    }, [xs, ...known.map(([, ys]) => ys)], box));
  }
}
draw();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
let resizing; addEventListener("resize", () => { clearTimeout(resizing); resizing = setTimeout(draw, 150); });
`;

function variables(colours: Readonly<Record<string, string>>): string {
  return Object.entries(colours)
    .map(([name, colour]) => `--${name}:${colour};`)
    .join(" ");
}
