// The filter language: `status:failed tag:smoke -tag:slow tokens:>500 "some words"`.
//
// Parts are joined by "and", commas inside a part by "or". A part without a name is searched in id,
// title, tags and message. `*` matches anything. An unknown name is reported with the nearest known
// one and filters nothing, so that a typing error never empties the list.

const NUMBERS = {
  tokens: (row) => row.tokens,
  exchanges: (row) => row.exchanges,
  time: (row) => row.time,
  trial: (row) => row.trial,
};
const WORDS = {
  status: (row) => (row.warned ? [row.verdict, "warned"] : [row.verdict]),
  tag: (row) => row.tags,
  suite: (row) => [row.suite],
  kind: (row) => [row.kind || "variant"],
  id: (row) => [`${row.suite}::${row.name}`, row.name],
  check: (row) => row.codes.map((one) => one[0]),
  code: (row) => row.codes.map((one) => one[1]),
};
const PART = /(-?)(?:([A-Za-z_][\w.-]*):(?!:))?((?:"(?:[^"\\]|\\.)*"?|[^\s"])*)/gu;
const TIMES = { "": 1, ms: 1, s: 1000, min: 60000 };

// Names are also the settings of variants: model, history, stream, and the axes of a suite's
// matrix.
function namesOf(rows) {
  const axes = new Set();
  for (const row of rows) for (const name of Object.keys(row.variant)) axes.add(name);
  return [
    ...Object.keys(WORDS),
    ...Object.keys(NUMBERS),
    ...[...axes].filter((name) => !(name in WORDS) && !(name in NUMBERS)),
  ];
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

function nearest(word, names) {
  const ranked = names
    .map((one) => [distance(word, one), one])
    .sort((left, right) => left[0] - right[0]);
  return ranked.length && ranked[0][0] <= Math.max(1, Math.floor(word.length / 3))
    ? ranked[0][1]
    : "";
}

const unquoted = (text) =>
  text.replace(/"((?:[^"\\]|\\.)*)"?/gu, (_, inner) => inner.replace(/\\(.)/gu, "$1"));

// Splits at commas outside quotes.
const choices = (text) =>
  (text.match(/(?:"(?:[^"\\]|\\.)*"?|[^,"])+/gu) || []).map((one) => unquoted(one).toLowerCase());

function pattern(text) {
  if (!text.includes("*")) return (value) => value === text;
  const whole = new RegExp(
    `^${text
      .split("*")
      .map((part) => part.replace(/[.*+?^${}()|[\]\\]/gu, "\\$&"))
      .join(".*")}$`,
    "su",
  );
  return (value) => whole.test(value);
}

function amount(text) {
  const comparison = /^(>=|<=|>|<|=)?([\d.]+)(ms|s|min)?(?:\.\.([\d.]+)(ms|s|min)?)?$/u.exec(
    text.replace(/(\d)\.\.(\d)/u, "$1 .. $2").replace(/ /gu, ""),
  );
  const range = /^([\d.]*?\d)(ms|s|min)?\.\.(\d[\d.]*)(ms|s|min)?$/u.exec(text);
  if (range) {
    const [low, high] = [
      Number(range[1]) * TIMES[range[2] || range[4] || ""],
      Number(range[3]) * TIMES[range[4] || ""],
    ];
    return (value) => value >= low && value <= high;
  }
  if (!comparison || Number.isNaN(Number(comparison[2]))) return null;
  const limit = Number(comparison[2]) * TIMES[comparison[3] || ""];
  const compare = {
    ">": (value) => value > limit,
    ">=": (value) => value >= limit,
    "<": (value) => value < limit,
    "<=": (value) => value <= limit,
  };
  return compare[comparison[1]] || ((value) => value === limit);
}

// [{name, value, minus, text}] in the order they are written; `text` is the part as typed.
function parts(text) {
  return [...text.matchAll(PART)]
    .filter((match) => match[0] && match[0] !== "-")
    .map(([whole, minus, name, value]) => ({
      text: whole,
      minus: Boolean(minus),
      name: name || "",
      value,
    }));
}

const textOf = (row) => {
  row.text ??=
    `${row.suite}::${row.name} ${row.title} ${row.tags.join(" ")} ${row.message}`.toLowerCase();
  return row.text;
};

// {test, problems, empty}: `test(row)` is the filter, `problems` are messages about invalid parts.
function parseQuery(text, names) {
  const tests = [];
  const problems = [];
  for (const part of parts(text)) {
    const test = predicate(part, names, problems);
    if (test) tests.push(part.minus ? (row) => !test(row) : test);
  }
  return { test: (row) => tests.every((one) => one(row)), problems, empty: !tests.length };
}

function predicate({ name: typed, value }, names, problems) {
  const name = typed.toLowerCase();
  if (!name) {
    const text = unquoted(value).toLowerCase();
    return text ? (row) => textOf(row).includes(text) : null;
  }
  const real = names.find((one) => one.toLowerCase() === name);
  if (!real) {
    const near = nearest(name, names);
    problems.push(
      `Unknown filter ${typed}:${near ? ` (did you mean ${near}:?)` : ""}; ` +
        `valid: ${names.join(", ")}. Put text with a colon in quotes.`,
    );
    return null;
  }
  if (!value) return null;
  if (real in NUMBERS) {
    const tests = choices(value).map(amount);
    if (tests.includes(null)) {
      problems.push(
        `${real}: must be a number, as in ${real}:>500, ${real}:<=1000 or ${real}:100..500.`,
      );
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
      problems.push(
        `Unknown status ${odd}${near ? ` (did you mean ${near}?)` : ""}; ` +
          `valid: ${known.join(", ")}.`,
      );
      return null;
    }
  }
  const tests = values.map(pattern);
  const asText = (one) => (typeof one === "string" ? one : JSON.stringify(one));
  const read = WORDS[real] || ((row) => (real in row.variant ? [asText(row.variant[real])] : []));
  return (row) => read(row).some((one) => tests.some((test) => test(one.toLowerCase())));
}

const quoted = (value) =>
  /[\s",*]/u.test(value) ? `"${value.replace(/["\\]/gu, "\\$&")}"` : value;

// The query with a value added to it or removed: one part for all statuses, a part for each tag.
function toggled(text, name, value) {
  const rest = parts(text);
  const own = (part) => !part.minus && part.name.toLowerCase() === name;
  if (name !== "status") {
    const without = rest.filter(
      (part) => !(own(part) && unquoted(part.value).toLowerCase() === value.toLowerCase()),
    );
    return [
      ...without.map((part) => part.text),
      ...(without.length < rest.length ? [] : [`${name}:${quoted(value)}`]),
    ].join(" ");
  }
  const statuses = rest.filter(own).flatMap((part) => choices(part.value));
  const next = statuses.includes(value)
    ? statuses.filter((one) => one !== value)
    : [...statuses, value];
  return [
    ...(next.length ? [`status:${next.join(",")}`] : []),
    ...rest.filter((part) => !own(part)).map((part) => part.text),
  ].join(" ");
}

const isChosen = (text, name, value) =>
  parts(text).some(
    (part) =>
      !part.minus &&
      part.name.toLowerCase() === name &&
      choices(part.value).includes(value.toLowerCase()),
  );
