
  // ---- the neurons: rows of the table, cards of the gallery, and what the views draw --------------
  const linked = json("data-linked");
  const parsed = text => text === "" ? null : Number.isNaN(Number(text)) ? text : Number(text);
  const cards = new Map(all(".card").map(card => [card.dataset.neuron, card]));
  const drawnOf = new Map(linked.neurons.map(one => [one.id, one]));
  const neurons = [...body.rows].map(row => {
    const id = row.dataset.neuron, values = [...row.cells].map(cell => parsed(cell.dataset.value));
    const card = cards.get(id);
    return { id, row, card, values, words: row.textContent.toLowerCase(), ...drawnOf.get(id),
      value: name => name in at ? values[at[name]] : drawnOf.get(id).more[name] ?? null,
      address: `#neuron-${encodeURIComponent(id)}`, kind: card.dataset.trust, shown: true };
  });
  const byId = new Map(neurons.map(neuron => [neuron.id, neuron]));
  const labels = { ...Object.fromEntries(heads.map(head => [head.dataset.name, one("button", head).textContent])), ...linked.further };
  const picture = (neuron, name) => one(`img.${name}`, neuron.card)?.src;
  const MARKS = { yes: "✓ trusted", no: "✗ not trusted", unknown: "? not judged", "": "" };
  const digits = name => name.endsWith("_deg") ? 0 : name.endsWith("_cpd") ? 3 : 2;
  const ratio = neuron => {
    const [value, low, high] = ["", "_low", "_high"].map(end => neuron.value(`mei_over_best_gabor${end}`));
    return value === null ? "–" : plain(value) + (low === null ? "" : ` (${plain(low)} to ${plain(high)})`);
  };
  const tuned = neuron => {
    const angle = neuron.value("mei_orientation_deg");
    return `${plain(neuron.value("mei_peak_frequency_cpd"), 3)} c/deg, ${angle === null ? "no orientation" : `${plain(angle, 0)}°`}`;
  };
  const keyNumbers = neuron => [["CC_norm", plain(neuron.value("cc_norm_model"))], ["MEI / Gabor", ratio(neuron)], ["MEI", tuned(neuron)]];

  // numeric columns of which at least two values differ; 0 and 1 alone are yes and no
  const isNumeric = name => {
    const known = new Set(neurons.map(neuron => neuron.value(name)).filter(value => value !== null));
    return known.size > 1 && [...known].every(value => typeof value === "number") && [...known].some(value => value !== 0 && value !== 1);
  };
  const axes = Object.keys(labels).filter(name => name !== "neuron_id" && isNumeric(name));
  const first = new Set(heads.filter(head => !head.classList.contains("more")).map(head => head.dataset.name));

  // ---- colour: of the map and of all dots ------------------------------------------------------
  const COLOURS = {
    trust: "trust", mei_orientation_deg: "orientation of the MEI", mei_peak_frequency_cpd: "spatial frequency of the MEI",
    probe_position_um: "position on the probe",
  };
  const colourBy = field("colour");
  Object.entries(COLOURS).filter(([name]) => name === "trust" ? neurons.some(n => n.kind) : axes.includes(name))
    .forEach(([name, text]) => colourBy.append(new Option(text, name)));
  const TRUST = { yes: "#5fd3a6", no: "#ff9d5c", unknown: "#e8e8e8", "": "#9ad0ff" };
  const scaleOf = name => {
    const known = neurons.map(neuron => neuron.value(name)).filter(value => value !== null);
    if (name === "mei_orientation_deg") return d3.scaleSequential([0, 180], t => d3.hsl(360 * t, 0.75, 0.68).formatHex());
    const make = name === "mei_peak_frequency_cpd" && d3.min(known) > 0 ? d3.scaleSequentialLog : d3.scaleSequential;
    return make(d3.extent(known), t => d3.interpolatePlasma(0.25 + 0.75 * t));
  };
  let coloured = () => TRUST[""];
  const legend = () => {
    const name = colourBy.value, box = field("legend");
    if (name === "trust" || !name) {
      coloured = neuron => TRUST[neuron.kind];
      const kinds = [...new Set(neurons.map(neuron => neuron.kind))].filter(Boolean);
      box.replaceChildren(...kinds.map(kind => made("span", { className: `key ${kind}`, textContent: MARKS[kind] })));
      return;
    }
    const scale = scaleOf(name), [low, high] = scale.domain();
    coloured = neuron => neuron.value(name) === null ? "#e8e8e8" : scale(neuron.value(name));
    const log = name === "mei_peak_frequency_cpd" && low > 0;
    const values = d3.range(5).map(i => log ? low * (high / low) ** (i / 4) : low + (high - low) * i / 4);
    const unit = name.endsWith("_deg") ? "°" : name.endsWith("_cpd") ? " c/deg" : " µm";
    box.replaceChildren(...values.map(value => {
      const key = document.createElement("span");
      key.className = "key";
      key.style.setProperty("--key", scale(value));
      if (unit === "°") { key.classList.add("bar"); key.style.setProperty("--turn", `${90 - value}deg`); }
      key.textContent = plain(value, unit.endsWith("c/deg") ? 3 : 0) + unit;
      return key;
    }));
    if (neurons.some(neuron => neuron.value(name) === null)) {
      box.append(made("span", { className: "key none", textContent: unit === "°" ? "no orientation" : "unknown" }));
    }
  };

  // ---- what follows the selection: `views` redraw themselves; `changed` also writes the address ----
  const views = [];
  const redraw = () => views.forEach(view => view());
