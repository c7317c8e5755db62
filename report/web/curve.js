// A point for each attempt in order of completion, and the best so far: of the run with its standard error, and of every trace.
// A tie may replace the best of a trace; then the line dips. The run's best leads the bests of the traces and an accepted ensemble.
function steps(attempts) {
  const held = new Map(), found = [];
  for (const attempt of attempts) {
    const blend = attempt.kind === "ensemble" && attempt.verdict === "accepted";
    if (attempt.score === undefined || !(attempt.replaces || blend)) continue;
    held.set(blend ? "ensemble" : attempt.trace, attempt);
    const leader = [...held.values()].reduce((one, two) => (better(two.score, one.score) ? two : one));
    if (leader !== found[found.length - 1]?.leader) found.push({ leader, order: attempt.order, score: leader.score, se: leader.se });
  }
  return found;
}

// The scale follows the bulk of the scores: an outlier is drawn at the edge so that it does not flatten the rest.
function range(attempts) {
  const scores = attempts.filter((a) => a.score !== undefined).map((a) => a.score).sort((a, b) => a - b);
  if (!scores.length) return [0, 1];
  const best = DATA.rising ? scores[scores.length - 1] : scores[0];
  const ends = steps(attempts).map((a) => a.score), last = steps(attempts).pop(), se = (last && last.se) || 0;
  const far = d3.quantileSorted(scores, DATA.rising ? 0.1 : 0.9);
  const worst = DATA.rising ? Math.min(far, ...ends) : Math.max(far, ...ends);
  const held = [best, worst, ...(last ? [last.score - se, last.score + se] : [])]; // the best with its whole error
  const room = (Math.max(...held) - Math.min(...held)) * 0.06 || Math.abs(best) * 0.05 || 1;
  const low = Math.min(...held) - room, high = Math.max(...held) + room;
  const share = scores[0] >= 0 && scores[scores.length - 1] <= 1; // no axis above an auc of 1 or below a loss of 0, but for an error
  const floor = Math.min(0, ...held), ceiling = Math.max(1, ...held);
  return share ? [Math.max(floor, low), Math.min(ceiling, high)] : [scores[0] >= 0 ? Math.max(floor, low) : low, high];
}

const CURVE = { domain: [0, 1] };

