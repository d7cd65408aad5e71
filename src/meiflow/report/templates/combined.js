
  // ---- table: only one page of rows is rendered at a time -------------------------------------
  const ROWS = 100;
  const { columns: names, rows } = json("data-table");
  const table = document.getElementById("table"), body = table.tBodies[0], heads = all("th", table);
  const field = id => document.getElementById(id);
  const at = Object.fromEntries(names.map((name, i) => [name, i]));
  const words = rows.map(row => row.join(" ").replaceAll("_", " ").toLowerCase());
  let order = rows.map((_, i) => i), shown = order, page = 0;

  const text = (name, value) => {
    if (value === null) return "–";
    if (typeof value === "boolean") return (value ? "✓ " : "✗ ") + (name === "trusted" ? (value ? "trusted" : "not trusted") : (value ? "yes" : "no"));
    if (typeof value === "string") return name.endsWith("_id") ? value : value.replaceAll("_", " ");
    if (Number.isInteger(value)) return String(value);
    const digits = name.endsWith("_deg") ? 1 : name.endsWith("_cpd") ? 3 : 2;
    return value !== 0 && Math.abs(value) < 0.5 / 10 ** digits ? value.toExponential(1) : value.toFixed(digits);
  };
  const linked = row => {
    const link = document.createElement("a");
    link.href = `../${encodeURIComponent(row[at.session_id])}/report.html#neuron-${encodeURIComponent(row[at.neuron_id])}`;
    link.textContent = row[at.neuron_id];
    return link;
  };
  const draw = () => {
    const pages = Math.max(1, Math.ceil(shown.length / ROWS));
    page = Math.min(Math.max(page, 0), pages - 1);
    const wide = field("f-columns").checked;
    table.classList.toggle("few", !wide);
    body.replaceChildren(...shown.slice(page * ROWS, (page + 1) * ROWS).map(i => {
      const line = document.createElement("tr");
      names.forEach((name, column) => {
        if (!wide && heads[column].classList.contains("more")) return;
        const cell = document.createElement("td");
        if (name === "neuron_id") cell.append(linked(rows[i]));
        else cell.textContent = text(name, rows[i][column]);
        line.append(cell);
      });
      return line;
    }));
    field("count").textContent = `${shown.length} of ${rows.length} neurons`;
    field("page-at").textContent = `page ${page + 1} of ${pages}`;
    field("page-back").disabled = page === 0;
    field("page-on").disabled = page === pages - 1;
  };
  const filter = () => {
    const wanted = field("f-text").value.trim().toLowerCase(), least = field("f-score").value;
    const area = field("f-area")?.value, session = field("f-session").value;
    shown = order.filter(i => {
      const row = rows[i], score = row[at.cc_norm_model];
      return words[i].includes(wanted)
        && (!area || row[at.area] === area)
        && (!session || row[at.session_id] === session)
        && (!field("f-trusted")?.checked || row[at.trusted] === true)
        && (!field("f-holds").checked || row[at.model_holds] === true)
        && (least === "" || (score !== null && score >= Number(least)));
    });
    page = 0;
    draw();
  };
  heads.forEach((head, column) => one("button", head).addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    heads.forEach(other => other.setAttribute("aria-sort", "none"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const compare = (p, q) => typeof p === "string" ? p.localeCompare(q, "en", { numeric: true }) : p - q;
    order = [...order].sort((i, j) => {
      const p = rows[i][column], q = rows[j][column];
      if (p === null || q === null) return (p === null) - (q === null);  // missing values last
      return down ? compare(q, p) : compare(p, q);
    });
    filter();
  }));
  const form = one(".filters");
  form.addEventListener("input", filter);
  form.addEventListener("reset", () => setTimeout(filter));
  form.addEventListener("submit", event => event.preventDefault());
  field("page-back").addEventListener("click", () => { page -= 1; draw(); });
  field("page-on").addEventListener("click", () => { page += 1; draw(); });
  field("rows-csv").addEventListener("click", () => {
    const quoted = value => value === null ? "" : /[",\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : String(value);
    const lines = [names, ...shown.map(i => rows[i])].map(row => row.map(quoted).join(","));
    save("neurons.csv", new Blob([lines.join("\n") + "\n"], { type: "text/csv" }));
  });
  filter();
