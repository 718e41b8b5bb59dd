// The body of a variant, drawn from its result: what variants.py and variant.html do for those that are drawn whole.

function place(where) {
  const words = ["turn", "exchange", "step"].filter((name) => name in where && where[name] !== null).map((name) => `${name} ${where[name]}`);
  if ("pointer" in where) words.push(`${where.part || "at"} ${where.pointer || "(whole)"}`);
  return words.join(", ");
}

function findingElement(found) {
  const pair = (name, text) => (text ? make("div", null, make("dt", null, name), make("dd", null, make("pre", { tabindex: reach(text) }, text))) : null);
  return make("div", { class: `finding ${found.severity}`, id: found.anchor },
    make("p", null, make("b", null, found.check), " ", make("code", null, found.code), " ", found.message,
      found.place ? [" ", make("span", { class: "place" }, found.place)] : null),
    found.expected || found.got ? make("dl", { class: "pair" }, pair("expected", found.expected), pair("got", found.got)) : null,
    found.detail ? make("pre", { class: "detail", tabindex: reach(found.detail) }, found.detail) : null);
}

function allFindings(result, anchor) {
  const places = new Set();
  for (const turn of result.turns) {
    places.add(`${anchor}.t${turn.number}`);
    turn.steps.forEach((_, index) => places.add(`${anchor}.t${turn.number}.s${index + 1}`));
    turn.exchanges.forEach((exchange) => places.add(`${anchor}.x${exchange.number}`));
  }
  const shown = (value) => (value === undefined ? "" : clipped(pretty(value)));
  const pairs = result.checks.flatMap((check) => check.findings.map((finding) => [check, finding]));
  return pairs.map(([check, finding], index) => {
    const turn = "turn" in finding.where ? finding.where.turn : check.turn;
    const homes = [`${anchor}.t${turn}.s${finding.where.step}`, `${anchor}.x${finding.where.exchange}`, `${anchor}.t${turn}`];
    return {
      ...finding,
      check: check.name,
      message: clipped(finding.message),
      anchor: `${anchor}.f${index + 1}`,
      place: place(turn === undefined ? finding.where : { turn, ...finding.where }),
      expected: shown(finding.expected),
      got: shown(finding.got),
      detail: clipped(finding.detail || ""),
      home: homes.find((home) => places.has(home)) || "",
    };
  });
}

function foundList(findings) {
  if (!findings.length) return null;
  return make("section", { class: "found" }, make("h4", null, "Findings"), make("ol", null, findings.map((one) =>
    make("li", { class: one.severity }, one.home
      ? [make("a", { href: `#${one.anchor}` }, one.message), " ", make("span", { class: "place" }, one.check + (one.place ? `, ${one.place}` : ""))]
      : findingElement(one)))));
}

const tokenWords = (tokens) => Object.entries(tokens || {}).filter(([, n]) => n)
  .sort(([left], [right]) => (right === "total_tokens") - (left === "total_tokens"))
  .map(([name, n]) => `${grouped(n)} ${tables.tokens[name] || name}`).join(", ");

const judges = (sums) => (sums ? `${count(sums.exchanges, "exchange")}, ${tokenWords(sums.tokens) || "no"} tokens, in no other sum` : "");

// protocol.step_reader.output_text: the last text, from the end backwards.
function outputText(steps) {
  const found = [];
  let collecting = false;
  for (const step of steps.toReversed()) {
    if (step.type === "model_output") {
      for (const block of (Array.isArray(step.content) ? step.content : []).toReversed()) {
        if (isObject(block) && block.type === "text") {
          collecting = true;
          if (typeof block.text === "string") found.push(block.text);
        } else if (collecting) return found.reverse().join("");
      }
    } else if (step.type === "user_input" || (collecting && step.type !== "thought")) break;
  }
  return found.reverse().join("");
}

function judged(exchange) {
  const body = exchange.response ? exchange.response.body : null;
  const steps = isObject(body) && Array.isArray(body.steps) ? body.steps.filter(isObject) : [];
  const problem = exchange.error ? apiError(exchange.error) : exchange.failure || "";
  return shorten([problem, outputText(steps)].filter(Boolean).join(" ") || "nothing", tables.judged);
}

function facts(result, anchor, number) {
  const rows = [
    ["Declared", `${result.path}:${result.line}`],
    ["Variant", Object.entries(result.variant).map(([name, value]) => `${name} ${typeof value === "string" ? value : JSON.stringify(value)}`).join(", ")],
    ["Tokens", tokenWords(result.metrics.tokens)],
    ["Judges", judges(result.metrics.judge)],
    ["Tool calls", String(result.metrics.tool_calls ?? "")],
    ["Answers", [result.metrics.source, result.cassette].filter(Boolean).join(", ")],
    ["Raw data", `results.jsonl, line ${number}`],
  ];
  const fact = (name, value) => make("div", null, make("dt", null, name), make("dd", null, value));
  return make("dl", { class: "facts" }, rows.filter(([, value]) => value).map(([name, value]) => fact(name, value)),
    fact("Link", make("a", { href: `#${anchor}` }, "to this variant")));
}

