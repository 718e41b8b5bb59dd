// The order of rows and what they stand under: a suite, one list sorted by a number, or one failure that many variants share.

const byPage = (left, right) => left.key - right.key;
const down = (read) => (left, right) => (read(right) ?? -1) - (read(left) ?? -1) || byPage(left, right);
const ORDERS = {
  page: byPage,
  status: (left, right) => left.rank - right.rank || byPage(left, right),
  name: (left, right) => {
    const [one, other] = [`${left.suite}::${left.name}`, `${right.suite}::${right.name}`];
    return one < other ? -1 : one > other ? 1 : byPage(left, right);
  },
  tokens: down((row) => row.tokens),
  time: down((row) => row.time),
};

// A message without what differs from one variant to the next: quoted words, numbers, digests.
const shape = (message) => message.replace(/"[^"]*"|'[^']*'|‘[^’]*’|“[^”]*”/gu, "'…'").replace(/\b(?=[0-9a-f]*\d)[0-9a-f]{6,}\b|\d[\d.,]*/giu, "#");

function failureOf(row) {
  if (row.rank > 2) return null;
  const [check, code] = row.found[0] || ["", row.verdict];
  return JSON.stringify([check, code, shape(row.message)]);
}

// What a group's messages have in common.
function titleOf(rows) {
  const [{ message, verdict }] = rows;
  return (rows.every((row) => row.message === message) ? message : shape(message)) || verdict;
}

// Sections [{key, title, counts, rows, whole}]: `whole` says that rows must be told with their suite.
function arranged(rows, order, grouped) {
  if (grouped) return byFailure([...rows].sort(ORDERS[order]));
  if (order === "page") return bySuite(rows);
  const names = { status: "by status", name: "by name", tokens: "most tokens first", time: "slowest first" };
  return [{ key: "sorted", title: `All suites, ${names[order]}`, rows: [...rows].sort(ORDERS[order]), whole: true }];
}

function bySuite(rows) {
  const suites = new Map();
  for (const row of rows) {
    if (!suites.has(row.suite)) suites.set(row.suite, []);
    suites.get(row.suite).push(row);
  }
  return [...suites].map(([name, own]) => ({ key: `suite.${name.replace(/[^A-Za-z0-9_.-]+/gu, "-")}`, title: name, rows: own, whole: false }));
}

function byFailure(rows) {
  const groups = new Map();
  for (const row of rows) {
    const key = failureOf(row) ?? "";
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(row);
  }
  const quiet = groups.get("") || [];
  groups.delete("");
  const sections = [...groups.values()].sort((left, right) => left[0].rank - right[0].rank || right.length - left.length)
    .map((own, index) => ({ key: `group.${index + 1}`, title: titleOf(own), code: (own[0].found[0] || [])[1], rows: own, whole: true }));
  return quiet.length ? [...sections, { key: "group.quiet", title: "Nothing to tell", rows: quiet, whole: true }] : sections;
}

function counted(rows) {
  const counts = { failed: 0, errored: 0, passed: 0, skipped: 0 };
  for (const row of rows) counts[row.verdict] += 1;
  return Object.entries(counts).filter(([, number]) => number);
}
