// Result lines, rows and media from the page's data. A pack is inflated when something in it is
// needed; the last one stays in memory.
//
// In a report of one file, packs are in elements of the page. In a large report they are in files
// of `data/`: scripts that pass their text to `evalkitPacks`, because a page from file:// may load
// scripts and nothing else. Only names in `tables.files` may be loaded.

const lastPack = { number: -1, lines: [] };
const loadedFiles = new Map();
const fileRequests = new Map();
const loadedMedia = new Map();

globalThis.evalkitPacks = (name, texts) => {
  loadedFiles.set(name, texts);
};

const scriptUrls =
  tables.files.length && globalThis.trustedTypes
    ? globalThis.trustedTypes.createPolicy("evalkit-data", {
        createScriptURL: (name) => checkedName(name),
      })
    : { createScriptURL: (name) => checkedName(name) };

function checkedName(name) {
  const isListed = tables.files.some((file) => file.name === name);
  if (!isListed || !/^data\/[0-9a-f]+-\d+\.js$/u.test(name)) {
    throw new TypeError("not a file of this report");
  }
  return name;
}

function loadFile(name) {
  if (!fileRequests.has(name)) {
    fileRequests.set(
      name,
      new Promise((resolve, reject) => {
        const element = document.createElement("script");
        element.addEventListener("load", () => resolve(loadedFiles.get(name)));
        element.addEventListener("error", () =>
          reject(new Error(`${name} cannot be read (expected beside index.html)`)),
        );
        element.src = scriptUrls.createScriptURL(name);
        document.head.append(element);
      }),
    );
  }
  return fileRequests.get(name);
}

async function inflate(text) {
  const bytes =
    typeof Uint8Array.fromBase64 === "function"
      ? Uint8Array.fromBase64(text)
      : Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).text();
}

async function packText(number) {
  const element = document.getElementById(`pack-${number}`);
  if (element) return element.textContent;
  const file = tables.files.findLast((one) => one.first <= number);
  return (await loadFile(file.name))[number - file.first];
}

async function packLines(number) {
  if (lastPack.number !== number) {
    const lines = (await inflate(await packText(number))).split("\n");
    Object.assign(lastPack, { number, lines });
  }
  return lastPack.lines;
}

// The result line of a variant's element, its media loaded.
async function resultLine(variant) {
  const [number, index] = variant.dataset.at.split(".").map(Number);
  const line = (await packLines(number))[index];
  await loadMedia(line);
  return line;
}

// The members of a row, in the order in which run_page.py writes them.
const ROW = [
  "name",
  "verdict",
  "warned",
  "suite",
  "title",
  "tags",
  "tokens",
  "exchanges",
  "time",
  "message",
  "at",
  "line",
  "anchor",
  "variant",
  "codes",
  "trial",
  "kind",
];
const RANKS = { failed: 0, errored: 1, passed: 3, skipped: 4 };

// All rows in the page's order: suites with failures first, then those with errors; in a suite
// failures, errors, warnings, passes, skips.
async function allRows() {
  const values = JSON.parse(await inflate(document.getElementById("rows").textContent));
  const rows = values.map((row) =>
    Object.fromEntries(ROW.map((name, index) => [name, row[index]])),
  );
  const bestRanks = new Map();
  for (const row of rows) {
    row.rank = row.verdict === "passed" && row.warned ? 2 : RANKS[row.verdict];
    bestRanks.set(row.suite, Math.min(bestRanks.get(row.suite) ?? 2, row.rank));
  }
  const suites = [...bestRanks].sort(
    (left, right) => left[1] - right[1] || (left[0] < right[0] ? -1 : 1),
  );
  const suiteIndex = new Map(suites.map(([name], index) => [name, index]));
  for (const row of rows) row.key = (suiteIndex.get(row.suite) * 8 + row.rank) * 2 ** 24 + row.line;
  return rows.sort((left, right) => left.key - right.key);
}

// Parses a line so that numbers keep their spelling (1.0, seventeen digits) where the browser can.
function parseExact(line) {
  if (typeof JSON.rawJSON !== "function") return JSON.parse(line);
  return JSON.parse(line, (key, value, context) =>
    typeof value === "number" && context && String(value) !== context.source
      ? JSON.rawJSON(context.source)
      : value,
  );
}

// Loads the media that a line names and that are in files of `data/`.
async function loadMedia(line) {
  if (!tables.files.length) return;
  const digests = new Set(
    [...line.matchAll(/"evalkit-media:([0-9a-f]{20})"/gu)].map(([, one]) => one),
  );
  for (const file of tables.files) {
    if (!file.media || !file.media.some((digest) => digests.has(digest))) continue;
    const texts = await loadFile(file.name);
    file.media.forEach((digest, index) => loadedMedia.set(digest, texts[index]));
  }
}

// The base64 data of media that the page stores once, "" where it does not have it.
const storedMedia = (digest) =>
  loadedMedia.get(digest) ?? document.getElementById(`m-${digest}`)?.textContent ?? "";
