// Raw result lines and media out of the page: packs are inflated when something in them is asked for, the last one is kept.

const lastPack = { number: "", lines: [] };

async function pack(number) {
  if (lastPack.number === number) return lastPack.lines;
  const text = document.getElementById(`pack-${number}`).textContent;
  const bytes = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  const inflated = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const lines = (await new Response(inflated).text()).split("\n");
  Object.assign(lastPack, { number, lines });
  return lines;
}

// The raw line of a variant's element.
async function rawLine(variant) {
  const [number, index] = variant.dataset.at.split(".");
  return (await pack(number))[Number(index)];
}

// Numbers as they are spelled (1.0 stays 1.0, seventeen digits stay seventeen) where the browser can tell.
function parseExact(line) {
  if (typeof JSON.rawJSON !== "function") return JSON.parse(line);
  return JSON.parse(line, (key, value, context) =>
    typeof value === "number" && context && String(value) !== context.source ? JSON.rawJSON(context.source) : value);
}

// The data URI of media that the page stores once, "" where it does not.
function mediaSource(digest, mime) {
  const stored = document.getElementById(`m-${digest}`);
  if (!stored || !tables.safe[mime]) return "";
  if (stored.localName === "script") return `data:${mime};base64,${stored.textContent}`;
  return stored.getAttribute("src") || "";
}
