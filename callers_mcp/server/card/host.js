// The card inside an MCP host: the View's side of MCP Apps (2026-01-26), JSON-RPC over postMessage.

const PROTOCOL = "2026-01-26";
const TOOL = "get_campaign";
const PATIENCE = 120_000; // milliseconds for a refresh; the server gives up long before

const card = makeCard();
const requests = new Map(); // by id: what awaits the answer
let lastId = 0;
let input = null; // the arguments of the call that is shown
let shown = null; // the result that is shown
let turn = 0; // counts what the host shows us, so that an older refresh does not replace it
let canCall = false;

const post = (message) => window.parent.postMessage({ jsonrpc: "2.0", ...message }, "*");
const notify = (method, params) => post({ method, params });

function request(method, params) {
  const id = ++lastId;
  post({ id, method, params });
  return new Promise((resolve, reject) => requests.set(id, { resolve, reject }));
}

const blocks = (result) => (Array.isArray(result.content) ? result.content : [])
  .filter((block) => object(block).type === "text" && typeof block.text === "string").map((block) => block.text);

// The answer that a result holds: its structured content, or null where the host passed on the text alone.
function answerOf(result) {
  const { summary, raw } = object(result.structuredContent);
  if (!Object.keys(object(summary)).length && !Object.keys(object(raw)).length) return null;
  return { summary, raw, rawText: () => exactRaw(result) ?? pretty(raw) };
}

// The second text block is the raw JSON with all its digits; a host may have cut it.
function exactRaw(result) {
  const block = blocks(result).find((words) => words.startsWith("{"));
  try {
    return block ? pretty(exact(block)) : null;
  } catch {
    return null;
  }
}

function identity(result) {
  const { summary, raw } = object(result.structuredContent);
  const id = object(summary).id ?? object(raw).id ?? /^Id: (\S+)$/m.exec(blocks(result)[0] ?? "")?.[1];
  return typeof id === "string" ? id.toLowerCase() : null;
}

function draw(result) {
  const said = blocks(result);
  const answer = answerOf(result);
  if (result.isError === true) card.fail("The campaign could not be looked up", (said.length ? said : ["The host did not say why."]).map((words) => text(words)).filter(Boolean));
  else if (answer) card.show(answer);
  else {
    const raw = exactRaw(result);
    card.fallback(said.filter((words) => raw === null || !words.startsWith("{")), () => raw ?? pretty(result));
  }
  shown = result;
  card.offerRefresh(canCall && argumentsOf(result) ? refresh : null);
}

// The arguments of the call that is shown, else what the answer says of itself.
function argumentsOf(result) {
  if (typeof input?.campaign_id === "string") return input;
  const summary = object(object(result?.structuredContent).summary);
  if (typeof summary.id !== "string") return null;
  return { campaign_id: summary.id, sub_organization_id: typeof summary.sub_organization_id === "string" ? summary.sub_organization_id : "main" };
}

async function refresh() {
  const mine = turn;
  let timer;
  card.busy(true);
  card.notice(null);
  card.say("Refreshing");
  try {
    const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error("the host does not answer")), PATIENCE)));
    const result = object(await Promise.race([request("tools/call", { name: TOOL, arguments: argumentsOf(shown) }), late]));
    if (mine !== turn) return; // the host has shown something else meanwhile
    const before = identity(shown), now = identity(result);
    if (result.isError === true) problem(blocks(result).join("\n") || "it does not say why");
    else if (before && now && before !== now) problem("the answer is for another campaign");
    else if (!answerOf(result) && !blocks(result).length) problem("the answer is empty");
    else {
      draw(result);
      card.say("Refreshed");
    }
  } catch (error) {
    if (mine === turn) problem(text(error?.message) ?? "it does not say why");
  } finally {
    clearTimeout(timer);
    card.busy(false);
  }
}

function problem(words) {
  card.notice(`Not refreshed: ${text(words)}`);
  card.say("");
}

const isColor = (theme) => theme === "light" || theme === "dark";

