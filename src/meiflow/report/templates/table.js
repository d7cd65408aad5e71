
  // ---- numbers as text, without exponents ---------------------------------------------------------
  const plain = (value, digits = 2) => {
    if (value === null || value === undefined || Number.isNaN(value)) return "–";
    const size = Math.abs(value);
    if (size && size < 0.5 / 10 ** digits) return value.toFixed(Math.min(20, -Math.floor(Math.log10(size))));
    return size >= 1000 ? value.toFixed(0) : value.toFixed(digits);
  };

  // ---- the table of neurons: sorted by its headings, filtered by its form -----------------------
  // `rows` have `values`, one per column, null where missing, and `words`, which the search looks at;
  // `draw` gets the rows that are left, and all of them, in their order. `also` is a further filter,
  // `orders` are further orders by name: functions that compare two rows.
  const table = field("table"), body = table.tBodies[0], heads = all("th", table);
  const at = Object.fromEntries(heads.map((head, i) => [head.dataset.name, i]));
  const compare = (p, q) => typeof p === "number" && typeof q === "number"
    ? p - q : String(p).localeCompare(String(q), "en", { numeric: true });
  const neuronTable = (rows, draw, also = () => true, orders = {}) => {
    const numeric = heads.map((_, column) => column !== at.neuron_id && rows.some(row => typeof row.values[column] === "number"));
    const form = one(".filters");
    let order = rows, sort = "";
    const filter = () => {
      const text = field("f-text").value.trim().toLowerCase(), least = field("f-score").value;
      const wanted = all("select[data-column]", form).filter(select => select.value).map(select => [at[select.dataset.column], select.value]);
      const needed = [["trusted", "f-trusted"], ["model_above_chance", "f-holds"]]
        .filter(([name, id]) => name in at && field(id)?.checked).map(([name]) => at[name]);
      const left = order.filter(row => row.words.includes(text)
        && wanted.every(([column, value]) => String(row.values[column]) === value)
        && needed.every(column => Number(row.values[column]) === 1)
        && (least === "" || (row.values[at.cc_norm_model] !== null && row.values[at.cc_norm_model] >= Number(least)))
        && also(row));
      table.classList.toggle("few", !field("f-columns").checked);
      field("count").textContent = `${left.length} of ${rows.length} neurons`;
      draw(left, order);
    };
    // "name" ascending, "-name" descending, the name of a further order, or "" as in the page
    const sortBy = wanted => {
      const down = wanted.startsWith("-"), name = down ? wanted.slice(1) : wanted, column = at[name];
      sort = wanted in orders || column !== undefined ? wanted : "";
      heads.forEach(head => head.setAttribute("aria-sort",
        sort && head.dataset.name === name ? (down ? "descending" : "ascending") : "none"));
      order = !sort ? rows : [...rows].sort(orders[sort] ?? (({ values: a }, { values: b }) => {
        const p = a[column], q = b[column];
        if (p === null || q === null) return (p === null) - (q === null);  // missing values come last
        return down ? compare(q, p) : compare(p, q);
      }));
    };
    heads.forEach((head, column) => one("button", head).addEventListener("click", () => {
      const { name } = head.dataset, now = head.getAttribute("aria-sort");
      const down = now === "none" ? numeric[column] : now === "ascending";  // high numbers come first
      sortBy(down ? `-${name}` : name);
      filter();
    }));
    form.addEventListener("input", filter);
    form.addEventListener("reset", () => setTimeout(filter));
    form.addEventListener("submit", event => event.preventDefault());
    return { filter, sortBy, sorted: () => sort };
  };
