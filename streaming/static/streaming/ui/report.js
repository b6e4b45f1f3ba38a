// @ts-check
/** The report of an import as elements: what was left out, what was read, what is a guess. */

import { make } from "./elements.js";

/** @typedef {import("./api.js").ImportReport} ImportReport */

/** @param {ImportReport} report */
export function reportParts(report) {
  const count = (/** @type {number} */ n) => n.toLocaleString("en");
  /** @type {HTMLElement[]} */
  const parts = [
    make(
      "p",
      {},
      `${count(report.rows_read)} rows read. Left out: ${count(report.rows_left_out)} rows, ` +
        `${count(report.values_left_out)} values, ${count(report.files_left_out)} files, ` +
        `${count(report.records_left_out)} records.`,
    ),
  ];
  if (report.unseen_share !== null) {
    parts.push(make("p", {}, `Not seen: ${(100 * report.unseen_share).toFixed(2)} %.`));
  }
  for (const line of agreementLines(report.agreement)) parts.push(make("p", {}, line));
  if (report.missing_tables.length > 0) {
    parts.push(make("p", {}, `Not in the source: ${report.missing_tables.join(", ")}.`));
  }
  for (const what of report.estimated) parts.push(make("p", {}, `Estimated: ${what}.`));
  const coverage = report.tables.map(({ table, rows, entities }) =>
    make("li", {}, `${table}: ${count(rows)} rows${entities > 0 ? `, ${entities} entities` : ""}`),
  );
  const findings = report.findings.map(({ table, column, expected, done, count: n, examples }) => {
    const item = make("li", {}, `${table} ${column}: ${count(n)} × ${done}, expected ${expected}`);
    const list = examples.map(({ file, row, found }) =>
      make("li", {}, `${file}${row === null ? "" : `, row ${row}`}: ${found}`),
    );
    if (list.length > 0) item.append(make("ul", {}, ...list));
    return item;
  });
  parts.push(make("h3", {}, "Tables"), make("ul", {}, ...coverage));
  if (findings.length > 0) parts.push(make("h3", {}, "Findings"), make("ul", {}, ...findings));
  return parts;
}

/**
 * How far the standings agree with the timing, one line for each thing that was compared.
 * @param {import("./api.js").Agreement | null} agreement
 */
function agreementLines(agreement) {
  const { crossings, order, gaps } = agreement ?? { crossings: null, order: null, gaps: null };
  const percent = (/** @type {number | null} */ share) =>
    share === null ? "–" : `${(100 * share).toFixed(2)} %`;
  const lines = [];
  if (crossings !== null) {
    lines.push(
      `Order at the line as in the lap table: ${percent(crossings.share)} of ` +
        `${crossings.compared.toLocaleString("en")} crossings.`,
    );
  }
  if (order !== null) {
    lines.push(
      `Order as in the official feed: leader ${percent(order.leader)}, all cars ` +
        `${percent(order.cars)} of the time.`,
    );
  }
  if (gaps !== null && gaps.median !== null && gaps.p99 !== null) {
    lines.push(
      `Gaps differ from the official ones by ${gaps.median.toFixed(3)} s (median), ` +
        `${gaps.p99.toFixed(2)} s (99 of 100).`,
    );
  }
  return lines;
}
