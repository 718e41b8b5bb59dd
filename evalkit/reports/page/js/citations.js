// A text with its citations marked in place and listed below.
//
// Offsets count UTF-8 bytes, the end is exclusive (docs/protocol.md section 5). Several citations
// may share a span or overlap: the text is cut at every start and end, a piece is marked when a
// citation covers it, and each number is where its span ends. A wrong span is listed with its
// problem.

const CITATIONS = ["url_citation", "file_citation", "place_citation"];

// Citation type to the calls whose results it can come from.
const SEARCHES = {
  url_citation: ["google_search_call", "url_context_call"],
  file_citation: ["file_search_call", "retrieval_call"],
  place_citation: ["google_maps_call"],
};

const isCitation = (item) => isObject(item) && CITATIONS.includes(item.type);

function offset(value, absent) {
  if (value === null || value === undefined) return absent;
  if (Number.isInteger(value)) return value;
  return typeof value === "string" && /^\d{1,19}$/u.test(value) ? Number(value) : null;
}

function spanProblem(first, last, length) {
  if (first < 0 || last < 0) return "the span starts or ends before the text";
  if (last < first) return "the span ends before it starts";
  if (last === first) return "the span is empty";
  return last > length ? "the span ends after the text" : "";
}

// The cited text by the rules of protocol.step_reader.cited_text: {text, problem, begin, end};
// begin and end count UTF-16 units.
function citedSpan(text, bytes, start, end) {
  const [first, last] = [offset(start, 0), offset(end, null)];
  if (first === null || last === null) {
    return { text: "", problem: "start_index or end_index is not a whole number" };
  }
  const problem = spanProblem(first, last, bytes.length);
  const inside = (index) => Math.max(0, Math.min(index, bytes.length));
  const [low, high] = [inside(first), inside(last)];
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  try {
    const cited = decoder.decode(bytes.subarray(low, Math.max(low, high)));
    const begin = decoder.decode(bytes.subarray(0, low)).length;
    return { text: cited, problem, begin, end: begin + cited.length };
  } catch {
    const cited = [...text].slice(low, high).join("");
    return { text: cited, problem: problem || "the span splits a character" };
  }
}

// Returns the elements of a text, and how many citations it has; `via` as `citationSources` returns
// it.
function citedText(text, annotations, firstNumber, anchor, via) {
  const [shown, rest] = split(text);
  const bytes = new TextEncoder().encode(text);
  const coverage = new Map([
    [0, 0],
    [shown.length, 0],
  ]);
  const endings = new Map();
  const add = (position, change) => coverage.set(position, (coverage.get(position) || 0) + change);
  const items = annotations.filter(isCitation).map((item, index) => {
    const number = firstNumber + index;
    const span = citedSpan(text, bytes, item.start_index, item.end_index);
    if (!span.problem && span.end > shown.length) span.problem = "beyond the part shown";
    if (!span.problem) {
      add(span.begin, 1);
      add(span.end, -1);
      endings.set(span.end, [...(endings.get(span.end) || []), number]);
    }
    return citationItem(item, number, span, anchor, via[item.type]);
  });
  const paragraph = make("p", { class: "text", dir: "auto" });
  const cuts = [...coverage.keys()].sort((left, right) => left - right);
  let covering = 0;
  cuts.slice(0, -1).forEach((left, index) => {
    const right = cuts[index + 1];
    const piece = shown.slice(left, right);
    covering += coverage.get(left);
    append(paragraph, covering > 0 ? make("mark", null, piece) : piece);
    for (const number of endings.get(right) || []) {
      const link = make("a", { href: `#${anchor}.c${number}` }, String(number));
      append(paragraph, make("sup", null, link));
    }
  });
  const list = make("ol", { class: "citations" }, items);
  return { elements: [paragraph, list, note(rest)], citations: items.length };
}

function citationItem(item, number, span, anchor, via) {
  const address = item.url || item.document_uri || item.place_id || "";
  const url = typeof address === "string" ? address : "";
  const title = String(item.title || item.file_name || item.name || "(no title)");
  const hasPage = item.page_number !== undefined && item.page_number !== null;
  const label = shorten(hasPage ? `${title}, page ${item.page_number}` : title, 160);
  const cited = shorten(span.text, 240);
  return make(
    "li",
    { id: `${anchor}.c${number}`, value: number },
    webAddress(url) ? webLink(url, label) : make("b", null, label),
    url ? [" ", make("span", { class: "url" }, shorten(url, 100))] : null,
    cited ? [" ", make("q", null, cited)] : null,
    via
      ? [" ", make("a", { class: "via", href: `#${via.anchor}` }, `searched in step ${via.step}`)]
      : null,
    span.problem ? [" ", make("em", null, span.problem)] : null,
  );
}

// The step that each type of citation in a step comes from: the last search before the step, else
// the first after it, because a service may list the text first.
function citationSources(steps, index, anchor) {
  if (steps[index].type !== "model_output") return {};
  return Object.fromEntries(
    Object.entries(SEARCHES).flatMap(([citation, calls]) => {
      const searches = [...steps.keys()].filter((one) => calls.includes(steps[one].type));
      const search = searches.findLast((one) => one < index) ?? searches[0];
      if (search === undefined) return [];
      return [[citation, { anchor: `${anchor}.s${search + 1}`, step: search + 1 }]];
    }),
  );
}
