// How the page formats values, by the same rules as formatting.py, and how it makes elements of
// them. Everything that is shown passes `visible`; nothing is ever parsed as markup.

// Tables have no prototype: a model may name a step "constructor".
const tables = JSON.parse(document.getElementById("tables").textContent, (key, value) =>
  isObject(value) ? Object.assign(Object.create(null), value) : value,
);

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const characterClass = (ranges) =>
  `[${ranges.map((range) => range.map((code) => `\\u{${code.toString(16)}}`).join("-")).join("")}]`;

// With the flag "u" a surrogate matches only where it has lost its partner.
const HOSTILE = new RegExp(
  `(?<=${characterClass(tables.emoji)})\\ufe0f|(?<=[#*0-9])\\ufe0f(?=\\u20e3)` +
    `|(${characterClass(tables.invisible)})`,
  "gu",
);
const DECOMPOSED = /[\p{L}\p{Nl}\p{No}][\u0300-\u036f]+/gu;

const codePointName = (char) =>
  `<U+${char.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}>`;

function markAccents(letters) {
  if (letters.normalize("NFC") === letters) return letters;
  const [letter, ...accents] = letters;
  return letter + accents.map(codePointName).join("");
}

// The same as visible in _lib/text.py.
function visible(text) {
  const marked =
    text.normalize("NFC") === text ? text : text.replace(DECOMPOSED, markAccents);
  return marked.replace(HOSTILE, (char, hostile) => (hostile ? codePointName(char) : char));
}

const grouped = (number) => number.toLocaleString("en-US");
const count = (number, word) => `${grouped(number)} ${number === 1 ? word : word + "s"}`;

function codePoints(text) {
  let number = 0;
  for (const _ of text) number += 1;
  return number;
}

function firstCodePoints(text, limit) {
  if (text.length <= limit) return text;
  let end = 0;
  for (let rest = limit; rest > 0 && end < text.length; rest -= 1) {
    end += text.codePointAt(end) > 0xffff ? 2 : 1;
  }
  return text.slice(0, end);
}

// Returns the beginning of a text and a note about the rest.
function split(text, limit = tables.limit) {
  const start = firstCodePoints(text, limit);
  if (start.length === text.length) return [text, ""];
  const total = grouped(codePoints(text));
  return [
    start,
    `${grouped(limit)} of ${total} characters shown; the whole text is in results.jsonl`,
  ];
}

const clip = (text, limit = tables.limit) => split(text, limit).filter(Boolean).join("\n… ");

function shorten(text, limit) {
  const line = text.includes("\n") ? text.trim().split(/\s+/u).join(" ") : text;
  const chars = [...visible(line)];
  if (chars.length <= limit) return chars.join("");
  const first = Math.floor(((limit - 1) * 2) / 3);
  const last = chars.length - (limit - 1 - first);
  return `${chars.slice(0, first).join("")}…${chars.slice(last).join("")}`;
}

// JSON has no line break inside a string, so every break of indented JSON may be undone.
function joinShortJson(indented) {
  if (codePoints(indented) > 3 * tables.line) return indented;
  const line = indented.replace(/(?<=[{[])\n *|\n *(?=[}\]])/gu, "").replace(/\n */gu, " ");
  return codePoints(line) <= tables.line ? line : indented;
}

const pretty = (value) => joinShortJson(JSON.stringify(value, null, 2));

// Indents JSON text as `pretty` does, but numbers and strings keep their spelling. Returns null for
// text that is not a JSON object or array.
function reindent(text) {
  if (!/^\s*[{[]/u.test(text)) return null;
  try {
    JSON.parse(text);
  } catch {
    return null;
  }
  let out = "";
  let depth = 0;
  let last = "";
  const newLine = () => "\n" + "  ".repeat(depth);
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s"{}[\],:]+/gu)) {
    const afterOpening = last === "{" || last === "[";
    if (token === "}" || token === "]") {
      depth -= 1;
      out += (afterOpening ? "" : newLine()) + token;
    } else {
      if (afterOpening) out += newLine();
      out += token === ":" ? ": " : token === "," ? "," + newLine() : token;
      if (token === "{" || token === "[") depth += 1;
    }
    last = token;
  }
  return joinShortJson(out);
}

function duration(ms) {
  if (typeof ms !== "number") return "";
  if (ms < 999.5) return `${Math.floor(ms + 0.5)} ms`;
  if (ms < 99950) return `${(Math.floor(ms / 100 + 0.5) / 10).toFixed(1)} s`;
  const seconds = Math.floor(ms / 1000 + 0.5);
  return `${grouped(Math.floor(seconds / 60))} min ${seconds % 60} s`;
}

function byteSize(bytes) {
  if (bytes < 1024) return `${bytes} bytes`;
  if (bytes < 1048576) return `${Math.floor((bytes + 512) / 1024)} KiB`;
  const tenths = Math.floor((bytes * 10 + 524288) / 1048576);
  return `${Math.floor(tenths / 10)}.${tenths % 10} MiB`;
}

// A signature's length and ends, enough to see whether two are the same.
function fingerprint(signature) {
  if (typeof signature !== "string") return `signature ${JSON.stringify(signature).slice(0, 40)}`;
  if (signature === "") return "signature empty";
  const ends =
    signature.length <= 16 ? signature : `${signature.slice(0, 8)}…${signature.slice(-6)}`;
  return `signature ${count(signature.length, "character")}, ${ends}`;
}

// A finding's place: `turn 1, exchange 2, request /input/3`.
function placeText(where) {
  const numbers = ["turn", "exchange", "step"].filter((name) => Number.isInteger(where[name]));
  const parts = numbers.map((name) => `${name} ${where[name]}`);
  if ("pointer" in where) parts.push(`${where.part || "at"} ${where.pointer || "(whole)"}`);
  if (where.file) parts.push(where.file);
  return parts.join(", ");
}

// Makes an element with attributes and children; a string child becomes a text node.
function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value !== "" && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  append(element, ...children);
  return element;
}

function append(element, ...children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === "") continue;
    element.append(typeof child === "string" ? document.createTextNode(visible(child)) : child);
  }
}

const note = (text) => (text ? make("p", { class: "note" }, text) : null);

// Text that may be long enough to scroll must be reachable by keyboard.
const tabIndex = (text) => (codePoints(text) > 600 ? "0" : "");

function pre(kind, text) {
  const [start, rest] = split(text);
  return [make("pre", { class: kind, tabindex: tabIndex(start) }, start), note(rest)];
}

// An address that can only lead to a web page, else "".
const webAddress = (url) =>
  typeof url === "string" && /^https?:\/\/[^\s\x00-\x20\x7f]+$/iu.test(url) ? url : "";
const webLink = (href, text) => make("a", { href, rel: "noopener noreferrer nofollow" }, text);
