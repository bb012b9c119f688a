// The raw JSON: collapsed, and drawn when it is opened. It is drawn in pieces that the browser lays out when they come
// into view, so that a megabyte is fast. A search stops at MAX_MATCHES.

const PIECE_CHARACTERS = 4000; // about
const MAX_MATCHES = 500;

// Parses JSON so that numbers keep all digits (9007199254740993), if the browser supports it.
function parseExact(json) {
  if (typeof JSON.rawJSON !== "function") return JSON.parse(json);
  return JSON.parse(json, (_, value, context) =>
    typeof value === "number" && context?.source ? JSON.rawJSON(context.source) : value);
}

function formatJson(value) {
  try {
    return escapeInvisible(JSON.stringify(value, null, 2) ?? "");
  } catch {
    return "It can’t be shown."; // nested too deeply for this browser
  }
}

function splitPieces(json) {
  const pieces = [];
  for (let at = 0; at < json.length; ) {
    let end = Math.min(at + PIECE_CHARACTERS, json.length);
    const newline = json.lastIndexOf("\n", end - 1);
    if (end < json.length) {
      if (newline >= at) end = newline + 1;
      else if (/[\ud800-\udbff]/.test(json[end - 1])) end -= 1; // do not split a surrogate pair
    }
    pieces.push({ at, end, node: null, marked: false });
    at = end;
  }
  return pieces;
}

function findMatches(json, query) {
  const found = [];
  const pattern = new RegExp(query.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"), "gi");
  for (let match; found.length < MAX_MATCHES && (match = pattern.exec(json)); ) found.push([match.index, match.index + match[0].length]);
  return found;
}

// `set` takes a function that returns the JSON text, and calls it when the text is needed; `null` hides the section.
function makeRaw(announce) {
  const box = el("div", { class: "rawbox", tabindex: "0", role: "region", "aria-label": "Raw JSON" });
  const input = el("input", { type: "search", "aria-label": "Search the raw JSON", placeholder: "Search", autocomplete: "off", spellcheck: "false" });
  const count = el("span", { class: "count", role: "status" });
  const previous = button("Previous", ICON.up, () => step(-1), "plain");
  const next = button("Next", ICON.down, () => step(1), "plain");
  const copy = copyButton("Copy JSON", "the raw JSON", () => text(), announce);
  const node = el("details", { hidden: "" }, el("summary", null, "Raw JSON"),
    el("div", { class: "tools" }, input, count, previous, next, copy), box);
  let source = null, json = null, pieces = [], found = [], current = 0, later = 0;

  function text() {
    return (json ??= source ? source() : "");
  }

  function draw() {
    if (!node.open || pieces.length) return;
    pieces = splitPieces(text());
    for (const piece of pieces) {
      const shown = json.slice(piece.at, piece.end);
      piece.node = el("span", null, shown);
      piece.node.style.containIntrinsicBlockSize = `auto ${1.5 * Math.max(shown.split("\n").length - 1, shown.length / 90)}em`;
    }
    box.replaceChildren(...pieces.map((piece) => piece.node));
    search(false);
  }

  function search(moves = true) {
    const query = input.value;
    found = query ? findMatches(text(), query) : [];
    current = 0;
    mark();
    if (moves) scroll();
  }

  function step(by) {
    if (!found.length) return;
    current = (current + by + found.length) % found.length;
    mark();
    scroll();
  }

  // Only the pieces that have or had a match are drawn again.
  function mark() {
    let first = 0;
    for (const piece of pieces) {
      while (first < found.length && found[first][1] <= piece.at) first += 1;
      const parts = [];
      let at = piece.at;
      for (let index = first; index < found.length && found[index][0] < piece.end; index += 1) {
        const from = Math.max(found[index][0], piece.at), to = Math.min(found[index][1], piece.end);
        parts.push(json.slice(at, from), el("mark", index === current ? { class: "current" } : null, json.slice(from, to)));
        at = to;
      }
      if (parts.length || piece.marked) piece.node.replaceChildren(...parts, json.slice(at, piece.end));
      piece.marked = parts.length > 0;
    }
    const all = found.length === MAX_MATCHES ? `${MAX_MATCHES}+` : found.length;
    count.textContent = found.length ? `${current + 1} of ${all}` : input.value ? "No match" : "";
    for (const one of [previous, next]) one.setAttribute("aria-disabled", String(!found.length));
  }

  // Scrolls only the box, not the host's page. Twice, because pieces get their height when they come into view.
  function scroll() {
    const move = () => {
      const mark = box.querySelector("mark.current");
      if (mark) box.scrollTop += mark.getBoundingClientRect().top - box.getBoundingClientRect().top - box.clientHeight / 3;
    };
    move();
    requestAnimationFrame(move);
  }

  input.addEventListener("input", () => {
    clearTimeout(later);
    later = setTimeout(search, 120);
  });
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    step(event.shiftKey ? -1 : 1);
  });
  node.addEventListener("toggle", draw);
  return {
    node,
    set(get) {
      source = get ?? null;
      json = null;
      pieces = [];
      node.hidden = source === null;
      box.replaceChildren();
      draw();
    },
  };
}
