// Raw result lines, rows and media out of the page: packs are inflated when something in them is asked for, the last one is kept.
//
// In a report of one file packs stand in elements of the page. In a folder they stand in files of `data/`, scripts that hand their text to
// `evalkitPacks`; a page from file:// may load those and nothing else. What may be loaded is spelled by `tables.files` alone.

const lastPack = { number: -1, lines: [] };
const loaded = new Map();
const waiting = new Map();

globalThis.evalkitPacks = (name, texts) => {
  loaded.set(name, texts);
};

const scripts = tables.files.length && globalThis.trustedTypes
  ? globalThis.trustedTypes.createPolicy("evalkit-data", { createScriptURL: (name) => known(name) })
  : { createScriptURL: (name) => known(name) };

function known(name) {
  if (!tables.files.some((file) => file.name === name) || !/^data\/[0-9a-f]+-\d+\.js$/u.test(name)) throw new TypeError("not a file of this report");
  return name;
}

function load(name) {
  if (!waiting.has(name)) {
    waiting.set(name, new Promise((resolve, reject) => {
      const element = document.createElement("script");
      element.addEventListener("load", () => resolve(loaded.get(name)));
      element.addEventListener("error", () => reject(new Error(`${name} cannot be read; it belongs beside index.html`)));
      element.src = scripts.createScriptURL(name);
      document.head.append(element);
    }));
  }
  return waiting.get(name);
}

async function inflate(text) {
  const bytes = typeof Uint8Array.fromBase64 === "function" ? Uint8Array.fromBase64(text) : Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).text();
}

async function packText(number) {
  const stored = document.getElementById(`pack-${number}`);
  if (stored) return stored.textContent;
  const file = tables.files.findLast((one) => one.first <= number);
  return (await load(file.name))[number - file.first];
}

async function pack(number) {
  if (lastPack.number === number) return lastPack.lines;
  const lines = (await inflate(await packText(number))).split("\n");
  Object.assign(lastPack, { number, lines });
  return lines;
}

// The raw line of a variant's element.
async function rawLine(variant) {
  const [number, index] = variant.dataset.at.split(".").map(Number);
  return (await pack(number))[index];
}

// The members of a row, in the order rows.py writes them.
const ROW = ["name", "verdict", "warned", "suite", "title", "tags", "tokens", "exchanges", "time", "message", "at", "line", "anchor", "variant", "found", "trial"];

// All rows, in the page's order: suites with failures first, and in a suite failures, errors, warnings, passes, skips.
async function allRows() {
  const rows = JSON.parse(await inflate(document.getElementById("rows").textContent)).map((values) =>
    Object.fromEntries(ROW.map((name, index) => [name, values[index]])));
  const best = new Map();
  for (const row of rows) {
    row.rank = row.verdict === "passed" && row.warned ? 2 : { failed: 0, errored: 1, passed: 3, skipped: 4 }[row.verdict];
    best.set(row.suite, Math.min(best.get(row.suite) ?? 2, row.rank));
  }
  const suites = new Map([...best].sort((left, right) => left[1] - right[1] || (left[0] < right[0] ? -1 : 1)).map(([name], index) => [name, index]));
  for (const row of rows) row.key = (suites.get(row.suite) * 8 + row.rank) * 2 ** 24 + row.line;
  return rows.sort((left, right) => left.key - right.key);
}

// Numbers as they are spelled (1.0 stays 1.0, seventeen digits stay seventeen) where the browser can tell.
function parseExact(line) {
  if (typeof JSON.rawJSON !== "function") return JSON.parse(line);
  return JSON.parse(line, (key, value, context) =>
    typeof value === "number" && context && String(value) !== context.source ? JSON.rawJSON(context.source) : value);
}

// Brings in the media that a line names and that lie in files of the folder.
async function loadMedia(line) {
  const names = new Set(tables.files.length ? [...line.matchAll(/"evalkit-media:([0-9a-f]{20})"/gu)].map(([, digest]) => digest) : []);
  for (const file of tables.files) {
    if (!file.media || !file.media.some((digest) => names.has(digest))) continue;
    const texts = await load(file.name);
    file.media.forEach((digest, index) => media64.set(digest, texts[index]));
  }
}

const media64 = new Map();

// The data URI of media that the page stores once, "" where it does not.
function mediaSource(digest, mime) {
  const stored = document.getElementById(`m-${digest}`);
  if (!tables.safe[mime]) return "";
  if (media64.has(digest)) return `data:${mime};base64,${media64.get(digest)}`;
  if (!stored) return "";
  if (stored.localName === "script") return `data:${mime};base64,${stored.textContent}`;
  return stored.getAttribute("src") || "";
}
