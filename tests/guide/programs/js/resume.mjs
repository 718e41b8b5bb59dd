import { GoogleGenAI } from "@google/genai";

const ai = new GoogleGenAI({});

async function all(stream) {
  const events = [];
  for await (const event of stream) events.push(event);
  return events;
}

const events = await all(await ai.interactions.create({ model: "gemini-3.5-flash", input: "Explain how AI works", stream: true }));
const { id } = events[0].interaction;
const rest = await all(await ai.interactions.get(id, { stream: true, last_event_id: events[9].event_id }));
const same = JSON.stringify(rest.map((event) => event.event_id)) === JSON.stringify(events.slice(10).map((event) => event.event_id));
console.log(same ? "same" : "other");
const kept = await ai.interactions.get(id, { include_input: true });
console.log(...kept.steps.map((step) => step.type));
console.log(kept.input[0].content[0].text);
