
  // ---- linked scatter plots: a rectangle in one of them selects neurons everywhere ------------------
  const WIDE = 380, HIGH = 300, LEFT = 52, RIGHT = 12, TOP = 10, BOTTOM = 42;
  const has = name => axes.includes(name);
  const DEFAULTS = [
    ["oracle", "cc_norm_model"],
    has("recorded_orientation_deg") && has("predicted_orientation_deg")
      ? ["recorded_orientation_deg", "predicted_orientation_deg"] : ["mei_peak_frequency_cpd", "mei_size_deg"],
    ["cc_norm_model", "mei_over_best_gabor"],
  ].map(pair => pair.map((name, i) => has(name) ? name : axes[i] ?? axes[0]));
  const isLog = name => /_cpd$|_hz$|^mei_over_|_over_/.test(name) && d3.min(neurons, n => n.value(name)) > 0;
  const isRatio = name => name.startsWith("mei_over_");
  const unitOf = name => name.replace(/^(recorded|predicted)_/, "");

  const scaleFor = (name, range) => {
    const ends = [`${name}_low`, `${name}_high`].filter(end => end in at);
    let [low, high] = d3.extent(neurons.flatMap(n => [name, ...ends].map(end => n.value(end))).filter(v => v !== null));
    if (isLog(name)) {
      if (!(low > 0)) low = d3.min(neurons, n => n.value(name));
      return d3.scaleLog([low / 1.08, high * 1.08], range);
    }
    const pad = (high - low || 1) * 0.05;
    return d3.scaleLinear([low - pad, high + pad], range);
  };
  // Ticks of a logarithmic axis at 1, 2 and 5, or at round steps where it spans less than a factor of five.
  const ticksOf = (scale, count) => {
    const [low, high] = scale.domain();
    if (!scale.base) return scale.ticks(count);
    if (high / low < 5) return d3.ticks(low, high, count);
    const all125 = d3.range(Math.floor(Math.log10(low)), Math.ceil(Math.log10(high)) + 1).flatMap(p => [1, 2, 5].map(m => m * 10 ** p));
    return all125.filter(value => value >= low && value <= high);
  };
  const tickText = value => String(Number(value.toPrecision(6)));

  const scatters = all(".scatter").map((box, number) => {
    const svg = d3.select(one("svg", box)).attr("viewBox", `0 0 ${WIDE} ${HIGH}`);
    const selects = [one(".axis-x", box), one(".axis-y", box)], [fromX, toX, fromY, toY] = all("input", box);
    selects.forEach(select => axes.forEach(name => (first.has(name) || name in linked.further ? one("optgroup", select) : all("optgroup", select)[1])
      .append(new Option(labels[name], name))));
    const grid = svg.append("g"), brushed = svg.append("g"), bars = svg.append("g"), dots = svg.append("g");
    const state = { brush: null };
    let x, y, names;
    const brush = d3.brush().extent([[LEFT, TOP], [WIDE - RIGHT, HIGH - BOTTOM]]).touchable(false)
      .filter(event => !event.button && !event.ctrlKey && !under(event)).on("brush end", ({ selection, sourceEvent, type }) => {
        if (!sourceEvent) return;
        state.brush = selection && [x.invert(selection[0][0]), x.invert(selection[1][0]), y.invert(selection[1][1]), y.invert(selection[0][1])];
        written();
        type === "end" ? changed() : narrow();
      });
    const inside = neuron => {
      if (!state.brush) return true;
      const [p, q] = names.map(neuron.value), [x0, x1, y0, y1] = state.brush;
      return p !== null && q !== null && p >= x0 && p <= x1 && q >= y0 && q <= y1;
    };
    const under = event => {
      const [px, py] = d3.pointer(event, svg.node());
      const known = neurons.filter(n => names.every(name => n.value(name) !== null));
      const far = n => Math.hypot(x(n.value(names[0])) - px, y(n.value(names[1])) - py);
      const found = d3.least(known, far);
      return found && far(found) < 7 ? found : null;
    };
    const written = () => [fromX, toX, fromY, toY].forEach((input, i) => { input.value = state.brush ? Number(state.brush[i].toPrecision(4)) : ""; });
    const placeBrush = () => brushed.call(brush.move, state.brush && [[x(state.brush[0]), y(state.brush[3])], [x(state.brush[1]), y(state.brush[2])]]
      .map(([px, py]) => [Math.max(LEFT, Math.min(WIDE - RIGHT, px)), Math.max(TOP, Math.min(HIGH - BOTTOM, py))]));
    const draw = () => {
      names = selects.map(select => select.value);
      [x, y] = [scaleFor(names[0], [LEFT, WIDE - RIGHT]), scaleFor(names[1], [HIGH - BOTTOM, TOP])];
      grid.selectAll("*").remove();
      const axis = (scale, make, count, move) => grid.append("g").attr("transform", move)
        .call(make(scale).tickValues(ticksOf(scale, count)).tickFormat(tickText).tickSizeOuter(0));
      axis(x, d3.axisBottom, 5, `translate(0,${HIGH - BOTTOM})`);
      axis(y, d3.axisLeft, 5, `translate(${LEFT},0)`);
      grid.append("text").attr("class", "name").attr("x", (LEFT + WIDE - RIGHT) / 2).attr("y", HIGH - 6).attr("text-anchor", "middle").text(labels[names[0]]);
      grid.append("text").attr("class", "name").attr("transform", `translate(13,${(TOP + HIGH - BOTTOM) / 2}) rotate(-90)`).attr("text-anchor", "middle").text(labels[names[1]]);
      const rule = (x1, y1, x2, y2) => grid.append("line").attr("class", "rule").attr("x1", x1).attr("y1", y1).attr("x2", x2).attr("y2", y2);
      if (isRatio(names[1])) rule(LEFT, y(1), WIDE - RIGHT, y(1));
      if (isRatio(names[0])) rule(x(1), TOP, x(1), HIGH - BOTTOM);
      if (names[0] !== names[1] && unitOf(names[0]) === unitOf(names[1])) {
        const low = Math.max(x.domain()[0], y.domain()[0]), high = Math.min(x.domain()[1], y.domain()[1]);
        if (low < high) rule(x(low), y(low), x(high), y(high));
      }
      const known = neurons.filter(n => names.every(name => n.value(name) !== null));
      const [low, high] = [`${names[1]}_low`, `${names[1]}_high`];
      const spans = low in at && high in at ? known.filter(n => n.value(low) !== null) : [];
      const clamp = value => Math.max(TOP, Math.min(HIGH - BOTTOM, Number.isNaN(value) ? HIGH - BOTTOM : value));
      bars.selectAll("line").data(spans).join("line").attr("x1", n => x(n.value(names[0]))).attr("x2", n => x(n.value(names[0])))
        .attr("y1", n => clamp(y(n.value(low)))).attr("y2", n => clamp(y(n.value(high))));
      dots.selectAll("a").data([...known].sort((p, q) => ranks[p.kind] - ranks[q.kind])).join(enter => {
        const link = enter.append("a").attr("tabindex", -1);
        link.append("circle").attr("r", 4.5);
        return link;
      }).attr("href", n => n.address).attr("aria-label", spoken).select("circle")
        .attr("class", n => `dot ${n.kind}`).attr("cx", n => x(n.value(names[0]))).attr("cy", n => y(n.value(names[1])));
      const lost = neurons.length - known.length;
      one(".lost", box).textContent = lost ? `${lost} without ${lost === 1 ? "a value" : "values"}` : "";
      brushed.call(brush);
      placeBrush();
      written();
    };
    const reach = walkable(svg.node());
    views.push(() => {
      dots.selectAll("circle").classed("out", n => !n.shown).style("fill", coloured);
      bars.selectAll("line").classed("out", n => !n.shown);
      reach();
    });
    svg.on("pointermove", event => {
      if (event.pointerType !== "touch" && !event.buttons) light(under(event), event.clientX, event.clientY);
    }).on("pointerleave", dark).on("click", event => {
      const found = under(event);
      if (!found || event.detail === 0) return;
      event.preventDefault();
      location.hash = found.address;
    });
    selects.forEach(select => select.addEventListener("change", () => { state.brush = null; draw(); changed(); }));
    [fromX, toX, fromY, toY].forEach((input, i) => input.addEventListener("change", () => {
      const wide = [...x.domain(), ...y.domain()];
      const given = [fromX, toX, fromY, toY].map((one, j) => one.value === "" ? wide[j] : Number(one.value));
      state.brush = [fromX, toX, fromY, toY].some(one => one.value !== "") && given[0] <= given[1] && given[2] <= given[3] ? given : null;
      if (state.brush) placeBrush(); else brushed.call(brush.move, null);
      changed();
    }));
    return { inside, written: () => [selects.map(select => select.value).join("~"), state.brush ? state.brush.map(v => Number(v.toPrecision(4))).join("~") : ""],
      isDefault: () => selects.every((select, i) => select.value === DEFAULTS[number][i]),
      brushed: () => Boolean(state.brush), label: () => `${labels[names[1]]} against ${labels[names[0]]}`,
      set: (pair, rectangle) => {
        const wanted = pair.split("~");
        selects.forEach((select, i) => { select.value = axes.includes(wanted[i]) ? wanted[i] : DEFAULTS[number][i]; });
        const given = rectangle.split("~").map(Number);
        state.brush = given.length === 4 && given.every(Number.isFinite) ? given : null;
        draw();
      } };
  });
