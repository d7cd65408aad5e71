  // ---- table: only one page of its rows is drawn at a time ------------------------------------
  const ROWS = 100;
  const { columns: names, rows } = json("data-table");
  let shown = [], page = 0;

  const text = (name, value) => {
    if (value === null) return "–";
    if (typeof value === "boolean") return (value ? "✓ " : "✗ ") + (name === "trusted" ? (value ? "trusted" : "not trusted") : (value ? "yes" : "no"));
    if (typeof value === "string") return name.endsWith("_id") ? value : value.replaceAll("_", " ");
    if (Number.isInteger(value)) return String(value);
    const digits = name.endsWith("_deg") ? 1 : name.endsWith("_cpd") ? 3 : 2;
    return plain(value, digits);
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
    body.replaceChildren(...shown.slice(page * ROWS, (page + 1) * ROWS).map(row => {
      const line = document.createElement("tr");
      names.forEach((name, column) => {
        if (!wide && heads[column].classList.contains("more")) return;
        const cell = document.createElement("td");
        if (name === "neuron_id") cell.append(linked(row));
        else cell.textContent = text(name, row[column]);
        line.append(cell);
      });
      return line;
    }));
    field("page-at").textContent = `page ${page + 1} of ${pages}`;
    field("page-back").disabled = page === 0;
    field("page-on").disabled = page === pages - 1;
  };
  field("page-back").addEventListener("click", () => { page -= 1; draw(); });
  field("page-on").addEventListener("click", () => { page += 1; draw(); });
  field("rows-csv").addEventListener("click", () => {
    const quoted = value => value === null ? "" : /[",\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : String(value);
    const lines = [names, ...shown].map(row => row.map(quoted).join(","));
    save("neurons.csv", new Blob([lines.join("\n") + "\n"], { type: "text/csv" }));
  });
  const lines = rows.map(values => ({ values, words: values.join(" ").replaceAll("_", " ").toLowerCase() }));
  neuronTable(lines, left => {
    shown = left.map(line => line.values);
    page = 0;
    draw();
  }).filter();
