// Steps of a turn as cards: what steps.py, cites.py and media.py do for the template, for variants that are drawn when they are opened.

const bytesOf = (text) => new TextEncoder().encode(text);
const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const isType = (value) => isObject(value) && typeof value.type === "string";
const link = (url) => (typeof url === "string" && /^https?:\/\/[^\s\x00-\x20\x7f]+$/iu.test(url) ? url : "");
const webLink = (href, text) => make("a", { href, rel: "noopener noreferrer nofollow" }, text);
const note = (text) => (text ? make("p", { class: "note" }, text) : null);
const citing = (item) => isObject(item) && ["url_citation", "file_citation", "place_citation"].includes(item.type);

function pre(kind, text) {
  const [shown, rest] = clip(text);
  return [make("pre", { class: kind, tabindex: reach(shown) }, shown), note(rest)];
}

// What may be long enough to scroll must be within reach of the keyboard.
const reach = (text) => (points(text) > 600 ? "0" : "");

function offset(value, absent) {
  if (value === null || value === undefined) return absent;
  if (Number.isInteger(value)) return value;
  return typeof value === "string" && /^\d{1,19}$/u.test(value) ? Number(value) : null;
}

// protocol.step_reader.cited, with the place of the words in the text: {words, problem, begin, end}, the ends in UTF-16 units.
function cited(text, bytes, start, end) {
  const [first, last] = [offset(start, 0), offset(end, null)];
  if (first === null || last === null) return { words: "", problem: "start_index or end_index is not a whole number" };
  let problem = "";
  if (first < 0 || last < 0) problem = "the span starts or ends before the text";
  else if (last < first) problem = "the span ends before it starts";
  else if (last === first) problem = "the span is empty";
  else if (last > bytes.length) problem = "the span ends after the text";
  const within = (place) => Math.max(0, Math.min(place, bytes.length));
  const [low, high] = [within(first), within(last)];
  const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  try {
    const words = strict.decode(bytes.subarray(low, Math.max(low, high)));
    const begin = strict.decode(bytes.subarray(0, low)).length;
    return { words, problem, begin, end: begin + words.length };
  } catch {
    return { words: [...text].slice(low, high).join(""), problem: problem || "the span cuts a character in two" };
  }
}

function marked(text, annotations, first, anchor, via) {
  const [shown, rest] = clip(text);
  const bytes = bytesOf(text);
  const cuts = new Map([[0, 0], [shown.length, 0]]);
  const ended = new Map();
  const lines = annotations.filter(citing).map((item, index) => {
    const number = first + index;
    const found = cited(text, bytes, item.start_index, item.end_index);
    if (!found.problem && found.end > shown.length) found.problem = "beyond the part shown";
    if (!found.problem) {
      cuts.set(found.begin, (cuts.get(found.begin) || 0) + 1);
      cuts.set(found.end, (cuts.get(found.end) || 0) - 1);
      ended.set(found.end, [...(ended.get(found.end) || []), number]);
    }
    return citation(item, number, found, anchor, via[item.type]);
  });
  const places = [...cuts.keys()].sort((left, right) => left - right);
  const paragraph = make("p", { class: "text", dir: "auto" });
  let covering = 0;
  places.slice(0, -1).forEach((left, index) => {
    const right = places[index + 1];
    covering += cuts.get(left);
    put(paragraph, covering > 0 ? make("mark", null, shown.slice(left, right)) : shown.slice(left, right));
    for (const number of ended.get(right) || []) put(paragraph, make("sup", null, make("a", { href: `#${anchor}.c${number}` }, String(number))));
  });
  return { blocks: [paragraph, make("ol", { class: "citations" }, lines), note(rest)], citations: lines.length };
}

function citation(item, number, found, anchor, via) {
  const address = item.url || item.document_uri || item.place_id || "";
  const url = typeof address === "string" ? address : "";
  const title = String(item.title || item.file_name || item.name || "(no title)");
  const label = shorten(item.page_number === undefined || item.page_number === null ? title : `${title}, page ${item.page_number}`, 160);
  const words = shorten(found.words, 240);
  return make("li", { id: `${anchor}.c${number}`, value: number },
    link(url) ? webLink(url, label) : make("b", null, label),
    url ? [" ", make("span", { class: "url" }, shorten(url, 100))] : null,
    words ? [" ", make("q", null, words)] : null,
    via ? [" ", make("a", { class: "via", href: `#${via[0]}` }, `searched in step ${via[1]}`)] : null,
    found.problem ? [" ", make("em", null, found.problem)] : null);
}

