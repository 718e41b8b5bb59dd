// The body of an open variant: facts, findings, turns with their exchanges, checks.

const TOKENS = {
  total_tokens: "total",
  total_input_tokens: "input",
  total_output_tokens: "output",
  total_thought_tokens: "thought",
  total_cached_tokens: "cached",
  total_tool_use_tokens: "tool use",
};
const OUTCOMES = {
  completed: "",
  api_error: "API error",
  incomplete: "incomplete",
  not_run: "not run",
};
const SIDE_ANSWER = 1000;
const RUBRIC = 300;

function findingElement(finding) {
  const value = (name, text) =>
    text
      ? make(
          "div",
          null,
          make("dt", null, name),
          make("dd", null, make("pre", { tabindex: tabIndex(text) }, text)),
        )
      : null;
  return make(
    "div",
    { class: `finding ${finding.severity}`, id: finding.anchor },
    make(
      "p",
      null,
      make("b", null, finding.check),
      " ",
      make("code", null, finding.code),
      " ",
      finding.message,
      finding.place ? [" ", make("span", { class: "place" }, finding.place)] : null,
    ),
    finding.expected || finding.got
      ? make(
          "dl",
          { class: "pair" },
          value("expected", finding.expected),
          value("got", finding.got),
        )
      : null,
    finding.detail
      ? make("pre", { class: "detail", tabindex: tabIndex(finding.detail) }, finding.detail)
      : null,
  );
}

// Findings of a result. Each is listed at the top, and shown whole beside the step it refers to,
// else beside the exchange, else the turn (`beside`, an anchor); one without such a place is whole
// in the list.
function allFindings(result, anchor) {
  const anchors = new Set();
  for (const turn of result.turns) {
    anchors.add(`${anchor}.t${turn.number}`);
    turn.steps.forEach((_, index) => anchors.add(`${anchor}.t${turn.number}.s${index + 1}`));
    turn.exchanges.forEach((exchange) => anchors.add(`${anchor}.x${exchange.number}`));
  }
  const text = (value) => (value === undefined ? "" : clip(pretty(value)));
  const pairs = result.checks.flatMap((check) => check.findings.map((finding) => [check, finding]));
  return pairs.map(([check, finding], index) => {
    const { where } = finding;
    const turn = "turn" in where ? where.turn : check.turn;
    const candidates = [
      `${anchor}.t${turn}.s${where.step}`,
      `${anchor}.x${where.exchange}`,
      `${anchor}.t${turn}`,
    ];
    return {
      ...finding,
      check: check.name,
      message: clip(finding.message),
      anchor: `${anchor}.f${index + 1}`,
      place: placeText({ turn, ...where }),
      expected: text(finding.expected),
      got: text(finding.got),
      detail: clip(finding.detail || ""),
      beside: candidates.find((one) => anchors.has(one)) || "",
    };
  });
}

function findingList(findings) {
  if (!findings.length) return null;
  const link = (finding) => [
    make("a", { href: `#${finding.anchor}` }, finding.message),
    " ",
    make("span", { class: "place" }, finding.check + (finding.place ? `, ${finding.place}` : "")),
  ];
  const items = findings.map((finding) =>
    make(
      "li",
      { class: finding.severity },
      finding.beside ? link(finding) : findingElement(finding),
    ),
  );
  return make(
    "section",
    { class: "findings" },
    make("h4", null, "Findings"),
    make("ol", null, items),
  );
}

const tokenText = (tokens) =>
  Object.entries(tokens || {})
    .filter(([, number]) => number)
    .sort(([left], [right]) => (right === "total_tokens") - (left === "total_tokens"))
    .map(([name, number]) => `${grouped(number)} ${TOKENS[name] || name}`)
    .join(", ");

const sideText = (sums) =>
  sums
    ? `${count(sums.exchanges, "exchange")}, ${tokenText(sums.tokens) || "no"} tokens, ` +
      "not in the sums above"
    : "";

// The last text of the model, collected from the end backwards (protocol.step_reader.output_text).
function outputText(steps) {
  const texts = [];
  let collecting = false;
  for (const step of steps.toReversed()) {
    if (step.type === "model_output") {
      for (const block of (Array.isArray(step.content) ? step.content : []).toReversed()) {
        if (isObject(block) && block.type === "text") {
          collecting = true;
          if (typeof block.text === "string") texts.push(block.text);
        } else if (collecting) return texts.reverse().join("");
      }
    } else if (step.type === "user_input" || (collecting && step.type !== "thought")) break;
  }
  return texts.reverse().join("");
}

