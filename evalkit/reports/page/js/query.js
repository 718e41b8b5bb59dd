// The filter language: `status:failed tag:smoke -tag:slow tokens:>500 "some words"`. Text in, a question about rows out; no element is touched.
//
// Parts are joined by "and"; commas inside a part by "or". A word that names nothing is looked for in id, title, tags and message. `*` stands
// for anything. An unknown name is told with the nearest known one, and filters nothing: a typing error never empties the list.

const NUMBERS = { tokens: (row) => row.tokens, exchanges: (row) => row.exchanges, time: (row) => row.time, trial: (row) => row.trial };
const WORDS = {
  status: (row) => (row.warned ? [row.verdict, "warned"] : [row.verdict]),
  tag: (row) => row.tags,
  suite: (row) => [row.suite],
  id: (row) => [`${row.suite}::${row.name}`, row.name],
  check: (row) => row.found.map((one) => one[0]),
  code: (row) => row.found.map((one) => one[1]),
};
const PART = /(-?)(?:([A-Za-z_][\w.-]*):(?!:))?((?:"(?:[^"\\]|\\.)*"?|[^\s"])*)/gu;
const TIMES = { "": 1, ms: 1, s: 1000, min: 60000 };

// The settings that variants differ in are names as well: model, history, stream, and whatever a suite's matrix has.
function namesOf(rows) {
  const axes = new Set();
  for (const row of rows) for (const name of Object.keys(row.variant)) axes.add(name);
  return [...Object.keys(WORDS), ...Object.keys(NUMBERS), ...[...axes].filter((name) => !(name in WORDS) && !(name in NUMBERS))];
}

function distance(left, right) {
  let row = [...right].map((_, index) => index + 1);
  [...left].forEach((one, at) => {
    let corner = at;
    let before = at + 1;
    row = row.map((above, index) => {
      before = Math.min(above + 1, before + 1, corner + (one === right[index] ? 0 : 1));
      corner = above;
      return before;
    });
  });
  return row.at(-1) ?? left.length;
}

function nearest(word, words) {
  const ranked = words.map((one) => [distance(word, one), one]).sort((left, right) => left[0] - right[0]);
  return ranked.length && ranked[0][0] <= Math.max(1, Math.floor(word.length / 3)) ? ranked[0][1] : "";
}

const unquoted = (text) => text.replace(/"((?:[^"\\]|\\.)*)"?/gu, (_, inner) => inner.replace(/\\(.)/gu, "$1"));

// Commas outside quotes divide.
const choices = (text) => (text.match(/(?:"(?:[^"\\]|\\.)*"?|[^,"])+/gu) || []).map((one) => unquoted(one).toLowerCase());

function pattern(text) {
  if (!text.includes("*")) return (value) => value === text;
  const whole = new RegExp(`^${text.split("*").map((part) => part.replace(/[.*+?^${}()|[\]\\]/gu, "\\$&")).join(".*")}$`, "su");
  return (value) => whole.test(value);
}

function amount(text) {
  const found = /^(>=|<=|>|<|=)?([\d.]+)(ms|s|min)?(?:\.\.([\d.]+)(ms|s|min)?)?$/u.exec(text.replace(/(\d)\.\.(\d)/u, "$1 .. $2").replace(/ /gu, ""));
  const range = /^([\d.]*?\d)(ms|s|min)?\.\.(\d[\d.]*)(ms|s|min)?$/u.exec(text);
  if (range) {
    const [low, high] = [Number(range[1]) * TIMES[range[2] || range[4] || ""], Number(range[3]) * TIMES[range[4] || ""]];
    return (value) => value >= low && value <= high;
  }
  if (!found || Number.isNaN(Number(found[2]))) return null;
  const limit = Number(found[2]) * TIMES[found[3] || ""];
  const compare = { ">": (value) => value > limit, ">=": (value) => value >= limit, "<": (value) => value < limit, "<=": (value) => value <= limit };
  return compare[found[1]] || ((value) => value === limit);
}

// [{name, value, minus, text}] in the order they are written; `text` is the part as typed.
function parts(text) {
  return [...text.matchAll(PART)].filter((found) => found[0] && found[0] !== "-").map(([whole, minus, name, value]) => ({ text: whole, minus: Boolean(minus), name: name || "", value }));
}

const textOf = (row) => {
  row.text ??= `${row.suite}::${row.name} ${row.title} ${row.tags.join(" ")} ${row.message}`.toLowerCase();
  return row.text;
};

// {test, problems}: `test(row)` answers, `problems` are sentences about what was not understood.
function question(text, names) {
  const tests = [];
  const problems = [];
  for (const part of parts(text)) {
    const made = predicate(part, names, problems);
    if (made) tests.push(part.minus ? (row) => !made(row) : made);
  }
  return { test: (row) => tests.every((one) => one(row)), problems, empty: !tests.length };
}

function predicate({ name: spelled, value }, names, problems) {
  const name = spelled.toLowerCase();
  if (!name) {
    const words = unquoted(value).toLowerCase();
    return words ? (row) => textOf(row).includes(words) : null;
  }
  const real = names.find((one) => one.toLowerCase() === name);
  if (!real) {
    const near = nearest(name, names);
    problems.push(`No filter is called ${spelled}${near ? `; did you mean ${near}:` : ""}. There are ${names.join(", ")}. Text with a colon goes in quotes.`);
    return null;
  }
  if (!value) return null;
  if (real in NUMBERS) {
    const tests = choices(value).map(amount);
    if (tests.includes(null)) {
      problems.push(`${real}: takes a number, as in ${real}:>500, ${real}:<=1000 or ${real}:100..500.`);
      return null;
    }
    return (row) => NUMBERS[real](row) !== null && tests.some((test) => test(NUMBERS[real](row)));
  }
  const values = choices(value);
  if (real === "status") {
    const known = ["failed", "errored", "passed", "skipped", "warned"];
    const odd = values.find((one) => !one.includes("*") && !known.includes(one));
    if (odd !== undefined) {
      const near = nearest(odd, known);
      problems.push(`No status is called ${odd}${near ? `; did you mean ${near}` : ""}. There are ${known.join(", ")}.`);
      return null;
    }
  }
  const tests = values.map(pattern);
  const shown = (one) => (typeof one === "string" ? one : JSON.stringify(one));
  const read = WORDS[real] || ((row) => (real in row.variant ? [shown(row.variant[real])] : []));
  return (row) => read(row).some((one) => tests.some((test) => test(one.toLowerCase())));
}

const quoted = (value) => (/[\s",*]/u.test(value) ? `"${value.replace(/["\\]/gu, "\\$&")}"` : value);

// The text with a value put into, or taken out of, its part: status in one part (any of them), tags in a part each (all of them).
function toggled(text, name, value) {
  const rest = parts(text);
  const own = (part) => !part.minus && part.name.toLowerCase() === name;
  if (name !== "status") {
    const without = rest.filter((part) => !(own(part) && unquoted(part.value).toLowerCase() === value.toLowerCase()));
    return [...without.map((part) => part.text), ...(without.length < rest.length ? [] : [`${name}:${quoted(value)}`])].join(" ");
  }
  const chosen = rest.filter(own).flatMap((part) => choices(part.value));
  const next = chosen.includes(value) ? chosen.filter((one) => one !== value) : [...chosen, value];
  return [...(next.length ? [`status:${next.join(",")}`] : []), ...rest.filter((part) => !own(part)).map((part) => part.text)].join(" ");
}

const chosen = (text, name, value) =>
  parts(text).some((part) => !part.minus && part.name.toLowerCase() === name && choices(part.value).includes(value.toLowerCase()));
