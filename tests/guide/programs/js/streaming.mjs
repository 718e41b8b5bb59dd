import { GoogleGenAI } from "@google/genai";

const ai = new GoogleGenAI({});

let text = "";
let last;
for await (const event of await ai.interactions.create({ model: "gemini-3.5-flash", input: "Explain how AI works", stream: true })) {
  if (event.event_type === "step.delta" && event.delta.type === "text") text += event.delta.text;
  last = event;
}
console.log(text.split("\n")[0]);
console.log(last.event_type, last.interaction.status);
