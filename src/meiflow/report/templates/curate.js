
  // ---- curate: a verdict and a note on each neuron, kept in this browser ---------------------------------
  const VERDICTS = { b: "believe", u: "unsure", r: "reject" };
  const drawer = `meiflow:${linked.session}:${linked.config}`;
  const verdicts = new Map();
  let kept = true;
  try {
    const found = JSON.parse(localStorage.getItem(drawer) ?? "[]");
    if (Array.isArray(found)) found.filter(([id]) => byId.has(id)).forEach(([id, one]) => verdicts.set(id, one));
    localStorage.setItem(drawer, JSON.stringify([...verdicts]));
  } catch { kept = false; }
  const verdictOf = neuron => verdicts.get(neuron.id)?.verdict ?? "";
  const judge = (neuron, change) => {
    const now = { verdict: "", note: "", ...verdicts.get(neuron.id), ...change };
    if (now.verdict || now.note) verdicts.set(neuron.id, now);
    else verdicts.delete(neuron.id);
    try { localStorage.setItem(drawer, JSON.stringify([...verdicts])); } catch { kept = false; }
    drawVerdicts();
    narrow();
  };
  const give = (neuron, verdict) => {
    judge(neuron, { verdict: verdictOf(neuron) === verdict ? "" : verdict });
    field("verdict-status").textContent = `Neuron ${neuron.id}: ${verdictOf(neuron) || "no verdict"}.`;
  };
  const judging = (neuron, withNote) => {
    const group = made("span", { className: "judge" }, ...Object.entries(VERDICTS).map(([key, verdict]) => {
      const button = made("button", { type: "button", textContent: withNote ? `${verdict} (${key.toUpperCase()})` : verdict[0].toUpperCase() });
      button.dataset.verdict = verdict;
      button.dataset.of = neuron.id;
      button.title = `${verdict}: key ${key.toUpperCase()}`;
      button.setAttribute("aria-label", `${verdict} neuron ${neuron.id}`);
      button.addEventListener("click", () => give(neuron, verdict));
      return button;
    }));
    group.setAttribute("role", "group");
    group.setAttribute("aria-label", `Your verdict on neuron ${neuron.id}`);
    if (!withNote) return group;
    const note = made("input", { type: "text", maxLength: 500, value: verdicts.get(neuron.id)?.note ?? "" });
    note.addEventListener("input", () => judge(neuron, { note: note.value }));
    group.append(made("label", {}, "note ", note));
    return group;
  };
  const drawVerdicts = () => {
    all("button[data-verdict]").forEach(button => button.setAttribute("aria-pressed", verdictOf(byId.get(button.dataset.of)) === button.dataset.verdict));
    neurons.forEach(neuron => {
      neuron.card.dataset.verdict = neuron.row.dataset.verdict = verdictOf(neuron);
      const cell = neuron.row.cells[0], mark = one(".verdict", cell) ?? cell.appendChild(made("span", { className: "verdict" }));
      mark.textContent = verdictOf(neuron);
    });
    const { length } = [...verdicts.values()].filter(one => one.verdict);
    field("verdicts").textContent = `${length} verdict${length === 1 ? "" : "s"}${kept ? ", kept in this browser" : "; this browser keeps nothing, so save them before you close the page"}.`;
  };
  const quoted = text => /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  field("verdicts-csv").addEventListener("click", () => {
    const lines = neurons.filter(neuron => verdicts.has(neuron.id)).map(neuron => {
      const { verdict, note } = verdicts.get(neuron.id);
      return [neuron.id, verdict, note.replace(/\s+/g, " ")].map(quoted).join(",");
    });
    save(`verdicts-${linked.session}.csv`, new Blob([["neuron_id,verdict,note", ...lines, ""].join("\n")], { type: "text/csv" }));
  });
  const cardAt = () => document.activeElement?.closest(".card") ?? one(".card:hover");
  addEventListener("keydown", event => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.repeat || side.open) return;
    if (event.target.closest("input, select, textarea")) return;
    const verdict = VERDICTS[event.key.toLowerCase()], open = one(".neuron.open") ?? cardAt();
    if (verdict && open) give(byId.get(open.dataset.neuron), verdict);
    else if (event.key.toLowerCase() === "c" && open) toggle(byId.get(open.dataset.neuron));
  });
