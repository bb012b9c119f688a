// Draws one campaign. Untrusted text gets into the document only as text nodes: nothing here makes HTML of a string, and
// no untrusted text becomes an attribute, a link or a style.

const WEEK = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
const MAX_VALUES = 12; // of one fact; the rest is counted
const MAX_CHARACTERS = 2000; // of one value

// By status: its word, its tone and its shape, since many people can't tell the tones apart.
const STATUS = new Map([
  ["running", ["Running", "success", "M4 2.5v11l9-5.5z"]],
  ["new_chats_paused", ["New chats paused", "warning", "M3.5 2.5h3.2v11H3.5zm5.8 0h3.2v11H9.3z"]],
  ["completed", ["Completed", "info", "M6.2 12.6 1.8 8.2l1.7-1.7 2.7 2.7 6.3-6.3 1.7 1.7z"]],
  ["stopped", ["Stopped", "neutral", "M3 3h10v10H3z"]],
  ["not_started", ["Not yet started", "neutral", "M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zm0 2a4.5 4.5 0 1 1 0 9 4.5 4.5 0 0 1 0-9zM7 5v4l3 1.5.8-1.6L9 8V5z"]],
]);
const ICON = {
  unknown: "M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM7.1 11h1.8v1.7H7.1zm-1.9-5c.1-1.7 1.2-2.7 2.9-2.7s2.8 1 2.8 2.4c0 1.1-.6 1.6-1.3 2.1-.6.5-.7.7-.7 1.5v.5H7.2v-.8c0-1 .4-1.5 1.1-2 .6-.5.9-.7.9-1.2S8.8 4.9 8.1 4.9s-1.2.4-1.3 1.2z",
  failed: "M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM7.1 4h1.8v5H7.1zm0 6.3h1.8v1.8H7.1z",
  warn: "M8 1.2 15.3 14H.7zM7.2 6v4h1.6V6zm0 5v1.6h1.6V11z",
  look: "M6.8 1.5a5.3 5.3 0 1 0 3.2 9.5l3.3 3.3 1.2-1.2-3.3-3.3a5.3 5.3 0 0 0-4.4-8.3zm0 1.8a3.5 3.5 0 1 1 0 7 3.5 3.5 0 0 1 0-7z",
  again: "M8 2.5c1.7 0 3.2.8 4.2 2V2.5H14V8H8.5V6.2h2.7a3.7 3.7 0 1 0 .3 3.3l1.7.6A5.5 5.5 0 1 1 8 2.5z",
  copy: "M5 1.5h8.5v9.5H11v3.5H2.5V5H5zm1.5 1.5v6.5H12V3zM4 6.5V13h5.5v-2H5V6.5z",
  done: "M6.2 12.6 1.8 8.2l1.7-1.7 2.7 2.7 6.3-6.3 1.7 1.7z",
  off: "M4 7.2h8v1.6H4z",
  first: "M8 3a5 5 0 1 1 0 10A5 5 0 0 1 8 3z",
  now: "M8 1.5 14.5 8 8 14.5 1.5 8z",
  completed: "M3 3h10v10H3z",
  none: "M8 3a5 5 0 1 1 0 10A5 5 0 0 1 8 3zm0 1.6a3.4 3.4 0 1 0 0 6.8 3.4 3.4 0 0 0 0-6.8z",
};

// How dates are formatted; a host can set both for its user.
const dateFormat = { locale: "en-GB", timeZone: undefined };

function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) if (value != null) node.setAttribute(name, value);
  node.append(...children.flat().filter((child) => child != null && child !== false));
  return node;
}

const SVG = "http://www.w3.org/2000/svg";

function icon(path, size = 14) {
  const svg = document.createElementNS(SVG, "svg");
  const shape = document.createElementNS(SVG, "path");
  for (const [name, value] of Object.entries({ viewBox: "0 0 16 16", width: size, height: size, "aria-hidden": "true" }))
    svg.setAttribute(name, value);
  shape.setAttribute("d", path);
  shape.setAttribute("fill-rule", "evenodd");
  svg.append(shape);
  return svg;
}

