/**
 * A chart as an SVG that stands alone: ECharts draws it to a string, without a browser. It brings its own ground, so it
 * is read on a light page and on a dark one, and takes dark colours where the reader asks for them.
 *
 *   title, subtitle, warnings
 *   legend
 *   panels, in columns
 *   caption
 */
import type { EChartsOption, SeriesOption } from "echarts";
import { shown } from "#bench/load";
import { type ColourName, PALETTE } from "#bench/report";
import type { Chart, Goal, Panel, Series } from "./chart.js";
import { topOf, wrapped } from "./layout.js";

const WIDTH = 940;
const MARGIN = 24;
const TITLE_HEIGHT = 40;
const LINE_HEIGHT = 16;
const LEGEND_HEIGHT = 30;
const CAPTION_LINE_HEIGHT = 14;
/** Of a panel's plot alone; a chart of many columns has smaller ones. */
const PLOT_HEIGHT = 240;
const SMALL_PLOT_HEIGHT = 170;
const PANEL_TITLE_HEIGHT = 30;
/** For the ticks and the name of the x axis, and for those of the y axis. */
const AXIS_HEIGHT = 56;
const UNNAMED_AXIS_HEIGHT = 36;
const AXIS_WIDTH = 62;
const GUTTER = 26;
/** Of more, each point would be a blot. */
const SYMBOLS_MAX = 40;
/** What has a colour has its shape, for those who do not tell the colours apart. */
const SYMBOLS: Readonly<Partial<Record<ColourName, string>>> = {
  c0: "circle",
  c1: "rect",
  c2: "triangle",
  c3: "diamond",
  c4: "pin",
};
const FONT = "system-ui, -apple-system, Segoe UI, Roboto, Helvetica, Arial, sans-serif";
const SUBTITLE_SIZE = 12.5;
const CAPTION_SIZE = 10.5;

const { light, dark } = PALETTE;

export async function renderChart(chart: Chart): Promise<string> {
  // Here and not above: nobody else needs it, and it is large.
  const { init } = await import("echarts");
  const layout = layoutOf(chart);
  const canvas = init(null, null, { renderer: "svg", ssr: true, width: WIDTH, height: layout.height });
  try {
    canvas.setOption(optionOf(chart, layout));
    return standingAlone(canvas.renderToSVGString({ useViewBox: true }), chart);
  } finally {
    canvas.dispose();
  }
}

