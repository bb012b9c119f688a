// The card inside an MCP host: the view's side of MCP Apps (2026-01-26), JSON-RPC over postMessage.

const PROTOCOL = "2026-01-26";
const TOOL = "get_campaign";
const REFRESH_TIMEOUT_MS = 120_000; // the server's own deadline is much shorter

const card = makeCard();
const requests = new Map(); // by id: the functions that settle the promise
let lastId = 0;
let input = null; // the arguments of the call that is shown
let shown = null; // the result that is shown
let updates = 0; // counts the host's notifications, so that an older refresh does not replace a newer result
let canCall = false;

const post = (message) => window.parent.postMessage({ jsonrpc: "2.0", ...message }, "*");
const notify = (method, params) => post({ method, params });

function request(method, params) {
  const id = ++lastId;
  post({ id, method, params });
  return new Promise((resolve, reject) => requests.set(id, { resolve, reject }));
}

const textBlocks = (result) => (Array.isArray(result.content) ? result.content : [])
  .filter((block) => object(block).type === "text" && typeof block.text === "string").map((block) => block.text);

// Returns a result's structured content, or null if the host passed on only the text.
function answerOf(result) {
  const { summary, raw } = object(result.structuredContent);
  if (!Object.keys(object(summary)).length && !Object.keys(object(raw)).length) return null;
  return { summary, raw, rawText: () => exactRaw(result) ?? formatJson(raw) };
}

// The second text block is the raw JSON with all digits of its numbers; a host may have truncated it.
function exactRaw(result) {
  const block = textBlocks(result).find((words) => words.startsWith("{"));
  try {
    return block ? formatJson(parseExact(block)) : null;
  } catch {
    return null;
  }
}

function idOf(result) {
  const { summary, raw } = object(result.structuredContent);
  const id = object(summary).id ?? object(raw).id ?? /^Id: (\S+)$/m.exec(textBlocks(result)[0] ?? "")?.[1];
  return typeof id === "string" ? id.toLowerCase() : null;
}

function draw(result) {
  const blocks = textBlocks(result);
  const answer = answerOf(result);
  if (result.isError === true) card.fail("The campaign could not be looked up", (blocks.length ? blocks : ["The host gave no reason."]).map((words) => text(words)).filter(Boolean));
  else if (answer) card.show(answer);
  else {
    const raw = exactRaw(result);
    card.fallback(blocks.filter((words) => raw === null || !words.startsWith("{")), () => raw ?? formatJson(result));
  }
  shown = result;
  card.offerRefresh(canCall && callArguments(result) ? refresh : null);
}

// Returns the arguments of the call that is shown, or else those that its answer implies.
function callArguments(result) {
  if (typeof input?.campaign_id === "string") return input;
  const summary = object(object(result?.structuredContent).summary);
  if (typeof summary.id !== "string") return null;
  return { campaign_id: summary.id, sub_organization_id: typeof summary.sub_organization_id === "string" ? summary.sub_organization_id : "main" };
}

async function refresh() {
  const before = updates;
  let timer;
  card.busy(true);
  card.notice(null);
  card.announce("Refreshing");
  try {
    const timeout = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error("the host does not answer")), REFRESH_TIMEOUT_MS)));
    const result = object(await Promise.race([request("tools/call", { name: TOOL, arguments: callArguments(shown) }), timeout]));
    if (before !== updates) return; // the host has shown another result meanwhile
    const oldId = idOf(shown), newId = idOf(result);
    if (result.isError === true) showProblem(textBlocks(result).join("\n") || "no reason given");
    else if (oldId && newId && oldId !== newId) showProblem("the answer is for another campaign");
    else if (!answerOf(result) && !textBlocks(result).length) showProblem("the answer is empty");
    else {
      draw(result);
      card.announce("Refreshed");
    }
  } catch (error) {
    if (before === updates) showProblem(text(error?.message) ?? "no reason given");
  } finally {
    clearTimeout(timer);
    card.busy(false);
  }
}

function showProblem(words) {
  card.notice(`Not refreshed: ${text(words)}`);
  card.announce("");
}

const isTheme = (theme) => theme === "light" || theme === "dark";

