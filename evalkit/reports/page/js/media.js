// Images, sound and video: shown only where their type is known to be safe.
//
// Media come from a model or a user. Other types (SVG, HTML, PDF, …), data that is not base64 and
// data too large for the page are described; a large file is shown from beside the page. The type is
// never guessed.

const SAFE_MEDIA = Object.assign(Object.create(null), {
  "image/png": "img",
  "image/jpeg": "img",
  "image/gif": "img",
  "image/webp": "img",
  "image/avif": "img",
  "image/bmp": "img",
  "audio/mp3": "audio",
  "audio/mpeg": "audio",
  "audio/wav": "audio",
  "audio/x-wav": "audio",
  "audio/ogg": "audio",
  "audio/flac": "audio",
  "audio/aac": "audio",
  "audio/mp4": "audio",
  "audio/webm": "audio",
  "video/mp4": "video",
  "video/webm": "video",
  "video/ogg": "video",
});
const MEDIA_TYPES = ["image", "audio", "video", "document"];

function figure(caption, element = null, address = null) {
  return make("figure", { class: "media" }, element, make("figcaption", null, caption, address));
}

function mediaFigure(block) {
  const hasType = typeof block.mime_type === "string";
  const mime = hasType ? block.mime_type.toLowerCase() : `${block.type} without a type`;
  if (typeof block.data !== "string") {
    const uri = typeof block.uri === "string" ? block.uri : "";
    if (!uri) return figure(`${mime}, without data`);
    const address = webAddress(uri) ? webLink(uri, uri) : make("code", null, uri);
    return figure(`${mime}, by reference`, null, [" ", address]);
  }
  const [, file] = /^evalkit-media:sha256:([0-9a-f]{64}\.[a-z0-9]{1,8})$/u.exec(block.data) ?? [];
  if (file) return shown(mime, `${mime}, in media/${file} beside this page`, `media/${file}`);
  const isStored = block.data.startsWith(tables.mediaName);
  const data = isStored ? storedMedia(block.data.slice(tables.mediaName.length)) : block.data;
  if (isStored && !data) return figure(`${mime}, not shown; the data is in the run directory`);
  if (!/^[A-Za-z0-9+/]+={0,2}$/u.test(data)) {
    return figure(
      `${mime}, ${grouped(codePoints(data))} characters that are not base64, not shown`,
    );
  }
  const caption = `${mime}, ${byteSize(Math.floor((data.replace(/=+$/u, "").length * 3) / 4))}`;
  return shown(mime, caption, `data:${mime};base64,${data}`);
}

function shown(mime, caption, src) {
  const tag = SAFE_MEDIA[mime];
  if (!tag) return figure(`${caption}, not shown; the data is in the run directory`);
  const options =
    tag === "img" ? { src, alt: caption } : { src, controls: "controls", preload: "metadata" };
  return figure(caption, make(tag, options));
}
