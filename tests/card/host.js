// A small MCP host: it puts the card into a sandboxed frame of no origin, and speaks the host's side of MCP Apps.
// Tool calls go to Python, where the real server answers (window.callTool).
"use strict";

const host = {
  frame: null,
  received: [], // every message of the card
  waiting: new Map(), // by id: who awaits the card's answer
  lastId: 0,

  // Open the card, and show it one call: `input` are its arguments; `result` stands in for a real call's result.
  async open({ input = null, result = null, context = {}, capabilities = { serverTools: {} }, width = 760, allow = "", silent = false, refuse = false }) {
    host.frame?.remove();
    host.received = [];
    Object.assign(host, { input, result, context, capabilities, silent, refuse });
    const frame = document.createElement("iframe");
    frame.setAttribute("sandbox", "allow-scripts");
    frame.setAttribute("title", "Campaign");
    if (allow) frame.allow = allow;
    frame.width = width;
    frame.height = 400;
    frame.srcdoc = await (await fetch("/card.html")).text();
    host.frame = frame;
    document.body.append(frame);
  },

  post: (message) => host.frame.contentWindow.postMessage({ jsonrpc: "2.0", ...message }, "*"),
  notify: (method, params) => host.post({ method, params }),

  // Ask the card, and return its whole answer.
  ask(method, params = {}) {
    const id = `host-${++host.lastId}`;
    return new Promise((resolve) => {
      host.waiting.set(id, resolve);
      host.post({ id, method, params });
    });
  },

  of: (method) => host.received.filter((message) => message.method === method),
};

const answers = {
  "ui/initialize": () => {
    if (host.refuse) throw { code: -32602, message: "no such protocol" };
    return { protocolVersion: "2026-01-26", hostInfo: { name: "test-host", version: "1" }, hostCapabilities: host.capabilities, hostContext: host.context };
  },
  "tools/call": async ({ name, arguments: given }) => {
    const answer = JSON.parse(await window.callTool(name, given));
    if (answer.error) throw answer.error;
    return answer;
  },
};

const notifications = {
  "ui/notifications/initialized": async () => {
    if (host.input) host.notify("ui/notifications/tool-input", { arguments: host.input });
    if (host.silent) return;
    host.notify("ui/notifications/tool-result", host.result ?? (await answers["tools/call"]({ name: "get_campaign", arguments: host.input })));
  },
  "ui/notifications/size-changed": ({ height }) => (host.frame.height = height),
};

addEventListener("message", async ({ source, data }) => {
  if (source !== host.frame?.contentWindow) return;
  host.received.push(data);
  const { id, method, params } = data;
  if (method === undefined) return host.waiting.get(id)?.(data);
  if (id === undefined) return notifications[method]?.(params);
  try {
    if (!answers[method]) throw { code: -32601, message: "Method not found" };
    host.post({ id, result: await answers[method](params) });
  } catch (error) {
    host.post({ id, error: { code: error.code ?? -32603, message: String(error.message ?? error) } });
  }
});

window.host = host;
