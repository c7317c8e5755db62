// Traces as lanes, steps from left to right, parents as edges; a merge is marked above the lanes.
function lineage(id) {
  const path = new Set();
  for (let at = BY_ID.get(id); at && !path.has(at.id); at = BY_ID.get(at.parent)) path.add(at.id);
  return path;
}

function drawForestLegend() {
  const entry = (picture, text) => h("span", {}, sample(picture), text), present = VERDICTS.filter((v) => ATTEMPTS.some((a) => a.verdict === v));
  document.getElementById("forest-legend").append(
    ...present.map((v) => entry(mark(v, 4.2), v)),
    ...(ATTEMPTS.some((a) => BY_ID.has(a.parent)) ? [entry(s("path", { class: "edge", d: "M-7 0H7" }), "changed into")] : []),
    ...(DATA.best ? [entry(s("path", { class: "edge strong", d: "M-7 0H7" }), "way to the best"), entry([s("circle", { class: "halo shown", r: 6 }), mark("accepted", 3)], "best of the run")] : []),
    ...(DATA.merges.length ? [entry(s("path", { class: "merge-line", d: "M0 -7V7" }), "merge")] : []),
    ...(DATA.merges.some((m) => m.actions.length) ? [entry(s("text", { class: "merge-mark", "text-anchor": "middle", y: 5 }, "⇄"), "merge that acted")] : []),
  );
}

function drawForest(width) {
  const lanes = [...new Set(ATTEMPTS.map((a) => a.trace))].sort((a, b) => (a < 0) - (b < 0) || a - b);
  const lane = new Map(lanes.map((trace, index) => [trace, index]));
  const last = Math.max(0, ...ATTEMPTS.map((a) => a.step));
  const left = width < 560 ? 62 : 82, gap = lanes.length > 12 ? 30 : 50, top = 42;
  const step = Math.max(24, Math.min(92, (width - left - 30) / (last + 1)));
  const full = Math.max(width, left + step * (last + 1) + 12), height = top + gap * Math.max(lanes.length, 1) + 8;
  const x = (attempt) => left + step * (attempt.step + 0.35), y = (attempt) => top + gap * (lane.get(attempt.trace) + 0.4);
  const svg = s("svg", { width: full, height, role: "group", "aria-label": `Forest of ${ATTEMPTS.length} attempts in ${lanes.length} lanes; arrow keys move between them, Enter opens one` });
  const ground = s("g", { "aria-hidden": "true" });
  svg.append(ground);
  for (const trace of lanes) {
    const at = top + gap * (lane.get(trace) + 0.4);
    ground.append(s("line", { class: "lane-line", x1: left, x2: full - 12, y1: at, y2: at }), s("text", { class: "lane", x: 16, y: at + 4 }, trace < 0 ? "final" : `trace ${trace}`));
  }
  const every = Math.ceil(44 / step);
  for (let n = 0; n <= last; n += every) ground.append(s("text", { x: left + step * (n + 0.35), y: 16, "text-anchor": "middle" }, String(n)));
  ground.append(s("text", { x: 16, y: 16 }, "step"));
  for (const merge of DATA.merges) {
    const before = ATTEMPTS.slice(Math.max(0, merge.after - 64), merge.after), at = Math.max(-1, ...before.map((a) => a.step));
    if (at < 0 || before.length === 0) continue;
    const place = left + step * (at + 0.85);
    if (step >= 24) ground.append(s("line", { class: "merge-line", x1: place, x2: place, y1: 26, y2: height - 8 }));
    if (merge.actions.length) ground.append(s("text", { class: "merge-mark", x: place, y: 31, "text-anchor": "middle" }, "⇄", s("title", {}, `merge ${merge.round}: ${merge.actions.join("; ")}`)));
  }
  const strong = lineage(DATA.best), edges = [];
  for (const attempt of ATTEMPTS) {
    const parent = BY_ID.get(attempt.parent);
    if (!parent) continue;
    const a = [x(parent), y(parent)], b = [x(attempt), y(attempt)], middle = (a[0] + b[0]) / 2;
    const same = parent.trace === attempt.trace, lift = attempt.step - parent.step > 1 ? Math.min(gap * 0.42, 9 + 2 * (attempt.step - parent.step)) : 0;
    const d = same ? `M${a}Q${middle} ${a[1] - 2 * lift} ${b}` : `M${a}C${middle} ${a[1]} ${middle} ${b[1]} ${b}`;
    edges.push([strong.has(attempt.id), s("path", { class: strong.has(attempt.id) ? "edge strong" : "edge", d })]);
  }
  ground.append(...edges.sort((one, two) => one[0] - two[0]).map((edge) => edge[1]));
  const points = new Map(), r = lanes.length > 12 || step < 30 ? 4.2 : 5.6, grid = new Map();
  for (const attempt of ATTEMPTS) {
    points.set(attempt.id, point(attempt, x(attempt), y(attempt), r));
    grid.set(`${lane.get(attempt.trace)}:${attempt.step}`, attempt.id);
  }
  svg.append(...points.values());
  walk(svg, points, (attempt, key) => {
    const move = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[key];
    if (!move) return null;
    let [row, column] = [lane.get(attempt.trace), attempt.step];
    for (let tries = 0; tries < 200; tries++) {
      row += move[0]; column += move[1];
      if (row < 0 || column < 0 || row >= lanes.length || column > last) return null;
      const found = grid.get(`${row}:${column}`);
      if (found) return found;
    }
    return null;
  });
  return svg;
}
