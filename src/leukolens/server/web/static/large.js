// One cell, large: what lies around it, what the machine thinks, and why.

import { all, complain, one, problem, say } from "./page.js";

const AROUND = 3; // sides of the cell's box that are shown, until the slider says otherwise
const CANVAS = 640;
const PICTURES = 4; // fields that are kept decoded

export class Large {
  #pictures = new Map();

  constructor(address, { kinds, cellOf, labelOf, move }) {
    Object.assign(this, { address, kinds, cellOf, labelOf, move });
    this.dialog = one("#large");
    this.canvas = one("canvas", this.dialog);
    this.around = one("#around");
    this.around.addEventListener("input", () => this.#draw());
    one("#large-before").addEventListener("click", () => this.move(-1));
    one("#large-after").addEventListener("click", () => this.move(1));
    one("#large-close").addEventListener("click", () => this.close());
    this.why = one("#large-why");
    this.why.addEventListener("click", () => this.#explain(!this.#explains));
    this.dialog.addEventListener("keydown", (event) => {
      if (event.key.toUpperCase() !== "W" || event.ctrlKey || event.metaKey || event.altKey || this.why.disabled) return;
      event.preventDefault();
      this.#explain(!this.#explains);
    });
    this.dialog.addEventListener("close", () => this.shown?.focus());
  }

  get isOpen() { return this.dialog.open; }

  close() { this.dialog.close(); }

  toField() { if (this.cell) window.location.assign(`${this.address}/fields/${this.cell.place}?cell=${this.cell.id}`); }

  async open(tile) {
    this.shown = tile;
    if (!this.isOpen) {
      this.dialog.showModal();
      this.dialog.focus(); // on no button: Enter and Space are not meant for one
    }
    try {
      const answer = await fetch(`${this.address}/cells/${this.cellOf(tile)}`);
      if (!answer.ok) throw new Error(say("refused", { status: answer.status }));
      const cell = await answer.json();
      if (this.shown !== tile) return; // another one was opened meanwhile
      this.cell = cell;
      this.#write(tile);
      await this.#picture(cell);
      if (this.shown !== tile) return;
      this.#draw();
      if (this.#explains) this.#explain(true);
    } catch (error) {
      complain(error.message);
    }
  }

  #write(tile) {
    const { cell } = this;
    const label = this.labelOf(tile);
    const kind = this.kinds.get(label);
    one("#large-title").textContent = kind?.name ?? label;
    const badge = one("#large-badge");
    badge.className = `badge c-${label}`;
    badge.textContent = kind?.letter ?? "?";
    one("#large-reason").textContent = cell.reason;
    one("#large-facts").textContent = [
      say("field_place", { place: cell.place }),
      cell.distance === null ? "" : say("distance", { distance: cell.distance.toFixed(2) }),
      cell.class_set?.length ? say("class_set", { names: cell.class_set.map((key) => this.kinds.get(key)?.name ?? key).join(", ") }) : "",
      cell.at_edge ? say("at_edge") : "",
    ].filter(Boolean).join(" · ");
    one("#large-field").href = `${this.address}/fields/${cell.place}?cell=${cell.id}`;
    this.evidence = null;
    this.why.disabled = !cell.probabilities || !cell.image;
    one("#large-legend").textContent = "";
    this.#bars(cell.probabilities);
    this.#references(cell.machine_class ?? label);
  }

  #bars(probabilities) {
    const bars = one("#large-bars");
    bars.replaceChildren();
    one("#large-hidden").hidden = probabilities !== null;
    const given = Object.entries(probabilities ?? {}).sort((a, b) => b[1] - a[1]);
    for (const [key, value] of given) {
      const kind = this.kinds.get(key);
      const name = document.createElement("span");
      name.textContent = kind?.name ?? key;
      const meter = document.createElement("meter");
      meter.className = `c-${key}`;
      Object.assign(meter, { min: 0, max: 1, value });
      meter.setAttribute("aria-label", name.textContent);
      const figure = document.createElement("span");
      figure.textContent = `${(100 * value).toFixed(1)} %`;
      bars.append(name, meter, figure);
    }
  }

  // Certain cells of the two likeliest classes, to look from one to the other.
  #references(label) {
    const strip = one("#large-reference");
    strip.replaceChildren();
    for (const image of all(`.group[data-label="${CSS.escape(label)}"] .reference img`)) strip.append(image.cloneNode());
    one("#large-reference-title").hidden = !strip.childElementCount;
  }

