// Plots of the best attempt's out-of-fold predictions, drawn from counts: the page has no labels of rows.
const [CHART_W, CHART_H] = [380, 300];
const short = (text, n) => (text.length > n ? `${text.slice(0, n - 1)}…` : text);
const shown = (value) => { const size = Math.abs(value); return size >= 1e5 || (size && size < 1e-3) ? value.toExponential(1).replace("-", "−") : String(Number(value.toPrecision(3))).replace("-", "−"); };
const total = (values) => values.reduce((sum, value) => sum + value, 0);

// A figure: title, drawing, and a legend with an entry for every kind of mark.
function figure(title, svg, legend, note) {
  const swatch = (kind) => s("svg", { viewBox: "0 0 18 10", "aria-hidden": "true" }, kind === "dot" ? s("circle", { class: "c-dot", cx: 9, cy: 5, r: 3.5 }) : /^(cell|bar)/.test(kind) ? s("rect", { class: `c-${kind.replace(" ", " c-")}`, x: 3, width: 12, height: 10, "fill-opacity": kind.startsWith("cell") ? 0.7 : 1 }) : kind === "band" ? s("rect", { class: "c-band", width: 18, height: 10 }) : s("path", { class: `c-${kind}`, d: "M0 5H18" }));
  return h("figure", {}, h("figcaption", {}, title), svg, h("p", { class: "legend" }, ...legend.map(([kind, text]) => h("span", {}, swatch(kind), text))), note && h("p", { class: "hint" }, note));
}

function axes(words, xs, ys, xName, yName) {
  const box = { left: 52, right: CHART_W - 12, top: 12, bottom: CHART_H - 44 };
  const x = d3.scaleLinear(xs, [box.left, box.right]), y = d3.scaleLinear(ys, [box.bottom, box.top]);
  const svg = s("svg", { viewBox: `0 0 ${CHART_W} ${CHART_H}`, role: "img", "aria-label": words });
  for (const v of y.ticks(5)) svg.append(s("line", { class: "c-grid", x1: box.left, x2: box.right, y1: y(v), y2: y(v) }), s("text", { x: box.left - 7, y: y(v) + 4, "text-anchor": "end" }, shown(v)));
  for (const v of x.ticks(5)) svg.append(s("text", { x: x(v), y: box.bottom + 17, "text-anchor": "middle" }, shown(v)));
  svg.append(s("text", { class: "c-name", x: (box.left + box.right) / 2, y: CHART_H - 7, "text-anchor": "middle" }, xName), s("text", { class: "c-name", transform: `translate(12,${(box.top + box.bottom) / 2})rotate(-90)`, "text-anchor": "middle" }, yName));
  return { svg, x, y, box };
}
const path = (points, x, y) => d3.line()(points.map(([a, b]) => [x(a), y(b)]));

function rocChart(panel) {
  const positives = total(panel.groups.map((g) => g[1])), negatives = total(panel.groups.map((g) => g[0])) - positives;
  const points = [[0, 0]];
  let [hits, misses] = [0, 0];
  for (const [n, k] of panel.groups) { hits += k; misses += n - k; points.push([misses / negatives, hits / positives]); }
  const area = panel.auc === null ? "" : `, area ${score(panel.auc)}`, { svg, x, y } = axes(`ROC curve${area}`, [0, 1], [0, 1], "false positive rate", "true positive rate");
  svg.append(s("path", { class: "c-guide", d: path([[0, 0], [1, 1]], x, y) }), s("path", { class: "c-line", d: path(points, x, y) }));
  return figure(`ROC${area}`, svg, [["line", "best attempt"], ["guide", "chance"]]);
}

function precisionChart(panel) {
  const positives = total(panel.groups.map((g) => g[1])), rate = positives / total(panel.groups.map((g) => g[0]));
  const points = [];
  let [n, hits] = [0, 0];
  for (const [rows, k] of panel.groups) { n += rows; hits += k; if (!points.length) points.push([0, hits / n]); points.push([hits / positives, hits / n]); }
  const mean = panel.averagePrecision === null ? "" : `, average precision ${score(panel.averagePrecision)}`, { svg, x, y } = axes(`Precision by recall${mean}`, [0, 1], [0, 1], `recall of ${short(panel.positive, 24)}`, "precision");
  svg.append(s("path", { class: "c-guide", d: path([[0, rate], [1, rate]], x, y) }), s("path", { class: "c-line", d: path(points, x, y) }));
  return figure(`Precision and recall${mean}`, svg, [["line", "best attempt"], ["guide", `share of ${short(panel.positive, 16)} (${percent(rate)})`]]);
}

