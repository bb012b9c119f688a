// The raw JSON: collapsed, and drawn when it is opened. It is drawn in pieces that the browser lays out when they come
// into view, so that a megabyte is fast.

const PIECE_CHARACTERS = 4000; // about

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
    pieces.push(json.slice(at, end));
    at = end;
  }
  return pieces;
}

function pieceNode(piece) {
  const node = el("span", null, piece);
  node.style.containIntrinsicBlockSize = `auto ${1.5 * Math.max(piece.split("\n").length - 1, piece.length / 90)}em`;
  return node;
}

// `set` takes a function that returns the JSON text, and calls it when the text is needed; `null` hides the section.
function makeRaw(announce) {
  const box = el("div", { class: "rawbox", tabindex: "0", role: "region", "aria-label": "Raw JSON" });
  const copy = copyButton("Copy JSON", "the raw JSON", () => source(), announce);
  const node = el("details", { hidden: "" }, el("summary", null, "Raw JSON"), el("div", { class: "tools" }, copy), box);
  let source = null;

  function draw() {
    if (node.open && source && !box.hasChildNodes()) box.replaceChildren(...splitPieces(source()).map(pieceNode));
  }

  node.addEventListener("toggle", draw);
  return {
    node,
    set(getText) {
      source = getText;
      node.hidden = source === null;
      box.replaceChildren();
      draw();
    },
  };
}
