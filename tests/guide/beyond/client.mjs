// What the SDK does beyond the guide; prints what it saw as one JSON object.
import { GoogleGenAI } from "@google/genai";

const model = "gemini-3.5-flash";
const url = process.env.GOOGLE_GEMINI_BASE_URL;
const ai = new GoogleGenAI({});
const seen = {};

async function refused(ask) {
  try {
    await ask();
  } catch (error) {
    return [error.constructor.name, error.status, JSON.parse(error.body).error.code];
  }
}

const wrong = new GoogleGenAI({ apiKey: "wrong" });
seen["bad request"] = await refused(() => ai.interactions.create({ model, input: "Hi", tools: [{ type: "telepathy" }] }));
seen["wrong key"] = await refused(() => wrong.interactions.create({ model, input: "Hi" }));
seen["unknown model"] = await refused(() => ai.interactions.create({ model: "gpt", input: "Hi" }));
seen["unknown interaction"] = await refused(() => ai.interactions.get("v1_unknown"));

const started = performance.now();
seen["after a retry"] = (await ai.interactions.create({ model, input: "overload me once" })).output_text;
seen["waited"] = (performance.now() - started) / 1000;

let last;
for await (const event of await ai.interactions.create({ model, input: "Answer with error 504", stream: true })) last = event;
seen["error in a stream"] = [last.event_type, last.error.code];

let text = "";
for await (const event of await ai.interactions.create({ model, input: "Explain how AI works", stream: true })) {
  if (event.event_type === "step.delta" && event.delta.type === "text") text += event.delta.text;
}
seen["streamed"] = text.split("\n")[0];

const made = await ai.interactions.create({ model, input: [{ type: "text", text: "Hi" }], previous_interaction_id: null });
const kept = await ai.interactions.get(made.id, { include_input: true });
seen["with input"] = [kept.steps.map((step) => step.type), kept.input[0].content[0].text];
seen["without input"] = (await ai.interactions.get(made.id)).input === undefined;

for (const version of ["v1", "v1beta", "v1alpha", ""]) {
  const other = new GoogleGenAI({ apiVersion: version });
  seen[`version ${version}`] = (await other.interactions.create({ model, input: "Hi" })).status;
}
const behind = new GoogleGenAI({ httpOptions: { baseUrl: `${url}/some/prefix/` } });
seen["prefix"] = (await behind.interactions.create({ model, input: "Hi" })).status;
const revised = new GoogleGenAI({ httpOptions: { headers: { "Api-Revision": "2026-05-20" } } });
seen["revision"] = (await revised.interactions.create({ model, input: "Hi" })).status;

console.log(JSON.stringify(seen));
