// Shared by curve and forest: marks by verdict (distinct in shape as well as colour), tooltip, and one tab stop per plot.
const VERDICTS = ["first", "accepted", "tie", "rejected", "failed"];

// A tie that replaces the best is filled, like an accepted attempt.
const takesPlace = (attempt) => attempt.verdict === "tie" && attempt.replaces;

function mark(verdict, r, filled) {
  if (verdict === "failed") return s("path", { class: "mark failed", d: `M${-r} ${-r}L${r} ${r}M${-r} ${r}L${r} ${-r}` });
  if (verdict === "tie") return s("path", { class: `mark tie${filled ? " takes" : ""}`, d: `M0 ${-1.25 * r}L${1.25 * r} 0L0 ${1.25 * r}L${-1.25 * r} 0Z` });
  return s("circle", { class: `mark ${verdict}`, r });
}
const sample = (...children) => s("svg", { viewBox: "-7 -7 14 14", "aria-hidden": "true" }, ...children);
const verdictOf = (verdict) => h("span", { class: `verdict ${verdict}` }, sample(mark(verdict, 4.2)), verdict);

function effect(attempt) {
  if (attempt.verdict === "failed") return "failed" + (attempt.why ? `: ${attempt.why}` : "");
  const gained = attempt.gain === undefined ? "" : `, ${DATA.rising ? "gain " : ""}${gain(attempt.gain, attempt.gainSe)}`;
  const place = takesPlace(attempt) ? "; replaces the best" : "";
  return `${attempt.verdict}, score ${score(attempt.score, attempt.se)}${gained}${place}`;
}

const TIP = document.getElementById("tip");
function tell(attempt, target) {
  TIP.replaceChildren(h("p", {}, h("b", {}, attempt.text)), h("p", { class: attempt.verdict }, effect(attempt)), h("p", { class: "soft" }, where(attempt)));
  TIP.hidden = false;
  const box = target.getBoundingClientRect(), tip = TIP.getBoundingClientRect();
  const left = Math.max(8, Math.min(box.left + box.width / 2 - tip.width / 2, document.documentElement.clientWidth - tip.width - 8));
  const above = box.top - tip.height - 10;
  TIP.style.left = `${left + scrollX}px`;
  TIP.style.top = `${(above > 8 ? above : box.bottom + 10) + scrollY}px`;
}
const hush = () => { TIP.hidden = true; };

function point(attempt, x, y, r) {
  const best = attempt.id === DATA.best;
  const node = s("a", {
    class: `point${best ? " best" : ""}`, href: link(attempt), transform: `translate(${x.toFixed(1)},${y.toFixed(1)})`, tabindex: "-1",
    "data-id": attempt.id, "aria-label": `${best ? "best, " : ""}${where(attempt)}: ${effect(attempt)}. ${attempt.text}`,
  }, s("circle", { class: "halo", r: r + 4 }), mark(attempt.verdict, r, takesPlace(attempt)));
  return node;
}

// Arrow keys move between the points, Enter opens one; the pointer shows the same text.
function walk(root, points, neighbour) {
  const at = (target) => points.get(target?.closest?.(".point")?.dataset.id);
  const enter = (event) => { const found = at(event.target); if (found) tell(BY_ID.get(found.dataset.id), found); };
  const start = points.get(DATA.best) || points.values().next().value;
  if (start) start.setAttribute("tabindex", "0");
  root.addEventListener("pointerover", enter);
  root.addEventListener("focusin", enter);
  root.addEventListener("pointerout", hush);
  root.addEventListener("focusout", hush);
  root.addEventListener("keydown", (event) => {
    const now = at(event.target), next = now && points.get(neighbour(BY_ID.get(now.dataset.id), event.key));
    if (!next) return;
    event.preventDefault();
    now.setAttribute("tabindex", "-1");
    next.setAttribute("tabindex", "0");
    next.focus();
  });
}

function redrawn(place, draw) {
  let width = 0;
  new ResizeObserver(() => {
    if (place.clientWidth === width || !place.clientWidth) return;
    width = place.clientWidth;
    place.replaceChildren(draw(width));
  }).observe(place);
}
