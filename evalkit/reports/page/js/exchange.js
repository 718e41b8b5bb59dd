// An open exchange: a timeline of its stream, its re-sent history, raw request and response to
// copy.

const svg = (tag, options, ...children) => {
  const element = document.createElementNS("http" + "://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(options)) element.setAttribute(name, value);
  element.append(...children);
  return element;
};

const showCopied = (button, done) => {
  button.nextElementSibling.textContent = done
    ? "copied"
    : "this browser cannot copy; select the text instead";
};

async function copy(button, text) {
  try {
    await navigator.clipboard.writeText(text);
    showCopied(button, true);
  } catch {
    const box = make("textarea", { class: "skip", "aria-label": "text to copy" });
    box.value = text;
    document.body.append(box);
    box.select();
    const done = document.execCommand("copy");
    box.remove();
    button.focus();
    showCopied(button, done);
  }
}

function copyButton(label, text) {
  const button = make("button", { type: "button", class: "copy" }, label);
  button.addEventListener("click", () => copy(button, text()));
  return [button, make("span", { class: "aside", role: "status" })];
}

// Puts the media that the page stores once back into a request.
const withMedia = (key, value) =>
  isObject(value) && typeof value.data === "string" && value.data.startsWith(tables.mediaName)
    ? { ...value, data: storedMedia(value.data.slice(tables.mediaName.length)) || value.data }
    : value;

// JSON in printable ASCII, so that no character can mislead a shell's user.
const escapedJson = (value) =>
  JSON.stringify(value, withMedia).replace(/[^\x20-\x7e]/gu, (char) =>
    [...Array(char.length).keys()]
      .map((at) => `\\u${char.charCodeAt(at).toString(16).padStart(4, "0")}`)
      .join(""),
  );

// The request as a shell command: the key is a variable, the body is in single quotes, and the rest
// is percent-encoded, so that nothing in it is interpreted by the shell.
function curl({ method, path, query = [], body }) {
  const safe = (text) =>
    String(text).replace(/[^A-Za-z0-9/._~:@-]/gu, (char) =>
      encodeURIComponent(char.toWellFormed()).replace(
        /['()!*]/gu,
        (one) => `%${one.charCodeAt(0).toString(16)}`,
      ),
    );
  const parameters = query.map(([name, value]) => `${safe(name)}=${safe(value)}`).join("&");
  const search = parameters ? `?${parameters}` : "";
  const isStream = isObject(body) && body.stream === true;
  const verb = /^[A-Z]+$/u.test(method) ? method : "POST";
  const parts = [
    `curl -sS${isStream ? "N" : ""} -X ${verb}`,
    `"\${GOOGLE_GEMINI_BASE_URL:-https://generativelanguage.googleapis.com}${safe(path)}${search}"`,
    '-H "x-goog-api-key: $GEMINI_API_KEY"',
  ];
  if (body !== null && body !== undefined)
    parts.push(
      "-H 'content-type: application/json'",
      `-d '${escapedJson(body).replaceAll("'", "'\\''")}'`,
    );
  return parts.join(" \\\n  ");
}

// A timeline of a stream's events; the first text is marked.
function streamTimeline(response) {
  const times = response.event_ms;
  if (!Array.isArray(times) || !times.length || !times.every((one) => typeof one === "number"))
    return null;
  const end = Math.max(...times, response.elapsed_ms || 0, 1);
  const isDelta = (event) => isObject(event) && event.event_type === "step.delta";
  const events = response.events || [];
  const texts = events.findIndex(
    (event) => isDelta(event) && isObject(event.delta) && event.delta.type === "text",
  );
  const first = texts >= 0 ? texts : events.findIndex(isDelta);
  const pauses = times.slice(1).map((one, index) => one - times[index]);
  const summary = [
    `first event after ${duration(times[0])}`,
    first >= 0 && first < times.length
      ? `first ${texts >= 0 ? "text" : "delta"} after ${duration(times[first])}`
      : "",
    `${count(times.length, "event")} in ${duration(times.at(-1) - times[0]) || "0 ms"}`,
    pauses.length ? `longest pause ${duration(Math.max(...pauses))}` : "",
  ]
    .filter(Boolean)
    .join(", ");
  const x = (time) => String(Math.round((time / end) * 10000) / 100);
  const places = [...new Set(times.map(x))];
  return make(
    "figure",
    { class: "strip" },
    svg(
      "svg",
      {
        viewBox: "0 0 100 10",
        preserveAspectRatio: "none",
        role: "img",
        "aria-label": `Stream: ${summary}`,
      },
      ...places.map((place) =>
        svg("line", { class: "event", x1: place, x2: place, y1: "2", y2: "10" }),
      ),
      ...(first >= 0 && first < times.length
        ? [
            svg("line", {
              class: "first",
              x1: x(times[first]),
              x2: x(times[first]),
              y1: "0",
              y2: "10",
            }),
          ]
        : []),
    ),
    make("figcaption", null, `Stream: ${summary}`),
  );
}

// Long strings, and the whole text, are cut to what a page can show.
const cutString = (key, value) =>
  typeof value === "string" && value.length > tables.limit ? clip(value) : value;
const rawText = (value) => clip(JSON.stringify(value, cutString, 2), 20 * tables.limit);

const unreadable = (number) =>
  note(`The page's data cannot be read in this browser; see line ${number} of results.jsonl.`);

async function renderExchange(details) {
  const placeholder = details.querySelector(":scope > .note");
  if (!placeholder) return;
  const variant = details.closest(".variant");
  try {
    const line = await resultLine(variant);
    const [result, exact] = [JSON.parse(line), parseExact(line)];
    const find = (value) =>
      value.turns
        .flatMap((turn) => turn.exchanges)
        .find((one) => String(one.number) === details.dataset.exchange);
    const [plain, exchange] = [find(result), find(exact)];
    const side = (name, ...buttons) =>
      exchange[name]
        ? [
            make("h5", null, name),
            make("p", { class: "copying" }, ...buttons),
            make("pre", { class: "json raw", tabindex: "0" }, rawText(exchange[name])),
          ]
        : [];
    placeholder.replaceWith(
      ...[
        streamTimeline(plain.response || {}),
        resentHistory(result, plain),
        ...side(
          "request",
          copyButton("Copy as curl", () => curl(plain.request)),
          copyButton("Copy request", () => JSON.stringify(exchange.request, null, 2)),
        ),
        ...side(
          "response",
          copyButton("Copy response", () => JSON.stringify(exchange.response, null, 2)),
        ),
      ].filter(Boolean),
    );
  } catch (error) {
    placeholder.replaceWith(unreadable(variant.dataset.line));
    if (typeof DecompressionStream === "function") throw error;
  }
}
