// How values read on the page: the same rules as words.py and _lib/text.py. Everything that is shown goes through `visible`.

// Tables have no prototype: a model may name a step "constructor".
const tables = JSON.parse(document.getElementById("tables").textContent, (key, value) =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? Object.assign(Object.create(null), value) : value);
const hostile = new RegExp(
  "[\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f\\u00ad\\u061c\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u2069\\ufeff\\ufff9-\\ufffb" +
  "\\ufffe\\uffff\\ud800-\\udfff\\u{e0000}-\\u{e007f}]", "gu");

// With the flag "u" a surrogate matches only where it has lost its partner.
const visible = (text) =>
  text.replace(hostile, (char) => `<U+${char.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}>`);

const grouped = (number) => number.toLocaleString("en-US");
const count = (number, word) => `${grouped(number)} ${number === 1 ? word : word + "s"}`;

function points(text) {
  let number = 0;
  for (const _ of text) number += 1;
  return number;
}

function head(text, limit) {
  if (text.length <= limit) return text;
  let end = 0;
  for (let left = limit; left > 0 && end < text.length; left -= 1) end += text.codePointAt(end) > 0xffff ? 2 : 1;
  return text.slice(0, end);
}

// [what is shown, a note about what is not].
function clip(text, limit = tables.limit) {
  const shown = head(text, limit);
  if (shown.length === text.length) return [text, ""];
  return [shown, `${grouped(limit)} of ${grouped(points(text))} characters shown; the whole text is in results.jsonl`];
}

// What `clip` does as one text, the note in its last line.
const clipped = (text, limit = tables.limit) => clip(text, limit).filter(Boolean).join("\n… ");

function shorten(text, limit) {
  const flat = [...visible(text.includes("\n") ? text.trim().split(/\s+/u).join(" ") : text)];
  if (flat.length <= limit) return flat.join("");
  const first = Math.floor(((limit - 1) * 2) / 3);
  return `${flat.slice(0, first).join("")}…${flat.slice(flat.length - (limit - 1 - first)).join("")}`;
}

// JSON has no line break inside a string, so every break of indented JSON may be undone.
function fit(indented) {
  if (points(indented) > 3 * tables.line) return indented;
  const flat = indented.replace(/(?<=[{[])\n *|\n *(?=[}\]])/gu, "").replace(/\n */gu, " ");
  return points(flat) <= tables.line ? flat : indented;
}

const pretty = (value) => fit(JSON.stringify(value, null, 2));

// JSON text as `pretty` would have it, numbers and strings as they are spelled; null where the text is no JSON object or array.
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
  const line = () => "\n" + "  ".repeat(depth);
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s"{}[\],:]+/gu)) {
    const opened = last === "{" || last === "[";
    if (token === "}" || token === "]") {
      depth -= 1;
      out += (opened ? "" : line()) + token;
    } else {
      if (opened) out += line();
      out += token === ":" ? ": " : token === "," ? "," + line() : token;
      if (token === "{" || token === "[") depth += 1;
    }
    last = token;
  }
  return fit(out);
}

function duration(ms) {
  if (typeof ms !== "number") return "";
  if (ms < 999.5) return `${Math.floor(ms + 0.5)} ms`;
  if (ms < 99950) return `${(Math.floor(ms / 100 + 0.5) / 10).toFixed(1)} s`;
  const seconds = Math.floor(ms / 1000 + 0.5);
  return `${grouped(Math.floor(seconds / 60))} min ${seconds % 60} s`;
}

function size(bytes) {
  if (bytes < 1024) return `${bytes} bytes`;
  if (bytes < 1048576) return `${Math.floor((bytes + 512) / 1024)} KiB`;
  const tenths = Math.floor((bytes * 10 + 524288) / 1048576);
  return `${Math.floor(tenths / 10)}.${tenths % 10} MiB`;
}

function fingerprint(signature) {
  if (typeof signature !== "string") return `signature ${JSON.stringify(signature).slice(0, 40)}`;
  if (signature === "") return "signature empty";
  const ends = signature.length <= 16 ? signature : `${signature.slice(0, 8)}…${signature.slice(-6)}`;
  return `signature ${count(signature.length, "character")}, ${ends}`;
}

// An element with a class, attributes and children; a string child becomes text, nothing is ever read as markup.
function make(tag, options, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(options || {})) {
    if (value !== "" && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  put(element, ...children);
  return element;
}

function put(element, ...children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === "") continue;
    element.append(typeof child === "string" ? document.createTextNode(visible(child)) : child);
  }
}