// An error inside of a successful response has no HTTP status; some errors have no other code, or a
// message that begins with the status.
function apiError({ status, code, message }) {
  if (status < 300) return `${code}: ${message}`;
  if (code !== String(status)) return `HTTP ${status} ${code}: ${message}`;
  return message.startsWith(`HTTP ${status}`) ? message : `HTTP ${status}: ${message}`;
}
const problemLine = (text) => (text ? make("p", { class: "problem" }, text) : null);

function sideAnswer(exchange) {
  const body = exchange.response ? exchange.response.body : null;
  const steps = isObject(body) && Array.isArray(body.steps) ? body.steps.filter(isObject) : [];
  const problem = exchange.error ? apiError(exchange.error) : exchange.failure || "";
  const decision = isObject(body) ? body.prompt_feedback || body.answers : null;
  const text = decision ? JSON.stringify(decision) : outputText(steps);
  return shorten([problem, text].filter(Boolean).join(" ") || "no answer", SIDE_ANSWER);
}

// What the turns of a locked result continue.
const lockText = ({ model, history }) =>
  `each turn continues the turns of ${model}` +
  (history === "unsigned" ? ", without thoughts and signatures" : ", as they were received");

function facts(result, anchor, number) {
  const settings = Object.entries(result.variant).map(
    ([name, value]) => `${name} ${typeof value === "string" ? value : JSON.stringify(value)}`,
  );
  const rows = [
    ["Declared", `${result.path}:${result.line}`],
    [result.kind === "test" ? "Settings" : "Variant", settings.join(", ")],
    ["Locked", result.locked ? lockText(result.locked) : ""],
    ["Tokens", tokenText(result.metrics.tokens)],
    ["Simulated user", sideText(result.metrics.simulator)],
    ["Judges", sideText(result.metrics.judge)],
    ["Tool calls", String(result.metrics.tool_calls ?? "")],
    ["Responses", [result.metrics.source, result.cassette].filter(Boolean).join(", ")],
    ["Raw data", `results.jsonl, line ${number}`],
    ["Link", make("a", { href: `#${anchor}` }, `to this ${result.kind || "variant"}`)],
  ];
  return make(
    "dl",
    { class: "facts" },
    rows
      .filter(([, value]) => value)
      .map(([name, value]) => make("div", null, make("dt", null, name), make("dd", null, value))),
  );
}

function exchangeElement(exchange, anchor, findingsAt) {
  const { request, response } = exchange;
  const query = (request.query || []).map(([name, value]) => `${name}=${value}`).join("&");
  const aside = [];
  const problems = (exchange.problems || []).map(
    (one) => `${one.code}: ${one.message} (event ${one.event})`,
  );
  if (response) {
    aside.push(`HTTP ${response.status}`, duration(response.elapsed_ms), response.source);
    if (response.events) aside.push(count(response.events.length, "event"));
    if (response.broken) problems.push(`the response ended early: ${response.broken}`);
  }
  if (exchange.error) problems.push(apiError(exchange.error));
  if (exchange.failure) problems.push(exchange.failure);
  const failed = !response || response.status >= 400 || problems.length > 0;
  const here = `${anchor}.x${exchange.number}`;
  return make(
    "li",
    { class: failed ? "exchange failed" : "exchange", id: here },
    make(
      "details",
      { "data-exchange": exchange.number },
      make(
        "summary",
        null,
        make("b", null, `Exchange ${exchange.number}`),
        " ",
        make("code", null, `${request.method} ${request.path}${query ? `?${query}` : ""}`),
        " ",
        make("span", { class: "aside" }, aside.filter(Boolean).join(", ")),
      ),
      note("Reading request and response …"),
    ),
    problems.map(problemLine),
    findingsAt(here),
  );
}

const dialogueEnd = ({ end, reason, user }) =>
  (end === "done"
    ? "The simulated user ended the conversation"
    : `The simulated user did not end the conversation within ${count(user.max_turns, "message")}`) +
  (reason ? `: ${reason}` : ".");

function turnElement(turn, anchor, findingsAt) {
  const here = `${anchor}.t${turn.number}`;
  const outcome = OUTCOMES[turn.outcome];
  const exchanges = turn.exchanges.map((one) => exchangeElement(one, anchor, findingsAt));
  return make(
    "section",
    { class: "turn", id: here },
    make(
      "h4",
      null,
      make("a", { href: `#${here}` }, `Turn ${turn.number}`),
      turn.status ? [" ", make("span", { class: `status ${turn.status}` }, turn.status)] : null,
      outcome ? [" ", make("span", { class: "outcome" }, outcome)] : null,
    ),
    make(
      "ol",
      { class: "cards" },
      userCard(turn.user, here, turn.simulated),
      stepCards(turn.steps, here, findingsAt),
    ),
    problemLine(turn.error ? apiError(turn.error) : turn.reason || ""),
    turn.simulated && turn.simulated.end
      ? make("p", { class: "dialogue-end" }, dialogueEnd(turn.simulated))
      : null,
    findingsAt(here),
    exchanges.length ? make("ol", { class: "exchanges" }, exchanges) : null,
  );
}

