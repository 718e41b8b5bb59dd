// The list of variants: rows in blocks, of which only those near the window have elements.
//
// Rows are made from their data when their block comes near, and removed when it is far, unless one
// is open or has the focus; the empty block keeps its height. So scrolling ten rows costs as much
// as scrolling a hundred thousand. The plain text that the page has without JavaScript stays in a
// row until it is opened: it is what gets printed of a failure nobody opened.

const BLOCK = 50;
const ROW_HEIGHT = 35;
const list = {
  blocks: [],
  rows: [],
  positions: new Map(),
  rendered: new Map(),
  plainText: new Map(),
};

const watcher = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) {
      const block = list.blocks[Number(entry.target.dataset.block)];
      if (!block || block.box !== entry.target) continue;
      if (entry.isIntersecting) fillBlock(block);
      else emptyBlock(block);
    }
  },
  { rootMargin: "1200px 0px" },
);

function rowElement(row, whole) {
  const name = whole ? `${row.suite}::${row.name}` : row.name;
  const number = (value, text) => make("span", { class: "num" }, value === null ? "" : text);
  return make(
    "details",
    {
      class: `variant ${row.verdict}${row.warned ? " warned" : ""}`,
      id: row.anchor,
      "data-at": row.at,
      "data-line": row.line,
    },
    make(
      "summary",
      null,
      make("b", { class: "badge" }, row.verdict),
      make("h3", null, name, row.title ? [" ", make("small", null, row.title)] : null),
      "\n",
      make(
        "span",
        { class: "tags" },
        row.kind ? [make("i", { class: "kind" }, "application test"), " "] : null,
        row.tags.flatMap((tag) => [make("i", null, tag), " "]),
      ),
      number(row.tokens, count(row.tokens ?? 0, "token")),
      " ",
      number(row.exchanges, count(row.exchanges ?? 0, "exchange")),
      " ",
      make("span", { class: "num" }, duration(row.time)),
      row.message ? make("span", { class: "message" }, row.message) : null,
    ),
    make("div", { class: "body later" }, list.plainText.get(row.anchor)),
  );
}

// The element of a row that was open before, its name adapted, or a new one.
function elementOf(row, whole) {
  const rendered = list.rendered.get(row.anchor);
  if (!rendered) return rowElement(row, whole);
  const name = rendered.querySelector(":scope > summary > h3").firstChild;
  name.data = visible(whole ? `${row.suite}::${row.name}` : row.name);
  return rendered;
}

// The only style outside the style sheet: numbers of the script, never text of a model.
const setHeight = (box, height) => box.style.setProperty("block-size", height);

function fillBlock(block) {
  if (block.filled) return;
  block.filled = true;
  block.box.replaceChildren(...block.rows.map((row) => elementOf(row, block.whole)));
  setHeight(block.box, "auto");
}

function emptyBlock(block) {
  if (
    !block.filled ||
    block.box.contains(document.activeElement) ||
    block.box.querySelector(":scope > [open]")
  )
    return;
  setHeight(block.box, `${block.box.offsetHeight}px`);
  block.box.replaceChildren();
  block.filled = false;
}

// A section's heading, as in page.html.
function heading(section) {
  return make(
    "h2",
    { id: section.key },
    section.code ? [make("code", null, section.code), " "] : null,
    make("a", { href: `#${section.key}` }, section.title),
    section.code || section.key === "group.others"
      ? [" ", make("span", null, count(section.rows.length, tables.noun))]
      : counted(section.rows).map(([verdict, number]) => [
          " ",
          make("span", { class: verdict }, `${grouped(number)} ${verdict}`),
        ]),
  );
}

// Shows sections of rows (sorting.js).
function showSections(sections) {
  for (const one of document.querySelectorAll("#list .variant[open]"))
    list.rendered.set(one.id, one);
  watcher.disconnect();
  Object.assign(list, { blocks: [], rows: sections.flatMap((one) => one.rows) });
  list.positions = new Map(list.rows.map((row, index) => [row.anchor, index]));
  let first = 0;
  const elements = sections.map((section) => {
    const rows = make("div", { class: "sheet" });
    for (let at = 0; at < section.rows.length; at += BLOCK) {
      const rowsOfBlock = section.rows.slice(at, at + BLOCK);
      const box = make("div", { class: "block", "data-block": String(list.blocks.length) });
      setHeight(box, `${rowsOfBlock.length * ROW_HEIGHT}px`);
      list.blocks.push({ box, rows: rowsOfBlock, first, filled: false, whole: section.whole });
      first += rowsOfBlock.length;
      rows.append(box);
    }
    return make(
      "section",
      { class: "suite", "aria-labelledby": section.key },
      heading(section),
      rows,
    );
  });
  for (const block of list.blocks.filter((one) => one.first < BLOCK)) fillBlock(block);
  document.getElementById("list").replaceChildren(...elements);
  for (const block of list.blocks) watcher.observe(block.box);
}

function blockOf(position) {
  let [low, high] = [0, list.blocks.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (list.blocks[middle].first <= position) low = middle;
    else high = middle - 1;
  }
  return list.blocks[low];
}

// The element of the row at a position of the list, made if needed; null if there is no such row.
function elementAt(position) {
  if (position < 0 || position >= list.rows.length) return null;
  fillBlock(blockOf(position));
  return document.getElementById(list.rows[position].anchor);
}
