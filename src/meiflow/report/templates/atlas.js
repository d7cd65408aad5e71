  const atlas = json("data-atlas");
  const { tile, across, places, ids, classes, trusted, above } = atlas;
  const canvas = field("atlas"), pen = canvas.getContext("2d"), sprite = field("sprite");
  const rows = 1 + Math.max(...places.map(p => p[0])), columns = 1 + Math.max(...places.map(p => p[1]));
  const at = new Map(places.map(([row, column], i) => [row * columns + column, i]));
  const FADED = 0.13, CLOSEST = 6;
  let shown = places.map(() => true), zoom = 1, left = 0, top = 0, queued = false;

  // ---- drawing: positions are in tiles of the sprite, zoom is in screen pixels per pixel of it ----
  const fit = () => Math.min(canvas.width / (columns * tile), canvas.height / (rows * tile));
  const draw = () => {
    queued = false;
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, canvas.width, canvas.height);
    const size = tile * zoom;
    places.forEach(([row, column], i) => {
      const x = column * size + left, y = row * size + top;
      if (x + size < 0 || y + size < 0 || x > canvas.width || y > canvas.height) return;
      pen.globalAlpha = shown[i] ? 1 : FADED;
      pen.drawImage(sprite, (i % across) * tile, Math.floor(i / across) * tile, tile, tile, x, y, size - 1, size - 1);
    });
    canvas.dataset.zoom = zoom.toFixed(3);
  };
  const redraw = () => {
    if (!queued) requestAnimationFrame(draw);
    queued = true;
  };
  const whole = () => {
    const ratio = devicePixelRatio || 1;
    canvas.width = Math.round(canvas.clientWidth * ratio);
    canvas.height = Math.round(canvas.clientHeight * ratio);
    zoom = Math.min(fit(), CLOSEST);
    left = (canvas.width - columns * tile * zoom) / 2;
    top = (canvas.height - rows * tile * zoom) / 2;
    redraw();
  };
  const zoomAt = (factor, x = canvas.width / 2, y = canvas.height / 2) => {
    const next = Math.min(Math.max(zoom * factor, Math.min(fit(), 1) / 2), CLOSEST);
    left = x - (x - left) * next / zoom;
    top = y - (y - top) * next / zoom;
    zoom = next;
    redraw();
  };

  // ---- filters ------------------------------------------------------------------------------------
  const form = document.querySelector(".filters");
  const filter = () => {
    const wanted = all("[data-class]").filter(select => select.value).map(select => [classes[select.dataset.class], select.value]);
    const sure = field("f-trusted")?.checked, holds = field("f-holds").checked;
    shown = places.map((_, i) => wanted.every(([values, value]) => values[i] === value) && (!sure || trusted[i]) && (!holds || above[i]));
    field("count").textContent = `${shown.filter(Boolean).length} of ${places.length} neurons`;
    redraw();
  };
  form.addEventListener("input", filter);
  form.addEventListener("reset", () => setTimeout(filter));
  form.addEventListener("submit", event => event.preventDefault());
  field("closer").addEventListener("click", () => zoomAt(1.5));
  field("further").addEventListener("click", () => zoomAt(1 / 1.5));
  field("whole").addEventListener("click", whole);

  // ---- pointer and keys -----------------------------------------------------------------------------
  const place = event => {
    const box = canvas.getBoundingClientRect(), ratio = canvas.width / box.width;
    return [(event.clientX - box.left) * ratio, (event.clientY - box.top) * ratio];
  };
  const under = (x, y) => {
    const column = Math.floor((x - left) / (tile * zoom)), row = Math.floor((y - top) / (tile * zoom));
    return column < 0 || column >= columns || row < 0 ? undefined : at.get(row * columns + column);
  };
  const name = i => i === undefined ? "" : [`session ${ids[i][0]}, neuron ${ids[i][1]}`,
    ...Object.entries(classes).filter(([key, values]) => key !== "session_id" && values[i]).map(([, values]) => values[i].replaceAll("_", " ")),
    ...(trusted.length ? [trusted[i] ? "trusted" : "not trusted"] : [])].join("; ");
  const pointers = new Map();
  let travelled = 0;
  canvas.addEventListener("pointerdown", event => {
    if (!pointers.size) travelled = 0;
    pointers.set(event.pointerId, place(event));
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", event => {
    const [x, y] = place(event), before = pointers.get(event.pointerId);
    if (!before) {
      field("name").textContent = name(under(x, y));
      return;
    }
    const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
    travelled += Math.abs(x - before[0]) + Math.abs(y - before[1]);
    if (other) zoomAt(Math.hypot(x - other[0], y - other[1]) / Math.max(Math.hypot(before[0] - other[0], before[1] - other[1]), 1), ...other);
    else {
      left += x - before[0];
      top += y - before[1];
      redraw();
    }
    pointers.set(event.pointerId, [x, y]);
  });
  const lift = event => pointers.delete(event.pointerId);
  canvas.addEventListener("pointercancel", lift);
  canvas.addEventListener("pointerup", event => {
    lift(event);
    const i = under(...place(event));
    if (travelled < 6 && i !== undefined) location.href = `../${encodeURIComponent(ids[i][0])}/report.html#neuron-${encodeURIComponent(ids[i][1])}`;
  });
  canvas.addEventListener("wheel", event => {
    event.preventDefault();
    zoomAt(Math.exp(-event.deltaY / 400), ...place(event));
  }, { passive: false });
  canvas.addEventListener("keydown", event => {
    const moves = { ArrowLeft: [80, 0], ArrowRight: [-80, 0], ArrowUp: [0, 80], ArrowDown: [0, -80] };
    if (event.key === "+" || event.key === "=") zoomAt(1.3);
    else if (event.key === "-") zoomAt(1 / 1.3);
    else if (moves[event.key]) {
      left += moves[event.key][0];
      top += moves[event.key][1];
      redraw();
    } else return;
    event.preventDefault();
  });
  addEventListener("resize", whole);
  sprite.decode().then(whole);