function textBlocks(text, annotations, number, anchor, via = {}) {
  const other = annotations.filter((item) => !citing(item));
  let shown;
  let citations = 0;
  if (other.length < annotations.length) {
    ({ blocks: shown, citations } = marked(text, annotations, number, anchor, via));
  } else {
    const indented = reindent(text);
    const [words, rest] = clip(text);
    shown = indented === null ? [make("p", { class: "text", dir: "auto" }, words), note(rest)] : pre("json", indented);
  }
  return { blocks: [shown, other.length ? pre("json", pretty({ annotations: other })) : null], citations };
}

function mediaElement(element, source, caption) {
  return element === "img" ? make("img", { src: source, alt: caption }) : make(element, { src: source, controls: "controls", preload: "metadata" });
}

function media(block) {
  const mime = typeof block.mime_type === "string" ? block.mime_type.toLowerCase() : `${block.type} of no stated type`;
  const figure = (caption, ...rest) => make("figure", { class: "media" }, ...rest.slice(0, 1), make("figcaption", null, caption, ...rest.slice(1)));
  if (typeof block.data !== "string") {
    const uri = typeof block.uri === "string" ? block.uri : "";
    const where = link(uri) ? [" ", webLink(uri, uri)] : uri ? [" ", make("code", null, uri)] : null;
    return figure(uri ? `${mime}, not in the answer itself` : `${mime}, without data`, null, where);
  }
  const element = (tables.safe[mime] || "").replace("image", "img");
  const caption = (length) => `${mime}, ${size(Math.floor((length * 3) / 4))}`;
  if (block.data.startsWith(tables.mediaName)) {
    const source = mediaSource(block.data.slice(tables.mediaName.length), mime);
    if (!source) return figure(`${mime}, not shown; the data is in results.jsonl`);
    const told = caption(source.split(",")[1].replace(/=+$/u, "").length);
    return figure(told, mediaElement(element, source, told));
  }
  if (!/^[A-Za-z0-9+/]+={0,2}$/u.test(block.data)) return figure(`${mime}, ${grouped(points(block.data))} characters that are not base64, not shown`);
  const told = caption(block.data.replace(/=+$/u, "").length);
  if (!element) return figure(`${told}, not shown; the data is in results.jsonl`);
  return figure(told, mediaElement(element, `data:${mime};base64,${block.data}`, told));
}

function contents(content, anchor, via = {}) {
  if (typeof content === "string") return textBlocks(content, [], 1, anchor).blocks;
  if (!Array.isArray(content)) return pre("json", pretty(content));
  let number = 1;
  return content.map((item) => {
    if (isObject(item) && item.type === "text" && typeof item.text === "string") {
      const { blocks, citations } = textBlocks(item.text, Array.isArray(item.annotations) ? item.annotations : [], number, anchor, via);
      number += citations;
      return blocks;
    }
    return isObject(item) && ["image", "audio", "video", "document"].includes(item.type) ? media(item) : pre("json", pretty(item));
  });
}

function argumentBlocks(kind, value) {
  const has = (...names) => isObject(value) && Object.keys(value).length === names.length && names.every((name) => name in value);
  if (kind === "code_execution_call" && has("code", "language") && typeof value.code === "string" && typeof value.language === "string") {
    return [note(value.language), pre("code", value.code)];
  }
  const name = tables.listed[kind];
  if (name && has(name) && Array.isArray(value[name]) && value[name].every((item) => typeof item === "string")) {
    return make("ul", { class: "items" }, value[name].map((item) => make("li", null, item)));
  }
  return pre("json", pretty(value));
}

function resultBlocks(kind, value, anchor) {
  if (kind === "code_execution_result" && typeof value === "string") return pre("code", value);
  if (kind === "google_search_result" && Array.isArray(value)) return value.map(searchItem);
  if (typeof value === "string") return textBlocks(value, [], 1, anchor).blocks;
  return Array.isArray(value) && value.length && value.every(isType) ? contents(value, anchor) : pre("json", pretty(value));
}

function searchItem(item) {
  if (!isObject(item) || typeof item.search_suggestions !== "string") return isObject(item) && !Object.keys(item).length ? null : pre("json", pretty(item));
  const { search_suggestions: markup, ...rest } = item;
  const told = note(`search suggestions: ${grouped(points(markup))} characters of HTML, not shown`);
  return [told, Object.keys(rest).length ? pre("json", pretty(rest)) : null];
}

