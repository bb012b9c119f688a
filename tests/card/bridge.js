// A host whose side of MCP Apps is the official one: its AppBridge speaks with the card in a sandboxed frame.
// Tool calls go to Python, where the real server answers (window.callTool).
import { AppBridge, PostMessageTransport, buildAllowAttribute } from "@modelcontextprotocol/ext-apps/app-bridge";

export * from "@modelcontextprotocol/ext-apps/app-bridge";

export let bridge, frame;
export const sizes = [];
export const amiss = []; // what either side refused, and what the bridge has no handler for
const received = []; // every message of the card
export const of = (method) => received.filter((message) => message.method === method);

class Transport extends PostMessageTransport {
  send(message, options) {
    if (message.error) amiss.push(message);
    return super.send(message, options);
  }
}

const callTool = async ({ name, arguments: given }) => JSON.parse(await window.callTool(name, given));

// Open the card, and show it the call with these arguments.
export async function open({ card, context, input }) {
  frame = document.createElement("iframe");
  frame.setAttribute("sandbox", "allow-scripts");
  frame.setAttribute("title", "Campaign");
  frame.allow = buildAllowAttribute(card._meta.ui.permissions);
  frame.width = 760;
  frame.height = 400;
  document.body.append(frame);
  addEventListener("message", ({ source, data }) => source === frame.contentWindow && received.push(data));

  bridge = new AppBridge(null, { name: "test-host", version: "1" }, { serverTools: {} }, { hostContext: context });
  bridge.onerror = (error) => amiss.push(String(error));
  bridge.fallbackNotificationHandler = async (notification) => amiss.push(notification);
  bridge.oncalltool = callTool;
  bridge.onsizechange = (size) => {
    sizes.push(size);
    frame.height = size.height;
  };
  bridge.oninitialized = async () => {
    await bridge.sendToolInput({ arguments: input });
    await bridge.sendToolResult(await callTool({ name: "get_campaign", arguments: input }));
  };
  await bridge.connect(new Transport(frame.contentWindow, frame.contentWindow));
  frame.srcdoc = card.text;
}
