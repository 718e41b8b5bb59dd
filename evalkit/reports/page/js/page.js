// The page at work: the filter and the address that keeps it, drawing on demand, raw exchanges, links to what is folded away.

const page = { rows: [], names: [], query: "", order: "page", grouped: false };
const field = (id) => document.getElementById(id);

// What is chosen stands in the fragment, which a file:// address keeps as well: #v.some-variant?q=status:failed&sort=tokens&group=1
function address() {
  const [anchor, text = ""] = location.hash.slice(1).split("?");
  return { anchor: decodeURIComponent(anchor), chosen: new URLSearchParams(text) };
}

function remember(anchor) {
  const chosen = new URLSearchParams();
  if (page.query.trim()) chosen.set("q", page.query.trim());
  if (page.order !== "page") chosen.set("sort", page.order);
  if (page.grouped) chosen.set("group", "1");
  const text = chosen.toString().replaceAll("%3A", ":").replaceAll("%2C", ",");
  const fragment = `${anchor}${text ? `?${text}` : ""}`;
  if (fragment !== location.hash.slice(1)) history.replaceState(null, "", fragment ? `#${fragment}` : "#");
}

function update() {
  const asked = question(page.query, page.names);
  const found = asked.empty ? page.rows : page.rows.filter(asked.test);
  show(arranged(found, page.order, page.grouped));
  const all = found.length === page.rows.length;
  field("shown").textContent = all ? count(found.length, "variant") : `${grouped(found.length)} of ${count(page.rows.length, "variant")}`;
  field("problem").textContent = visible(asked.problems.join(" "));
  field("clear").disabled = !page.query.trim();
  field("none").hidden = found.length > 0 || !page.rows.length;
  field("order").value = page.order;
  field("group").setAttribute("aria-pressed", String(page.grouped));
  for (const button of document.querySelectorAll("[data-token]")) {
    button.setAttribute("aria-pressed", String(chosen(page.query, button.dataset.token, button.value)));
  }
}

function setQuery(text) {
  page.query = text;
  field("find").value = text;
  update();
  remember("");
}

function setOrder(order, together) {
  Object.assign(page, { order: order in ORDERS ? order : "page", grouped: together });
  update();
  remember("");
}

function nextOrder() {
  const orders = Object.keys(ORDERS);
  setOrder(orders[(orders.indexOf(page.order) + 1) % orders.length], page.grouped);
}

async function draw(variant) {
  const body = variant.querySelector(":scope > .body");
  for (const again of body.querySelectorAll("a.again")) {
    const source = mediaSource(again.dataset.media, again.dataset.mime);
    if (source) again.replaceWith(mediaElement(again.dataset.element, source, again.nextElementSibling.textContent));
  }
  if (!body.classList.contains("later")) return;
  body.classList.remove("later");
  try {
    const line = await rawLine(variant);
    await loadMedia(line);
    const result = JSON.parse(line);
    body.replaceChildren(...bodyParts(result, variant.id, variant.dataset.line).flat(Infinity).filter(Boolean));
  } catch (error) {
    body.replaceChildren(unreadable(variant.dataset.line));
    if (typeof DecompressionStream === "function") throw error;
  }
}

// Opens whatever the address names, and all it is folded into.
async function reveal(anchor) {
  if (!anchor) return;
  let name = anchor;
  while (name && !page.anchors.has(name)) name = name.slice(0, Math.max(0, name.lastIndexOf(".")));
  if (!name && anchor.startsWith("v.")) name = page.rows.find((row) => row.anchor.startsWith(`${anchor}-`))?.anchor ?? "";
  if (name) {
    if (!list.places.has(name)) setQuery("");
    const variant = elementAt(list.places.get(name));
    variant.open = true;
    await draw(variant);
  }
  const target = document.getElementById(anchor) || document.getElementById(name);
  if (!target) return;
  for (let box = target.closest("details"); box; box = box.parentElement.closest("details")) box.open = true;
  target.scrollIntoView({ block: "start" });
  target.classList.toggle("target", true);
}

// The address gained a fragment of its own: a link was followed, or somebody typed one.
function followed() {
  for (const old of document.querySelectorAll(".target")) old.classList.remove("target");
  const { anchor, chosen: told } = address();
  if ([...told].length) takeOver(told);
  else remember(anchor);
  reveal(anchor);
}

function takeOver(told) {
  Object.assign(page, { query: told.get("q") || "", grouped: told.get("group") === "1", order: told.get("sort") in ORDERS ? told.get("sort") : "page" });
  field("find").value = page.query;
  update();
}

document.addEventListener("toggle", (event) => {
  const details = event.target;
  if (!details.open) return;
  if (details.classList.contains("variant")) draw(details).then(() => growTrees(details));
  else if (details.dataset.exchange) drawExchange(details);
}, true);

function listen() {
  field("find").addEventListener("input", (event) => {
    page.query = event.target.value;
    update();
    remember("");
  });
  field("order").addEventListener("change", (event) => setOrder(event.target.value, page.grouped));
  field("group").addEventListener("click", () => setOrder(page.order, !page.grouped));
  field("clear").addEventListener("click", () => {
    setQuery("");
    field("find").focus();
  });
  field("none").addEventListener("click", () => setQuery(""));
  field("help").addEventListener("click", () => field("keys").showModal());
  for (const button of document.querySelectorAll("[data-token]")) {
    button.addEventListener("click", () => setQuery(toggled(page.query, button.dataset.token, button.value)));
  }
  document.addEventListener("keydown", onKey);
  addEventListener("hashchange", followed);
  addEventListener("beforeprint", () => list.blocks.slice(0, PRINTED / BLOCK).forEach(fill));
}

// Rows that are made elements for paper; a printer is no place for the rest.
const PRINTED = 2000;

async function start() {
  document.querySelector(".nojs").hidden = true;
  for (const element of document.querySelectorAll("#list .variant")) list.kept.set(element.id, element);
  try {
    page.rows = await allRows();
  } catch (error) {
    field("problem").textContent = "This browser cannot unpack the page's data: what was drawn beforehand is shown, and cannot be filtered.";
    if (typeof DecompressionStream === "function") throw error;
    return;
  }
  page.anchors = new Set(page.rows.map((row) => row.anchor));
  page.names = namesOf(page.rows);
  keyTable();
  listen();
  const { anchor, chosen: told } = address();
  takeOver(told);
  document.documentElement.dataset.ready = "yes";
  await reveal(anchor);
}

start();