// The turns of a result below their instruction; each of several conversations has a heading.
function conversationElements(result, anchor, findingsAt) {
  const conversations = result.conversations || [];
  const isOne = conversations.length < 2;
  return (isOne ? [{ first_turn: 0 }] : conversations).map(({ first_turn, settings }, index) => {
    const next = isOne ? undefined : conversations[index + 1];
    const turns = result.turns.filter(
      (turn) => turn.number >= first_turn && !(next && turn.number >= next.first_turn),
    );
    return [
      isOne ? null : conversationHeading(index + 1, conversations.length, settings),
      instructionSection({ turns }),
      turns.map((turn) => turnElement(turn, anchor, findingsAt)),
    ];
  });
}

function conversationHeading(number, total, { model, agent, history, stream }) {
  const settings = [model || agent, history, stream ? "streamed" : ""].filter(Boolean).join(", ");
  return make(
    "h4",
    { class: "conversation" },
    `Conversation ${number} of ${total} `,
    make("span", { class: "aside" }, settings),
  );
}

// What a judge answered to one question.
function judgmentItem(judgment) {
  const numbers = [
    ["chose", judgment.choice],
    ["score", judgment.score],
    ["probability of passing", judgment.probability],
    ["confidence", judgment.confidence],
  ]
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name} ${value}`);
  const judge = judgment.model_version || judgment.model;
  const question = judgment.question ? `${judgment.question}: ` : "";
  return make(
    "li",
    { class: judgment.verdict },
    make("b", { class: "badge" }, judgment.verdict),
    ` ${question}${shorten(judgment.rubric, RUBRIC)} `,
    judgment.uncertain ? [make("b", { class: "uncertain" }, "uncertain"), " "] : "",
    make("span", { class: "aside" }, [...numbers, judge].join(", ")),
  );
}

function checkItem(check, anchor) {
  const conversation = ["conversation", check.conversation].filter(Boolean).join(" ");
  const outside = check.name === "test" ? "outside the conversation" : conversation;
  const scope = "turn" in check ? `turn ${check.turn}` : outside;
  const findings = check.findings.length ? count(check.findings.length, "finding") : "";
  const aside = [scope, findings, check.declared || "on by default"].filter(Boolean).join(", ");
  return make(
    "li",
    { class: check.verdict, id: anchor },
    make("b", { class: "badge" }, check.verdict),
    " ",
    make("a", { href: `#${anchor}` }, check.name),
    " ",
    make("span", { class: "aside" }, aside),
    check.judgments ? make("ul", null, check.judgments.map(judgmentItem)) : "",
  );
}

function checkList(checks, anchor) {
  const items = checks.map((check, index) => [
    check.verdict === "passed",
    checkItem(check, `${anchor}.k${index + 1}`),
  ]);
  const ordered = items.toSorted(([left], [right]) => left - right).map(([, item]) => item);
  const counts = ["failed", "errored", "passed", "skipped"]
    .map((verdict) => [checks.filter((check) => check.verdict === verdict).length, verdict])
    .filter(([number]) => number);
  const text = counts.map(([number, verdict]) => `${number} ${verdict}`).join(", ") || "none made";
  return make(
    "details",
    { class: "checks" },
    make("summary", null, `${count(checks.length, "check")}: ${text}`),
    make("ul", null, ordered),
  );
}

const itemList = (items) =>
  make(
    "ul",
    { class: "items" },
    items.map((item) => make("li", null, item)),
  );

function sideAnswers(title, exchanges) {
  if (!exchanges) return null;
  const items = make(
    "ol",
    { class: "items" },
    exchanges.map((exchange) => make("li", null, sideAnswer(exchange))),
  );
  return make("details", { class: "checks" }, make("summary", null, title), items);
}

// The elements of a variant's body.
function bodyElements(result, anchor, number) {
  const findings = allFindings(result, anchor);
  const findingsAt = (place) => findings.filter((one) => one.beside === place).map(findingElement);
  return [
    facts(result, anchor, number),
    findingList(findings),
    conversationElements(result, anchor, findingsAt),
    result.unplayed.length
      ? make(
          "section",
          { class: "unplayed" },
          make("h4", null, "Recordings not played"),
          itemList(result.unplayed),
        )
      : null,
    sideAnswers("Answers of the simulated user", result.simulator_exchanges),
    sideAnswers("Answers of judges", result.judge_exchanges),
    checkList(result.checks, anchor),
  ]
    .flat(Infinity)
    .filter(Boolean);
}
