
  // ---- the screen: every MEI at its true place and size --------------------------------------------
  const map = d3.select("#map"), [screenWide, screenHigh] = linked.screen;
  const placed = neurons.filter(neuron => neuron.box);
  const ranks = { no: 0, unknown: 1, "": 1, yes: 2 };
  const drawOrder = [...placed].sort((p, q) => ranks[p.kind] - ranks[q.kind]);  // trusted ones in front
  const middle = neuron => [d3.mean(neuron.outline, p => p[0]), d3.mean(neuron.outline, p => p[1])];
  const whole = [-screenWide / 2, -screenHigh / 2, screenWide, screenHigh];  // x, y, width, height; y downwards
  // The part with most of the MEIs, in the proportions of the screen.
  const populated = () => {
    const good = placed.filter(neuron => neuron.kind !== "no"), used = good.length ? good : placed;
    if (!used.length) return whole;
    const share = Math.max(0.3, 1.12 * Math.max((d3.max(used, n => n.box[2]) - d3.min(used, n => n.box[0])) / screenWide,
      (d3.max(used, n => n.box[1]) - d3.min(used, n => n.box[3])) / screenHigh));
    if (share > 0.8) return whole;
    const [w, h] = [share * screenWide, share * screenHigh];
    const x = (d3.max(used, n => n.box[2]) + d3.min(used, n => n.box[0]) - w) / 2;
    const y = -(d3.max(used, n => n.box[1]) + d3.min(used, n => n.box[3]) + h) / 2;
    return [Math.max(whole[0], Math.min(x, -whole[0] - w)), Math.max(whole[1], Math.min(y, -whole[1] - h)), w, h];
  };
  const near = populated();
  const line = d3.line();
  const outline = neuron => `${line(neuron.outline.map(([x, y]) => [x, -y]))}Z`;
  const images = map.append("g"), leads = map.append("g"), links = map.append("g");
  const truly = map.append("g").attr("class", "front"), front = map.append("g").attr("class", "front"), ruler = map.append("g");
  const place = selection => selection.attr("href", n => n.picture).attr("preserveAspectRatio", "none")
    .attr("x", n => n.box[0]).attr("y", n => -n.box[1]).attr("width", n => n.box[2] - n.box[0]).attr("height", n => n.box[1] - n.box[3]);
  images.selectAll("image").data(drawOrder).join("image").call(place).attr("class", n => `mei-on-map ${n.kind}`);
  const onMap = links.selectAll("a").data(drawOrder).join("a").attr("class", "on-map").attr("href", n => n.address)
    .attr("tabindex", -1).attr("aria-label", spoken);
  onMap.append("path").attr("class", "halo").attr("d", outline);
  const ring = onMap.append("path").attr("class", n => `ring ${n.kind}`).attr("d", outline);
  const centre = onMap.append("circle").attr("class", "dot").attr("cx", n => middle(n)[0]).attr("cy", n => -middle(n)[1]);
  leads.selectAll("line").data(drawOrder).join("line");
  const reachable = walkable(map.node());

  // Where RFs overlap: fainter outlines, or all MEIs apart from each other, smaller and tied to their places.
  const crowd = d3.mean(placed, p => placed.filter(q => Math.hypot(middle(p)[0] - middle(q)[0], middle(p)[1] - middle(q)[1])
    < (p.box[2] - p.box[0]) / 2).length) ?? 1;
  const apart = field("map-apart"), crowded = crowd > 4;
  let spread = { scale: 1, of: new Map() };
  const spreads = new Map();  // by what is seen of the screen: MEIs keep their places while others are filtered
  const spreadOut = box => {
    if (!apart.checked || !placed.length) return { scale: 1, of: new Map() };
    if (!spreads.has(box)) spreads.set(box, spreadIn(box));
    return spreads.get(box);
  };
  const spreadIn = box => {
    const size = n => Math.sqrt((n.box[2] - n.box[0]) * (n.box[1] - n.box[3])) / 2.2;
    const scale = Math.min(1, Math.sqrt(0.66 * box[2] * box[3] / d3.sum(placed, n => Math.PI * size(n) ** 2)));
    const nodes = placed.map(n => ({ n, x: middle(n)[0], y: -middle(n)[1], r: scale * size(n) }));
    d3.forceSimulation(nodes).stop().force("x", d3.forceX(d => middle(d.n)[0]).strength(0.05)).force("y", d3.forceY(d => -middle(d.n)[1]).strength(0.05))
      .force("apart", d3.forceCollide(d => d.r).iterations(3)).force("inside", () => nodes.forEach(d => {
        d.x = Math.max(box[0] + d.r, Math.min(box[0] + box[2] - d.r, d.x));
        d.y = Math.max(box[1] + d.r, Math.min(box[1] + box[3] - d.r, d.y));
      })).tick(200);
    return { scale, of: new Map(nodes.map(d => [d.n, [d.x, d.y]])) };
  };
  const seenAt = neuron => spread.of.get(neuron) ?? [middle(neuron)[0], -middle(neuron)[1]];
  const moved = neuron => {
    const [x, y] = seenAt(neuron), [x0, y0] = middle(neuron);
    return spread.of.has(neuron) ? `translate(${x},${y}) scale(${spread.scale}) translate(${-x0},${y0})` : null;
  };

  const zoomed = field("map-near");
  zoomed.closest("label").hidden = near === whole;
  const frame = () => {
    const box = zoomed.checked ? near : whole, unit = box[2] / 640;  // degrees per pixel of a map 640 wide
    map.attr("viewBox", box.join(" ")).style("aspect-ratio", `${screenWide} / ${screenHigh}`);
    spread = spreadOut(box);
    map.style("--faint", apart.checked ? 0.9 : Math.max(0.3, Math.min(0.8, 2.4 / crowd)));
    [images.selectAll("image"), onMap].forEach(parts => parts.attr("transform", moved));
    leads.selectAll("line").attr("x1", n => middle(n)[0]).attr("y1", n => -middle(n)[1]).attr("x2", n => seenAt(n)[0]).attr("y2", n => seenAt(n)[1]);
    leads.classed("out", !apart.checked).selectAll("line").classed("out", n => !n.shown);
    centre.attr("r", 3.2 * unit / spread.scale);
    // a bar of a round length
    const long = [40, 20, 10, 5, 2, 1].find(size => size <= box[2] / 4) ?? 1;
    const [x, y] = [box[0] + box[2] - long - 12 * unit, box[1] + box[3] - 12 * unit];
    ruler.selectAll("*").remove();
    if (zoomed.checked && near !== whole) {  // where on the screen this part is
      const [w, h] = [110 * unit, 110 * unit * screenHigh / screenWide], scale = w / screenWide;
      const inset = ruler.append("g").attr("transform", `translate(${box[0] + 10 * unit + w / 2},${box[1] + 10 * unit + h / 2}) scale(${scale})`);
      inset.append("rect").attr("class", "inset").attr("x", whole[0]).attr("y", whole[1]).attr("width", whole[2]).attr("height", whole[3]);
      inset.append("rect").attr("class", "part").attr("x", near[0]).attr("y", near[1]).attr("width", near[2]).attr("height", near[3]);
    }
    ruler.append("path").attr("class", "bar").attr("d", `M${x},${y}h${long}`);
    ruler.append("text").attr("x", x + long / 2).attr("y", y - 5 * unit).attr("font-size", 13 * unit).attr("text-anchor", "middle").text(`${long}°`);
  };
  [zoomed, apart].forEach(box => box.addEventListener("change", () => changed()));

  views.push(() => {
    const { length } = placed.filter(neuron => neuron.shown);
    images.selectAll("image").classed("out", n => !n.shown);
    onMap.classed("out", n => !n.shown).attr("aria-hidden", n => n.shown ? null : "true");
    ring.style("stroke", coloured);
    centre.style("fill", coloured);
    frame();
    reachable();
    const lost = neurons.filter(neuron => neuron.shown && !neuron.box).length;
    const shrunk = spread.scale < 1 ? `, at ${plain(100 * spread.scale, 0)} % of their size` : "";
    field("map-count").textContent = `${length} MEI${length === 1 ? "" : "s"} on a screen of ${plain(screenWide, 0)}° × ${plain(screenHigh, 0)}°${shrunk}${lost ? `; ${lost} without a place` : ""}`;
  });
  lighters.push(neuron => {
    const chosen = neuron?.box ? [neuron] : [];
    map.classed("some", chosen.length);
    truly.selectAll("path").data(apart.checked ? chosen : []).join("path").attr("class", "truly").attr("d", outline);
    front.attr("transform", neuron?.box ? moved(neuron) : null);
    front.selectAll("image").data(chosen).join("image").call(place);
    front.selectAll("path").data([...chosen, ...chosen]).join("path").attr("d", outline)
      .attr("class", (n, i) => i ? `ring ${n.kind}` : "halo").style("stroke", (n, i) => i ? coloured(n) : null);
  });
  // The pointer takes the nearest centre: outlines overlap, centres rarely do.
  const nearest = (event, most) => {
    const [x, y] = d3.pointer(event, map.node()), open = placed.filter(neuron => neuron.shown);
    const far = neuron => Math.hypot(seenAt(neuron)[0] - x, seenAt(neuron)[1] - y);
    const found = d3.least(open, far);
    return found && far(found) < most ? found : null;
  };
  map.on("pointermove", event => {
    if (event.pointerType !== "touch") light(nearest(event, screenWide / 6), map.node().getBoundingClientRect().right - 12, event.clientY);
  }).on("pointerleave", dark).on("click", event => {
    const found = nearest(event, screenWide / 6);
    if (!found || event.detail === 0) return;  // a key opens the link that has the focus
    event.preventDefault();
    location.hash = found.address;
  });
