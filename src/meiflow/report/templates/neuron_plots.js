  // ---- the figures of a neuron --------------------------------------------------------------------------
  const screenOf = ({ width_deg: wide, height_deg: high }) => [-wide / 2, wide / 2, -high / 2, high / 2];
  const reachOf = (...lists) => d3.extent(lists.flat().filter(value => value !== null));
  const dotted = (points, x, y) => Plot.dot(points, { x, y, r: 1.7, fill: BLUE, fillOpacity: 0.7 });
  const hint = (still, points, x, y, title) => still ? [] : [Plot.tip(points, Plot.pointer({ x, y, title, fontSize: 10 }))];
  const diagonal = ([low, high]) => Plot.line([[low, low], [high, high]], { stroke: SOFT, strokeWidth: 0.8 });
  const labelled = (session, text) => session.labels[text] ?? text;

  FIGURES.mei = (data, store, session) => {
    const { image, centre } = data, box = screenOf(session), mask = bytesOf(data.mask);
    const [shape] = d3.contours().size([image.width, image.height]).thresholds([0.5])(mask);
    const place = ([column, row]) => [box[0] + column / image.width * session.width_deg, box[3] - row / image.height * session.height_deg];
    const rings = mask.some(inside => inside) && mask.some(inside => !inside) ? shape.coordinates.flat().map(ring => ring.map(place)) : [];
    const cross = [[-2.5, 0], [2.5, 0], [0, -2.5], [0, 2.5]].map(([x, y]) => [centre[0] + x, centre[1] + y]);
    const [low, high] = [Math.max(0, image.low), Math.min(1, image.high)];
    return {
      data, width: 340,
      panels: [
        inDegrees({
          href: bitmap(image), box, width: 340, marginTop: 6, marks: [
            pathOf(rings, { stroke: session.mask, "stroke-width": 1.2 }),
            pathOf([cross.slice(0, 2), cross.slice(2)], { stroke: session.mask, "stroke-width": 1.2 }),
          ],
        }),
        ramp("luminance", low, high, 340, share => grey((low + share * (high - low) - image.low) / (image.high - image.low))),
      ],
      csv: () => {
        const values = valuesOf(image), { x, y } = session;
        return csvOf(["y_deg \\ x_deg", ...x.map(value => value.toFixed(2))],
          y.map((value, i) => [value.toFixed(2), ...Array.from(values.slice(i * x.length, (i + 1) * x.length), v => v.toFixed(4))]));
      },
    };
  };

  const SQUARE = 4;  // pixels of a chequerboard
  FIGURES.transparent = (data, store, session) => {
    const { image, alpha } = data, box = screenOf(session), widths = widthsOf(2);
    const board = canvasOf(image.width, image.height, i =>
      grey((Math.floor(i / image.width / SQUARE) + Math.floor(i % image.width / SQUARE)) % 2 ? 0.62 : 0.42)).toDataURL();
    const [shape] = d3.contours().size([alpha.width, alpha.height]).thresholds([0.5])(valuesOf(alpha));
    const place = ([column, row]) => [box[0] + column / image.width * session.width_deg, box[3] - row / image.height * session.height_deg];
    const ring = pathOf(shape.coordinates.flat().map(part => part.map(place)), { stroke: session.mask, "stroke-width": 1 });
    return {
      data, width: 340,
      panels: [
        inDegrees({
          href: board, box, width: widths[0],
          marks: [pictureMark(seeThrough(image, alpha).toDataURL(), box), ring, heading("MEI, transparent")],
        }),
        inDegrees({ href: bitmap(alpha, grey, 0, 1), box, width: widths[1], left: false, marks: [heading("alpha: white is opaque")] }),
      ],
    };
  };

  FIGURES.rivals = (data, store, session) => {
    const rows = Object.fromEntries(rowsOf(data.table).map(row => [row.stimulus, row]));
    const images = { mei: store.mei.image, ...data.images }, names = Object.keys(session.stimuli).filter(name => images[name]);
    const widths = widthsOf(2), panels = names.map((name, i) => {
      const { short: text, dark } = session.stimuli[name], { predicted_response: count, matched } = rows[name];
      const left = i % 2 === 0;
      return inDegrees({
        href: bitmap(images[name]), box: screenOf(session), width: widths[i % 2], left, below: i + 2 >= names.length,
        marks: [heading(`${text}: ${short(count)}${matched ? "" : " (lower contrast)"}`, dark)],
      });
    });
    return { data, panels, width: 340 };
  };

  FIGURES.responses = (data, store, session, still) => {
    const rows = rowsOf(data.table).filter(row => session.stimuli[row.stimulus]), name = row => session.stimuli[row.stimulus].short;
    const share = row => row.mei_ratio ? 1 / row.mei_ratio : NaN, truth = "true_fraction" in data.table;
    const sure = rows.filter(row => row.stimulus !== "mei" && row.mei_ratio_low > 0 && row.mei_ratio_high !== null);
    const ends = [...rows.map(share), ...sure.map(row => 1 / row.mei_ratio_low), ...(truth ? data.table.true_fraction : []), 1];
    const drawn = panel({
      width: 340, height: 26 * rows.length + 40, marginTop: 6, marginLeft: 92,
      x: { domain: [Math.min(0, d3.min(ends)), 1.03 * d3.max(ends)], label: labelled(session, "predicted count relative to the MEI") },
      y: { domain: Object.values(session.stimuli).map(one => one.short).filter(text => rows.some(row => name(row) === text)),
        label: null, tickSize: 0, type: "band", padding: 0.35 },
      marks: [
        Plot.barX(rows, { x: share, y: name, fill: row => session.stimuli[row.stimulus].colour, fillOpacity: 0.85 }),
        Plot.ruleY(sure, { x1: row => 1 / row.mei_ratio_high, x2: row => 1 / row.mei_ratio_low, y: name, stroke: "black" }),
        lineX([1]),
        ...(truth ? [Plot.dot(rows, { x: "true_fraction", y: name, symbol: "diamond", r: 4, fill: "white", stroke: "black" })] : []),
        ...hint(still, rows, share, name, row => `${name(row)}\n${short(share(row))} of the MEI${truth ? `\ntrue drive ${short(row.true_fraction)} of the maximum` : ""}`),
      ],
    });
    const items = [["prediction", SOFT, "square"], ["95 % interval", "black", "line"], ["true drive / maximal drive", "black", "diamond"]];
    return { data, panels: [drawn, legendPanel(items.slice(0, truth ? 3 : 2), 340)], width: 340 };
  };

  FIGURES.ascent = (data, store, session, still) => {
    const rows = rowsOf(data.table), steps = Object.keys(data.images).map(Number), last = steps.length - 1;
    const at = i => bitmap(i === last ? store.mei.image : data.images[steps[i]]), answer = i => rows[steps[i]].response;
    const panels = [
      inDegrees({ href: at(last), box: screenOf(session), width: 170, marks: [heading(`step ${steps[last]}`)] }),
      panel({
        width: 170, x: { label: "step of gradient ascent" },
        y: { domain: [Math.min(0, d3.min(data.table.response)), 1.05 * d3.max(data.table.response)], label: labelled(session, "predicted count") },
        marks: [Plot.line(rows, { x: "step", y: "response", stroke: session.stimuli.mei.colour, strokeWidth: 1.4 }),
          Plot.dot([last], { x: i => steps[i], y: answer, r: 4, stroke: ORANGE, strokeWidth: 1.5 }),
          ...hint(still, rows, "step", "response", row => `step ${row.step}\n${short(row.response)}`)],
      }),
    ];
    const live = figure => {
      const controls = controlsOf(figure, `<label>Step <input type="range" min="0" max="${last}" step="1"></label><output></output>`);
      const slider = one("input", controls), shown = one("image", panels[0]), [words] = all("text", panels[0]).slice(-1);
      const dot = all("circle", panels[1]).at(-1), [x, y] = ["x", "y"].map(name => panels[1].scale(name));
      const move = () => {
        const i = Number(slider.value);
        shown.setAttribute("href", at(i));
        dot.setAttribute("cx", x.apply(steps[i]));
        dot.setAttribute("cy", y.apply(answer(i)));
        words.textContent = `step ${steps[i]}${steps[i] ? "" : ", the start"}`;
        slider.setAttribute("aria-valuetext", words.textContent);
        one("output", controls).textContent = `${labelled(session, "predicted count")} ${short(answer(i))}`;
      };
      slider.value = last;
      slider.addEventListener("input", move);
      move();
    };
    return { data, panels, width: 340, live };
  };

  FIGURES.trials = (data, store, session) => {
    const { images } = data, box = screenOf(session), colour = one => one.best ? ORANGE : BLUE;
    const widths = widthsOf(images.length), margins = i => ({ width: widths[i], marginLeft: i ? 8 : MARGIN, marginRight: 4 });
    const pictures = images.map((one, i) => {
      const { width, marginLeft, marginRight } = margins(i), high = (width - marginLeft - marginRight) * session.height_deg / session.width_deg;
      return panel({
        ...margins(i), height: 30 + high, marginTop: 26, marginBottom: 4, bare: true,
        x: { domain: box.slice(0, 2), axis: null }, y: { domain: box.slice(2), axis: null },
        marks: [pictureMark(bitmap(one.picture), box), heading(`${one.label}\n${short(one.centre)}`, colour(one))],
      });
    });
    if (!data.edges) return { data, width: 340, panels: [...pictures, strip(data, session, colour)] };
    const [start, stop] = d3.extent(data.edges), shade = Plot.rect([data.window], { x1: "0", x2: "1", fill: SOFT, fillOpacity: 0.18 });
    const spikes = d3.group(rowsOf(data.table), row => row.image);
    const rasters = images.map((one, i) => panel({
      ...margins(i), height: 100, marginTop: 4, marginBottom: 4, bare: Boolean(i),
      x: { domain: [start, stop], axis: null },
      y: { domain: [one.trials + 0.5, 0.5], axis: i ? null : "left", label: "trial" },
      marks: [shade, pathOf((spikes.get(one.label) ?? []).map(({ trial, spike_s: at }) => [[at, trial - 0.42], [at, trial + 0.42]]), { stroke: "black", "stroke-width": 0.6 })],
    }));
    const middles = data.edges.slice(1).map((edge, i) => (edge + data.edges[i]) / 2);
    const top = 1.08 * Math.max(1, ...data.rates.flat(), ...data.everywhere);
    const line = (rates, stroke, strokeWidth) => Plot.line(rates.map((rate, i) => [middles[i], rate]), { curve: "step", stroke, strokeWidth });
    const rates = images.map((one, i) => panel({
      ...margins(i), height: 96, marginTop: 4,
      x: { domain: [start, stop], ticks: [0, 0.4], tickFormat: String, label: i ? null : "time after onset (s)", labelAnchor: "left", labelOffset: 28 },
      y: { domain: [0, top], axis: i ? null : "left", label: "spikes / s", ticks: 3 },
      marks: [shade, line(data.everywhere, SOFT, 0.8), line(data.rates[i], colour(one), 1.2)],
    }));
    return { data, width: 340, panels: [...pictures, ...rasters, ...rates] };
  };
  const strip = (data, session, colour) => {
    const names = data.images.map(one => one.label), dots = rowsOf(data.table).map(row => ({ ...row, value: row[session.noun] }));
    const within = new Map();
    for (const label of names) {  // neighbours stand on opposite sides
      const own = d3.sort(dots.filter(row => row.image === label), row => row.value), n = own.length;
      const woven = [0, 1, 2].flatMap(begin => d3.range(begin, n, 3));
      own.forEach((row, i) => within.set(row, n > 1 ? 0.5 * woven[i] / (n - 1) - 0.25 : 0));
    }
    const place = row => names.indexOf(row.image) + within.get(row);
    return panel({
      width: 340, height: 150, marginTop: 6,
      x: { domain: [-0.5, names.length - 0.5], ticks: d3.range(names.length), tickFormat: i => names[i] },
      y: { label: labelled(session, "spikes per trial") },
      marks: [lineY([data.mean]),
        Plot.dot(dots, { x: place, y: "value", r: 2, stroke: row => colour(data.images[names.indexOf(row.image)]), strokeWidth: 0.7 }),
        Plot.ruleY(data.images, { x1: (_, i) => i - 0.35, x2: (_, i) => i + 0.35, y: "centre", stroke: colour, strokeWidth: 1.6 })],
    });
  };

  const nameOf = (session, i) => session.images.labels[i];
  FIGURES.reliability = (data, store, session, still) => {
    const rows = rowsOf(data.table).map((row, i) => ({ ...row, i })), both = rows.filter(row => row.odd !== null && row.even !== null);
    const reach = reachOf(data.table.odd, data.table.even), ranked = d3.sort(rows, row => row.mean).map((row, rank) => ({ ...row, rank: rank + 1 }));
    const sem = row => row.sem ?? 0, [mx, my] = [d3.mean(both, row => row.odd), d3.mean(both, row => row.even)];
    const r = d3.sum(both, row => (row.odd - mx) * (row.even - my))
      / Math.sqrt(d3.sum(both, row => (row.odd - mx) ** 2) * d3.sum(both, row => (row.even - my) ** 2));
    const title = both.length > 2 && Number.isFinite(r) ? [heading(`r = ${short(r)}, ${both.length} images`)] : [];
    return {
      data, width: 340,
      panels: [
        panel({
          x: { label: labelled(session, "odd trials (count)") }, y: { label: labelled(session, "even trials (count)") },
          marks: [diagonal(reach), dotted(both, "odd", "even"), ...title,
            ...hint(still, both, "odd", "even", row => `${nameOf(session, row.i)}\nodd ${short(row.odd)}, even ${short(row.even)}`)],
        }),
        panel({
          x: { label: "image, ranked" },
          y: { domain: [Math.min(0, d3.min(ranked, row => row.mean - sem(row))), d3.max(ranked, row => row.mean + sem(row))], label: labelled(session, "mean count") },
          marks: [Plot.areaY(ranked, { x: "rank", y1: row => row.mean - sem(row), y2: row => row.mean + sem(row), fill: BLUE, fillOpacity: 0.3 }),
            Plot.line(ranked, { x: "rank", y: "mean", stroke: BLUE, strokeWidth: 1.2 }),
            ...hint(still, ranked, "rank", "mean", row => `${nameOf(session, row.i)}\n${short(row.mean)} ± ${short(sem(row))}`)],
        }),
      ],
    };
  };

  FIGURES.prediction = (data, store, session, still) => {
    const rows = rowsOf(data.table).map((row, i) => ({ ...row, i })), reach = reachOf(data.table.measured, data.table.predicted);
    const map = inDegrees({
      href: bitmap(data.map, viridis), box: boxOf(data.map), width: 180,
      marks: [Plot.dot([data.place], { x: "0", y: "1", r: 5, stroke: "white", strokeWidth: 1.5 })],
    });
    const right = stacked([map, ramp("leave-one-out R²", data.map.low, data.map.high, 180)]);
    return {
      data, width: 340,
      panels: [
        panel({
          width: 160, height: Number(right.getAttribute("height")), marginBottom: 40, x: { label: "predicted (held out)" }, y: { label: labelled(session, "measured count") },
          marks: [diagonal(reach), dotted(rows, "predicted", "measured"),
            ...hint(still, rows, "predicted", "measured", row => `${nameOf(session, row.i)}\nmeasured ${short(row.measured)}\npredicted ${short(row.predicted)}`)],
        }),
        right,
      ],
    };
  };

  FIGURES.scores = (data, store, session, still) => {
    const rows = rowsOf(data.table), every = rows.filter(row => row.images === data.images);
    const kinds = data.kinds.map(([model, name, colour]) => ({ name, colour, ...every.find(row => row.model === model) }));
    const curve = d3.sort(rows.filter(row => row.model === data.curve), row => row.images), width = curve.length > 1 ? 190 : 340;
    const panels = [panel({
      width, height: 15 * kinds.length + 44, marginTop: 8, marginLeft: 98, x: { label: "CC_norm, held out" },
      y: { domain: kinds.map(kind => kind.name), label: null, tickSize: 0, type: "point" },
      marks: [lineX([0]), lineX([1], DOTTED),
        Plot.ruleY(kinds, { x1: "cc_norm_low", x2: "cc_norm_high", y: "name", stroke: "colour", strokeWidth: 1.4 }),
        Plot.dot(kinds, { x: "cc_norm", y: "name", r: 3, fill: "colour" }),
        ...hint(still, kinds, "cc_norm", "name", row => `${row.name}\n${short(row.cc_norm)} (${short(row.cc_norm_low)} to ${short(row.cc_norm_high)})`)],
    })];
    if (curve.length > 1) {
      panels.push(panel({
        width: 150, height: 15 * kinds.length + 44, marginTop: 8, marginLeft: 34,
        x: { domain: [0, 1.03 * data.images], label: "training images", ticks: 3 }, y: { label: `CC_norm (${data.curve_title})`, labelOffset: 30 },
        marks: [lineY([1], DOTTED),
          Plot.areaY(curve, { x: "images", y1: "cc_norm_low", y2: "cc_norm_high", fill: BLUE, fillOpacity: 0.2 }),
          Plot.line(curve, { x: "images", y: "cc_norm", stroke: BLUE }), Plot.dot(curve, { x: "images", y: "cc_norm", r: 2.2, fill: BLUE })],
      }));
    }
    return { data, panels, width: 340 };
  };

  FIGURES.spectra = (data, store, session) => {
    const rows = rowsOf(data.table).filter(row => data.stimuli.includes(row.stimulus));
    const of = profile => data.stimuli.map(name => [name, rows.filter(row => row.stimulus === name && row.profile === profile)]);
    const highest = d3.max(rows.filter(row => row.profile === "radial"), row => row.power) || 1;
    const lines = (profile, floor) => of(profile).map(([name, points]) => Plot.line(points, {
      x: "value", y: floor ? row => Math.max(row.power, floor) : "power", stroke: session.stimuli[name].colour,
      strokeWidth: name === "mei" ? 2.2 : 1.1,
    }));
    return {
      data, width: 340,
      panels: [
        legendPanel([...data.stimuli].reverse().map(name => [session.stimuli[name].name, session.stimuli[name].colour, "line"]), 340),
        panel({
          marginTop: 6, x: { label: "frequency (cycles/deg)" }, marginLeft: 40,
          y: { type: "log", domain: [highest * 1e-5, highest * 2], ticks: 4, tickFormat: power, label: "mean power", labelOffset: 36 },
          marks: lines("radial", highest * 1e-5),
        }),
        panel({
          marginTop: 6, x: { domain: [0, 180], ticks: [0, 45, 90, 135, 180], label: "direction (deg)" }, marginLeft: 40,
          y: { domain: [0, d3.max(rows.filter(row => row.profile === "axial"), row => row.power) || 1], tickFormat: "~s", label: "mean power", labelOffset: 36 },
          marks: lines("axial", 0),
        }),
      ],
    };
  };
  const power = value => {
    const exponent = Math.round(Math.log10(value)), raised = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };
    return Math.abs(value / 10 ** exponent - 1) < 1e-6 ? `10${[...String(exponent)].map(c => raised[c]).join("")}` : "";
  };

  FIGURES.tuning = (data, store, session, still) => {
    const panels = [], maps = Object.entries(data.maps);
    maps.forEach(([kind, map], i) => panels.push(inDegrees({
      href: bitmap(map, viridis), box: boxOf(map), width: widthsOf(2)[i], left: !i, marginTop: 40,
      marks: [heading(i ? `Gabor positions, ${kind}\n${data.verdicts.position ?? ""}` : `Gabor positions, ${kind}`)],
    })));
    if (maps.length) panels.push(ramp(labelled(session, "mean count"), 0, maps[0][1].high, 340));
    const curves = d3.group(rowsOf(data.table).filter(row => row.curve !== "position"), row => row.curve);
    for (const [name, points] of curves) {
      const frequency = name === "spatial_frequency", rows = points.map(row => ({ ...row, value: Number(row.value), sem: row.sem ?? 0 }));
      const values = rows.map(row => row.value), ends = rows.flatMap(row => [row.recorded - row.sem, row.recorded + row.sem, row.predicted]);
      panels.push(panel({
        width: 340 / curves.size, height: 172, marginTop: 40,
        x: { type: frequency ? "log" : "linear", ticks: frequency || values.length < 5 ? values : values.filter((_, i) => i % 2 === 0),
          tickFormat: value => String(value).replace(/^0\./, "."), label: frequency ? "frequency (cycles/deg)" : "orientation (deg)" },
        y: { domain: [1.08 * Math.min(0, d3.min(ends)), 1.08 * Math.max(1e-3, d3.max(ends))], label: labelled(session, "mean count") },
        marks: [heading(data.verdicts[name] ?? ""),
          Plot.ruleX(rows, { x: "value", y1: row => row.recorded - row.sem, y2: row => row.recorded + row.sem, stroke: "black" }),
          Plot.line(rows, { x: "value", y: "recorded", stroke: "black" }), Plot.dot(rows, { x: "value", y: "recorded", r: 2.2, fill: "black" }),
          Plot.line(rows, { x: "value", y: "predicted", stroke: ORANGE }),
          Plot.dot(rows, { x: "value", y: "predicted", r: 2.2, symbol: "square", fill: ORANGE }),
          ...hint(still, rows, "value", "recorded", row => `${row.value}\nrecorded ${short(row.recorded)} ± ${short(row.sem)}\npredicted ${short(row.predicted)}`)],
      }));
    }
    if (curves.size) panels.push(legendPanel([["recorded", "black", "line"], ["predicted", ORANGE, "line"]], 340));
    return { data, panels, width: 340 };
  };

  FIGURES.contrast = (data, store, session, still) => {
    const rows = rowsOf(data.table), box = screenOf(session), { image } = store.mei, values = valuesOf(image);
    const mean = d3.mean(values), own = d3.deviation(values) || 1, top = d3.max(rows, row => row.rms_contrast);
    const reach = top / own * d3.max(values, value => Math.abs(value - mean));
    const at = contrast => bitmap({ ...image, low: mean + (image.low - mean) * contrast / own, high: mean + (image.high - mean) * contrast / own },
      grey, mean - reach, mean + reach);
    const answer = d3.scaleLog(rows.map(row => row.rms_contrast), rows.map(row => row.response)).clamp(true);
    const mark = contrast => Plot.dot([contrast], { x: value => value, y: answer, r: 4, stroke: ORANGE, strokeWidth: 1.5 });
    const ends = d3.extent(rows, row => row.rms_contrast), start = Math.min(Math.max(own, ends[0]), ends[1]);
    const panels = [
      inDegrees({ href: at(start), box, width: 170, marks: [heading(`RMS contrast ${start.toPrecision(2)}`)] }),
      panel({
        x: { ...logarithmic(data.table.rms_contrast), label: "RMS contrast of the MEI" },
        y: { domain: [Math.min(0, d3.min(rows, row => row.response)), 1.05 * d3.max(rows, row => row.response)], label: labelled(session, "predicted count") },
        marks: [lineY([data.grey], { strokeDasharray: "1.5,2" }), Plot.line(rows, { x: "rms_contrast", y: "response", stroke: BLUE }),
          Plot.dot(rows, { x: "rms_contrast", y: "response", r: 2.2, fill: BLUE }), mark(start),
          ...hint(still, rows, "rms_contrast", "response", row => `RMS contrast ${row.rms_contrast}\n${short(row.response)}`)],
      }),
    ];
    const live = figure => {
      const controls = controlsOf(figure, '<label>Contrast <input type="range" min="0" max="100" step="1"></label><output></output>');
      const slider = one("input", controls), shown = one("image", panels[0]), [words] = all("text", panels[0]).slice(-1);
      const dot = all("circle", panels[1]).at(-1), scale = d3.scaleLog(ends, [0, 100]), [x, y] = ["x", "y"].map(name => panels[1].scale(name));
      const move = () => {
        const contrast = scale.invert(Number(slider.value));
        shown.setAttribute("href", at(contrast));
        dot.setAttribute("cx", x.apply(contrast));
        dot.setAttribute("cy", y.apply(answer(contrast)));
        words.textContent = `RMS contrast ${contrast.toPrecision(2)}`;
        one("output", controls).textContent = `${labelled(session, "predicted count")} ${short(answer(contrast))}`;
      };
      slider.value = scale(start);
      slider.addEventListener("input", move);
      move();
    };
    return { data, panels, width: 340, live };
  };

  const KINDS = { simple: BLUE, complex: ORANGE }, LINES = ["#E69F00", "black", "#009E73", BLUE, ORANGE, "#CC79A7"];
  const SHEET = 950, ACROSS = 5;
  FIGURES.experiments = (data, store, session) => {
    const width = SHEET / ACROSS, colour = KINDS[data.kind] ?? SOFT, panels = [];
    const curves = data.panels.filter(one => !one.map), maps = data.panels.filter(one => one.map);
    for (const one of curves) {
      const text = one.lines.some(line => line.x.some(value => typeof value === "string")), several = one.lines.length > 1;
      const lines = one.lines.map((line, i) => ({ stroke: several ? LINES[i % LINES.length] : colour, points: line.x.map((value, k) => [value, line.y[k]]) }));
      const [low, high] = reachOf(one.lines.flatMap(line => line.y), [0]);
      panels.push(panel({
        width, height: 160, marginTop: 22, marginLeft: 42,
        x: { label: one.xlabel, ...(text ? { type: "point", domain: one.lines[0].x } : one.log ? logarithmic(one.lines[0].x) : {}) },
        y: { domain: [low, high + (several ? 0.25 : 0.03) * (high - low || 1)], label: labelled(session, one.ylabel) },
        marks: [lineY([0]), heading(one.title),
          ...(one.mark === null ? [] : [lineX([one.mark], { stroke: "black", strokeDasharray: "3,2" })]),
          ...lines.flatMap(({ points, stroke }) => [Plot.line(points, { x: "0", y: "1", stroke, strokeWidth: 1.1 }),
            Plot.dot(points, { x: "0", y: "1", r: several ? 1 : 1.8, fill: stroke })]),
          ...(several ? one.lines.map((line, i) => Plot.text([line.name], {
            frameAnchor: "top-right", dy: 8 * i, lineAnchor: "top", fill: LINES[i % LINES.length], fontSize: 8,
          })) : [])],
      }));
    }
    for (const one of maps) {
      const degrees = one.name in { position: 0, on: 0, off: 0 }, box = degrees ? boxOf(one.map) : null;
      const drawn = degrees ? inDegrees({
        href: bitmap(one.map, viridis), box, width, marginTop: 22, marks: [heading(one.title),
          ...(one.centre?.every(value => value !== null) ? [Plot.dot([one.centre], { x: "0", y: "1", symbol: "plus", r: 5, stroke: "white", strokeWidth: 1.5 })] : [])],
      }) : panel({
        width, height: 160, marginTop: 22, x: { label: one.xlabel, type: "band", domain: one.map.x, padding: 0 },
        y: { label: one.other, type: "band", domain: [...one.map.y].reverse(), padding: 0 },
        marks: [heading(one.title), Plot.cell(Array.from(valuesOf(one.map), (value, i) => ({ value, x: one.map.x[i % one.map.width], y: one.map.y[Math.floor(i / one.map.width)] })),
          { x: "x", y: "y", fill: ({ value }) => d3.interpolateViridis((value - one.map.low) / (one.map.high - one.map.low)) })],
      });
      panels.push(stacked([drawn, ramp(labelled(session, one.ylabel), one.map.low, one.map.high, width)]));
    }
    return {
      data, panels, width: SHEET,
      csv: () => csvOf(["experiment", "line", "x", "y", "value"], data.panels.flatMap(one => one.map
        ? Array.from(valuesOf(one.map), (value, i) => [one.name, one.ylabel, one.map.x[i % one.map.width], one.map.y[Math.floor(i / one.map.width)], Number(value.toPrecision(4))])
        : one.lines.flatMap(line => line.x.map((value, i) => [one.name, line.name || one.ylabel, value, null, line.y[i]])))),
    };
  };
  // Panels below each other, as one.
  const stacked = parts => {
    const sizes = parts.map(part => [part.getAttribute("width"), part.getAttribute("height")].map(Number));
    const width = d3.max(sizes, size => size[0]), height = d3.sum(sizes, size => size[1]);
    const made = element("svg", { width, height, viewBox: `0 0 ${width} ${height}`, overflow: "visible" });
    let top = 0;
    parts.forEach((part, i) => {
      part.setAttribute("y", top);
      top += sizes[i][1];
      made.append(part);
    });
    return made;
  };