const object = (value) => (value !== null && typeof value === "object" && !Array.isArray(value) ? value : {});

// The characters that the raw text for the model has as \u escapes too; only a newline stays, as this text is indented.
const INVISIBLE = /(?!\n)(?:{{invisible}})/gu;

function escapeInvisible(text) {
  return text.replace(INVISIBLE, (found, flag) =>
    flag ?? Array.from({ length: found.length }, (_, at) => "\\u" + found.charCodeAt(at).toString(16).padStart(4, "0")).join(""));
}

// Returns a value of any type as text to show, or null if there is nothing to show.
function text(value, limit = MAX_CHARACTERS) {
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  if (typeof value !== "string" || !value.trim()) return null;
  return escapeInvisible(value.length > limit ? value.slice(0, limit) + "…" : value);
}

const texts = (value) => (Array.isArray(value) ? value.map((member) => text(member)).filter((member) => member !== null) : []);
const bdi = (value, kind) => el("bdi", { class: kind }, value);
const muted = (words) => el("span", { class: "muted" }, words);
const hiddenText = (words) => el("span", { class: "visually-hidden" }, words);

function ago(days) {
  if (!Number.isInteger(days) || days < 0) return null;
  return days === 0 ? "less than a day ago" : days === 1 ? "1 day ago" : `${days} days ago`;
}

function formatDate(at, options) {
  for (const timeZone of [options.timeZone ?? dateFormat.timeZone, undefined])
    try {
      return new Intl.DateTimeFormat(dateFormat.locale, { ...options, timeZone }).format(at);
    } catch {} // a zone that this browser does not know
  return at.toISOString();
}

function parseDate(value) {
  const at = typeof value === "string" && value ? new Date(value) : null;
  return at && !Number.isNaN(at.getTime()) ? at : null;
}

const DAY = { day: "numeric", month: "short", year: "numeric" };
const TIME = { hour: "2-digit", minute: "2-digit" };

function timeNode(at, options = { ...DAY, ...TIME }) {
  return el("time", { datetime: at.toISOString() }, formatDate(at, options));
}

function button(label, path, act, kind) {
  const node = el("button", { type: "button", class: kind }, path && icon(path), el("span", null, label));
  node.addEventListener("click", act);
  return node;
}

async function copyText(value) {
  try {
    await navigator.clipboard.writeText(value);
    return true;
  } catch {} // not allowed in this frame; execCommand may be
  const focused = document.activeElement;
  const area = el("textarea", { class: "copying", readonly: "", "aria-hidden": "true", tabindex: "-1" });
  area.value = value;
  document.body.append(area);
  area.select();
  try {
    return document.execCommand("copy");
  } catch {
    return false;
  } finally {
    area.remove();
    focused?.focus();
  }
}

// A button that copies; `announce` puts text into the card's live region for screen readers.
function copyButton(label, what, value, announce) {
  const node = button(label, ICON.copy, async () => {
    const done = await copyText(value());
    announce(done ? `Copied ${what}` : `Could not copy ${what}`);
    node.replaceChildren(icon(done ? ICON.done : ICON.failed), el("span", null, done ? "Copied" : "Not copied"));
    clearTimeout(node.later);
    node.later = setTimeout(() => node.replaceChildren(icon(ICON.copy), el("span", null, label)), 2000);
  }, "plain");
  return node;
}

function pill(status) {
  const [word, tone, path] = STATUS.get(status) ?? ["Status unknown", "neutral", ICON.unknown];
  return el("p", { class: `pill ${tone}` }, icon(path), hiddenText("Status: "), el("span", null, word));
}

// What the summary, too, reads as no time: blank, or a zero time.
const NO_TIME = /^(0?|0000-00-00.*|(0001|1970)-01-01([T ]00:00(:00(\.0+)?)?(Z|[+-]00:?00)?)?)$/;