function calibrationChart(panel) {
  const { svg, x, y } = axes("Calibration: " + panel.calibration.map(([n, p, share]) => `predicted ${percent(p)}, true ${percent(share)} of ${n}`).join("; "), [0, 1], [0, 1], "mean prediction", `share of ${short(panel.positive, 24)}`);
  svg.append(s("path", { class: "c-guide", d: path([[0, 0], [1, 1]], x, y) }));
  for (const [n, p, share] of panel.calibration) {
    const se = Math.sqrt((share * (1 - share)) / n);
    svg.append(s("line", { class: "c-error", x1: x(p), x2: x(p), y1: y(Math.max(0, share - se)), y2: y(Math.min(1, share + se)) }), s("circle", { class: "c-dot", cx: x(p), cy: y(share), r: 4 }, s("title", {}, `${n} rows: predicted ${percent(p)}, true ${percent(share)}`)));
  }
  return figure("Calibration", svg, [["dot", "tenth of the rows"], ["error", "± standard error"], ["guide", "perfect"]]);
}

function confusionChart(panel) {
  const { labels, matrix } = panel, size = labels.length, left = 92, top = 8, cell = Math.min(44, (CHART_W - left - 8) / size), side = cell * size;
  const height = top + side + 16 + 4 * Math.min(10, Math.max(...labels.map((l) => l.length))), words = labels.map((label, i) => `${label}: ${labels.map((other, j) => `${matrix[i][j]} as ${other}`).join(", ")}`).join("; ");
  const svg = s("svg", { viewBox: `0 0 ${CHART_W} ${height}`, role: "img", "aria-label": `Confusion matrix. ${words}` });
  matrix.forEach((row, i) => {
    const n = total(row), at = top + cell * (i + 0.5);
    svg.append(s("text", { x: left - 8, y: at + 4, "text-anchor": "end" }, short(labels[i], 12)));
    row.forEach((count, j) => {
      const share = n ? count / n : 0;
      svg.append(s("rect", { class: `c-cell${i === j ? " c-hit" : ""}`, x: left + cell * j + 0.5, y: top + cell * i + 0.5, width: cell - 1, height: cell - 1, "fill-opacity": (0.06 + 0.94 * share).toFixed(3) }, s("title", {}, `${labels[i]} predicted as ${labels[j]}: ${count} of ${n} (${percent(share)})`)));
      if (cell >= 24 && count) svg.append(s("text", { class: share > 0.55 ? "c-on" : "c-off", x: left + cell * (j + 0.5), y: at + 4, "text-anchor": "middle" }, count >= 1e4 ? `${Math.round(count / 1e3)}k` : String(count)));
    });
    svg.append(s("text", { transform: `translate(${left + cell * (i + 0.5) + 4},${top + side + 10})rotate(-35)`, "text-anchor": "end" }, short(labels[i], 10)));
  });
  const joined = panel.joined ? `“other” joins ${panel.joined} rarer classes.` : "", accuracy = panel.accuracy === null ? "" : `, accuracy ${score(panel.accuracy)}`;
  return figure(`Confusion matrix${accuracy}`, svg, [["cell hit", "right"], ["cell", "wrong (stronger: a larger share of its row)"]], `Rows are true classes, columns predicted ones. ${joined}`);
}

// Bars from the left, one or two a row.
function bars(title, rows, kinds, legend, note, top = 1) {
  const left = 112, gap = kinds.length > 1 ? 26 : 20, x = d3.scaleLinear([0, top], [left, CHART_W - 52]), height = gap * rows.length + 10;
  const svg = s("svg", { viewBox: `0 0 ${CHART_W} ${height}`, role: "img", "aria-label": `${title}: ${rows.map((row) => `${row.label} ${row.words}`).join("; ")}` });
  rows.forEach((row, i) => {
    const at = 4 + gap * i, thick = (gap - 8) / kinds.length;
    svg.append(s("text", { x: left - 8, y: at + gap / 2, "text-anchor": "end" }, short(row.label, 16), s("title", {}, row.label)));
    kinds.forEach((kind, k) => svg.append(s("rect", { class: `c-bar${k ? " c-two" : ""}`, x: x(0), y: at + thick * k, width: Math.max(0.5, x(Math.abs(row.values[k])) - x(0)), height: thick - 1 }, s("title", {}, `${row.label}: ${row.words}`))));
    svg.append(s("text", { x: CHART_W - 46, y: at + gap / 2 }, row.end));
  });
  return figure(title, svg, legend, note);
}
function classBars(panel) {
  const rows = panel.bars.map((bar) => ({ label: bar.label, values: [bar.recall, bar.precision], words: `${bar.n} rows, recall ${percent(bar.recall)}, precision ${percent(bar.precision)}`, end: bar.n.toLocaleString("en") }));
  return bars("By class", rows, ["recall", "precision"], [["bar", "recall"], ["bar two", "precision"]], `At the right the number of rows. ${panel.more ? `${panel.more} rarer classes are left out.` : ""}`);
}
function importanceBars(rows) {
  const top = Math.max(...rows.map((row) => Math.abs(row[1]))) || 1;
  return bars("Importances", rows.map(([label, value]) => ({ label, values: [value], words: shown(value), end: shown(value) })), ["importance"], [["bar", "as the script reported it"]], null, top);
}

