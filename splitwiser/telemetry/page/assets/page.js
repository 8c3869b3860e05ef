// What stands on top, and the first paint.
const CARD_PHASES = { ITL: "decode", "Hand-off": "handoff", Queue: "queue", Prefill: "prefill" };

function card({ name, count: values, p50, p90, p99, max }) {
  const made = element("div", null, { className: "card", title: `${count(values)} values` });
  const heading = element("h3", `${name} p50`);
  if (CARD_PHASES[name]) heading.append(swatch(CARD_PHASES[name]));
  const [number, unit] = parts(p50);
  const big = element("strong", number);
  big.append(element("small", unit));
  const list = element("dl");
  for (const [label, value] of Object.entries({ p90, p99, max })) {
    list.append(element("dt", label), element("dd", duration(value)));
  }
  made.append(heading, big, list);
  return made;
}

function fact(value, text) {
  const made = element("span");
  made.append(element("b", value), ` ${text}`);
  return made;
}

function total(key) {
  return data.requests.reduce((sum, request) => sum + (request[key] || 0), 0);
}

function facts() {
  const good = data.requests.filter((request) => isGood(request.outcome)).length;
  const found = [
    fact(count(data.requests.length), "requests"),
    fact(count(good), "finished"),
    fact(duration(end / 1000), "from first to last"),
    fact(count(total("prompt")), "prompt tokens"),
    fact(count(total("completion")), "output tokens"),
    fact(count(Math.round(total("completion") / (end / 1e6))), "output tokens/s"),
  ];
  if (data.started_ms) found.push(element("span", new Date(data.started_ms).toLocaleString()));
  return found;
}

if (data.title) {
  byId("title").textContent = data.title;
  document.title = data.title;
}
byId("facts").append(...facts());
byId("cards").append(...data.summary.map(card));
for (const [phase, name] of Object.entries(PHASES)) {
  const item = element("li");
  item.append(swatch(phase), name);
  byId("legend").append(item);
}
buildTable();

byId("zoom-in").onclick = () => zoom(0.6);
byId("zoom-out").onclick = () => zoom(1 / 0.6);
byId("fit").onclick = fit;

function press(event) {
  const by = (view.to - view.from) / 8;
  const moves = {
    ArrowLeft: () => show(view.from - by, view.to - by),
    ArrowRight: () => show(view.from + by, view.to + by),
    "+": () => zoom(0.6),
    "-": () => zoom(1 / 0.6),
    0: fit,
  };
  if (moves[event.key] && !event.ctrlKey && !event.metaKey) moves[event.key]();
}

// Both canvases share one scale, which ends where the rows' scroll bar begins.
function resize() {
  view.width = scroller.clientWidth;
  view.gutter = innerWidth < 760 ? 112 : 150;
  repaint();
}

function restyle() {
  readColors();
  repaint();
}

addEventListener("resize", resize);
addEventListener("keydown", press);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", restyle);
restyle();
resize();
fit();
