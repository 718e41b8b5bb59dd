// Steps of a turn as cards.
//
// A card is one step, or a call with its result in one block, wherever the result is. What a step
// has beyond the fields that are shown in their own way is shown as JSON, and a step of an unknown
// type is shown as JSON whole. Only search suggestions, which are HTML by design, are counted
// instead of shown.

// Fields that a step shows in their own way.
const SHOWN_FIELDS = [
  "type",
  "id",
  "call_id",
  "name",
  "server_name",
  "signature",
  "is_error",
  "content",
  "summary",
  "error",
  "arguments",
  "result",
];

// Calls whose arguments are one list of strings, and its name.
const LIST_ARGUMENTS = {
  google_search_call: "queries",
  google_maps_call: "queries",
  retrieval_call: "queries",
  url_context_call: "urls",
};

const typeOf = (step) => (typeof step.type === "string" ? step.type : "");

function textElements(text, annotations, firstNumber, anchor, via = {}) {
  const other = annotations.filter((item) => !isCitation(item));
  const otherJson = other.length ? pre("json", pretty({ annotations: other })) : null;
  if (other.length < annotations.length) {
    const cited = citedText(text, annotations, firstNumber, anchor, via);
    return { elements: [cited.elements, otherJson], citations: cited.citations };
  }
  const json = reindent(text);
  const [start, rest] = split(text);
  const paragraph = () => [make("p", { class: "text", dir: "auto" }, start), note(rest)];
  return { elements: [json === null ? paragraph() : pre("json", json), otherJson], citations: 0 };
}

// The elements of content blocks (docs/protocol.md section 5).
function contentElements(content, anchor, via = {}) {
  if (typeof content === "string") return textElements(content, [], 1, anchor).elements;
  if (!Array.isArray(content)) return pre("json", pretty(content));
  let number = 1;
  return content.map((item) => {
    if (isObject(item) && item.type === "text" && typeof item.text === "string") {
      const annotations = Array.isArray(item.annotations) ? item.annotations : [];
      const { elements, citations } = textElements(item.text, annotations, number, anchor, via);
      number += citations;
      return elements;
    }
    const isMedia = isObject(item) && MEDIA_TYPES.includes(item.type);
    return isMedia ? mediaFigure(item) : pre("json", pretty(item));
  });
}

function argumentElements(kind, value) {
  const hasOnly = (...names) =>
    isObject(value) &&
    Object.keys(value).length === names.length &&
    names.every((name) => name in value);
  const isCode =
    kind === "code_execution_call" &&
    hasOnly("code", "language") &&
    typeof value.code === "string" &&
    typeof value.language === "string";
  if (isCode) return [note(value.language), pre("code", value.code)];
  const name = LIST_ARGUMENTS[kind];
  const isList =
    name &&
    hasOnly(name) &&
    Array.isArray(value[name]) &&
    value[name].every((item) => typeof item === "string");
  if (isList)
    return make(
      "ul",
      { class: "items" },
      value[name].map((item) => make("li", null, item)),
    );
  return pre("json", pretty(value));
}

function resultElements(kind, value, anchor) {
  if (value === "") return note("empty");
  if (kind === "code_execution_result" && typeof value === "string") return pre("code", value);
  if (kind === "google_search_result" && Array.isArray(value)) return value.map(searchResult);
  if (typeof value === "string") return textElements(value, [], 1, anchor).elements;
  const isContent =
    Array.isArray(value) &&
    value.length &&
    value.every((item) => isObject(item) && typeof item.type === "string");
  return isContent ? contentElements(value, anchor) : pre("json", pretty(value));
}

function searchResult(item) {
  if (!isObject(item)) return pre("json", pretty(item));
  const { search_suggestions: markup, ...rest } = item;
  const suggestions =
    typeof markup === "string"
      ? note(`search suggestions: ${grouped(codePoints(markup))} characters of HTML, not shown`)
      : null;
  const fields = suggestions ? rest : item;
  return [suggestions, Object.keys(fields).length ? pre("json", pretty(fields)) : null];
}

function stepElements(kind, step, anchor, via) {
  const rest = Object.fromEntries(
    Object.entries(step).filter(([name]) => !SHOWN_FIELDS.includes(name)),
  );
  return [
    "summary" in step ? contentElements(step.summary, anchor, via) : null,
    "content" in step ? contentElements(step.content, anchor, via) : null,
    step.error !== undefined && step.error !== null ? pre("problem", pretty(step.error)) : null,
    "arguments" in step ? argumentElements(kind, step.arguments) : null,
    "result" in step ? resultElements(kind, step.result, anchor) : null,
    Object.keys(rest).length ? pre("json", pretty(rest)) : null,
  ];
}