interface Box {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

interface Layout {
  readonly height: number;
  readonly subtitle: readonly string[];
  readonly warnings: readonly string[];
  readonly caption: readonly string[];
  readonly legendTop: number;
  readonly captionTop: number;
  readonly plots: readonly Box[];
}

function layoutOf(chart: Chart): Layout {
  const width = WIDTH - 2 * MARGIN;
  const subtitle = wrapped(chart.subtitle, width, SUBTITLE_SIZE);
  const warnings = chart.warnings.flatMap((line) => wrapped(line, width, SUBTITLE_SIZE));
  const caption = chart.caption.flatMap((line) => wrapped(line, width, CAPTION_SIZE));
  const columns = Math.min(chart.columns, chart.panels.length);
  const plotWidth = (width - columns * AXIS_WIDTH - (columns - 1) * GUTTER) / columns;
  const plotHeight = chart.columns === 3 ? SMALL_PLOT_HEIGHT : PLOT_HEIGHT;
  const legendTop = TITLE_HEIGHT + (subtitle.length + warnings.length) * LINE_HEIGHT + 12;
  const top = legendTop + LEGEND_HEIGHT;
  const isNamed = chart.panels.some(({ x }) => x.label !== "");
  const rowHeight = PANEL_TITLE_HEIGHT + plotHeight + (isNamed ? AXIS_HEIGHT : UNNAMED_AXIS_HEIGHT);
  const plots = chart.panels.map((_, at) => ({
    left: MARGIN + AXIS_WIDTH + (at % columns) * (AXIS_WIDTH + plotWidth + GUTTER),
    top: top + Math.floor(at / columns) * rowHeight + PANEL_TITLE_HEIGHT,
    width: plotWidth,
    height: plotHeight,
  }));
  const captionTop = top + Math.ceil(chart.panels.length / columns) * rowHeight + 4;
  const height = captionTop + caption.length * CAPTION_LINE_HEIGHT + 14;
  return { height, subtitle, warnings, caption, legendTop, captionTop, plots };
}

function optionOf(chart: Chart, layout: Layout): EChartsOption {
  const { panels } = chart;
  const { subtitle, warnings, caption, plots } = layout;
  const warningsTop = TITLE_HEIGHT + subtitle.length * LINE_HEIGHT;
  return {
    animation: false,
    backgroundColor: light.card,
    textStyle: { fontFamily: FONT },
    title: [
      textAt(chart.title, MARGIN, 14, { fontSize: 17, fontWeight: 600 }),
      textAt(subtitle.join("\n"), MARGIN, TITLE_HEIGHT, {
        fontSize: SUBTITLE_SIZE,
        color: light.dim,
        lineHeight: LINE_HEIGHT,
      }),
      textAt(warnings.join("\n"), MARGIN, warningsTop, {
        fontSize: SUBTITLE_SIZE,
        color: light.bad,
        lineHeight: LINE_HEIGHT,
      }),
      textAt(caption.join("\n"), MARGIN, layout.captionTop, {
        fontSize: CAPTION_SIZE,
        color: light.dim,
        lineHeight: CAPTION_LINE_HEIGHT,
      }),
      ...panels.map((panel, at) =>
        textAt(panel.title, plots[at]!.left - AXIS_WIDTH, plots[at]!.top - PANEL_TITLE_HEIGHT + 4, {
          fontSize: 13,
          fontWeight: 600,
        }),
      ),
      ...panels.flatMap(({ goals }, at) => (goals.length === 0 ? [] : [goalsText(goals, plots[at]!)])),
    ],
    legend: {
      left: MARGIN,
      top: layout.legendTop,
      itemWidth: 18,
      itemHeight: 9,
      itemGap: 26,
      padding: 0,
      selectedMode: false,
      data: [...new Set(panels.flatMap(({ series }) => series.map(({ name }) => name)))],
      textStyle: { color: light.ink, fontSize: 12 },
    },
    grid: plots.map((box) => ({ ...box, containLabel: false })),
    xAxis: panels.map((panel, at) => xAxisOf(panel, at)),
    yAxis: panels.map((panel, at) => yAxisOf(panel, at)),
    series: panels.flatMap((panel, at) => panel.series.map((_, index) => seriesOf(panel, index, at))),
  };
}

type TextStyle = {
  readonly fontSize: number;
  readonly fontWeight?: number;
  readonly color?: string;
  readonly lineHeight?: number;
};

function textAt(text: string, left: number, top: number, style: TextStyle) {
  return { text, left, top, padding: 0, textStyle: { color: light.ink, fontWeight: 400, ...style } };
}

function goalsText(goals: readonly Goal[], { left, top, width }: Box) {
  const label = `- - ${goals.map(({ label }) => label).join(", ")}`;
  return {
    ...textAt(label, left + width, top - PANEL_TITLE_HEIGHT + 5, { fontSize: 11.5, color: light.bad }),
    textAlign: "right" as const,
  };
}

function xAxisOf({ x, series }: Panel, gridIndex: number) {
  const common = {
    gridIndex,
    name: x.label,
    nameLocation: "middle" as const,
    nameGap: 30,
    nameTextStyle: { color: light.dim, fontSize: 12 },
    axisLine: { lineStyle: { color: light.dim } },
    axisTick: { show: false },
    axisLabel: { color: light.dim, fontSize: 11.5, hideOverlap: true },
    splitLine: { show: false },
  };
  if (x.categories !== undefined) return { ...common, type: "category" as const, data: [...x.categories] };
  const last = Math.max(...series.flatMap(({ points }) => points.map(([at]) => at)));
  const { interval } = topOf(last, 8);
  const isWhole = last % interval === 0;
  return {
    ...common,
    type: "value" as const,
    min: 0,
    max: last,
    interval,
    axisLabel: { ...common.axisLabel, showMaxLabel: isWhole, formatter: ticks },
  };
}

function yAxisOf(panel: Panel, gridIndex: number) {
  const highest = Math.max(highestOf(panel), ...panel.goals.map(({ value }) => value));
  // Some room above what is highest, for its label.
  const { top, interval } = topOf(panel.y.most ?? highest * 1.06);
  // Where there cannot be more, the room is above the axis' last step.
  const isFull = panel.y.most !== undefined && highest * 1.06 > top;
  return {
    gridIndex,
    type: "value" as const,
    name: panel.y.label,
    nameLocation: "middle" as const,
    nameGap: 44,
    nameTextStyle: { color: light.dim, fontSize: 12 },
    min: 0,
    max: isFull ? top * 1.1 : top,
    interval,
    axisLine: { show: false },
    axisTick: { show: false },
    axisLabel: {
      color: light.dim,
      fontSize: 11.5,
      formatter: ticks,
      ...(isFull && { showMaxLabel: false }),
    },
    splitLine: { lineStyle: { color: light.line }, showMaxLine: !isFull },
  };
}

/** Bars of a stack stand on each other. */
function highestOf({ series }: Panel): number {
  let highest = 0;
  const stacks = new Map<string, number>();
  for (const { stack, points } of series) {
    for (const [x, y] of points) {
      const place = stack === undefined ? null : `${stack} ${x}`;
      const below = place === null ? 0 : (stacks.get(place) ?? 0);
      const height = below + (y ?? 0);
      if (place !== null) stacks.set(place, height);
      highest = Math.max(highest, height);
    }
  }
  return highest;
}

function seriesOf(panel: Panel, index: number, at: number): SeriesOption {
  const series = panel.series[index]!;
  const color = light[series.colour];
  const marks = index === 0 ? marksOf(panel) : {};
  const common = { name: series.name, xAxisIndex: at, yAxisIndex: at, silent: true, ...marks };
  const data = series.points.map(([x, y]) => [x, y]);
  if (series.kind === "bar") {
    return {
      ...common,
      type: "bar",
      ...(series.stack !== undefined && { stack: series.stack }),
      data,
      barMaxWidth: 46,
      itemStyle: { color },
      label: barLabel(panel, series),
    } as SeriesOption;
  }
  const isTrend = series.kind === "trend";
  return {
    ...common,
    type: "line",
    data,
    connectNulls: true,
    showSymbol: !isTrend && data.length <= SYMBOLS_MAX,
    symbol: isTrend ? "none" : (SYMBOLS[series.colour] ?? "circle"),
    symbolSize: 6,
    itemStyle: { color },
    lineStyle: { color, width: isTrend ? 2.5 : 1.8, type: isTrend ? "dashed" : "solid" },
  } as SeriesOption;
}

/** A bar tells its value, a stack the sum of what stands in it, at its uppermost. */
function barLabel({ series: all }: Panel, series: Series) {
  const mates = series.stack === undefined ? [series] : all.filter(({ stack }) => stack === series.stack);
  const above = mates.slice(mates.indexOf(series) + 1);
  return {
    show: true,
    position: "top",
    distance: 3,
    color: light.ink,
    fontSize: 11,
    formatter: ({ dataIndex }: { readonly dataIndex: number }): string => {
      const valueOf = ({ points }: Series): number | null => points[dataIndex]?.[1] ?? null;
      if (valueOf(series) === null || above.some((mate) => valueOf(mate) !== null)) return "";
      return shown(mates.reduce((sum, mate) => sum + (valueOf(mate) ?? 0), 0));
    },
  };
}

function marksOf({ goals, aside }: Panel) {
  return {
    ...(goals.length > 0 && {
      markLine: {
        silent: true,
        symbol: "none",
        lineStyle: { type: [5, 4], width: 1.3 },
        label: { show: false },
        data: goals.map(({ value, colour = "bad" }) => ({
          yAxis: value,
          lineStyle: { color: light[colour] },
        })),
      },
    }),
    ...(aside !== undefined && {
      markArea: {
        silent: true,
        itemStyle: { color: light.ground },
        // Away from the plot's edge: a narrow one is shorter than its name.
        label: {
          color: light.dim,
          fontSize: 11,
          position: aside.from > 0 ? "insideTopRight" : "insideTopLeft",
        },
        data: [[{ name: aside.label, xAxis: aside.from }, { xAxis: aside.to }]],
      },
    }),
  };
}

function ticks(value: number): string {
  return Number(value.toPrecision(6)).toLocaleString("en", { maximumFractionDigits: 6 });
}

/** Named for those who do not see it, and dark where that is asked for: its colours are few, and each has a twin. */
function standingAlone(svg: string, { title, caption }: Chart): string {
  const names = Object.keys(light) as ColourName[];
  const rules = names.map(
    (name) => `[fill="${light[name]}"]{fill:${dark[name]}}[stroke="${light[name]}"]{stroke:${dark[name]}}`,
  );
  const head = `<title>${text(title)}</title><desc>${text(caption.join("; "))}</desc><style>@media(prefers-color-scheme:dark){${rules.join("")}}</style>`;
  return `${uncounted(svg)
    .replace(/^<svg /, '<svg role="img" ')
    .replace(">", `>${head}`)}\n`;
}

/** The library numbers what it has drawn so far, for rules about a pointer; without that the same data is the same file. */
function uncounted(svg: string): string {
  return svg
    .replaceAll(/ class="zr\d+-cls-\d+"/g, "")
    .replace(/<style >.*?<\/style>\s*(?=<\/svg>)/s, "")
    .replaceAll(/\bzr\d+-/g, "");
}

function text(raw: string): string {
  return raw.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
