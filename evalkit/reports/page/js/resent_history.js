// A stateless history as a diff: what was sent and received before, and what this request re-sent
// of it.
//
// The check `history` decides what is wrong; this shows where, step by step. Expected are the input
// of the last answered request and the steps of its response; the request may add steps after them,
// and the results of calls right after the calls.

const sorted = (value) =>
  isObject(value)
    ? Object.fromEntries(
        Object.keys(value)
          .sort()
          .map((key) => [key, sorted(value[key])]),
      )
    : Array.isArray(value)
      ? value.map(sorted)
      : value;
const keyOf = (step) => JSON.stringify(sorted(step));
const isContent = (item) =>
  isObject(item) && ["text", "image", "audio", "video", "document"].includes(item.type);
const asText = (content) =>
  typeof content === "string"
    ? [{ type: "text", text: content }]
    : isObject(content)
      ? [content]
      : content;

// An input of any shape as steps (docs/protocol.md section 2).
function inputSteps(input) {
  if (input === null || input === undefined) return [];
  if (typeof input === "string" || isContent(input))
    return [{ type: "user_input", content: asText(input) }];
  if (!Array.isArray(input)) return [input];
  if (input.length && input.every(isContent)) return [{ type: "user_input", content: input }];
  return input.map((item) => {
    if (isContent(item)) return { type: "user_input", content: [item] };
    return isObject(item) && item.type === "user_input"
      ? { ...item, content: asText(item.content) }
      : item;
  });
}

// The last answered request before an exchange; null if there is none or the history is stateful.
function answeredBefore(exchanges, exchange) {
  const body = exchange.request.body;
  if (
    exchange.request.method !== "POST" ||
    !isObject(body) ||
    body.previous_interaction_id ||
    body.continuation_token ||
    !("input" in body)
  )
    return null;
  const earlier = exchanges.slice(
    0,
    exchanges.findIndex((one) => one.number === exchange.number),
  );
  return (
    earlier.findLast(
      (one) =>
        one.request.method === "POST" &&
        isObject(one.request.body) &&
        one.response &&
        one.response.status < 400 &&
        !one.failure,
    ) || null
  );
}

function differences(old, now, at, out) {
  if (out.length >= 20 || keyOf(old) === keyOf(now)) return out;
  const nested = (isObject(old) && isObject(now)) || (Array.isArray(old) && Array.isArray(now));
  if (!nested) {
    out.push([at || "/", old, now]);
    return out;
  }
  for (const key of new Set([...Object.keys(old), ...Object.keys(now)])) {
    differences(
      old[key],
      now[key],
      `${at}/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`,
      out,
    );
  }
  return out;
}

// [{kind, old, now}]: same, changed, missing, added; in the order of the request.
function alignSteps(expected, sent) {
  const [left, right] = [expected.map(keyOf), sent.map(keyOf)];
  const out = [];
  let [i, j] = [0, 0];
  while (i < expected.length || j < sent.length) {
    const ahead = j < sent.length ? left.indexOf(right[j], i) : -1;
    const behind = i < expected.length ? right.indexOf(left[i], j) : -1;
    if (ahead === i && j < sent.length)
      out.push({ kind: "same", old: expected[i++], now: sent[j++] });
    else if (i >= expected.length || behind > j) out.push({ kind: "added", now: sent[j++] });
    else if (j >= sent.length || ahead > i) out.push({ kind: "missing", old: expected[i++] });
    else if (isObject(expected[i]) && isObject(sent[j]) && expected[i].type === sent[j].type)
      out.push({ kind: "changed", old: expected[i++], now: sent[j++] });
    else out.push({ kind: "missing", old: expected[i++] });
  }
  return out;
}

function resentHistory(result, exchange) {
  const past = answeredBefore(
    result.turns.flatMap((turn) => turn.exchanges),
    exchange,
  );
  if (!past) return null;
  const received = result.turns
    .flatMap((turn) => turn.steps)
    .filter((entry) => entry.origin === "model" && entry.exchange === past.number);
  const expected = [...inputSteps(past.request.body.input), ...received.map((entry) => entry.step)];
  const rows = alignSteps(expected, inputSteps(exchange.request.body.input));
  const number = (kind) => rows.filter((row) => row.kind === kind).length;
  const [same, changed, missing] = ["same", "changed", "missing"].map(number);
  const wrong = changed + missing;
  const allSteps = expected.length === 1 ? "the one step" : `all ${expected.length} steps`;
  const summary = wrong
    ? `History: ${same} of ${count(expected.length, "step")} re-sent exactly, ` +
      `${changed} changed, ${missing} missing`
    : `History: ${allSteps} re-sent exactly`;
  const list = rows.map((row, index) => resentRow(row, index + 1));
  return make(
    "details",
    { class: wrong ? "resent wrong" : "resent", open: wrong ? "open" : "" },
    make("summary", null, `${summary}, ${grouped(number("added"))} added`),
    make("ol", null, list),
  );
}

const ROW_LABELS = {
  same: "as received",
  changed: "differs",
  missing: "not re-sent",
  added: "added by this request",
};

function resentRow({ kind, old, now }, index) {
  const step = now ?? old;
  const label = isObject(step) && tables.labels[step.type] ? tables.labels[step.type][1] : "Step";
  const line = make(
    "p",
    { class: "who" },
    make("span", { class: "n" }, String(index)),
    " ",
    make("b", null, label),
    " ",
    make("span", { class: "aside" }, ROW_LABELS[kind]),
  );
  if (kind === "same" || kind === "added") return make("li", { class: kind }, line);
  const valueElement = (value) =>
    value === undefined
      ? make("em", null, "absent")
      : make(
          "pre",
          { class: "json", tabindex: tabIndex(pretty(value)) },
          clip(pretty(value), 2000),
        );
  const places = kind === "changed" ? differences(old, now, "", []) : [["", old, now]];
  return make(
    "li",
    { class: kind },
    line,
    places.map(([at, left, right]) =>
      make(
        "div",
        { class: "sides" },
        make(
          "div",
          { class: "side" },
          make("span", { class: "which" }, `received ${at}`),
          valueElement(left),
        ),
        make(
          "div",
          { class: "side" },
          make("span", { class: "which" }, `re-sent ${at}`),
          valueElement(right),
        ),
      ),
    ),
  );
}
