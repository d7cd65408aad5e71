"use strict";
(() => {
  const one = (selector, from = document) => from.querySelector(selector);
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const json = id => JSON.parse(document.getElementById(id).textContent);

  // ---- saving ------------------------------------------------------------------------------
  const save = (name, blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name.replace(/[^\w.-]+/g, "_");
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  };
  const SAVED = {
    config: () => [one("[data-save=config]").textContent.replace(/^Save as /, ""), json("data-config"), "application/json"],
    summary: () => ["summary.csv", json("data-summary"), "text/csv"],
  };
  all("[data-save]").forEach(button => button.addEventListener("click", () => {
    const [name, text, type] = SAVED[button.dataset.save]();
    save(name, new Blob([text], { type }));
  }));

  // ---- figures: SVG and CSV of a neuron lie deflated in the page --------------------------------
  const unpacked = new Map();
  const unpack = id => {
    if (!unpacked.has(id)) {
      const bytes = Uint8Array.from(atob(document.getElementById(id).textContent), c => c.charCodeAt(0));
      const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
      unpacked.set(id, new Response(stream).json());
    }
    return unpacked.get(id);
  };
  const decoded = uri => new TextDecoder().decode(Uint8Array.from(atob(uri.split(",")[1]), c => c.charCodeAt(0)));
  const parts = async figure => {
    const key = figure.dataset.key, page = figure.closest(".neuron");
    if (page) return (await unpack(page.dataset.store))[key];
    return { svg: decoded(one("img", figure).src), csv: json("data-overview")[key] };
  };
  const asPng = async svg => {
    const picture = new Image();
    const address = URL.createObjectURL(new Blob([svg], { type: "image/svg+xml" }));
    picture.src = address;
    await picture.decode();
    URL.revokeObjectURL(address);
    const canvas = document.createElement("canvas");
    canvas.width = 3 * picture.naturalWidth;
    canvas.height = 3 * picture.naturalHeight;
    const pen = canvas.getContext("2d");
    pen.fillStyle = "white";
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
    return new Promise(done => canvas.toBlob(done, "image/png"));
  };
  all("[data-get]").forEach(button => button.addEventListener("click", async () => {
    const figure = button.closest("figure"), kind = button.dataset.get;
    const { svg, csv } = await parts(figure);
    const blob = kind === "png" ? await asPng(svg)
      : kind === "svg" ? new Blob([svg], { type: "image/svg+xml" }) : new Blob([csv], { type: "text/csv" });
    save(`${figure.dataset.file}.${kind}`, blob);
  }));
  const fill = async page => {
    const figures = all("figure[data-key]", page);
    if (!figures.length || one("img", figures[0]).src) return;
    const store = await unpack(page.dataset.store);
    for (const figure of figures) {
      one("img", figure).src = URL.createObjectURL(new Blob([store[figure.dataset.key].svg], { type: "image/svg+xml" }));
    }
  };

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
      if (p === "" || q === "") return (p === "") - (q === "");  // what is missing stands last
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

  // ---- one page per neuron, opened by the address ---------------------------------------------
  let last = null, height = 0;
  const pageOf = hash => {
    if (!hash.startsWith("#neuron-")) return null;
    let id = hash.slice(1);
    try { id = decodeURIComponent(id); } catch { /* not encoded: as it is */ }
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
})();
