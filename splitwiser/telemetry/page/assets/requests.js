// One row for each request, its phases in their colours. Only rows in sight are drawn.
const ROW = 20;
const rows = byId("rows");
const scroller = byId("scroller");
const rowsHeight = data.requests.length * ROW + 8;
byId("spacer").style.height = `${rowsHeight}px`;

function drawPhases(context, request, top) {
  for (const [name, start, stop] of request.phases) {
    const x = xOf(start);
    const wide = Math.max(xOf(stop) - x, 1);
    if (x > view.width || x + wide < view.gutter) continue;
    const inset = name === "queue" ? 7 : 4;
    context.fillStyle = colors[name];
    context.beginPath();
    context.roundRect(x, top + inset, wide, ROW - 2 * inset, Math.min(2.5, wide / 3));
    context.fill();
  }
}

function drawEnd(context, request, top) {
  const last = request.phases.reduce((latest, phase) => Math.max(latest, phase[2]), request.start);
  const good = isGood(request.outcome);
  const text = good ? duration(request.total) : request.outcome;
  context.font = "11px system-ui, sans-serif";
  context.textAlign = "left";
  context.fillStyle = good || isNeutral(request.outcome) ? colors.soft : colors.bad;
  const x = xOf(last) + 7;
  // At the right edge the text stands in front of the bar, or not at all.
  const wide = context.measureText(text).width;
  if (x + wide < view.width) return context.fillText(text, x, top + ROW / 2);
  const before = xOf(request.start) - wide - 7;
  if (before > view.gutter && xOf(last) < view.width + wide) context.fillText(text, before, top + ROW / 2);
}

function drawRowGround(context, request, top) {
  if (request !== view.chosen && request !== view.hover) return;
  context.fillStyle = request === view.chosen ? colors.chosen : colors.hover;
  context.fillRect(0, top, view.width, ROW);
}

function drawRowName(context, request, top) {
  context.textAlign = "left";
  context.font = '11px ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace';
  context.fillStyle = request === view.chosen || request === view.hover ? colors.ink : colors.soft;
  context.fillText(clipped(context, request.id, view.gutter - 26), 14, top + ROW / 2);
}

function paintRows() {
  const height = Math.min(scroller.clientHeight, rowsHeight);
  const context = prepare(rows, height);
  const first = Math.max(0, Math.floor(scroller.scrollTop / ROW));
  const shown = data.requests.slice(first, first + Math.ceil(height / ROW) + 1);
  const topOf = (index) => 4 + (first + index) * ROW - scroller.scrollTop;
  shown.forEach((request, index) => drawRowGround(context, request, topOf(index)));
  inPlot(context, height, () => {
    drawGrid(context, 0, height);
    shown.forEach((request, index) => drawPhases(context, request, topOf(index)));
    shown.forEach((request, index) => drawEnd(context, request, topOf(index)));
    drawCursor(context, height);
  });
  shown.forEach((request, index) => drawRowName(context, request, topOf(index)));
}

const requestAt = (event) => data.requests[Math.floor((event.offsetY + scroller.scrollTop - 4) / ROW)] || null;

function phaseAt(request, us) {
  const slack = ((view.to - view.from) / plotWidth()) * 2;
  return request.phases.find(([, start, stop]) => start - slack <= us && us <= stop + slack);
}

function hoverRows(event) {
  const request = requestAt(event);
  setHover(request);
  if (!request) return hideTip();
  const here = phaseAt(request, timeAt(event.offsetX));
  const lines = request.phases.map((phase) => ({
    name: `${PHASES[phase[0]]}${phase[3] ? ` · ${phase[3]}` : ""}`,
    value: duration((phase[2] - phase[1]) / 1000),
    phase: phase[0],
    here: phase === here,
  }));
  lines.push({ name: "first token after", value: duration(request.ttft) });
  lines.push({ name: "tokens in / out", value: `${request.prompt ?? "–"} / ${request.completion ?? "–"}` });
  lines.push({ name: "outcome", value: request.outcome });
  showTip(event, request.id, lines);
}

function scrollToRequest(request) {
  const top = data.requests.indexOf(request) * ROW;
  if (top < scroller.scrollTop || top + ROW > scroller.scrollTop + scroller.clientHeight) {
    scroller.scrollTop = top - scroller.clientHeight / 2;
  }
}

painters.push(paintRows);
scroller.addEventListener("scroll", repaint);
watchGestures(rows, {
  hover: hoverRows,
  choose: (event) => choose(requestAt(event)),
  open: (event) => requestAt(event) && fitRequest(requestAt(event)),
});