  get #explains() { return this.why.getAttribute("aria-pressed") === "true"; }

  // Where the network saw the class that the cell is shown as, or the machine's own where it knows no such class.
  async #explain(wanted) {
    this.why.setAttribute("aria-pressed", String(wanted));
    const { cell, shown } = this;
    if (!wanted || this.why.disabled) {
      this.evidence = null;
      one("#large-legend").textContent = "";
      return this.#draw();
    }
    const label = this.labelOf(shown);
    const asked = label in cell.probabilities ? label : cell.machine_class;
    try {
      const answer = await fetch(`${this.address}/cells/${cell.id}/evidence?label=${encodeURIComponent(asked)}`, { headers: { Accept: "application/json" } });
      const said = await answer.json().catch(() => ({}));
      if (!answer.ok) throw new Error(problem(said, answer.status));
      const veil = new Image();
      veil.src = said.veil;
      await veil.decode();
      if (this.shown !== shown || !this.#explains) return;
      this.evidence = { veil, square: said.square };
      one("#large-legend").textContent = say("evidence", { name: this.kinds.get(said.label)?.name ?? said.label });
      this.#draw();
    } catch (error) {
      complain(error.message);
    }
  }

  async #picture(cell) {
    const source = cell.image ?? cell.crop;
    if (!this.#pictures.has(source)) {
      const image = new Image();
      image.src = source;
      await image.decode().catch(() => { throw new Error(say("no_picture")); });
      this.#pictures.set(source, image);
      if (this.#pictures.size > PICTURES) this.#pictures.delete(this.#pictures.keys().next().value);
    }
    this.picture = this.#pictures.get(source);
  }

  #draw() {
    if (!this.picture) return;
    const pen = this.canvas.getContext("2d");
    this.canvas.width = this.canvas.height = CANVAS;
    if (!this.cell.image) return pen.drawImage(this.picture, 0, 0, CANVAS, CANVAS);
    const [x0, y0, x1, y1] = this.cell.box;
    const side = Math.max(x1 - x0, y1 - y0) * (AROUND * 2 ** (-Number(this.around.value)));
    const left = (x0 + x1 - side) / 2;
    const top = (y0 + y1 - side) / 2;
    const scale = CANVAS / side;
    pen.fillStyle = "#808080";
    pen.fillRect(0, 0, CANVAS, CANVAS);
    pen.imageSmoothingQuality = "high";
    pen.drawImage(this.picture, -left * scale, -top * scale, this.picture.naturalWidth * scale, this.picture.naturalHeight * scale);
    if (this.evidence) {
      const [ex0, ey0, ex1, ey1] = this.evidence.square;
      pen.drawImage(this.evidence.veil, (ex0 - left) * scale, (ey0 - top) * scale, (ex1 - ex0) * scale, (ey1 - ey0) * scale);
    }
    pen.lineWidth = 4;
    pen.strokeStyle = "rgb(255 255 255 / .8)";
    pen.strokeRect((x0 - left) * scale, (y0 - top) * scale, (x1 - x0) * scale, (y1 - y0) * scale);
    pen.lineWidth = 2;
    pen.strokeStyle = getComputedStyle(one("#large-badge")).getPropertyValue("--class") || "#555";
    return pen.strokeRect((x0 - left) * scale, (y0 - top) * scale, (x1 - x0) * scale, (y1 - y0) * scale);
  }
}
