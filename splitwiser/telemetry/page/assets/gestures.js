// What hands do on a canvas: drag to pan, turn the wheel to zoom, point to be told.
function watchGestures(canvas, { hover, choose, open }) {
  let grabbed = null;
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    grabbed = { x: event.offsetX, from: view.from, to: view.to, moved: false };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    view.cursor = event.offsetX;
    if (grabbed && Math.abs(event.offsetX - grabbed.x) > 3) grabbed.moved = true;
    if (grabbed && grabbed.moved) {
      canvas.classList.add("dragging");
      const by = ((grabbed.x - event.offsetX) / plotWidth()) * (grabbed.to - grabbed.from);
      show(grabbed.from + by, grabbed.to + by);
      hideTip();
    } else {
      hover(event);
    }
    repaint();
  });
  canvas.addEventListener("pointerup", (event) => {
    if (grabbed && !grabbed.moved) choose(event);
    grabbed = null;
    canvas.classList.remove("dragging");
  });
  canvas.addEventListener("pointercancel", () => (grabbed = null));
  canvas.addEventListener("pointerleave", () => {
    view.cursor = null;
    setHover(null);
    hideTip();
  });
  canvas.addEventListener("dblclick", open);
  canvas.addEventListener("wheel", (event) => wheel(event), { passive: false });
}

function wheel(event) {
  if (event.ctrlKey || event.metaKey) {
    event.preventDefault();
    zoom(Math.exp(Math.max(-60, Math.min(60, event.deltaY)) * 0.008), timeAt(event.offsetX));
  } else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
    event.preventDefault();
    const by = ((event.deltaX || event.deltaY) / plotWidth()) * (view.to - view.from);
    show(view.from + by, view.to + by);
  }
}

function showTip(event, title, lines) {
  const list = element("dl");
  for (const { name, value, phase, here } of lines) {
    const term = element("dt", null, { className: here ? "here" : "" });
    if (phase) term.append(swatch(phase));
    term.append(name);
    list.append(term, element("dd", value, { className: here ? "here" : "" }));
  }
  const tip = byId("tip");
  tip.replaceChildren(element("b", title), list);
  tip.hidden = false;
  const { offsetWidth: width, offsetHeight: height } = tip;
  tip.style.left = `${Math.max(8, event.clientX + 16 + width > innerWidth ? event.clientX - width - 12 : event.clientX + 16)}px`;
  tip.style.top = `${Math.max(8, Math.min(event.clientY + 14, innerHeight - height - 8))}px`;
}

const hideTip = () => (byId("tip").hidden = true);
