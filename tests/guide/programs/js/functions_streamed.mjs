import fs from "node:fs";
import { GoogleGenAI } from "@google/genai";

const ai = new GoogleGenAI({});

const tool = JSON.parse(fs.readFileSync("weather.json", "utf8"));

let input = "What is the temperature in London?";
let previous = null;
let text;
while (input.length) {
  const calls = new Map();
  text = "";
  const stream = await ai.interactions.create({
    model: "gemini-3.5-flash",
    input,
    tools: [tool],
    previous_interaction_id: previous,
    stream: true,
  });
  for await (const event of stream) {
    if (event.event_type === "interaction.created") previous = event.interaction.id;
    if (event.event_type === "step.start" && event.step.type === "function_call") calls.set(event.index, { ...event.step, json: "" });
    if (event.event_type === "step.delta" && event.delta.type === "arguments_delta") calls.get(event.index).json += event.delta.arguments;
    if (event.event_type === "step.delta" && event.delta.type === "text") text += event.delta.text;
    if (event.event_type === "interaction.completed") console.log(event.interaction.status);
  }
  input = [...calls.values()].map(({ id, name, json }) => {
    const result = { ...JSON.parse(json), temperature: "22", unit: "celsius" };
    return { type: "function_result", name, call_id: id, result };
  });
}
console.log(text);
