// The axis and one lane for each engine: a block a step, as high as its batch.
const AXIS = 26;
const LANE = 58;
const lanes = data.lanes.map((lane) => ({ ...lane, most: lane.steps.reduce((most, step) => Math.max(most, step[2]), 1) }));
const engines = byId("engines");
const enginesHeight = AXIS + lanes.length * LANE + 6;

// Index of the first step that ends after a moment.
function firstAfter(steps, us) {
  let [low, high] = [0, steps.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (steps[middle][1] < us) low = middle + 1;
    else high = middle;
  }
  return low;
}

function drawAxis(context) {
  const { step, found } = ticks();
  context.font = "11px system-ui, sans-serif";
  context.fillStyle = colors.soft;
  context.textAlign = "center";
  for (const at of found) {
    if (xOf(at) >= view.gutter - 1) context.fillText(moment(at, step), xOf(at), AXIS / 2);
  }
}

function drawLane(context, lane, top) {
  const floor = top + LANE - 6;
  const room = LANE - 16;
  context.fillStyle = colors.line;
  context.fillRect(view.gutter, floor, plotWidth() + GAP, 1);
  context.font = "600 10px system-ui, sans-serif";
  context.textAlign = "center";
  for (let index = firstAfter(lane.steps, view.from); index < lane.steps.length; index++) {
    const [start, stop, batch] = lane.steps[index];
    if (start > view.to) break;
    const x = xOf(start);
    const wide = Math.max(xOf(stop) - x, 0.35);
    const high = Math.max(3, (batch / lane.most) * room);
    context.fillStyle = colors[lane.phase] || colors.queue;
    context.globalAlpha = 0.92;
    context.fillRect(x, floor - high, wide > 3 ? wide - 1 : wide, high);
    context.globalAlpha = 1;
    if (wide > 20 && high > 13) {
      context.fillStyle = colors["on-block"];
      context.fillText(batch, x + (wide - 1) / 2, floor - high + 8);
    }
  }
}

function drawLaneName(context, lane, top) {
  context.textAlign = "left";
  context.fillStyle = colors[lane.phase] || colors.queue;
  context.fillRect(14, top + 16, 3, 30);
  context.fillStyle = colors.ink;
  context.font = "600 12px system-ui, sans-serif";
  context.fillText(clipped(context, lane.instance, view.gutter - 32), 25, top + 23);
  context.fillStyle = colors.soft;
  context.font = "11px system-ui, sans-serif";
  context.fillText(clipped(context, `batch ≤ ${lane.most}`, view.gutter - 32), 25, top + 40);
}

function clipped(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  let kept = text.length;
  while (kept > 1 && context.measureText(`${text.slice(0, kept)}…`).width > width) kept--;
  return `${text.slice(0, kept)}…`;
}

// Where the chosen request was at work.
function drawChosen(context) {
  if (!view.chosen) return;
  context.globalAlpha = 0.5;
  context.fillStyle = colors.chosen;
  const last = view.chosen.phases.reduce((latest, phase) => Math.max(latest, phase[2]), view.chosen.start);
  context.fillRect(xOf(view.chosen.start), AXIS, xOf(last) - xOf(view.chosen.start), enginesHeight - AXIS);
  context.globalAlpha = 1;
}

function paintEngines() {
  const context = prepare(engines, enginesHeight);
  inPlot(context, enginesHeight, () => {
    drawChosen(context);
    drawGrid(context, AXIS, enginesHeight - AXIS);
    lanes.forEach((lane, index) => drawLane(context, lane, AXIS + index * LANE));
    drawCursor(context, enginesHeight);
  });
  drawAxis(context);
  lanes.forEach((lane, index) => drawLaneName(context, lane, AXIS + index * LANE));
}

function hoverEngines(event) {
  const lane = lanes[Math.floor((event.offsetY - AXIS) / LANE)];
  const at = timeAt(event.offsetX);
  const slack = ((view.to - view.from) / plotWidth()) * 2;
  const step = lane && event.offsetX > view.gutter ? lane.steps[firstAfter(lane.steps, at - slack)] : null;
  if (!step || step[0] > at + slack) return hideTip();
  const [start, stop, batch, tokens, pages] = step;
  const lines = [
    { name: "batch", value: count(batch) },
    { name: "tokens", value: count(tokens) },
    { name: "took", value: duration((stop - start) / 1000) },
    { name: "began at", value: duration(start / 1000) },
  ];
  if (pages !== null) lines.push({ name: "pages in use", value: count(pages) });
  showTip(event, `${lane.instance} · ${lane.phase} step`, lines);
}

painters.push(paintEngines);
watchGestures(engines, { hover: hoverEngines, choose: () => choose(null), open: fit });