function valueMap(panel) {
  const cells = panel.edges.length - 1, place = (i) => i / cells, most = Math.max(...panel.counts.flat(), 1);
  const r2 = panel.r2 === null ? "" : `, R² ${score(panel.r2)}`, { svg, x, y } = axes(`Predicted against true values of ${panel.target}${r2}`, [0, 1], [0, 1], `predicted${panel.log ? " (log scale)" : ""}`, "true");
  svg.replaceChildren();
  panel.counts.forEach((row, i) => row.forEach((count, j) => {
    if (count) svg.append(s("rect", { class: "c-cell c-map", x: x(place(j)), y: y(place(i + 1)), width: x(place(1)) - x(0) + 0.3, height: y(0) - y(place(1)) + 0.3, "fill-opacity": (0.1 + 0.9 * Math.sqrt(count / most)).toFixed(3) }, s("title", {}, `${count} rows: true ${shown(panel.edges[i])} to ${shown(panel.edges[i + 1])}, predicted ${shown(panel.edges[j])} to ${shown(panel.edges[j + 1])}`)));
  }));
  svg.append(s("path", { class: "c-guide", d: path([[0, 0], [1, 1]], x, y) }));
  for (const i of [0, 1, 2, 3, 4].map((k) => Math.round((k * cells) / 4))) {
    svg.append(s("text", { x: x(place(i)), y: CHART_H - 27, "text-anchor": i === cells ? "end" : "middle" }, shown(panel.edges[i])), s("text", { x: 45, y: y(place(i)) + 4, "text-anchor": "end" }, shown(panel.edges[i])));
  }
  svg.append(s("text", { class: "c-name", x: CHART_W / 2 + 20, y: CHART_H - 7, "text-anchor": "middle" }, `predicted${panel.log ? " (log scale)" : ""}`), s("text", { class: "c-name", transform: "translate(12,134)rotate(-90)", "text-anchor": "middle" }, "true"));
  return figure(`Predicted against true${r2}`, svg, [["cell map", "stronger: more rows"], ["guide", "perfect"]], "Values beyond the ends count in the outer cells.");
}

function residualChart(panel) {
  const edges = panel.residualEdges, { svg, x, y } = axes(`Residuals of ${panel.target}`, [edges[0], edges[edges.length - 1]], [0, Math.max(...panel.residuals, 1)], "true − predicted", "rows");
  panel.residuals.forEach((n, i) => svg.append(s("rect", { class: "c-bar", x: x(edges[i]) + 0.5, y: y(n), width: Math.max(0.5, x(edges[i + 1]) - x(edges[i]) - 1), height: y(0) - y(n) }, s("title", {}, `${n} rows from ${shown(edges[i])} to ${shown(edges[i + 1])}`))));
  svg.append(s("path", { class: "c-guide", d: `M${x(0)} 12V${y(0)}` }));
  return figure("Residuals", svg, [["bar", "rows"], ["guide", "no error"]], "Errors beyond the ends count in the outer bars.");
}

function bandChart(panel) {
  const rows = panel.bands, [low, high] = d3.extent(rows.flatMap((row) => row.slice(2)));
  const { svg, x, y } = axes("Residuals by prediction: " + rows.map((row) => `at ${shown(row[1])} median ${shown(row[3])}`).join("; "), d3.extent(rows, (row) => row[1]), [Math.min(low, 0), Math.max(high, 0)], "prediction", "true − predicted");
  svg.append(s("path", { class: "c-band", d: d3.area().x((row) => x(row[1])).y0((row) => y(row[2])).y1((row) => y(row[4]))(rows) }), s("path", { class: "c-guide", d: `M${x.range()[0]} ${y(0)}H${x.range()[1]}` }), s("path", { class: "c-line", d: path(rows.map((row) => [row[1], row[3]]), x, y) }));
  for (const [n, p, , median] of rows) svg.append(s("circle", { class: "c-dot", cx: x(p), cy: y(median), r: 3 }, s("title", {}, `${n} rows around ${shown(p)}: median error ${shown(median)}`)));
  return figure("Residuals by prediction", svg, [["line", "median"], ["dot", "tenth of the rows"], ["band", "10 to 90 %"], ["guide", "no error"]]);
}

const CHARTS = {
  binary: (panel) => [rocChart(panel), precisionChart(panel), panel.calibration.length > 1 && calibrationChart(panel)],
  classes: (panel) => [confusionChart(panel), panel.bars.length > 0 && classBars(panel)],
  regression: (panel) => [valueMap(panel), residualChart(panel), panel.bands.length > 2 && bandChart(panel)],
};
function drawPlots() {
  const place = document.getElementById("plots");
  if (!place) return;
  const several = DATA.panels.length > 1;
  for (const panel of DATA.panels) place.append(...[several && h("h3", {}, panel.target), h("div", { class: "figures" }, ...CHARTS[panel.kind](panel))].filter(Boolean));
  if (DATA.importances.length) (place.querySelector(".figures:only-of-type") || place.appendChild(h("div", { class: "figures" }))).append(importanceBars(DATA.importances));
}
