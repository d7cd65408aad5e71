  // ---- every image and trial: rows are images, sorted; a row shows its image ----------------------------
  const SORTS = { measured: "measured response", predicted: "predicted response", number: "order of the images" };
  FIGURES.raster = (data, store, session, still, sort = "measured") => {
    const { trials } = data, counts = levelsOf(trials), step = (trials.high - trials.low) / 255, { table } = store.prediction;
    const rows = rowsOf(table).map((row, i) => ({ ...row, i, number: -i, sem: store.reliability.table.sem[i] ?? 0 }));
    const order = d3.sort(rows, (a, b) => b[sort] - a[sort]), n = order.length, high = 330;
    const count = (row, trial) => counts[row.i * trials.width + trial] === 255 ? null : trials.low + step * counts[row.i * trials.width + trial];
    const every = order.flatMap(row => d3.range(trials.width).map(trial => count(row, trial)));
    const [least, most] = reachOf(every, [Math.min(0, trials.low)]), span = most - least || 1;
    const href = canvasOf(trials.width, n, i => every[i] === null ? null : viridis((every[i] - least) / span)).toDataURL();
    const places = order.map((row, rank) => ({ ...row, rank }));
    const axis = { domain: [n, 0], ticks: 5, label: `image, by ${SORTS[sort]}` };
    const heat = panel({
      width: 440, height: high, marginTop: 8, x: { domain: [0, trials.width], label: "trial" }, y: axis,
      marks: [pictureMark(href, [0, trials.width, n, 0])],
    });
    const means = panel({
      width: 190, height: high, marginTop: 8, marginLeft: 12, x: { label: labelled(session, "mean count") }, y: { ...axis, axis: null },
      marks: [Plot.ruleY(places, { x1: row => row.measured - row.sem, x2: row => row.measured + row.sem, y: row => row.rank + 0.5, stroke: "#bbb", strokeWidth: Math.min(2, 200 / n) }),
        Plot.dot(places, { x: "measured", y: row => row.rank + 0.5, r: 1.6, fill: "black" }),
        Plot.dot(places, { x: "predicted", y: row => row.rank + 0.5, r: 1.6, fill: ORANGE })],
    });
    const { width, height, across, sheet } = session.images, shown = 216, tall = shown * session.height_deg / session.width_deg;
    const scale = shown / width;
    const card = element("svg", { width: 230, height: tall + 74, viewBox: `0 0 230 ${tall + 74}`, class: "shown", "font-family": FONT, "font-size": 10 });
    const view = element("svg", { x: 8, y: 8, width: shown, height: tall, viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none" });
    const sheetImage = element("image", { href: sheet, width: across * width, style: "image-rendering: auto" });
    const lines = d3.range(4).map(i => element("text", { x: 8, y: tall + 24 + 14 * i }));
    view.append(sheetImage);
    card.append(view, ...lines);
    const pick = rank => {
      const row = order[rank];
      sheetImage.setAttribute("x", -(row.i % across) * width);
      sheetImage.setAttribute("y", -Math.floor(row.i / across) * height);
      const words = [`${nameOf(session, row.i)}, ${rank + 1} of ${n}`, `measured ${short(row.measured)} ± ${short(row.sem)} (s.e.m.)`, `predicted ${short(row.predicted)}`,
        `in ${d3.range(trials.width).filter(trial => count(row, trial) !== null).length} trials`];
      lines.forEach((line, i) => { line.textContent = words[i]; });
    };
    pick(0);
    const live = figure => {
      const controls = one(".controls", figure) ?? controlsOf(figure,
        `<label class="short">Sort by <select>${Object.entries(SORTS).map(([key, text]) => `<option value="${key}">${text}</option>`).join("")}</select></label>`
        + '<label>Image <input type="range" min="0" step="1" value="0"></label>');
      const slider = one("input", controls), select = one("select", controls);
      const bar = element("rect", { fill: "none", stroke: ORANGE, "stroke-width": 1.5, width: heat.scale("x").range[1] - heat.scale("x").range[0], x: heat.scale("x").range[0] });
      const y = heat.scale("y"), move = rank => {
        slider.value = rank;
        bar.setAttribute("y", y.apply(rank) - 0.75);
        bar.setAttribute("height", Math.abs(y.apply(1) - y.apply(0)) + 1.5);
        pick(rank);
      };
      const point = event => move(Math.min(Math.max(Math.floor(y.invert(d3.pointer(event, heat)[1])), 0), n - 1));
      heat.append(bar);
      heat.classList.add("rows");
      heat.addEventListener("pointermove", point);
      heat.addEventListener("pointerdown", point);
      slider.max = n - 1;
      slider.oninput = () => move(Number(slider.value));
      select.onchange = () => {
        figure.dataset.sort = select.value;
        one(".panels", figure).replaceChildren();
        fill(figure.closest(".neuron"));
      };
      move(0);
    };
    const left = stacked([heat, ramp(labelled(session, "count"), least, most, 440)]);
    left.classList.add("main");
    const middle = stacked([means, legendPanel([["measured ± s.e.m.", "black", "dot"], ["predicted", ORANGE, "dot"]], 190, 1)]);
    return {
      data, width: 860, panels: [left, middle, card], live,
      csv: () => csvOf(["image_id", "measured", "predicted", ...d3.range(trials.width).map(i => `trial_${i + 1}`)],
        order.map(row => [row.image_id, row.measured, row.predicted, ...d3.range(trials.width).map(trial => {
          const value = count(row, trial);
          return value === null ? null : Number(value.toPrecision(4));
        })])),
    };
  };