// Call index to result index, by id, else by order (the rules of protocol.step_reader.pair_calls).
function pairCalls(steps) {
  const idOf = (value) =>
    ["string", "number", "boolean"].includes(typeof value) && value !== "" ? value : null;
  const known = (step) => (typeOf(step) in tables.labels ? typeOf(step) : "");
  const calls = [];
  steps.forEach((step, index) => {
    if (known(step).endsWith("_call"))
      calls.push({ index, kind: known(step).slice(0, -5), id: idOf(step.id) });
  });
  const results = new Map();
  const unpaired = [];
  steps.forEach((step, index) => {
    if (!known(step).endsWith("_result")) return;
    const [kind, id] = [known(step).slice(0, -7), idOf(step.call_id)];
    const call =
      id !== null &&
      calls.find((one) => one.kind === kind && one.id === id && !results.has(one.index));
    if (call) results.set(call.index, index);
    else unpaired.push({ index, kind, id });
  });
  for (const { index, kind, id } of unpaired) {
    const call = calls.find(
      (one) =>
        one.index < index &&
        one.kind === kind &&
        !results.has(one.index) &&
        (one.id === null || id === null),
    );
    if (call) results.set(call.index, index);
  }
  return results;
}

function stepElement(step, number, exchange, anchor, folded, via) {
  const known = tables.labels[typeOf(step)];
  const here = `${anchor}.s${number}`;
  const content = known ? stepElements(step.type, step, here, via) : pre("json", pretty(step));
  return partElement({
    number,
    anchor: here,
    label: known ? known[1] : typeOf(step) || "Step without a type",
    title: [step.server_name, step.name].filter((name) => typeof name === "string").join("."),
    aside:
      `exchange ${exchange}` +
      (known && "signature" in step ? `, ${fingerprint(step.signature)}` : ""),
    failed: step.is_error === true || (step.error !== undefined && step.error !== null),
    blocks: [content].flat(Infinity).filter(Boolean),
    folded,
  });
}

function partElement({ number, anchor, label, title, aside, failed, blocks, folded }) {
  const [tag, line] = folded && blocks.length ? ["details", "summary"] : ["div", "div"];
  return make(
    tag,
    { class: failed ? "part failed" : "part", id: anchor },
    make(
      line,
      { class: "who" },
      number ? [make("span", { class: "n" }, String(number)), " "] : null,
      make("b", null, label),
      title ? [" ", make("code", null, title)] : null,
      failed ? [" ", make("em", null, "error")] : null,
      aside ? [" ", make("span", { class: "aside" }, aside)] : null,
    ),
    blocks.length ? make("div", { class: "blocks" }, blocks) : null,
  );
}

// The cards of a turn; `findingsAt(anchor)` returns the findings of a step.
function stepCards(entries, anchor, findingsAt) {
  const steps = entries.map((entry) => entry.step);
  const results = pairCalls(steps);
  const paired = new Set(results.values());
  return steps.flatMap((step, index) => {
    if (paired.has(index)) return [];
    const known = tables.labels[typeOf(step)];
    const style = known ? known[0] : "other";
    const findings = (at) => findingsAt(`${anchor}.s${at + 1}`);
    const folded = style === "thought" && !findings(index).length;
    const render = (at) => {
      const via = citationSources(steps, at, anchor);
      return [
        stepElement(steps[at], at + 1, entries[at].exchange, anchor, folded, via),
        findings(at),
      ];
    };
    const result = results.has(index) ? render(results.get(index)) : null;
    return [make("li", { class: `card ${style}` }, render(index), result)];
  });
}

// ``simulated`` is there if a model played the user.
function userCard(content, anchor, simulated) {
  const here = `${anchor}.user`;
  const blocks = [contentElements(content, here)].flat(Infinity).filter(Boolean);
  const part = {
    number: 0,
    anchor: here,
    label: simulated ? "Simulated user" : "User",
    title: simulated ? shorten(simulated.user.persona || "", 120) : "",
    aside: simulated ? `simulator's exchange ${simulated.exchange}` : "",
    failed: false,
    blocks,
    folded: false,
  };
  return make("li", { class: "card user" }, partElement(part));
}
