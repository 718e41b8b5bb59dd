// Structured output as a tree, schema violations marked at their nodes. The text is shown when the
// tree is closed.

const NODES = 2000;
const escapedKey = (key) => key.replaceAll("~", "~0").replaceAll("/", "~1");
const jsonText = (value) =>
  typeof JSON.isRawJSON === "function" && JSON.isRawJSON(value)
    ? value.rawJSON
    : JSON.stringify(value);
const isRaw = (value) => typeof JSON.isRawJSON === "function" && JSON.isRawJSON(value);
const membersOf = (value) =>
  isRaw(value)
    ? null
    : Array.isArray(value)
      ? value.map((one, index) => [String(index), one])
      : isObject(value)
        ? Object.entries(value)
        : null;

function sizeOf(value) {
  const members = membersOf(value);
  return members ? members.reduce((sum, [, one]) => (sum > NODES ? sum : sum + sizeOf(one)), 1) : 1;
}

function pointers(value, at, out) {
  out.add(at);
  for (const [key, one] of membersOf(value) || []) pointers(one, `${at}/${escapedKey(key)}`, out);
  return out;
}

function treeNode(key, value, at, marks) {
  const members = membersOf(value);
  const name = key === null ? null : [make("span", { class: "key" }, key), ": "];
  const messages = (marks.get(at) || []).map((message) =>
    make("span", { class: "violation" }, message),
  );
  const kind = messages.length ? "violated" : "";
  if (!members || !members.length)
    return make(
      "li",
      { class: kind },
      name,
      make("span", { class: "value" }, clip(jsonText(value), 2000)),
      messages,
    );
  const size = Array.isArray(value)
    ? `[${count(members.length, "item")}]`
    : `{${count(members.length, "member")}}`;
  return make(
    "li",
    { class: kind },
    make(
      "details",
      { open: "open" },
      make("summary", null, name, make("span", { class: "aside" }, size), messages),
      make(
        "ul",
        null,
        members.map(([name, one]) => treeNode(name, one, `${at}/${escapedKey(name)}`, marks)),
      ),
    ),
  );
}

// Messages of findings about the output, by the nearest pointer that exists in it.
function marksOf(result, turn, value) {
  const known = pointers(value, "", new Set());
  const marks = new Map();
  for (const check of result.checks) {
    for (const finding of check.findings) {
      const { where } = finding;
      if (
        where.part !== "output" ||
        typeof where.pointer !== "string" ||
        (where.turn ?? check.turn) !== turn.number
      )
        continue;
      let at = where.pointer;
      while (!known.has(at)) at = at.slice(0, Math.max(0, at.lastIndexOf("/")));
      marks.set(at, [...(marks.get(at) || []), clip(finding.message, 400)]);
    }
  }
  return marks;
}

// Adds a tree above the last JSON text of the model in each turn of an open variant.
async function addTrees(variant) {
  const texts = [...variant.querySelectorAll(".turn")].map((turn) => [
    turn,
    [...turn.querySelectorAll(".card.model pre.json")].at(-1),
  ]);
  if (variant.querySelector(".tree") || !texts.some(([, text]) => text)) return;
  const line = await resultLine(variant);
  const [result, exact] = [JSON.parse(line), parseExact(line)];
  texts.forEach(([section, text], index) => {
    const turn = exact.turns[index];
    if (
      !text ||
      !turn ||
      section.id !== `${variant.id}.t${turn.number}` ||
      typeof turn.text !== "string"
    )
      return;
    let value;
    try {
      value = parseExact(turn.text);
    } catch {
      return;
    }
    if (!membersOf(value) || sizeOf(value) > NODES) return;
    const marks = marksOf(result, turn, value);
    text.before(
      make(
        "details",
        { class: "tree", open: "open" },
        make(
          "summary",
          null,
          marks.size
            ? `Tree, ${count(marks.size, "violation")} marked; close it for the text`
            : "Tree; close it for the text",
        ),
        make("ul", null, treeNode(null, value, "", marks)),
      ),
    );
  });
}
