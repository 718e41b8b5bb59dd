// What the SDK does beyond the guide; prints what it saw as one JSON object.
import { GoogleGenAI } from "@google/genai";

const model = "gemini-3.5-flash";
const url = process.env.GOOGLE_GEMINI_BASE_URL;
const ai = new GoogleGenAI({});
const seen = {};
console.warn = () => {}; // agents and environments say that they are experimental

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

const told = await ai.interactions.create({ model, input: "Tell me a story in parts" });
seen["continued"] = [told.status, told.output_text, told.usage.total_tokens, told.continuation_ids.length];

const base = "antigravity-preview-05-2026";
const agent = await ai.agents.create({ id: "poet", base_agent: base, system_instruction: "Rhyme.", base_environment: "remote" });
const poem = await ai.interactions.create({ agent: "poet", input: "Write a line" });
const { agents } = await ai.agents.list();
seen["agent"] = [agent.id, agents.map((one) => one.id), (await ai.agents.get("poet")).base_agent, poem.agent, poem.status];
await ai.agents.delete("poet");
seen["agent deleted"] = await refused(() => ai.agents.get("poet"));

const source = { type: "inline", target: "main.py", content: "print(1)" };
const place = await ai.environments.create({ sources: [source], network: "disabled" });
const worked = await ai.interactions.create({ agent: base, input: "Go on", environment: place.id });
seen["environment"] = [place.status, Number(place.file_count), Number(place.size_bytes), worked.environment_id === place.id];
const { environments } = await ai.environments.list();
seen["environments"] = String(environments.map((one) => one.id).sort()) === String([place.id, poem.environment_id].sort());
await ai.environments.delete(place.id);
seen["environment deleted"] = await refused(() => ai.environments.get(place.id));

const hook = await ai.webhooks.create({ uri: "https://example.com/hook", subscribed_events: ["interaction.completed"], name: "mine" });
seen["webhook"] = [hook.state, hook.new_signing_secret.slice(0, 6), (await ai.webhooks.update(hook.id, { name: "yours" })).name];
seen["rotated"] = (await ai.webhooks.rotateSigningSecret(hook.id)).secret !== hook.new_signing_secret;
seen["webhooks"] = (await ai.webhooks.list()).webhooks.map((one) => one.name);
await ai.webhooks.delete(hook.id);
seen["webhook deleted"] = await refused(() => ai.webhooks.get(hook.id));

console.log(JSON.stringify(seen));
