
  // ---- the tray: two to four neurons side by side ---------------------------------------------------
  const MOST = 4, tray = [], trayBar = field("tray"), side = field("side");
  const STIMULI = { mei: "MEI", best_gabor: "best Gabor", best_natural: "best natural image" };
  const column = neuron => made("section", {},
    made("h3", {}, made("a", { href: neuron.address, textContent: neuron.id })),
    made("p", { className: `trust ${neuron.kind}`, textContent: MARKS[neuron.kind] }),
    ...Object.entries(STIMULI).filter(([name]) => picture(neuron, name)).map(([name, text]) => made("figure", { className: name },
      made("img", { src: picture(neuron, name), alt: `${text} of neuron ${neuron.id}` }), made("figcaption", { textContent: text }))),
    made("dl", {}, ...[...keyNumbers(neuron), ["oracle", plain(neuron.value("oracle"))],
      ["expected drive", plain(neuron.value("expected_fraction"))], ["size", `${plain(neuron.value("mei_size_deg"), 0)}°`],
      ["MEI / natural, windowed", plain(neuron.value("mei_over_windowed_natural"))],
    ].map(([name, text]) => made("div", {}, made("dt", { textContent: name }), made("dd", { textContent: text })))));
  const drawTray = () => {
    trayBar.hidden = !tray.length;
    document.body.classList.toggle("with-tray", Boolean(tray.length));
    one("ul", trayBar).replaceChildren(...tray.map(neuron => {
      const drop = made("button", { type: "button", textContent: "×" });
      drop.setAttribute("aria-label", `Remove neuron ${neuron.id} from the tray`);
      drop.addEventListener("click", () => { toggle(neuron); (one("button", trayBar) ?? one(".gallery a")).focus(); });
      return made("li", {}, made("img", { src: picture(neuron, "mei"), alt: "" }), made("span", { textContent: neuron.id }), drop);
    }));
    field("tray-open").disabled = tray.length < 2;
    all("[data-compare]").forEach(button => button.setAttribute("aria-pressed", tray.includes(byId.get(button.dataset.compare))));
    one(".columns", side).replaceChildren(...tray.map(column));
  };
  const toggle = neuron => {
    const held = tray.indexOf(neuron);
    let text = `Neuron ${neuron.id} is in the tray`;
    if (held >= 0) { tray.splice(held, 1); text = `Neuron ${neuron.id} was removed from the tray`; }
    else if (tray.length === MOST) text = `The tray holds ${MOST} neurons; remove one first`;
    else tray.push(neuron);
    field("tray-status").textContent = `${text} (${tray.length} of ${MOST}).`;
    drawTray();
    changed();
  };
  const comparing = neuron => {
    const button = made("button", { type: "button", className: "compare", textContent: "Compare" });
    button.dataset.compare = neuron.id;
    button.title = "key C";
    button.setAttribute("aria-pressed", tray.includes(neuron));
    button.setAttribute("aria-label", `Compare neuron ${neuron.id}`);
    button.addEventListener("click", () => toggle(neuron));
    return button;
  };
  field("tray-open").addEventListener("click", () => side.showModal());
  field("tray-empty").addEventListener("click", () => { tray.length = 0; drawTray(); changed(); one(".gallery a").focus(); });
  one("button", side).addEventListener("click", () => side.close());
  side.addEventListener("click", event => { if (event.target.closest("a")) side.close(); });