const apiError = (error) => `HTTP ${error.status} ${error.code}: ${error.message}`;
const problemLine = (text) => (text ? make("p", { class: "problem" }, text) : null);

function exchangeElement(exchange, anchor, number, beside) {
  const { request, response } = exchange;
  const query = (request.query || []).map(([name, value]) => `${name}=${value}`).join("&");
  const told = [];
  const problems = (exchange.problems || []).map((one) => `${one.code}: ${one.message} (event ${one.event})`);
  if (response) {
    told.push(`HTTP ${response.status}`, duration(response.elapsed_ms), response.source);
    if (response.events) told.push(count(response.events.length, "event"));
    if (response.broken) problems.push(`the answer broke off: ${response.broken}`);
  }
  if (exchange.error) problems.push(apiError(exchange.error));
  if (exchange.failure) problems.push(exchange.failure);
  const failed = !response || response.status >= 400 || problems.length > 0;
  const here = `${anchor}.x${exchange.number}`;
  return make("li", { class: failed ? "exchange failed" : "exchange", id: here },
    make("details", { "data-exchange": exchange.number },
      make("summary", null, make("b", null, `Exchange ${exchange.number}`), " ",
        make("code", null, `${request.method} ${request.path}${query ? `?${query}` : ""}`), " ",
        make("span", { class: "aside" }, told.filter(Boolean).join(", "))),
      note(`Request and response as JSON: with JavaScript on they stand here; without it, in line ${number} of results.jsonl.`)),
    problems.map(problemLine), beside(here));
}

function turnElement(turn, anchor, number, beside) {
  const here = `${anchor}.t${turn.number}`;
  const outcome = tables.outcomes[turn.outcome];
  return make("section", { class: "turn", id: here },
    make("h4", null, make("a", { href: `#${here}` }, `Turn ${turn.number}`),
      turn.status ? [" ", make("span", { class: `status ${turn.status}` }, turn.status)] : null,
      outcome ? [" ", make("span", { class: "outcome" }, outcome)] : null),
    make("ol", { class: "cards" }, userCard(turn.user, here), cards(turn.steps, here, beside)),
    problemLine(turn.error ? apiError(turn.error) : turn.reason || ""),
    beside(here),
    turn.exchanges.length ? make("ol", { class: "exchanges" }, turn.exchanges.map((one) => exchangeElement(one, anchor, number, beside))) : null);
}

function checkList(checks, anchor) {
  const numbered = checks.map((check, index) => [check, `${anchor}.k${index + 1}`]);
  const order = [...numbered.filter(([check]) => check.verdict !== "passed"), ...numbered.filter(([check]) => check.verdict === "passed")];
  const counts = ["failed", "errored", "passed", "skipped"].map((verdict) => [verdict, checks.filter((check) => check.verdict === verdict).length]);
  const told = counts.filter(([, n]) => n).map(([verdict, n]) => `${n} ${verdict}`).join(", ") || "none made";
  return make("details", { class: "checks" }, make("summary", null, `${count(checks.length, "check")}: ${told}`), make("ul", null, order.map(([check, here]) => {
    const scope = "turn" in check ? `turn ${check.turn}` : "conversation";
    const found = check.findings.length ? `, ${count(check.findings.length, "finding")}` : "";
    return make("li", { class: check.verdict, id: here }, make("b", { class: "badge" }, check.verdict), " ", make("a", { href: `#${here}` }, check.name), " ",
      make("span", { class: "aside" }, `${scope}${found}, ${check.declared || "on by default"}`));
  })));
}

// Everything inside a variant's <div class="body">.
function bodyParts(result, anchor, number) {
  const findings = allFindings(result, anchor);
  const beside = (home) => findings.filter((one) => one.home === home).map(findingElement);
  const unplayed = result.unplayed.length
    ? make("section", { class: "unplayed" }, make("h4", null, "Recordings not played"), make("ul", { class: "items" }, result.unplayed.map((item) => make("li", null, item))))
    : null;
  const answers = (result.judge_exchanges || []).map((exchange) => make("li", null, judged(exchange)));
  const asides = answers.length ? make("details", { class: "checks" }, make("summary", null, "What judges answered"), make("ul", { class: "items" }, answers)) : null;
  return [facts(result, anchor, number), foundList(findings), result.turns.map((turn) => turnElement(turn, anchor, number, beside)), unplayed, asides, checkList(result.checks, anchor)];
}