function drawCurve(width) {
  const n = ATTEMPTS.length, narrow = width < 560, height = narrow ? 260 : 350;
  const box = { left: narrow ? 52 : 64, right: width - (narrow ? 14 : 20), top: 38, bottom: height - 46 };
  const x = d3.scaleLinear([1, Math.max(n, 8)], [box.left + 12, box.right - 12]);
  const y = d3.scaleLinear(range(ATTEMPTS), [box.bottom - 16, box.top]).nice(5);
  const r = n > 600 ? 2.4 : n > 150 ? 3.4 : 4.6;
  CURVE.domain = y.domain();
  const svg = s("svg", { class: n > 600 ? "dense" : null, width, height, role: "group", "aria-label": `Score curve of ${n} attempts; arrow keys move between them, Enter opens one` });
  const root = d3.select(svg);
  const left = root.append("g").attr("transform", `translate(${box.left},0)`).attr("aria-hidden", "true");
  left.call(d3.axisLeft(y).ticks(5).tickSize(box.left - box.right).tickPadding(8));
  const bottom = root.append("g").attr("transform", `translate(0,${box.bottom})`).attr("aria-hidden", "true");
  const whole = x.ticks(narrow ? 5 : 10).filter((v) => Number.isInteger(v) && v > 1);
  if (whole.length && x(whole[0]) - x(1) < 24) whole.shift();
  bottom.call(d3.axisBottom(x).tickValues([1, ...whole]).tickFormat(String).tickSize(0).tickPadding(12));
  root.append("text").attr("x", box.right).attr("y", height - 8).attr("text-anchor", "end").text("attempts in order of completion");
  root.append("text").attr("x", 16).attr("y", 20).text(`${DATA.metric} ${DATA.rising ? "↑" : "↓"}`).attr("visibility", narrow ? "hidden" : "visible");
  const clamp = (value) => Math.max(box.top, Math.min(box.bottom - 10, y(value)));

  const path = (attempts) => {
    const found = steps(attempts);
    return found.length ? [...found.map((a) => [x(a.order + 1), clamp(a.score), a.se || 0, a.score]), [Math.min(x(n) + 8, box.right), clamp(found[found.length - 1].score), found[found.length - 1].se || 0, found[found.length - 1].score]] : [];
  };
  const line = d3.line().curve(d3.curveStepAfter);
  const lanes = [...new Set(ATTEMPTS.map((a) => a.trace))];
  if (lanes.length > 1 && lanes.length <= 24) {
    for (const lane of lanes) root.append("path").attr("class", "trace-line").attr("d", line(path(ATTEMPTS.filter((a) => a.trace === lane))) || "");
  }
  const best = path(ATTEMPTS);
  const band = d3.area().curve(d3.curveStepAfter).x((p) => p[0]).y0((p) => clamp(p[3] - p[2])).y1((p) => clamp(p[3] + p[2]));
  root.append("path").attr("class", "band").attr("d", band(best) || "");
  root.append("path").attr("class", "best-line").attr("d", line(best) || "");

  const points = new Map();
  for (const attempt of ATTEMPTS) {
    const failed = attempt.score === undefined;
    const node = point(attempt, x(attempt.order + 1), failed ? box.bottom + 2 : clamp(attempt.score), failed ? Math.min(r, 3.6) : r);
    if (!failed && y(attempt.score) > box.bottom - 10) node.append(s("path", { class: "off", d: `M-3 ${r + 4}h6l-3 4z` }));
    if (!failed && y(attempt.score) < box.top) node.append(s("path", { class: "off", d: `M-3 ${-r - 4}h6l-3 -4z` }));
    points.set(attempt.id, node);
    svg.append(node);
  }
  for (const [id, value] of Object.entries(DATA.audit)) {
    const attempt = BY_ID.get(id);
    if (attempt) svg.append(s("path", { class: "mark audit", transform: `translate(${x(attempt.order + 1)},${clamp(value)})`, d: "M0 -7L7 0L0 7L-7 0Z" }, s("title", {}, `audit ${score(value)}`)));
  }
  walk(svg, points, (attempt, key) => {
    const move = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[key];
    return move && ATTEMPTS[attempt.order + move]?.id;
  });
  return svg;
}

function drawLegend() {
  const entry = (picture, text) => h("span", {}, sample(picture), text);
  const present = VERDICTS.filter((v) => ATTEMPTS.some((a) => a.verdict === v));
  const swatch = (kind) => s("path", { class: `swatch ${kind}`, d: "M-7 0H7" });
  document.getElementById("legend").append(
    ...present.map((v) => entry(mark(v, 4.2), v)),
    ...(ATTEMPTS.some(takesPlace) ? [entry(mark("tie", 4.2, true), "tie that replaces the best (faster or simpler)")] : []),
    entry(swatch("best"), "best so far ± standard error"),
    ...(new Set(ATTEMPTS.map((a) => a.trace)).size > 1 ? [entry(swatch("trace"), "best of a trace")] : []),
    ...(DATA.best ? [entry([s("circle", { class: "halo shown", r: 6 }), mark("accepted", 3)], "best of the run")] : []),
    ...(Object.keys(DATA.audit).length ? [entry(s("path", { class: "mark audit", d: "M0 -6L6 0L0 6L-6 0Z" }), "score on audit rows")] : []),
    ...(hasOutlier() ? [entry(s("path", { class: "off", d: "M-5 -2h10l-5 6z" }), "beyond the axis")] : []),
  );
}

function hasOutlier() {
  const [low, high] = range(ATTEMPTS);
  return ATTEMPTS.some((a) => a.score !== undefined && (a.score < low || a.score > high));
}