function stepBlocks(kind, step, anchor, via) {
  const rest = Object.fromEntries(Object.entries(step).filter(([name]) => !tables.told.includes(name)));
  return [
    "summary" in step ? contents(step.summary, anchor, via) : null,
    "content" in step ? contents(step.content, anchor, via) : null,
    step.error !== undefined && step.error !== null ? pre("problem", pretty(step.error)) : null,
    "arguments" in step ? argumentBlocks(kind, step.arguments) : null,
    "result" in step ? resultBlocks(kind, step.result, anchor) : null,
    Object.keys(rest).length ? pre("json", pretty(rest)) : null,
  ];
}

// protocol.step_reader.pair_calls: call index to result index, by id, else by order.
function pairCalls(steps) {
  const key = (value) => (["string", "number", "boolean"].includes(typeof value) && value !== "" ? value : null);
  const known = (step) => (typeof step.type === "string" && step.type in tables.labels ? step.type : "");
  const calls = [];
  const answers = new Map();
  steps.forEach((step, index) => {
    if (known(step).endsWith("_call")) calls.push({ index, kind: known(step).slice(0, -5), id: key(step.id) });
  });
  const left = [];
  steps.forEach((step, index) => {
    if (!known(step).endsWith("_result")) return;
    const [kind, id] = [known(step).slice(0, -7), key(step.call_id)];
    const call = id !== null && calls.find((one) => one.kind === kind && one.id === id && !answers.has(one.index));
    if (call) answers.set(call.index, index);
    else left.push({ index, kind, id });
  });
  for (const { index, kind, id } of left) {
    const call = calls.find((one) => one.index < index && one.kind === kind && !answers.has(one.index) && (one.id === null || id === null));
    if (call) answers.set(call.index, index);
  }
  return answers;
}

function part(step, number, exchange, anchor, folded, via) {
  const known = tables.labels[typeof step.type === "string" ? step.type : ""];
  const label = known ? known[1] : typeof step.type === "string" && step.type ? step.type : "Step without a type";
  const here = `${anchor}.s${number}`;
  const blocks = (known ? stepBlocks(step.type, step, here, via) : pre("json", pretty(step))).flat(Infinity).filter(Boolean);
  const title = [step.server_name, step.name].filter((name) => typeof name === "string").join(".");
  const failed = step.is_error === true || (step.error !== undefined && step.error !== null);
  const aside = `exchange ${exchange}` + (known && "signature" in step ? `, ${fingerprint(step.signature)}` : "");
  return partElement({ number, anchor: here, label, title, aside, failed, blocks, folded });
}

function partElement({ number, anchor, label, title, aside, failed, blocks, folded }) {
  const [tag, line] = folded && blocks.length ? ["details", "summary"] : ["div", "div"];
  return make(tag, { class: failed ? "part failed" : "part", id: anchor },
    make(line, { class: "who" },
      number ? [make("span", { class: "n" }, String(number)), " "] : null,
      make("b", null, label),
      title ? [" ", make("code", null, title)] : null,
      failed ? [" ", make("em", null, "error")] : null,
      aside ? [" ", make("span", { class: "aside" }, aside)] : null),
    blocks.length ? make("div", { class: "blocks" }, blocks) : null);
}

// The steps that citations of a step come from, by their type: the last search before it, else the first after it.
function sources(raws, index, anchor) {
  if (raws[index].type !== "model_output") return {};
  return Object.fromEntries(Object.entries(tables.searches).flatMap(([citation, calls]) => {
    const places = [...raws.keys()].filter((place) => calls.includes(raws[place].type));
    const place = places.findLast((one) => one < index) ?? places[0];
    return place === undefined ? [] : [[citation, [`${anchor}.s${place + 1}`, place + 1]]];
  }));
}

// `beside(anchor)` gives the findings that stand beside a step.
function cards(steps, anchor, beside) {
  const raws = steps.map((entry) => entry.step);
  const answers = pairCalls(raws);
  const paired = new Set(answers.values());
  return raws.flatMap((raw, index) => {
    if (paired.has(index)) return [];
    const known = tables.labels[typeof raw.type === "string" ? raw.type : ""];
    const style = known ? known[0] : "other";
    const found = (at) => beside(`${anchor}.s${at + 1}`);
    const folded = style === "thought" && !found(index).length;
    const draw = (at) => [part(raws[at], at + 1, steps[at].exchange, anchor, folded, sources(raws, at, anchor)), found(at)];
    return [make("li", { class: `card ${style}` }, draw(index), answers.has(index) ? draw(answers.get(index)) : null)];
  });
}

function userCard(content, anchor) {
  const blocks = contents(content, `${anchor}.user`).flat(Infinity).filter(Boolean);
  return make("li", { class: "card user" }, partElement({ number: 0, anchor: `${anchor}.user`, label: "User", title: "", aside: "", failed: false, blocks, folded: false }));
}
