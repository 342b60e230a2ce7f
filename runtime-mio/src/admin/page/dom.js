// Making and changing elements. What the server says only ever becomes text and attributes.

import { HISTORY } from "./figures.js";

const SVG = "http://www.w3.org/2000/svg";
export const $ = (id) => document.getElementById(id);

/** A new element. Properties are set as such; `class`, `data-*` and `aria-*` are attributes. */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name === "class" || name === "scope" || name === "role" || name.includes("-")) node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children);
  return node;
}

/** Sets text where it differs, so that readers of live regions hear of changes alone. */
export function text(node, value) {
  if (node.textContent !== value) node.textContent = value;
}

const NEWS_MS = 20_000;
let silence = null;

/** Says something in passing, to readers too. */
export function announce(words) {
  text($("news"), words);
  clearTimeout(silence);
  silence = setTimeout(() => text($("news"), ""), NEWS_MS);
}

export function attribute(node, name, value) {
  if (value === null) node.removeAttribute(name);
  else if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

const kept = new WeakMap();

/**
 * Makes the children of a node those of a list: kept by key, in the list's order. Nodes that stay
 * are not touched otherwise, so focus and selection stay as well.
 */
export function list(parent, items, keyOf, make, update) {
  const before = kept.get(parent) ?? new Map();
  const after = new Map();
  for (const item of items) {
    const key = keyOf(item);
    after.set(key, before.get(key) ?? make(item));
  }
  for (const [key, node] of before) if (!after.has(key)) node.remove();
  let place = parent.firstElementChild;
  for (const item of items) {
    const node = after.get(keyOf(item));
    if (node === place) place = place.nextElementSibling;
    else parent.insertBefore(node, place);
    update(node, item);
  }
  kept.set(parent, after);
}

const WIDTH = 64;
const HEIGHT = 18;

/** A small chart of a series, drawn by `draw`. The figure beside it says the value to readers. */
export function chart() {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("class", "spark");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.append(document.createElementNS(SVG, "path"));
  return svg;
}

/** Draws the newest sample at the right; `ceiling` is what fills the chart if nothing is higher. */
export function draw(svg, series, ceiling) {
  const { values } = series;
  const top = Math.max(ceiling, ...values.filter((value) => value !== null));
  const step = WIDTH / (HISTORY - 1);
  let path = "";
  let pen = "M";
  values.forEach((value, at) => {
    if (value === null) {
      pen = "M";
      return;
    }
    const x = WIDTH - (values.length - 1 - at) * step;
    const y = HEIGHT - 1 - (value / top) * (HEIGHT - 2);
    path += `${pen}${x.toFixed(1)} ${y.toFixed(1)}`;
    pen = "L";
  });
  attribute(svg.firstElementChild, "d", path);
}