function timeline(summary, raw, nowLabel) {
  const isGiven = (value) => (typeof value === "string" ? !NO_TIME.test(value.trim()) : Boolean(value));
  const point = (kind, name, value, source, missing, days) => {
    const at = parseDate(value);
    const zone = /^\d{4}-\d\d-\d\d$/.test(value) ? { timeZone: "UTC" } : {}; // a date without a time stays a date
    const known = at ? [timeNode(at, { ...DAY, ...zone }), el("span", { class: "value" }, ago(days) ?? (kind === "now" ? formatDate(at, TIME) : null))] : null;
    return { kind, name, at, days, content: known ?? [el("span", { class: "value" }, isGiven(source) ? "can’t be used" : missing)] };
  };
  const first = point("first", "First interaction", summary.first_interaction_at, raw.firstInteractionAt, "none yet", summary.days_since_first_interaction);
  const now = point("now", nowLabel, summary.as_of, null, "unknown");
  const end = point("completed", "Completed", summary.completed_at, raw.completedAt, raw.active === true || summary.status === "not_started" ? "not yet" : "no time given", summary.days_since_completion);
  const points = [first, now, end].filter((one) => one.at).sort((one, other) => one.at - other.at);
  if (!first.at) points.unshift(first);
  if (!now.at) points.push(now);
  if (!end.at) points.push(end);
  return el("ol", { class: "track" }, points.map((one, index) => {
    const next = points[index + 1];
    // Up to now, use the summary's count: the time of the look-up is truncated to seconds.
    const days = !one.at || !next?.at ? null : next === now && Number.isInteger(one.days) ? one.days : Math.floor((next.at - one.at) / 864e5);
    const between = days === null ? null : days === 0 ? "under a day" : days === 1 ? "1 day" : `${days} days`;
    return el("li", { class: `${one.kind}${next && !(one.at && next.at) ? " open" : ""}` },
      el("span", { class: "dot" }, icon(one.at ? ICON[one.kind] : ICON.none, 12)),
      el("strong", null, one.name), one.content,
      between && el("span", { class: "span" }, el("span", null, between, hiddenText(" until the next point"))));
  }));
}

function week(schedule) {
  const days = texts(schedule.days);
  const local = typeof schedule.local_time === "string" ? schedule.local_time : "";
  const date = /^\d{4}-\d\d-\d\dT(\d\d:\d\d)/.exec(local);
  const today = date ? (new Date(local.slice(0, 10) + "T00:00Z").getUTCDay() + 6) % 7 : null;
  const others = days.filter((day) => !WEEK.includes(day));
  const notCalling = others.length || !days.length ? "not known" : "not a calling day";
  const cells = WEEK.map((day, index) => {
    const calling = days.includes(day), name = day[0].toUpperCase() + day.slice(1);
    return el("li", { class: `day${calling ? " calling" : ""}${index === today ? " today" : ""}` },
      el("span", { "aria-hidden": "true" }, name.slice(0, 3)), icon(calling ? ICON.done : ICON.off, 12),
      hiddenText(`${name}${index === today ? ", today" : ""}: ${calling ? "calling day" : notCalling}`));
  });
  const zone = text(schedule.timezone, 60);
  const isToday = { true: "today is a calling day", false: "today is not a calling day" }[schedule.is_calling_day];
  return [
    el("ol", { class: "week" }, cells),
    others.length > 0 && el("p", { class: "more" }, hiddenText("Also: "), shortList(others, "chip calling", ICON.done)),
    el("p", { class: "below" },
      date && ["Local time ", el("b", null, date[1])],
      zone ? [date ? " in " : "Time zone ", bdi(zone), date ? "" : " (no local time)"] : date ? null : "No time zone given",
      days.length === 0 ? " · no calling days given" : isToday && ` · ${isToday}`),
  ];
}

function shortList(values, kind, path) {
  const shown = values.slice(0, MAX_VALUES).map((value) => el("bdi", { class: kind }, path && icon(path, 12), value));
  const more = values.length - MAX_VALUES;
  return more > 0 ? [...shown, muted(`and ${more} more`)] : shown;
}

