
  // ---- the selection: what the filters and the rectangles leave ----------------------------------------
  const gallery = one(".gallery"), more = field("all-cards"), orderBy = field("order"), CARDS = 24;
  const doubted = neuron => neuron.kind === "no" || neuron.kind === "unknown";
  const beyond = (p, q) => doubted(p) - doubted(q)
    || (q.value("mei_over_best_gabor_low") ?? -Infinity) - (p.value("mei_over_best_gabor_low") ?? -Infinity) || 0;
  let drawn = neurons;
  const lines = neuronTable(neurons, (left, order) => {
    if (order !== drawn) {
      body.append(...order.map(neuron => neuron.row));
      gallery.append(...order.map(neuron => neuron.card));
    }
    drawn = order;
    const shown = new Set(left);
    order.forEach(neuron => {
      neuron.shown = shown.has(neuron);
      neuron.row.hidden = neuron.card.hidden = !neuron.shown;
      neuron.card.classList.remove("more");
    });
    left.slice(CARDS).forEach(neuron => neuron.card.classList.add("more"));
    if (more) {
      more.parentElement.hidden = left.length <= CARDS || gallery.classList.contains("all");
      more.textContent = `Show all ${left.length} neurons`;
    }
    redraw();
    const narrowed = left.length < neurons.length;
    field("chosen").hidden = !narrowed;
    const parts = scatters.filter(scatter => scatter.brushed()).map(scatter => scatter.label());
    field("chosen-text").textContent = `${left.length} of ${neurons.length} neurons selected${parts.length ? `, in ${parts.join(" and ")}` : ""}.`;
    const sort = lines?.sorted() ?? "";
    orderBy.value = [...orderBy.options].some(option => option.value === sort) ? sort : "*";
  }, neuron => scatters.every(scatter => scatter.inside(neuron))
    && ({ "": true, none: verdictOf(neuron) === "" }[field("f-verdict").value] ?? verdictOf(neuron) === field("f-verdict").value), { beyond });
  function narrow() { lines.filter(); }
  function changed() { narrow(); remember(); }
  one("tbody").parentElement.tHead.addEventListener("click", () => remember());
  one(".filters").addEventListener("input", () => remember());
  one(".filters").addEventListener("reset", () => setTimeout(remember));
  orderBy.addEventListener("change", () => { lines.sortBy(orderBy.value); changed(); });
  colourBy.addEventListener("change", () => { legend(); changed(); });
  field("clear").addEventListener("click", () => {
    scatters.forEach(scatter => scatter.set(scatter.written()[0], ""));
    one(".filters").reset();
    field("count").focus({ preventScroll: true });
  });
  more?.addEventListener("click", () => {
    const first = one(".card.more:not([hidden]) a");
    gallery.classList.add("all");
    more.setAttribute("aria-expanded", "true");
    more.parentElement.hidden = true;
    first.focus();
  });

  // ---- the state of the page in its address: #overview?trusted=1&sort=-oracle --------------------------
  const filters = all("[id^=f-]", one(".filters"));
  const state = () => {
    const found = new URLSearchParams();
    filters.forEach(input => {
      const value = input.type === "checkbox" ? (input.checked ? "1" : "") : input.value;
      if (value) found.set(input.id.slice(2), value);
    });
    if (lines.sorted()) found.set("sort", lines.sorted());
    if (colourBy.selectedIndex > 0) found.set("colour", colourBy.value);
    if (!zoomed.checked) found.set("screen", "whole");
    if (apart.checked !== crowded) found.set("apart", Number(apart.checked));
    scatters.forEach((scatter, i) => {
      const [pair, rectangle] = scatter.written();
      if (!scatter.isDefault()) found.set(`axes${i + 1}`, pair);
      if (rectangle) found.set(`brush${i + 1}`, rectangle);
    });
    tray.forEach(neuron => found.append("tray", neuron.id));
    return found.toString();
  };
  const restore = text => {
    const given = new URLSearchParams(text);
    filters.forEach(input => {
      const value = given.get(input.id.slice(2)) ?? "";
      if (input.type === "checkbox") input.checked = value === "1";
      else input.value = value;
      if (input.selectedIndex === -1) input.value = "";
    });
    colourBy.value = given.get("colour") ?? "";
    if (colourBy.selectedIndex === -1) colourBy.selectedIndex = 0;
    zoomed.checked = given.get("screen") !== "whole";
    apart.checked = given.has("apart") ? given.get("apart") === "1" : crowded;
    scatters.forEach((scatter, i) => scatter.set(given.get(`axes${i + 1}`) ?? "", given.get(`brush${i + 1}`) ?? ""));
    tray.splice(0, tray.length, ...new Set(given.getAll("tray").map(id => byId.get(id)).filter(Boolean).slice(0, MOST)));
    lines.sortBy(given.get("sort") ?? "");
    legend();
    drawTray();
    narrow();
  };
  const split = () => {
    const [name, ...rest] = location.hash.slice(1).split("?");
    return [name, rest.join("?")];
  };
  let waiting = 0;
  const write = () => {
    waiting = 0;
    if (one(".neuron.open")) return;
    const [name] = split(), text = state();
    const anchor = document.getElementById(name) ? name : "overview";
    // marked as written here: the page is as the address says, or has changed since
    if (text || name) history.replaceState({ meiflow: true }, "", `#${anchor}${text ? `?${text}` : ""}`);
  };
  function remember() { clearTimeout(waiting); waiting = setTimeout(write, 150); }

  // ---- one page per neuron, opened by the URL hash --------------------------------------------
  let last = null, height = 0;
  const pageOf = hash => {
    if (!hash.startsWith("#neuron-")) return null;
    let id = hash.slice(1);
    try { id = decodeURIComponent(id); } catch { /* not encoded */ }
    const page = document.getElementById(id);
    return page?.classList.contains("neuron") ? page : null;
  };
  // What a neuron's page gets from here: its stimuli at a glance, a verdict with a note, the tray.
  const equip = page => {
    if (one(".tools", page)) return;
    const neuron = byId.get(page.dataset.neuron);
    const glance = Object.entries(STIMULI).filter(([name]) => picture(neuron, name)).map(([name, text]) => made("div", {},
      made("img", { src: picture(neuron, name), alt: `${text} of neuron ${neuron.id}` }), made("span", { className: "soft", textContent: text })));
    one("h2", page).after(made("div", { className: "tools" }, made("div", { className: "glance" }, ...glance), judging(neuron, true), comparing(neuron)));
    drawVerdicts();
  };
  const show = () => {
    dark();
    const page = pageOf(location.hash), before = one(".neuron.open"), [name, text] = split();
    if (!page && text && !history.state?.meiflow) restore(text);
    if (!before) height = scrollY;
    before?.classList.remove("open");
    document.body.classList.toggle("at-neuron", Boolean(page));
    if (page) {
      page.classList.add("open");
      last = page.dataset.neuron;
      equip(page);
      scrollTo(0, 0);
      one("h2", page).focus({ preventScroll: true });
      fill(page);
      return;
    }
    remember();
    const target = document.getElementById(name);
    if (name.startsWith("neuron-")) {
      document.getElementById("count").textContent = `There is no neuron ${name.slice(7)} in this report.`;
      document.getElementById("neurons").scrollIntoView();
      return;
    }
    const back = before && (!name || text || name === "neurons");
    const row = back && all("tr[data-neuron]", body).find(r => r.dataset.neuron === last && !r.hidden);
    if (row) one("a", row).focus({ preventScroll: true });
    if (row && name === "neurons" && !text) row.scrollIntoView({ block: "center" });
    else if (back) scrollTo(0, height);
    else target?.scrollIntoView();
  };
  const walk = step => {
    const open = one(".neuron.open");
    if (!open) return;
    const shown = all("tr[data-neuron]", body).filter(row => !row.hidden || row.dataset.neuron === open.dataset.neuron);
    const at = shown.findIndex(row => row.dataset.neuron === open.dataset.neuron);
    const next = shown[(at + step + shown.length) % shown.length];
    location.hash = `neuron-${encodeURIComponent(next.dataset.neuron)}`;
  };
  all("[data-walk]").forEach(button => button.addEventListener("click", () => walk(Number(button.dataset.walk))));
  addEventListener("keydown", event => {
    if (event.altKey || event.ctrlKey || event.metaKey || side.open || !one(".neuron.open")) return;
    if (event.target.closest("input, select, textarea, .scroll, .frame")) return;
    if (event.key === "ArrowRight") walk(1);
    else if (event.key === "ArrowLeft") walk(-1);
    else if (event.key === "Escape") location.hash = "neurons";
  });
  field("all-beyond")?.addEventListener("click", event => {
    one(".beyond").classList.add("all");
    event.target.parentElement.remove();
    one(".beyond .rest a").focus();
  });
  neurons.forEach(neuron => {
    const buttons = made("span", { className: "buttons" }, judging(neuron, false), comparing(neuron));
    all("button", buttons).forEach(button => { button.tabIndex = -1; });  // keys do the same on the link of the card
    neuron.card.append(buttons);
  });
  drawVerdicts();
  restore(split()[0].startsWith("neuron-") ? "" : split()[1]);
  addEventListener("hashchange", show);
  if (location.hash) show();
