
  // ---- the neuron under the pointer, or with the focus: enlarged, and marked in every view -----------
  const tip = field("tip");
  const lighters = [];  // views that mark it in their own way
  let lit = null;
  const light = (neuron, x, y) => {
    if (lit !== neuron) {
      all(".lit").forEach(part => part.classList.remove("lit"));
      lit = neuron;
      neuron?.row.classList.add("lit");
      neuron?.card.classList.add("lit");
      all(".dot").filter(part => neuron && part.__data__ === neuron).forEach(part => part.classList.add("lit"));
      lighters.forEach(show => show(neuron));
      if (neuron) {
        const image = made("img", { src: neuron.picture ?? picture(neuron, "mei"), alt: "" });
        const [left, top, right, bottom] = neuron.box ?? [0, 5, 8, 0];
        image.style.aspectRatio = `${right - left} / ${top - bottom}`;
        const name = made("strong", { textContent: `${neuron.id} ${MARKS[neuron.kind]}` });
        const list = keyNumbers(neuron).flatMap(pair => pair.map((text, i) => made(i ? "dd" : "dt", { textContent: text })));
        tip.replaceChildren(image, name, made("dl", {}, ...list));
      }
    }
    tip.hidden = !neuron;
    if (!neuron) return;
    const { width, height } = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(4, x + 18 + width > innerWidth ? x - width - 18 : x + 18)}px`;
    tip.style.top = `${Math.max(4, Math.min(y + 12, innerHeight - height - 6))}px`;
  };
  const dark = () => light(null);
  addEventListener("scroll", dark, { passive: true });

  // Links of a drawing are one stop of the Tab key; the arrow keys walk among those that are shown.
  const walkable = svg => {
    const links = () => {
      const order = new Map(neurons.map((neuron, i) => [neuron, i]));
      return all("a[href]", svg).filter(link => link.__data__.shown).sort((p, q) => order.get(p.__data__) - order.get(q.__data__));
    };
    svg.addEventListener("focusin", event => {
      const link = event.target.closest("a");
      if (!link) return;
      all("a", svg).forEach(other => other.setAttribute("tabindex", other === link ? 0 : -1));
      const { right, top } = one("circle, path", link).getBoundingClientRect();
      light(link.__data__, right, top);
    });
    svg.addEventListener("focusout", dark);
    svg.addEventListener("keydown", event => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (event.key === "Escape") dark();
      if (!step) return;
      event.preventDefault();
      const sorted = links(), now = sorted.indexOf(document.activeElement);
      sorted[(now + step + sorted.length) % sorted.length]?.focus();
    });
    return () => {  // after a change: some link that is shown can be reached
      const open = links();
      if (!open.some(link => link.getAttribute("tabindex") === "0")) {
        all("a", svg).forEach(link => link.setAttribute("tabindex", link === open[0] ? 0 : -1));
      }
    };
  };
  const spoken = neuron => `${neuron.id} ${MARKS[neuron.kind]}, ${keyNumbers(neuron).map(pair => pair.join(" ")).join(", ")}`;
