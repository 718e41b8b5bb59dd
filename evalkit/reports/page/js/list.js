// The list: rows in blocks, of which only those near the window are elements. A block far away is an empty box of the height it had.
//
// Rows that the page was drawn with are kept as they are; others are made from their data when their block comes near, and dropped again when
// it is far, unless one of them is open or has the focus. So ten rows or a hundred thousand cost the same to scroll.

const BLOCK = 50;
const ROW_HEIGHT = 35;
const list = { sections: [], blocks: [], rows: [], places: new Map(), kept: new Map() };

const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const block = list.blocks[Number(entry.target.dataset.block)];
    if (!block || block.box !== entry.target) continue;
    if (entry.isIntersecting) fill(block);
    else empty(block);
  }
}, { rootMargin: "1200px 0px" });

function rowElement(row, whole) {
  const name = whole ? `${row.suite}::${row.name}` : row.name;
  const number = (value, text) => make("span", { class: "num" }, value === null ? "" : text);
  return make("details", { class: `variant ${row.verdict}${row.warned ? " warned" : ""}`, id: row.anchor, "data-at": row.at, "data-line": row.line, "data-tags": row.tags.join("\n") },
    make("summary", null,
      make("b", { class: "badge" }, row.verdict),
      make("h3", null, name, row.title ? [" ", make("small", null, row.title)] : null), "\n",
      make("span", { class: "tags" }, row.tags.flatMap((tag) => [make("i", null, tag), " "])),
      number(row.tokens, count(row.tokens ?? 0, "token")), " ",
      number(row.exchanges, count(row.exchanges ?? 0, "exchange")), " ",
      make("span", { class: "num" }, duration(row.time)),
      row.message ? make("span", { class: "message" }, row.message) : null),
    make("div", { class: "body later" }));
}

function elementOf(row, whole) {
  const kept = list.kept.get(row.anchor);
  if (!kept) return rowElement(row, whole);
  const title = kept.querySelector(":scope > summary > h3").firstChild;
  title.data = visible(whole ? `${row.suite}::${row.name}` : row.name) + (title.nextSibling ? " " : "");
  return kept;
}

// The one thing about style that is not in the style sheet: numbers of ours, never text of a model.
const setHeight = (box, height) => box.style.setProperty("block-size", height);

function fill(block) {
  if (block.filled) return;
  block.filled = true;
  block.box.replaceChildren(...block.rows.map((row) => elementOf(row, block.whole)));
  setHeight(block.box, "auto");
}

function empty(block) {
  if (!block.filled || block.box.contains(document.activeElement) || block.box.querySelector(":scope > [open]")) return;
  setHeight(block.box, `${block.box.offsetHeight}px`);
  block.box.replaceChildren();
  block.filled = false;
}

// A section's heading, told as the page's own headings are.
function heading(section) {
  return make("h2", { id: section.key },
    section.code ? [make("code", null, section.code), " "] : null,
    make("a", { href: `#${section.key}` }, section.title),
    section.code || section.key === "group.quiet"
      ? [" ", make("span", null, count(section.rows.length, "variant"))]
      : counted(section.rows).map(([verdict, number]) => [" ", make("span", { class: verdict }, `${grouped(number)} ${verdict}`)]));
}

// Puts rows on the page, as sections from order.js.
function show(sections) {
  for (const element of document.querySelectorAll(".variant[open]")) list.kept.set(element.id, element);
  watcher.disconnect();
  Object.assign(list, { sections, blocks: [], rows: sections.flatMap((one) => one.rows) });
  list.places = new Map(list.rows.map((row, index) => [row.anchor, index]));
  let place = 0;
  const made = sections.map((section) => {
    const rows = make("div", { class: "sheet" });
    for (let at = 0; at < section.rows.length; at += BLOCK) {
      const own = section.rows.slice(at, at + BLOCK);
      const box = make("div", { class: "block", "data-block": String(list.blocks.length) });
      setHeight(box, `${own.length * ROW_HEIGHT}px`);
      list.blocks.push({ box, rows: own, first: place, filled: false, whole: section.whole });
      place += own.length;
      rows.append(box);
    }
    return make("section", { class: "suite", "aria-labelledby": section.key }, heading(section), rows);
  });
  let drawn = 0;
  for (const block of list.blocks) {
    if (drawn >= BLOCK) break;
    fill(block);
    drawn += block.rows.length;
  }
  document.getElementById("list").replaceChildren(...made);
  for (const block of list.blocks) watcher.observe(block.box);
}

function blockOf(place) {
  let [low, high] = [0, list.blocks.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (list.blocks[middle].first <= place) low = middle;
    else high = middle - 1;
  }
  return list.blocks[low];
}

// The element of the row at a place of the list, made if need be; null where there is none.
function elementAt(place) {
  if (place < 0 || place >= list.rows.length) return null;
  fill(blockOf(place));
  return document.getElementById(list.rows[place].anchor);
}
