  const one = (selector, from = document) => from.querySelector(selector);
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const field = id => document.getElementById(id);
  const json = id => JSON.parse(document.getElementById(id).textContent);
  const made = (tag, properties = {}, ...inside) => {
    const part = Object.assign(document.createElement(tag), properties);
    part.append(...inside);
    return part;
  };

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
    ...Object.fromEntries(["txt", "tex", "bib"].map(kind => [`methods-${kind}`, () => [`methods.${kind}`, json("data-methods")[kind], "text/plain"]])),
  };
  all("[data-save]").forEach(button => button.addEventListener("click", () => {
    const [name, text, type] = SAVED[button.dataset.save]();
    save(name, new Blob([text], { type }));
  }));

  // ---- figures: those of the overview are pictures, whose data is in the page ---------------------
  const decoded = uri => new TextDecoder().decode(Uint8Array.from(atob(uri.split(",")[1]), c => c.charCodeAt(0)));
  const parts = async figure => figure.classList.contains("plot") ? plotted(figure)
    : { svg: decoded(one("img", figure).src), csv: json("data-overview")[figure.dataset.key] };
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
