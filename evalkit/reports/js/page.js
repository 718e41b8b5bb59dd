// The page at work: filters, drawing on demand, raw exchanges, links to what is folded away.

const variants = [...document.querySelectorAll(".variant")];
const sections = [...document.querySelectorAll(".suite")];
const chosen = { verdicts: new Set(), tags: new Set(), words: [] };
const texts = new Map();

function textOf(variant) {
  if (!texts.has(variant)) texts.set(variant, `${variant.id} ${variant.firstElementChild.textContent}`.toLowerCase());
  return texts.get(variant);
}

function matches(variant) {
  const verdicts = [...chosen.verdicts];
  const tags = variant.dataset.tags ? variant.dataset.tags.split("\n") : [];
  return (!verdicts.length || verdicts.some((name) => variant.classList.contains(name)))
    && [...chosen.tags].every((tag) => tags.includes(tag))
    && chosen.words.every((word) => textOf(variant).includes(word));
}

function filter() {
  let shown = 0;
  for (const variant of variants) {
    variant.hidden = !matches(variant);
    if (!variant.hidden) shown += 1;
  }
  for (const section of sections) section.hidden = !section.querySelector(".variant:not([hidden])");
  const all = shown === variants.length;
  document.getElementById("shown").textContent = all ? count(shown, "variant") : `${grouped(shown)} of ${count(variants.length, "variant")}`;
  document.getElementById("clear").disabled = all && !chosen.verdicts.size && !chosen.tags.size && !chosen.words.length;
  document.getElementById("none").hidden = shown > 0 || !variants.length;
}

function showAll() {
  chosen.verdicts.clear();
  chosen.tags.clear();
  chosen.words = [];
  document.getElementById("find").value = "";
  for (const button of document.querySelectorAll("[aria-pressed]")) button.setAttribute("aria-pressed", "false");
  filter();
}

function choose(button) {
  const [group, name] = button.dataset.verdict ? [chosen.verdicts, button.dataset.verdict] : [chosen.tags, button.dataset.tag];
  if (!group.delete(name)) group.add(name);
  button.setAttribute("aria-pressed", String(group.has(name)));
  filter();
}

const unreadable = (number) => note(`This browser cannot unpack the page's data; read line ${number} of results.jsonl.`);

async function draw(variant) {
  const body = variant.querySelector(":scope > .body");
  for (const again of body.querySelectorAll("a.again")) {
    const source = mediaSource(again.dataset.media, again.dataset.mime);
    if (source) again.replaceWith(mediaElement(again.dataset.element, source, again.nextElementSibling.textContent));
  }
  if (!body.classList.contains("later")) return;
  body.classList.remove("later");
  try {
    const result = JSON.parse(await rawLine(variant));
    body.replaceChildren(...bodyParts(result, variant.id, variant.dataset.line).flat(Infinity).filter(Boolean));
  } catch (error) {
    body.replaceChildren(unreadable(variant.dataset.line));
    if (typeof DecompressionStream === "function") throw error;
  }
}

// Strings and the whole are cut to what a page can hold.
const rawText = (value) => clipped(JSON.stringify(value, short, 2), 20 * tables.limit);
const short = (key, value) => (typeof value === "string" && value.length > tables.limit ? clipped(value) : value);

async function drawExchange(details) {
  const old = details.querySelector(":scope > .note");
  if (!old) return;
  const variant = details.closest(".variant");
  try {
    const result = parseExact(await rawLine(variant));
    const exchange = result.turns.flatMap((turn) => turn.exchanges).find((one) => String(one.number) === details.dataset.exchange);
    const side = (name) => (exchange[name] ? [make("h5", null, name), make("pre", { class: "json raw", tabindex: "0" }, rawText(exchange[name]))] : null);
    old.replaceWith(...[side("request"), side("response")].flat().filter(Boolean));
  } catch (error) {
    old.replaceWith(unreadable(variant.dataset.line));
    if (typeof DecompressionStream === "function") throw error;
  }
}

// Opens whatever the address names, and all it is folded into.
async function reveal() {
  const name = decodeURIComponent(location.hash.slice(1));
  if (!name) return;
  const holders = variants.filter((one) => name === one.id || name.startsWith(`${one.id}.`));
  const variant = holders.sort((left, right) => right.id.length - left.id.length)[0];
  if (variant) {
    if (variant.hidden) showAll();
    await draw(variant);
  }
  const target = document.getElementById(name);
  if (!target) return;
  for (let box = target.closest("details"); box; box = box.parentElement.closest("details")) box.open = true;
  target.scrollIntoView({ block: "start" });
}

document.addEventListener("toggle", (event) => {
  const details = event.target;
  if (!details.open) return;
  if (details.classList.contains("variant")) draw(details);
  else if (details.dataset.exchange) drawExchange(details);
}, true);

document.addEventListener("click", (event) => {
  const button = event.target.closest("[aria-pressed]");
  if (button) choose(button);
  else if (event.target.closest("#clear, #none a")) showAll();
});

document.getElementById("find").addEventListener("input", (event) => {
  chosen.words = event.target.value.toLowerCase().split(/\s+/u).filter(Boolean);
  filter();
});

addEventListener("hashchange", reveal);
reveal();
