// An exchange, opened: when the events of its stream came, what of the history it re-sent, and the raw request and response to copy.

const svg = (tag, options, ...children) => {
  const element = document.createElementNS("http" + "://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(options)) element.setAttribute(name, value);
  element.append(...children);
  return element;
};

const copied = (button, done) => {
  button.nextElementSibling.textContent = done ? "copied" : "this browser does not copy; select the text instead";
};

async function copy(button, text) {
  try {
    await navigator.clipboard.writeText(text);
    copied(button, true);
  } catch {
    const box = make("textarea", { class: "skip", "aria-label": "text to copy" });
    box.value = text;
    document.body.append(box);
    box.select();
    const done = document.execCommand("copy");
    box.remove();
    button.focus();
    copied(button, done);
  }
}

function copyButton(label, text) {
  const button = make("button", { type: "button", class: "copy" }, label);
  button.addEventListener("click", () => copy(button, text()));
  return [button, make("span", { class: "aside", role: "status" })];
}

// JSON that is ASCII where a character could mislead, with the media in place that the page stores once.
const restored = (key, value) => (isObject(value) && typeof value.data === "string" && value.data.startsWith(tables.mediaName)
  ? { ...value, data: (mediaSource(value.data.slice(tables.mediaName.length), value.mime_type) || `,${value.data}`).split(",")[1] }
  : value);
const escapedJson = (value) => JSON.stringify(value, restored).replace(/[^\x20-\x7e]/gu, (char) =>
  [...Array(char.length).keys()].map((at) => `\\u${char.charCodeAt(at).toString(16).padStart(4, "0")}`).join(""));

// The request as a line for a shell: the key is a variable, the body stands in single quotes, nothing else of it is a shell's to read.
function curl({ method, path, query = [], body }) {
  const safe = (text) => String(text).replace(/[^A-Za-z0-9/._~:@-]/gu, (char) => encodeURIComponent(char.toWellFormed()).replace(/['()!*]/gu, (one) => `%${one.charCodeAt(0).toString(16)}`));
  const asked = query.map(([name, value]) => `${safe(name)}=${safe(value)}`).join("&");
  const parts = [
    `curl -sS${isObject(body) && body.stream === true ? "N" : ""} -X ${/^[A-Z]+$/u.test(method) ? method : "POST"}`,
    `"\${GOOGLE_GEMINI_BASE_URL:-https://generativelanguage.googleapis.com}${safe(path)}${asked ? `?${asked}` : ""}"`,
    '-H "x-goog-api-key: $GEMINI_API_KEY"',
  ];
  if (body !== null && body !== undefined) parts.push("-H 'content-type: application/json'", `-d '${escapedJson(body).replaceAll("'", "'\\''")}'`);
  return parts.join(" \\\n  ");
}

// When each event came, in a strip as long as the answer took; the first text is marked.
function strip(response) {
  const times = response.event_ms;
  if (!Array.isArray(times) || !times.length || !times.every((one) => typeof one === "number")) return null;
  const end = Math.max(...times, response.elapsed_ms || 0, 1);
  const isDelta = (event) => isObject(event) && event.event_type === "step.delta";
  const events = response.events || [];
  const texts = events.findIndex((event) => isDelta(event) && isObject(event.delta) && event.delta.type === "text");
  const first = texts >= 0 ? texts : events.findIndex(isDelta);
  const pauses = times.slice(1).map((one, index) => one - times[index]);
  const told = [
    `first event after ${duration(times[0])}`,
    first >= 0 && first < times.length ? `first ${texts >= 0 ? "text" : "delta"} after ${duration(times[first])}` : "",
    `${count(times.length, "event")} in ${duration(times.at(-1) - times[0]) || "0 ms"}`,
    pauses.length ? `longest pause ${duration(Math.max(...pauses))}` : "",
  ].filter(Boolean).join(", ");
  const x = (time) => String(Math.round((time / end) * 10000) / 100);
  const places = [...new Set(times.map(x))];
  return make("figure", { class: "strip" },
    svg("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", role: "img", "aria-label": `Stream: ${told}` },
      ...places.map((place) => svg("line", { class: "event", x1: place, x2: place, y1: "2", y2: "10" })),
      ...(first >= 0 && first < times.length ? [svg("line", { class: "first", x1: x(times[first]), x2: x(times[first]), y1: "0", y2: "10" })] : [])),
    make("figcaption", null, `Stream: ${told}`));
}

// Strings and the whole are cut to what a page can hold.
const rawText = (value) => clipped(JSON.stringify(value, short, 2), 20 * tables.limit);
const short = (key, value) => (typeof value === "string" && value.length > tables.limit ? clipped(value) : value);

const unreadable = (number) => note(`This browser cannot unpack the page's data; read line ${number} of results.jsonl.`);

async function drawExchange(details) {
  const old = details.querySelector(":scope > .note");
  if (!old) return;
  const variant = details.closest(".variant");
  try {
    const line = await rawLine(variant);
    await loadMedia(line);
    const [result, exact] = [JSON.parse(line), parseExact(line)];
    const find = (value) => value.turns.flatMap((turn) => turn.exchanges).find((one) => String(one.number) === details.dataset.exchange);
    const [plain, exchange] = [find(result), find(exact)];
    const side = (name, ...buttons) => (exchange[name]
      ? [make("h5", null, name), make("p", { class: "copying" }, ...buttons), make("pre", { class: "json raw", tabindex: "0" }, rawText(exchange[name]))]
      : []);
    old.replaceWith(...[
      strip(plain.response || {}),
      resent(result, plain),
      ...side("request", copyButton("Copy as curl", () => curl(plain.request)), copyButton("Copy request", () => JSON.stringify(exchange.request, null, 2))),
      ...side("response", copyButton("Copy response", () => JSON.stringify(exchange.response, null, 2))),
    ].filter(Boolean));
  } catch (error) {
    old.replaceWith(unreadable(variant.dataset.line));
    if (typeof DecompressionStream === "function") throw error;
  }
}
