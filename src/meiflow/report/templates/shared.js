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

  // ---- figures: SVG and CSV of a neuron are stored compressed -----------------------------------
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

  // ---- the table of neurons: sorted by its headings, filtered by its form -----------------------
  // `rows` have `values`, one per column, null where missing, and `words`, which the search looks at;
  // `draw` gets the rows that are left, and all of them, in their order.
  const field = id => document.getElementById(id);
  const table = field("table"), body = table.tBodies[0], heads = all("th", table);
  const at = Object.fromEntries(heads.map((head, i) => [head.dataset.name, i]));
  const compare = (p, q) => typeof p === "number" && typeof q === "number"
    ? p - q : String(p).localeCompare(String(q), "en", { numeric: true });
  const neuronTable = (rows, draw) => {
    let order = rows;
    const filter = () => {
      const text = field("f-text").value.trim().toLowerCase(), least = field("f-score").value;
      const wanted = [["area", "f-area"], ["layer", "f-layer"], ["spiking", "f-spiking"], ["session_id", "f-session"], ["kind" in at ? "kind" : "cell_type", "f-kind"]]
        .map(([name, id]) => [at[name], field(id)?.value]).filter(([column, value]) => value && column >= 0);
      const needed = [["trusted", "f-trusted"], ["model_above_chance", "f-holds"]]
        .filter(([name, id]) => name in at && field(id)?.checked).map(([name]) => at[name]);
      const left = order.filter(({ values, words }) => words.includes(text)
        && wanted.every(([column, value]) => String(values[column]) === value)
        && needed.every(column => Number(values[column]) === 1)
        && (least === "" || (values[at.cc_norm_model] !== null && values[at.cc_norm_model] >= Number(least))));
      table.classList.toggle("few", !field("f-columns").checked);
      field("count").textContent = `${left.length} of ${rows.length} neurons`;
      draw(left, order);
    };
    heads.forEach((head, column) => one("button", head).addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach(other => other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      order = [...order].sort(({ values: a }, { values: b }) => {
        const p = a[column], q = b[column];
        if (p === null || q === null) return (p === null) - (q === null);  // missing values come last
        return down ? compare(q, p) : compare(p, q);
      });
      filter();
    }));
    const form = one(".filters");
    form.addEventListener("input", filter);
    form.addEventListener("reset", () => setTimeout(filter));
    form.addEventListener("submit", event => event.preventDefault());
    filter();
  };