// Values separated by commas.
const commaSeparated = (values) => shortList(values).flatMap((node, index) => (index ? [", ", node] : [node]));

// A code with its English name, if the browser has one.
function codeName(code, type) {
  try {
    const name = new Intl.DisplayNames(["en"], { type, fallback: "none" }).of(code);
    return name ? `${name} (${code})` : code;
  } catch {
    return code; // not a valid code
  }
}

const listOrNull = (values) => (values.length ? commaSeparated(values) : null);

// Rows of name and value; `wide` rows take the whole width.
function factList(rows) {
  return el("dl", { class: "facts" }, rows.filter(Boolean).map(([name, value, wide]) =>
    el("div", wide && { class: "wide" }, el("dt", null, name), el("dd", null, value ?? muted("not given")))));
}

function details(summary, raw) {
  const group = object(summary.group), groupName = text(group.name), groupId = text(group.id);
  const direction = text(summary.direction), inbound = text(summary.inbound_phone_number), isInbound = summary.direction === "inbound";
  const from = texts(summary.outbound_phone_numbers), variables = texts(raw.variables), count = text(summary.variable_count);
  return factList([
    ["Direction", direction && bdi(direction[0].toUpperCase() + direction.slice(1))],
    ["Language", listOrNull(texts([summary.language]).map((code) => codeName(code, "language")))],
    (!isInbound || from.length > 0) && ["Calls from", listOrNull(from)],
    (isInbound || inbound) && ["Incoming number", inbound && bdi(inbound)],
    ["Approved countries", listOrNull(texts(summary.approved_countries).map((code) => codeName(code, "region")))],
    ["Slack notifications", { true: "On", false: "Off" }[summary.slack_notifications]],
    ["Webhooks go to", listOrNull(texts(summary.webhook_hosts)) ?? (Array.isArray(raw.webhooks) ? muted(texts(raw.webhooks).length ? "no valid host" : "nowhere") : null), true],
    ["Group", groupName || groupId ? [groupName && bdi(groupName), groupName && groupId && " ", groupId && bdi(groupId, "code")] : muted("none"), true],
    [count === null ? "Variables" : `Variables (${count})`,
      variables.length ? el("div", { class: "more" }, shortList(variables, "chip")) : count && muted("none"), true],
  ]);
}

function ids(summary, announce) {
  const id = (value, what) => value && el("div", { class: "withcopy" }, bdi(value, "code"), copyButton("Copy", what, () => value, announce));
  const inside = summary.sub_organization_id;
  return factList([
    ["Campaign", id(text(summary.id), "the campaign’s id"), true],
    ["Organization", id(text(summary.organization_id), "the organization’s id"), true],
    ["Looked up in", inside === null ? "The main organization" : text(inside) && ["Sub-organization ", bdi(text(inside), "code")], true],
  ]);
}

function list(kind, path, title, sentences, heading) {
  if (!sentences.length) return null;
  return el("section", { class: `alert ${kind}` }, el(heading, null, icon(path), `${title} (${sentences.length})`),
    el("ul", null, sentences.slice(0, 50).map((sentence) => el("li", null, bdi(sentence)))));
}

let cards = 0;

