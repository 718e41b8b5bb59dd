// What the model is asked with beside the messages: system instruction and tools.
//
// They are the same in every request of most conversations, so they are shown once, above the
// turns, and again only where a later request has others.

const SHORT_INSTRUCTION = 600;

function instructionText(value) {
  if (typeof value === "string") return value;
  // Content in parts, as some clients send it.
  const parts = isObject(value) && Array.isArray(value.parts) ? value.parts : [value].flat();
  return parts.every((part) => isObject(part) && typeof part.text === "string")
    ? parts.map((part) => part.text).join("\n")
    : pretty(value);
}

function toolItem(tool) {
  if (!isObject(tool)) return pre("json", pretty(tool));
  const { type, name, description, ...rest } = tool;
  const title = typeof name === "string" ? name : typeof type === "string" ? type : "tool";
  const line = [
    make("b", null, title),
    typeof description === "string" ? ` ${description}` : null,
    typeof name === "string" && type !== "function"
      ? [" ", make("span", { class: "aside" }, String(type))]
      : null,
  ];
  if (!Object.keys(rest).length) return line;
  return make("details", null, make("summary", null, line), pre("json", pretty(rest)));
}

function instructionElement({ number, instruction, tools }, isFirst) {
  const parts = [];
  if (instruction !== undefined) {
    const text = instructionText(instruction);
    const isShort = codePoints(text) <= SHORT_INSTRUCTION;
    const [start, rest] = split(text);
    parts.push(
      make(
        "details",
        { open: isShort ? "open" : "" },
        make("summary", null, "System instruction"),
        make("p", { class: "text", dir: "auto" }, start),
        note(rest),
      ),
    );
  }
  if (tools.length) {
    const names = tools.map((tool) => (isObject(tool) && (tool.name || tool.type)) || "?");
    parts.push(
      make(
        "details",
        null,
        make("summary", null, `${count(tools.length, "tool")}: ${names.join(", ")}`),
        make(
          "ul",
          { class: "items" },
          tools.map((tool) => make("li", null, toolItem(tool))),
        ),
      ),
    );
  }
  if (!isFirst) {
    const what = parts.length ? "sent:" : "has no system instruction and no tools";
    parts.unshift(make("p", { class: "aside" }, `Exchange ${number} ${what}`));
  }
  return parts;
}

// The section above the turns; null where no request has an instruction or tools.
function instructionSection(result) {
  const shown = [];
  for (const { number, request } of result.turns.flatMap((turn) => turn.exchanges)) {
    const { method, body } = request;
    if (method !== "POST" || !isObject(body) || !("input" in body)) continue;
    const tools = Array.isArray(body.tools) ? body.tools : [];
    const instruction = body.system_instruction ?? undefined;
    const key = keyOf([instruction ?? null, tools]);
    if (!shown.length || shown.at(-1).key !== key) shown.push({ key, number, instruction, tools });
  }
  const elements = shown.map((one, index) => instructionElement(one, index === 0));
  return elements.flat().length ? make("section", { class: "instruction" }, elements) : null;
}
