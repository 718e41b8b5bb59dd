// The page: filter, order and groups, their state in the address, bodies that are rendered when a
// variant is opened, links to what is closed or not rendered yet.

const page = { rows: [], anchors: new Set(), names: [], query: "", order: "page", grouped: false };
const element = (id) => document.getElementById(id);

// Rows that get elements for printing; more would not be read on paper.
const PRINTED = 2000;

// The state is in the fragment, which a file:// address keeps too:
// #v.some-variant?q=status:failed&sort=tokens&group=1
function readAddress() {
  const [anchor, text = ""] = location.hash.slice(1).split("?");
  return { anchor: decodeURIComponent(anchor), state: new URLSearchParams(text) };
}

function writeAddress(anchor) {
  const state = new URLSearchParams();
  if (page.query.trim()) state.set("q", page.query.trim());
  if (page.order !== "page") state.set("sort", page.order);
  if (page.grouped) state.set("group", "1");
  const text = state.toString().replaceAll("%3A", ":").replaceAll("%2C", ",");
  const fragment = `${anchor}${text ? `?${text}` : ""}`;
  if (fragment !== location.hash.slice(1))
    history.replaceState(null, "", fragment ? `#${fragment}` : "#");
}

function update() {
  const query = parseQuery(page.query, page.names);
  const rows = query.empty ? page.rows : page.rows.filter(query.test);
  const [shown, total] = [rows.length, page.rows.length];
  showSections(arrange(rows, page.order, page.grouped));
  element("shown").textContent =
    (shown === total ? "" : `${grouped(shown)} of `) + count(total, tables.noun);
  element("problem").textContent = visible(query.problems.join(" "));
  element("clear").disabled = !page.query.trim();
  element("none").hidden = shown > 0 || !total;
  element("order").value = page.order;
  element("group").setAttribute("aria-pressed", String(page.grouped));
  for (const button of document.querySelectorAll("[data-token]")) {
    const isPressed = isChosen(page.query, button.dataset.token, button.value);
    button.setAttribute("aria-pressed", String(isPressed));
  }
}

function setQuery(text) {
  page.query = text;
  element("find").value = text;
  update();
  writeAddress("");
}

function setOrder(order, isGrouped) {
  Object.assign(page, { order: order in ORDERS ? order : "page", grouped: isGrouped });
  update();
  writeAddress("");
}

function nextOrder() {
  const orders = Object.keys(ORDERS);
  setOrder(orders[(orders.indexOf(page.order) + 1) % orders.length], page.grouped);
}

async function renderBody(variant) {
  const body = variant.querySelector(":scope > .body");
  if (!body.classList.contains("later")) return;
  body.classList.remove("later");
  try {
    const result = JSON.parse(await resultLine(variant));
    body.replaceChildren(...bodyElements(result, variant.id, variant.dataset.line));
  } catch (error) {
    body.prepend(unreadable(variant.dataset.line));
    if (typeof DecompressionStream === "function") throw error;
  }
}

// The anchor of the variant that an anchor belongs to, "" if there is none. The anchor of a
// scenario leads to its first variant.
function variantAnchor(anchor) {
  let name = anchor;
  while (name && !page.anchors.has(name)) name = name.slice(0, Math.max(0, name.lastIndexOf(".")));
  if (name || !anchor.startsWith("v.")) return name;
  return page.rows.find((row) => row.anchor.startsWith(`${anchor}-`))?.anchor ?? "";
}

// Opens what the address names and everything it is in.
async function reveal(anchor) {
  if (!anchor) return;
  const name = variantAnchor(anchor);
  if (name) {
    if (!list.positions.has(name)) setQuery("");
    const variant = elementAt(list.positions.get(name));
    variant.open = true;
    await renderBody(variant);
  }
  const target = element(anchor) || element(name);
  if (!target) return;
  for (let box = target.closest("details"); box; box = box.parentElement.closest("details"))
    box.open = true;
  target.scrollIntoView({ block: "start" });
  target.classList.add("target");
}

function applyState(state) {
  const order = state.get("sort");
  page.query = state.get("q") || "";
  page.grouped = state.get("group") === "1";
  page.order = order in ORDERS ? order : "page";
  element("find").value = page.query;
  update();
}

// Called when a link was followed or the address was edited.
function onAddressChange() {
  for (const old of document.querySelectorAll(".target")) old.classList.remove("target");
  const { anchor, state } = readAddress();
  if ([...state].length) applyState(state);
  else writeAddress(anchor);
  reveal(anchor);
}

document.addEventListener(
  "toggle",
  (event) => {
    const details = event.target;
    if (!details.open || document.documentElement.dataset.ready !== "yes") return;
    if (details.classList.contains("variant")) renderBody(details).then(() => addTrees(details));
    else if (details.dataset.exchange) renderExchange(details);
  },
  true,
);

function listen() {
  element("find").addEventListener("input", (event) => {
    page.query = event.target.value;
    update();
    writeAddress("");
  });
  element("order").addEventListener("change", (event) =>
    setOrder(event.target.value, page.grouped),
  );
  element("group").addEventListener("click", () => setOrder(page.order, !page.grouped));
  element("clear").addEventListener("click", () => {
    setQuery("");
    element("find").focus();
  });
  element("none").addEventListener("click", () => setQuery(""));
  element("help").addEventListener("click", () => element("keys").showModal());
  for (const button of document.querySelectorAll("[data-token]")) {
    button.addEventListener("click", () =>
      setQuery(toggled(page.query, button.dataset.token, button.value)),
    );
  }
  document.addEventListener("keydown", onKey);
  addEventListener("hashchange", onAddressChange);
  addEventListener("beforeprint", () => list.blocks.slice(0, PRINTED / BLOCK).forEach(fillBlock));
}

async function start() {
  try {
    page.rows = await allRows();
  } catch (error) {
    element("problem").textContent =
      "This browser cannot read the page's data; what is shown as plain text cannot be filtered.";
    if (typeof DecompressionStream === "function") throw error;
    return;
  }
  document.querySelector(".nojs").hidden = true;
  for (const variant of document.querySelectorAll("#list .variant")) {
    list.plainText.set(variant.id, variant.querySelector(":scope > .plain-text"));
  }
  page.anchors = new Set(page.rows.map((row) => row.anchor));
  page.names = namesOf(page.rows);
  keyTable();
  listen();
  const { anchor, state } = readAddress();
  applyState(state);
  document.documentElement.dataset.ready = "yes";
  await reveal(anchor);
}

start();