function applyContext(context) {
  const root = document.documentElement, { theme, locale, timeZone, styles, safeAreaInsets, displayMode } = object(context);
  if (isColor(theme)) root.dataset.theme = theme;
  if (typeof displayMode === "string") root.dataset.displayMode = displayMode;
  for (const [name, value] of Object.entries(object(object(styles).variables)))
    if (/^--[a-z0-9-]+$/.test(name) && typeof value === "string") root.style.setProperty(name, value);
  for (const side of ["top", "right", "bottom", "left"]) {
    const inset = object(safeAreaInsets)[side];
    if (Number.isFinite(inset)) document.body.style.setProperty(`padding-${side}`, `${inset}px`);
  }
  const before = JSON.stringify(place);
  // The card's words are English, so dates in another language would be read out wrong.
  if (typeof locale === "string" && /^en\b/i.test(locale)) {
    try {
      [place.locale] = Intl.getCanonicalLocales(locale);
    } catch {}
  }
  if (typeof timeZone === "string") place.timeZone = timeZone;
  if (shown && JSON.stringify(place) !== before) draw(shown);
}

const notifications = new Map(Object.entries({
  "ui/notifications/tool-input": (params) => {
    input = object(params.arguments);
    if (!shown) card.wait(`Looking up campaign ${text(input.campaign_id, 60) ?? ""}…`);
  },
  "ui/notifications/tool-input-partial": () => {
    if (!shown) card.wait("Looking up a campaign…");
  },
  "ui/notifications/tool-result": (params) => {
    turn += 1;
    card.notice(null);
    draw(params);
  },
  "ui/notifications/tool-cancelled": (params) => {
    turn += 1;
    const why = text(params.reason);
    if (shown) card.notice(`The look-up was cancelled${why ? `: ${why}` : "."}`);
    else card.fail("The look-up was cancelled", why ? [why] : []);
  },
  "ui/notifications/host-context-changed": applyContext,
}));
const answers = new Map([["ping", () => ({})], ["ui/resource-teardown", () => ({})]]);

function received(event) {
  const message = object(event.data);
  if (event.source !== window.parent || message.jsonrpc !== "2.0") return;
  const { id, method } = message;
  if (typeof method === "string" && id === undefined) notifications.get(method)?.(object(message.params));
  else if (typeof method === "string") {
    const answer = answers.get(method);
    post(answer ? { id, result: answer() } : { id, error: { code: -32601, message: "Method not found" } });
  } else {
    const waiting = requests.get(id);
    requests.delete(id);
    if (message.error) waiting?.reject(object(message.error));
    else waiting?.resolve(message.result);
  }
}

// The host gives the frame the height that the card needs.
function reportSize() {
  let last = "", asked = false;
  const report = () => {
    asked = false;
    const size = { width: Math.ceil(window.innerWidth), height: Math.ceil(document.documentElement.getBoundingClientRect().height) };
    if (JSON.stringify(size) !== last) notify("ui/notifications/size-changed", size);
    last = JSON.stringify(size);
  };
  const observer = new ResizeObserver(() => {
    if (!asked) requestAnimationFrame(report);
    asked = true;
  });
  observer.observe(document.documentElement);
  observer.observe(document.body);
}

async function start() {
  document.getElementById("main").replaceChildren(card.node);
  if (window.parent === window) return card.fail("No host here", ["An MCP host draws this card. To look at one by itself: callers-mcp get ID --html FILE"]);
  card.wait("Waiting for the campaign…");
  window.addEventListener("message", received);
  try {
    const { hostCapabilities, hostContext } = object(await request("ui/initialize", {
      protocolVersion: PROTOCOL,
      appInfo: { name: "callers-campaign-card", title: "Callers campaign card", version: "{{version}}" },
      appCapabilities: { availableDisplayModes: ["inline", "fullscreen"] },
    }));
    canCall = object(hostCapabilities).serverTools !== undefined;
    applyContext(hostContext);
  } catch (error) {
    card.notice(`The host refused to start the card: ${text(error?.message) ?? "it does not say why"}`);
  }
  notify("ui/notifications/initialized", {});
  reportSize();
}

start();
