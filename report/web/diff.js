// Code and diffs with syntax colours: Prism's tokens become elements with text nodes.
function coloured(code) {
  const rows = [[]];
  const put = (text, kind) => text.split("\n").forEach((part, index) => {
    if (index) rows.push([]);
    if (part) rows[rows.length - 1].push(kind ? h("span", { class: `token ${kind}` }, part) : part);
  });
  const visit = (token, kind) => {
    if (typeof token === "string") put(token, kind);
    else if (Array.isArray(token)) token.forEach((inner) => visit(inner, kind));
    else visit(token.content, token.type);
  };
  visit(Prism.tokenize(code, Prism.languages.python), "");
  return rows;
}

function codeBlock(text, label) {
  const rows = coloured(text);
  return h("pre", { class: "code", tabindex: "0", role: "region", "aria-label": label }, ...rows.flatMap((row, index) => (index ? ["\n", ...row] : row)));
}

// Each side of a hunk is coloured as a whole, so that a string over several lines keeps its colour.
function hunk(lines, oldStart, newStart) {
  const olds = coloured(lines.filter((l) => l[0] !== "+").map((l) => l.slice(1)).join("\n"));
  const news = coloured(lines.filter((l) => l[0] !== "-").map((l) => l.slice(1)).join("\n"));
  let o = 0, n = 0;
  return lines.map((text) => {
    const kind = { "+": "add", "-": "del" }[text[0]] || "";
    const body = kind === "del" ? olds[o] : news[n];
    const row = h("tr", { class: kind || null },
      h("td", { class: "n" }, kind === "add" ? "" : String(oldStart + o)), h("td", { class: "n" }, kind === "del" ? "" : String(newStart + n)),
      h("td", { class: "s" }, text[0] === " " ? "" : text[0]), h("td", {}, ...(body || [])));
    if (kind !== "add") o += 1;
    if (kind !== "del") n += 1;
    return row;
  });
}

function diffBlock(text, label = "Difference to the parent's script") {
  const body = h("tbody", {}), gap = (words) => body.append(h("tr", { class: "gap" }, h("td", { colspan: "4" }, words)));
  let lines = [], start = null;
  const flush = () => { if (start && lines.length) body.append(...hunk(lines, ...start)); lines = []; };
  for (const line of text.split("\n")) {
    const found = /^@@ -(\d+)(?:,\d+)? \+(\d+)/.exec(line);
    if (found) { flush(); start = [Number(found[1]), Number(found[2])]; gap(`line ${found[2]}`); }
    else if ("+- ".includes(line[0] ?? "x")) lines.push(line);
    else if (line) { flush(); gap(line); }
  }
  flush();
  return h("div", { class: "diff", tabindex: "0", role: "region", "aria-label": label }, h("table", {}, body));
}