function applyContext(context) {
  const root = document.documentElement, { theme, locale, timeZone, styles, safeAreaInsets, displayMode } = object(context);
  if (isTheme(theme)) root.dataset.theme = theme;
  if (typeof displayMode === "string") root.dataset.displayMode = displayMode;
  for (const [name, value] of Object.entries(object(object(styles).variables)))
    if (/^--[a-z0-9-]+$/.test(name) && typeof value === "string") root.style.setProperty(name, value);
  for (const side of ["top", "right", "bottom", "left"]) {
    const inset = object(safeAreaInsets)[side];
    if (Number.isFinite(inset)) document.body.style.setProperty(`padding-${side}`, `${inset}px`);
  }
  const before = JSON.stringify(dateFormat);
  // The card's text is English, so a screen reader would mispronounce dates in another language.
  if (typeof locale === "string" && /^en\b/i.test(locale)) {
    try {
      [dateFormat.locale] = Intl.getCanonicalLocales(locale);
    } catch {}
  }
  if (typeof timeZone === "string") dateFormat.timeZone = timeZone;
  if (shown && JSON.stringify(dateFormat) !== before) draw(shown);
}

const notificationHandlers = new Map(Object.entries({
  "ui/notifications/tool-input": (params) => {
    input = object(params.arguments);
    if (!shown) card.wait(`Looking up campaign ${text(input.campaign_id, 60) ?? ""}…`);
  },
  "ui/notifications/tool-input-partial": () => {
    if (!shown) card.wait("Looking up a campaign…");
  },
  "ui/notifications/tool-result": (params) => {
    updates += 1;
    card.notice(null);
    draw(params);
  },
  "ui/notifications/tool-cancelled": (params) => {
    updates += 1;
    const why = text(params.reason);
    if (shown) card.notice(`The look-up was cancelled${why ? `: ${why}` : "."}`);
    else card.fail("The look-up was cancelled", why ? [why] : []);
  },
  "ui/notifications/host-context-changed": applyContext,
}));
const requestHandlers = new Map([["ping", () => ({})], ["ui/resource-teardown", () => ({})]]);

function onMessage(event) {
  const message = object(event.data);
  if (event.source !== window.parent || message.jsonrpc !== "2.0") return;
  const { id, method } = message;
  if (typeof method === "string" && id === undefined) notificationHandlers.get(method)?.(object(message.params));
  else if (typeof method === "string") {
    const answer = requestHandlers.get(method);
    post(answer ? { id, result: answer() } : { id, error: { code: -32601, message: "Method not found" } });
  } else {
    const waiting = requests.get(id);
    requests.delete(id);
    if (message.error) waiting?.reject(object(message.error));
    else waiting?.resolve(message.result);
  }
}

// Reports the size of the card, so that the host can set the height of the frame.
function reportSize() {
  let last = "", scheduled = false;
  const report = () => {
    scheduled = false;
    const size = { width: Math.ceil(window.innerWidth), height: Math.ceil(document.documentElement.getBoundingClientRect().height) };
    if (JSON.stringify(size) !== last) notify("ui/notifications/size-changed", size);
    last = JSON.stringify(size);
  };
  const observer = new ResizeObserver(() => {
    if (!scheduled) requestAnimationFrame(report);
    scheduled = true;
  });
  observer.observe(document.documentElement);
  observer.observe(document.body);
}

async function start() {
  document.getElementById("main").replaceChildren(card.node);
  if (window.parent === window) return card.fail("No MCP host", ["An MCP host shows this card. To open a card without a host, run: callers-mcp get ID --html FILE"]);
  card.wait("Waiting for the campaign…");
  window.addEventListener("message", onMessage);
  try {
    const { hostCapabilities, hostContext } = object(await request("ui/initialize", {
      protocolVersion: PROTOCOL,
      appInfo: { name: "callers-campaign-card", title: "Callers campaign card", version: "{{version}}" },
      appCapabilities: { availableDisplayModes: ["inline", "fullscreen"] },
    }));
    canCall = object(hostCapabilities).serverTools !== undefined;
    applyContext(hostContext);
  } catch (error) {
    card.notice(`The host refused to start the card: ${text(error?.message) ?? "no reason given"}`);
  }
  notify("ui/notifications/initialized", {});
  reportSize();
}

start();