// One card. `level` is the level of its heading; `nowLabel` names the time of the look-up.
function makeCard(level = 1, nowLabel = "Now") {
  const heading = `h${level}`, below = `h${level + 1}`, nameId = `name-${++cards}`;
  const status = el("div"), actions = el("div"), content = el("div");
  const notice = el("div", { class: "notice danger said", "aria-live": "polite" });
  const live = el("p", { class: "visually-hidden", role: "status" });
  const announce = (words) => { live.textContent = live.textContent === words ? words + "\u00a0" : words; };
  const raw = makeRaw(announce);
  const node = el("article", { class: "card", "aria-labelledby": nameId, id: `card-${cards}` },
    el("div", { class: "top" }, status, actions), notice, content, raw.node, live);
  let refreshButton = null;

  function nameNode(name) {
    const title = el(heading, { class: "name clamped", id: nameId }, bdi(name));
    const toggle = button("Show the whole name", null, () => {
      const clamped = title.classList.toggle("clamped");
      toggle.setAttribute("aria-expanded", String(!clamped));
      toggle.firstChild.textContent = clamped ? "Show the whole name" : "Shorten the name";
    }, "plain");
    toggle.setAttribute("aria-expanded", "false");
    toggle.hidden = true;
    new ResizeObserver(() => {
      const shown = title.firstChild;
      if (title.classList.contains("clamped")) toggle.hidden = shown.scrollHeight <= shown.clientHeight + 2;
    }).observe(title);
    return [title, toggle];
  }

  // Shows a title and paragraphs of text, if there is no campaign to draw.
  function showText(pillNode, title, paragraphs, kind) {
    status.replaceChildren(...(pillNode ? [pillNode] : []));
    content.replaceChildren(el(heading, { class: "name", id: nameId }, bdi(title)),
      ...paragraphs.map((words) => el("p", { class: `said ${kind}` }, bdi(words))));
  }

  return {
    node,
    announce,
    show(answer) {
      const summary = object(answer.summary), source = object(answer.raw), asOf = parseDate(summary.as_of);
      const headline = text(summary.headline);
      status.replaceChildren(pill(summary.status));
      content.replaceChildren(
        ...nameNode(text(summary.name) ?? text(source.name) ?? "Campaign without a name"),
        ...(headline ? [el("p", { class: "headline" }, bdi(headline))] : []),
        ...(asOf ? [el("p", { class: "asof" }, "As of ", timeNode(asOf, { ...DAY, ...TIME, timeZoneName: "short" }))] : []),
        ...[list("warning", ICON.warn, "Needs attention", texts(summary.attention), below),
          list("neutral", ICON.look, "Worth checking", texts(summary.worth_checking), below)].filter(Boolean),
        el("div", { class: "columns" },
          el("div", { class: "side" },
            el("section", null, el(below, null, "Timeline"), timeline(summary, source, nowLabel)),
            el("section", null, el(below, null, "Calling days"), week(object(summary.schedule)))),
          el("section", { class: "details" }, el(below, null, "Details"), details(summary, source)),
          el("section", { class: "ids" }, el(below, null, "Ids"), ids(summary, announce))));
      raw.set(answer.rawText);
    },
    fallback(blocks, rawText) {
      const [summary = "", ...more] = blocks, name = /^Name: "(.*)"$/m.exec(summary), state = /^Status: (.*)$/m.exec(summary);
      const [headline, ...rest] = summary.split("\n");
      showText(state && pill(state[1].replaceAll(" ", "_")), name ? name[1] : "Campaign", [headline, rest.join("\n"), ...more].filter(Boolean).map((words) => text(words, 20000)), "headline");
      if (!summary && !more.length) content.append(el("p", { class: "said headline" }, "The answer has no text to show; its raw content is below."));
      raw.set(rawText);
    },
    fail(title, words) {
      showText(el("p", { class: "pill danger" }, icon(ICON.failed), el("span", null, "Failed")), title, words, "headline");
      raw.set(null);
    },
    wait(words) {
      showText(null, words, [], "");
      raw.set(null);
    },
    notice(words) {
      notice.textContent = words ?? "";
    },
    // Shows the refresh button, or removes it if `act` is null: no host can repeat the look-up.
    offerRefresh(act) {
      if (Boolean(refreshButton) === Boolean(act)) return; // keep a button that may have the focus
      refreshButton = act && button("Refresh", ICON.again, () => {
        if (refreshButton.getAttribute("aria-disabled") !== "true") act();
      });
      actions.replaceChildren(...(refreshButton ? [refreshButton] : []));
    },
    busy(isBusy) {
      if (!refreshButton) return;
      refreshButton.setAttribute("aria-disabled", String(isBusy)); // not `disabled`, which would lose the focus
      refreshButton.classList.toggle("spinning", isBusy);
      refreshButton.lastChild.textContent = isBusy ? "Refreshing…" : "Refresh";
    },
  };
}
