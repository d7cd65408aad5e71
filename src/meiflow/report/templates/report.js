  // ---- table -------------------------------------------------------------------------------
  const table = document.getElementById("table"), body = table.tBodies[0];
  const heads = all("th", table), names = heads.map(head => head.dataset.name);
  const value = (row, column) => row.cells[column].dataset.value;
  const compare = (a, b) => {
    const p = Number(a), q = Number(b);
    return Number.isNaN(p) || Number.isNaN(q) ? a.localeCompare(b, "en", { numeric: true }) : p - q;
  };
  heads.forEach((head, column) => one("button", head).addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    heads.forEach(other => other.setAttribute("aria-sort", "none"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    [...body.rows].sort((a, b) => {
      const p = value(a, column), q = value(b, column);
      if (p === "" || q === "") return (p === "") - (q === "");  // missing values last
      return down ? compare(q, p) : compare(p, q);
    }).forEach(row => body.append(row));
  }));
  const form = one(".filters"), field = id => document.getElementById(id);
  const is = (row, name, wanted) => names.indexOf(name) < 0 || value(row, names.indexOf(name)) === wanted;
  const kindColumn = names.includes("kind") ? "kind" : "cell_type";
  const filter = () => {
    const text = field("f-text").value.trim().toLowerCase(), least = field("f-score").value;
    let left = 0;
    for (const row of body.rows) {
      const score = value(row, names.indexOf("cc_norm_model"));
      const shown = row.textContent.toLowerCase().includes(text)
        && (!field("f-trusted")?.checked || is(row, "trusted", "1"))
        && (!field("f-holds").checked || is(row, "model_holds", "1"))
        && (least === "" || (score !== "" && Number(score) >= Number(least)))
        && (!field("f-kind")?.value || is(row, kindColumn, field("f-kind").value));
      row.hidden = !shown;
      left += shown;
    }
    field("count").textContent = `${left} of ${body.rows.length} neurons`;
  };
  const columns = () => table.classList.toggle("few", !field("f-columns").checked);
  form.addEventListener("input", () => { filter(); columns(); });
  form.addEventListener("reset", () => setTimeout(() => { filter(); columns(); }));
  form.addEventListener("submit", event => event.preventDefault());
  filter();
  columns();

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
