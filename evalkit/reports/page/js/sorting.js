// The order and the sections of rows: by suite, one sorted list, or groups of identical failures.

const byPage = (left, right) => left.key - right.key;
const descending = (read) => (left, right) =>
  (read(right) ?? -1) - (read(left) ?? -1) || byPage(left, right);
const ORDERS = {
  page: byPage,
  status: (left, right) => left.rank - right.rank || byPage(left, right),
  name: (left, right) => {
    const [one, other] = [`${left.suite}::${left.name}`, `${right.suite}::${right.name}`];
    return one < other ? -1 : one > other ? 1 : byPage(left, right);
  },
  tokens: descending((row) => row.tokens),
  time: descending((row) => row.time),
};

// A message without what differs between variants: quoted words, numbers, digests.
const shape = (message) =>
  message
    .replace(/"[^"]*"|'[^']*'|‘[^’]*’|“[^”]*”/gu, "'…'")
    .replace(/\b(?=[0-9a-f]*\d)[0-9a-f]{6,}\b|\d[\d.,]*/giu, "#");

function failureOf(row) {
  if (row.rank > 2) return null;
  const [check, code] = row.codes[0] || ["", row.verdict];
  return JSON.stringify([check, code, shape(row.message)]);
}

// The common message of a group.
function titleOf(rows) {
  const [{ message, verdict }] = rows;
  return (rows.every((row) => row.message === message) ? message : shape(message)) || verdict;
}

// Sections [{key, title, rows, whole}]; with `whole` the rows show their suite.
function arrange(rows, order, grouped) {
  if (grouped) return byFailure([...rows].sort(ORDERS[order]));
  if (order === "page") return bySuite(rows);
  const names = {
    status: "by status",
    name: "by name",
    tokens: "most tokens first",
    time: "slowest first",
  };
  return [
    {
      key: "sorted",
      title: `All suites, ${names[order]}`,
      rows: [...rows].sort(ORDERS[order]),
      whole: true,
    },
  ];
}

function bySuite(rows) {
  const suites = new Map();
  for (const row of rows) {
    if (!suites.has(row.suite)) suites.set(row.suite, []);
    suites.get(row.suite).push(row);
  }
  return [...suites].map(([name, members]) => ({
    key: `suite.${name.replace(/[^A-Za-z0-9_.-]+/gu, "-")}`,
    title: name,
    rows: members,
    whole: false,
  }));
}

function byFailure(rows) {
  const groups = new Map();
  for (const row of rows) {
    const key = failureOf(row) ?? "";
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(row);
  }
  const others = groups.get("") || [];
  groups.delete("");
  const sections = [...groups.values()]
    .sort((left, right) => left[0].rank - right[0].rank || right.length - left.length)
    .map((members, index) => ({
      key: `group.${index + 1}`,
      title: titleOf(members),
      code: (members[0].codes[0] || [])[1],
      rows: members,
      whole: true,
    }));
  return others.length
    ? [...sections, { key: "group.others", title: "Without failures", rows: others, whole: true }]
    : sections;
}

function counted(rows) {
  const counts = { failed: 0, errored: 0, passed: 0, skipped: 0 };
  for (const row of rows) counts[row.verdict] += 1;
  return Object.entries(counts).filter(([, number]) => number);
}
