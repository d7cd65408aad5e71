  // ---- table: its rows are in the page, where they can be read without this script -----------------
  const parsed = text => text === "" ? null : Number.isNaN(Number(text)) ? text : Number(text);
  const lines = [...body.rows].map(row => ({
    row, values: [...row.cells].map(cell => parsed(cell.dataset.value)), words: row.textContent.toLowerCase(),
  }));
  let drawn = lines;
  neuronTable(lines, (left, order) => {
    if (order !== drawn) body.append(...order.map(line => line.row));
    drawn = order;
    const shown = new Set(left);
    order.forEach(line => { line.row.hidden = !shown.has(line); });
  });

  const more = document.getElementById("all-cards");
  more?.addEventListener("click", () => {
    one(".gallery").classList.add("all");
    more.setAttribute("aria-expanded", "true");
    const first = one(".card.more a");
    more.parentElement.remove();
    first.focus();
  });

  // ---- one page per neuron, opened by the URL hash --------------------------------------------
  let last = null, height = 0;
  const pageOf = hash => {
    if (!hash.startsWith("#neuron-")) return null;
    let id = hash.slice(1);
    try { id = decodeURIComponent(id); } catch { /* not encoded */ }
    const page = document.getElementById(id);
    return page?.classList.contains("neuron") ? page : null;
  };
  const show = () => {
    const page = pageOf(location.hash), before = one(".neuron.open");
    if (!before) height = scrollY;
    before?.classList.remove("open");
    document.body.classList.toggle("at-neuron", Boolean(page));
    if (page) {
      page.classList.add("open");
      last = page.dataset.neuron;
      scrollTo(0, 0);
      one("h2", page).focus({ preventScroll: true });
      fill(page);
      return;
    }
    const target = document.getElementById(location.hash.slice(1));
    if (location.hash.startsWith("#neuron-")) {
      document.getElementById("count").textContent = `There is no neuron ${location.hash.slice(8)} in this report.`;
      document.getElementById("neurons").scrollIntoView();
      return;
    }
    const row = before && all("tr[data-neuron]", body).find(r => r.dataset.neuron === last && !r.hidden);
    if (row && (!target || target.id === "neurons")) {
      one("a", row).focus({ preventScroll: true });
      if (target) row.scrollIntoView({ block: "center" });
      else scrollTo(0, height);
    } else target?.scrollIntoView();
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
    if (event.altKey || event.ctrlKey || event.metaKey || !one(".neuron.open")) return;
    if (event.target.closest("input, select, textarea, .scroll, .frame")) return;
    if (event.key === "ArrowRight") walk(1);
    else if (event.key === "ArrowLeft") walk(-1);
    else if (event.key === "Escape") location.hash = "neurons";
  });
  addEventListener("hashchange", show);
  if (location.hash) show();
