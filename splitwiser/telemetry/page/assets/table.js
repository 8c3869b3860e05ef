// The table of requests, sortable by every column.
const COLUMNS = [
  ["id", "request"], ["prompt", "prompt tokens"], ["completion", "output tokens"], ["queue", "queue"], ["prefill", "prefill"],
  ["ttft", "TTFT"], ["handoff", "hand-off"], ["decode", "decode"], ["itl50", "ITL p50"], ["itl99", "ITL p99"],
  ["total", "total"], ["outcome", "outcome"],
];
const COUNTS = new Set(["prompt", "completion"]);
const head = document.querySelector("thead");
const body = document.querySelector("tbody");
const lines = new Map();
let sorting = { key: null, up: true };

function cell(key, value) {
  if (value === null || value === undefined) return element("td", "–", { className: "none" });
  if (key === "outcome") {
    const made = element("td");
    const kind = isGood(value) ? "" : isNeutral(value) ? " left" : " bad";
    made.append(element("span", value, { className: `outcome${kind}` }));
    return made;
  }
  if (key === "id") return element("td", value, { title: value });
  return element("td", COUNTS.has(key) ? count(value) : value.toLocaleString("en-US", fixed(digits(value))));
}

const fixed = (places) => ({ minimumFractionDigits: places, maximumFractionDigits: places });

function lineOf(request) {
  const line = element("tr");
  line.append(...COLUMNS.map(([key]) => cell(key, request[key])));
  line.addEventListener("click", () => choose(request));
  line.addEventListener("dblclick", () => fitRequest(request));
  line.addEventListener("pointerenter", () => setHover(request));
  line.addEventListener("pointerleave", () => setHover(null));
  return line;
}

function compare(left, right) {
  const [a, b] = [left[sorting.key], right[sorting.key]];
  // What has no value stands last, whichever way the column is sorted.
  if (a === null || b === null) return (a === null) - (b === null);
  const order = typeof a === "string" ? a.localeCompare(b) : a - b;
  return sorting.up ? order : -order;
}

function sortBy(key) {
  const text = key === "id" || key === "outcome";
  sorting = { key, up: sorting.key === key ? !sorting.up : text };
  for (const header of head.querySelectorAll("th")) {
    header.setAttribute("aria-sort", header.dataset.key !== key ? "none" : sorting.up ? "ascending" : "descending");
  }
  body.append(...[...data.requests].sort(compare).map((request) => lines.get(request)));
}

function nothing() {
  const line = element("tr");
  line.append(element("td", "No request left a record.", { colSpan: COLUMNS.length, className: "none" }));
  return line;
}

function buildTable() {
  const line = element("tr");
  for (const [key, name] of COLUMNS) {
    const header = element("th");
    header.dataset.key = key;
    header.append(element("button", name, { type: "button", onclick: () => sortBy(key) }));
    line.append(header);
  }
  head.append(line);
  for (const request of data.requests) lines.set(request, lineOf(request));
  body.append(...lines.values());
  if (!lines.size) body.append(nothing());
}

function setHover(request) {
  if (view.hover === request) return;
  lines.get(view.hover)?.classList.remove("hover");
  lines.get(request)?.classList.add("hover");
  view.hover = request;
  repaint();
}

// Choosing the chosen request again lets it go.
function choose(request) {
  lines.get(view.chosen)?.classList.remove("chosen");
  view.chosen = request === view.chosen ? null : request;
  if (view.chosen) {
    lines.get(view.chosen).classList.add("chosen");
    scrollToRequest(view.chosen);
  }
  repaint();
}
