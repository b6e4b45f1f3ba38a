// @ts-check
/** Charts: uPlot with this page's colours and the width of its container. */

import uPlot from "../vendor/uplot/uPlot.esm.js";

/** Pixels that the left axis takes, so that charts above one another line up. */
const AXIS = 46;

/** @typedef {uPlot} Chart */
/** @typedef {uPlot.AlignedData} ChartData x, then y of each series */

/**
 * @typedef {object} ChartOptions
 * @property {number} height pixels
 * @property {{label: string, colour: string, width?: number, dash?: number[], stepped?: boolean}[]} series
 * @property {(value: number) => string} [formatX]
 * @property {(value: number) => string} [formatY]
 * @property {[number | null, number | null]} [range] of y, null where the data says
 * @property {boolean} [upsideDown] small values on top
 * @property {boolean} [axisX] with numbers along the bottom
 * @property {string} [sync] charts of one name share their cursor
 * @property {(x: number) => void} [pick] a click, at that x
 * @property {() => number} [marker] x of a line to be drawn, NaN for none
 * @property {number[]} [splitsY]
 */

/**
 * @param {HTMLElement} place
 * @param {ChartOptions} options
 * @param {ChartData} data
 */
export function makeChart(place, options, data) {
  const style = getComputedStyle(document.documentElement);
  const text = style.getPropertyValue("--muted").trim();
  const grid = style.getPropertyValue("--line").trim();
  const accent = style.getPropertyValue("--accent").trim();
  const font = `12px ${style.getPropertyValue("--font").trim()}`;
  const axis = { stroke: text, font, grid: { stroke: grid, width: 1 }, ticks: { show: false } };
  const { formatX = String, formatY = String, splitsY } = options;
  const chart = new uPlot(
    {
      width: Math.max(120, place.clientWidth),
      height: options.height,
      // The last number along the bottom is centred below the end of the line.
      padding: [6, 22, options.axisX ? 0 : 6, 0],
      legend: { show: false },
      cursor: {
        y: false,
        drag: { x: true, y: false, uni: 20 },
        points: { size: 7 },
        ...(options.sync ? { sync: { key: options.sync, scales: ["x", null] } } : {}),
      },
      scales: {
        x: { time: false },
        y: {
          dir: options.upsideDown ? -1 : 1,
          range: (_u, low, high) => {
            const [least, most] = options.range ?? [null, null];
            const bottom = least ?? low ?? 0;
            const top = most ?? high ?? 1;
            return bottom === top ? [bottom - 1, top + 1] : [bottom, top];
          },
        },
      },
      axes: [
        {
          ...axis,
          size: options.axisX ? 26 : 0,
          show: Boolean(options.axisX),
          gap: 3,
          values: (_u, values) => values.map(formatX),
        },
        {
          ...axis,
          size: AXIS,
          gap: 3,
          space: 24,
          values: (_u, values) => values.map((v) => (v === null ? "" : formatY(v))),
          ...(splitsY ? { splits: () => splitsY } : {}),
        },
      ],
      series: [
        {},
        ...options.series.map((series) => ({
          label: series.label,
          stroke: series.colour,
          width: series.width ?? 2,
          dash: series.dash,
          points: { show: false },
          spanGaps: false,
          ...(series.stepped ? { paths: uPlot.paths.stepped?.({ align: 1 }) } : {}),
        })),
      ],
      hooks: {
        draw: [
          (u) => {
            const x = options.marker?.() ?? NaN;
            if (Number.isNaN(x)) return;
            const px = Math.round(u.valToPos(x, "x", true));
            if (px < u.bbox.left || px > u.bbox.left + u.bbox.width) return;
            u.ctx.fillStyle = accent;
            u.ctx.fillRect(px - devicePixelRatio, u.bbox.top, 2 * devicePixelRatio, u.bbox.height);
          },
        ],
        ready: [
          (u) => {
            if (options.pick === undefined) return;
            u.over.style.cursor = "pointer";
            u.over.addEventListener("click", () => {
              const left = u.cursor.left ?? -1;
              if (left >= 0 && u.select.width < 4) options.pick?.(u.posToVal(left, "x"));
            });
          },
        ],
      },
    },
    data,
    place,
  );
  return chart;
}
