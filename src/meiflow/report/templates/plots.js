  // ---- data of figures: compressed text in the page, unpacked when it is needed --------------------
  const unpacked = new Map();
  const bytesOf = text => Uint8Array.from(atob(text), c => c.charCodeAt(0));
  const unpack = id => {
    if (!unpacked.has(id)) {
      const bytes = bytesOf(document.getElementById(id).textContent);
      const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
      unpacked.set(id, new Response(stream).json());
    }
    return unpacked.get(id);
  };
  const levelsOf = image => {
    const bytes = bytesOf(image.data);
    return image.bits === 16 ? new Uint16Array(bytes.buffer) : bytes;
  };
  const valuesOf = image => {
    const step = (image.high - image.low) / (2 ** image.bits - 1);
    return Float64Array.from(levelsOf(image), level => image.low + step * level);
  };
  const rowsOf = table => {
    const names = Object.keys(table);
    return table[names[0]].map((_, i) => Object.fromEntries(names.map(name => [name, table[name][i]])));
  };
  const csvOf = (names, rows) => [names, ...rows].map(row => row.map(value => {
    const text = value === null || value === undefined ? "" : String(value);
    return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }).join(",")).join("\n") + "\n";
  const short = (value, digits = 2) => value === null ? "–" : value.toFixed(digits);

  // ---- pictures ----------------------------------------------------------------------------------------
  const grey = share => { const level = Math.round(255 * share); return [level, level, level]; };
  const lookup = Array.from({ length: 256 }, (_, i) => {
    const { r, g, b } = d3.rgb(d3.interpolateViridis(i / 255));
    return [r, g, b];
  });
  const viridis = share => lookup[Math.round(255 * share)];
  const canvasOf = (width, height, colourAt, scale = 1) => {
    const canvas = document.createElement("canvas");
    canvas.width = width * scale;
    canvas.height = height * scale;
    const pen = canvas.getContext("2d"), picture = pen.createImageData(canvas.width, canvas.height);
    for (let y = 0, at = 0; y < canvas.height; y++) {
      for (let x = 0; x < canvas.width; x++, at += 4) {
        const colour = colourAt(Math.floor(y / scale) * width + Math.floor(x / scale));
        if (!colour) continue;  // transparent
        picture.data.set(colour, at);
        picture.data[at + 3] = colour[3] ?? 255;
      }
    }
    pen.putImageData(picture, 0, 0);
    return canvas;
  };
  // Pixels of an image between its lowest and highest value, or between two others.
  const bitmap = (image, colour = grey, low = image.low, high = image.high) => {
    const values = valuesOf(image), clip = value => Math.min(Math.max(value, 0), 1);
    return canvasOf(image.width, image.height, i => colour(clip((values[i] - low) / (high - low)))).toDataURL();
  };

  // An image that was seen through its alpha channel on grey, as a picture that is transparent where alpha is low.
  const seeThrough = (image, alpha, scale = 1) => {
    const values = valuesOf(image), opacity = valuesOf(alpha), middle = (image.low + image.high) / 2;
    const clip = value => Math.min(Math.max(value, 0), 1);
    return canvasOf(image.width, image.height, i => {
      const share = 0.5 + (values[i] - middle) / (image.high - image.low) / Math.max(opacity[i], 1 / 255);
      return [...grey(clip(share)), Math.round(255 * opacity[i])];
    }, scale);
  };

  // ---- marks and panels: every panel is an SVG of its own, so that they wrap on a small screen ---------
  const FONT = "Helvetica, Arial, sans-serif", SOFT = "#7f7f7f", BLUE = "#0072B2", ORANGE = "#D55E00";
  const SVG = "http://www.w3.org/2000/svg";
  const element = (name, attributes) => {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };
  // An image in a box of the axes: left, right, bottom, top.
  const pictureMark = (href, [left, right, bottom, top]) => (index, { x, y }) => element("image", {
    href, x: Math.min(x(left), x(right)), y: Math.min(y(top), y(bottom)), width: Math.abs(x(right) - x(left)),
    height: Math.abs(y(top) - y(bottom)), preserveAspectRatio: "none", style: "image-rendering: pixelated",
  });
  const pathOf = (points, attributes) => (index, { x, y }) => element("path", {
    d: points.map(part => part.map(([a, b], i) => `${i ? "L" : "M"}${x(a).toFixed(1)},${y(b).toFixed(1)}`).join("")).join(""),
    fill: "none", ...attributes,
  });
  const heading = (text, fill = "black", size = 9) => Plot.text([text], {
    frameAnchor: "top", lineAnchor: "bottom", dy: -4, fill, fontSize: size,
  });
  const lineX = (values, options) => Plot.ruleX(values, { stroke: SOFT, strokeWidth: 0.8, ...options });
  const lineY = (values, options) => Plot.ruleY(values, { stroke: SOFT, strokeWidth: 0.8, ...options });
  const DOTTED = { stroke: ORANGE, strokeWidth: 0.8, strokeDasharray: "1.5,2" };
  const panel = ({ width = 170, height = 150, marks, x = {}, y = {}, bare = false, ...rest }) => {
    const axis = { ticks: 4, tickSize: 3, labelArrow: "none", labelAnchor: "center", nice: false };
    return Plot.plot({
      width, height, marginTop: 18, marginRight: 6, marginBottom: 32, marginLeft: 38,
      style: { fontSize: "9px", fontFamily: FONT, background: "none", color: "black", overflow: "visible" },
      x: { ...axis, labelOffset: 28, ...x }, y: { ...axis, labelOffset: 34, ...y }, ...rest,
      marks: [...marks, ...(bare ? [] : ["left", "bottom"].map(anchor => Plot.frame({ anchor, strokeWidth: 0.8 })))],
    });
  };
  // An image or a map in degrees, on equal scales.
  const inDegrees = ({ href, box, width = 170, left = true, below = true, marks = [], more = {}, ...rest }) => {
    const marginLeft = left ? MARGIN : 8, marginRight = 4, marginTop = rest.marginTop ?? 18, marginBottom = below ? 32 : 8;
    const height = (width - marginLeft - marginRight) * Math.abs((box[3] - box[2]) / (box[1] - box[0]));
    return panel({
      width, height: height + marginTop + marginBottom, marginLeft, marginRight, marginBottom, bare: true,
      x: { domain: [box[0], box[1]], label: below ? "azimuth (deg)" : null, tickFormat: below ? undefined : () => "" },
      y: { domain: [box[2], box[3]], label: left ? "elevation (deg)" : null, tickFormat: left ? undefined : () => "",
        labelOffset: 35 },
      marks: [pictureMark(href, box), ...marks], ...rest, marginTop, ...more,
    });
  };
  // Widths of panels side by side, of which only the first has labels on its left.
  const MARGIN = 38;
  const widthsOf = (n, total = 340) => d3.range(n).map(i => (total - MARGIN + 8) / n + (i ? 0 : MARGIN - 8));
  // A logarithmic axis with few ticks, which do not run into each other.
  const logarithmic = values => {
    const [low, high] = d3.extent(values), span = high / low, steps = span < 8 ? [1, 2, 5] : span < 40 ? [1, 3] : [1];
    const ticks = d3.range(Math.floor(Math.log10(low)), Math.ceil(Math.log10(high)) + 1)
      .flatMap(power => steps.map(step => Number(`${step}e${power}`))).filter(tick => tick >= 0.999 * low && tick <= 1.001 * high);
    return { type: "log", ticks, tickFormat: String };
  };
  const boxOf = ({ x, y }) => {
    const edge = places => {
      const half = places.length > 1 ? Math.abs(places[1] - places[0]) / 2 : 5;
      return [Math.min(...places) - half, Math.max(...places) + half];
    };
    return [...edge(x), ...edge(y)];
  };
  const ramp = (label, low, high, width, colour = viridis) => panel({
    width, height: 44, marginTop: 6, marginBottom: 32, marginLeft: 38, marginRight: 12, bare: true,
    x: { domain: [low, high], label, ticks: 3 }, y: { domain: [0, 1], axis: null },
    marks: [pictureMark(canvasOf(256, 1, i => colour(i / 255)).toDataURL(), [low, high, 0, 1])],
  });
  // A legend of its own, which covers nothing: [text, colour, "line", "dot", "diamond" or "square"].
  const legendPanel = (items, width, across = 2) => {
    const rows = Math.ceil(items.length / across), made = element("svg", {
      width, height: 13 * rows + 4, viewBox: `0 0 ${width} ${13 * rows + 4}`, "font-size": 9, "font-family": FONT,
    });
    items.forEach(([text, colour, kind], i) => {
      const left = 8 + (i % across) * (width - 8) / across, middle = 8 + 13 * Math.floor(i / across);
      made.append(kind === "dot" ? element("circle", { cx: left + 7, cy: middle, r: 3, fill: colour })
        : kind === "diamond" ? element("path", { d: `M${left + 7},${middle - 5}l3.5,5l-3.5,5l-3.5,-5z`, fill: "white", stroke: colour })
        : element("rect", { x: left, y: middle - (kind === "line" ? 1 : 4), width: 14, height: kind === "line" ? 2 : 8, fill: colour }));
      const words = element("text", { x: left + 19, y: middle + 3 });
      words.textContent = text;
      made.append(words);
    });
    return made;
  };

  // ---- a figure on the page, and as a file -------------------------------------------------------------
  // Each entry of FIGURES draws one kind: (data, all data of the neuron, session, still) => {panels, width},
  // with `csv`, if the file has other numbers than `data.table`, and `live`, which adds controls.
  const FIGURES = {};
  const spec = async (figure, still) => {
    const [session, store] = await Promise.all([unpack("store-session"), unpack(figure.closest(".neuron").dataset.store)]);
    const key = figure.dataset.key;
    return FIGURES[key](store[key], store, session, still, figure.dataset.sort);
  };
  const standalone = ({ panels, width }, title) => {
    const root = element("svg", { "font-family": FONT, color: "black" });
    let left = 0, top = 0, below = 0;
    root.append(element("title", {}), element("rect", { width: "100%", height: "100%", fill: "white" }));
    root.firstChild.textContent = title;
    for (const each of panels) {
      const part = each.cloneNode(true), [wide, high] = [each.getAttribute("width"), each.getAttribute("height")].map(Number);
      if (left && left + wide > width + 1) [left, top] = [0, below];
      part.setAttribute("x", left);
      part.setAttribute("y", top);
      [left, below] = [left + wide, Math.max(below, top + high)];
      part.removeAttribute("class");
      all("style", part).forEach(style => style.remove());
      all("image", part).forEach(image => {
        image.setAttributeNS("http://www.w3.org/1999/xlink", "xlink:href", image.getAttribute("href"));
        image.removeAttribute("href");
      });
      [part, ...all("*", part)].forEach(node => ["fill", "stroke"].forEach(name => {
        if (node.getAttribute(name) === "currentColor") node.setAttribute(name, "black");
      }));
      root.append(part);
    }
    for (const [name, value] of [["width", width], ["height", Math.ceil(below)], ["viewBox", `0 0 ${width} ${Math.ceil(below)}`]]) {
      root.setAttribute(name, value);
    }
    return new XMLSerializer().serializeToString(root);
  };
  const plotted = async figure => {
    const drawn = await spec(figure, true), { data } = drawn;
    const csv = drawn.csv ? drawn.csv() : csvOf(Object.keys(data.table), rowsOf(data.table).map(row => Object.values(row)));
    return { svg: standalone(drawn, one("h3", figure).textContent), csv };
  };
  const fill = async page => {
    for (const figure of all("figure.plot", page)) {
      const frame = one(".panels", figure);
      if (frame.childElementCount) continue;
      const drawn = await spec(figure, false);
      for (const each of drawn.panels) {
        each.style.setProperty("--share", each.getAttribute("width") / drawn.width);
        frame.append(each);
      }
      drawn.live?.(figure);
    }
  };
  const controlsOf = (figure, html) => {
    const made = document.createElement("div");
    made.className = "controls";
    made.innerHTML = html;
    one(".frame", figure).after(made);
    return made;
  };

  // ---- all figures as one file -------------------------------------------------------------------------
  // Pictures without axes: every pixel of the model is a square, enlarged without smoothing.
  const ENLARGED = 8;
  const asBytes = async blob => new Uint8Array(await blob.arrayBuffer());
  const bare = image => new Promise(done => {
    const values = valuesOf(image);
    canvasOf(image.width, image.height, i => grey((values[i] - image.low) / (image.high - image.low)), ENLARGED)
      .toBlob(done, "image/png");
  });
  all("[data-bare]").forEach(button => button.addEventListener("click", async () => {
    const figure = button.closest("figure"), store = await unpack(figure.closest(".neuron").dataset.store);
    save(`${figure.dataset.file}-without-axes.png`, await bare(store.mei.image));
  }));
  all("[data-zip]").forEach(button => button.addEventListener("click", async () => {
    const page = button.closest(".neuron"), within = page ?? document.getElementById("overview"), files = {}, captions = [];
    button.disabled = true;
    for (const figure of all("figure[data-key]", within)) {
      const { svg, csv } = await parts(figure), key = figure.dataset.key;
      files[`${key}.svg`] = fflate.strToU8(svg);
      files[`${key}.csv`] = fflate.strToU8(csv);
      files[`${key}.png`] = await asBytes(await asPng(svg));
      captions.push(`${key}: ${one("h2, h3", figure).textContent}\n${one("figcaption", figure).textContent.trim()}\n`);
    }
    if (page) {
      const store = await unpack(page.dataset.store), images = { mei: store.mei.image, ...store.rivals.images };
      for (const [name, image] of Object.entries(images)) files[`without-axes/${name}.png`] = await asBytes(await bare(image));
      if (store.transparent) {
        const { image, alpha } = store.transparent;
        files["without-axes/transparent.png"] = await asBytes(await new Promise(done => seeThrough(image, alpha, ENLARGED).toBlob(done, "image/png")));
      }
    }
    files["captions.txt"] = fflate.strToU8(captions.join("\n"));
    const packed = fflate.zipSync(files, { level: 6, mtime: new Date(1980, 0, 1) });
    save(`${button.dataset.zip}.zip`, new Blob([packed], { type: "application/zip" }));
    button.disabled = false;
  }));
