import { setTimeout } from "node:timers/promises";
import { GoogleGenAI } from "@google/genai";

const ai = new GoogleGenAI({});

let run = await ai.interactions.create({
  model: "gemini-3.5-flash",
  input: "Tell me about the impact of artificial intelligence on modern healthcare.",
  background: true,
});
console.log(run.status);
while (run.status === "in_progress") {
  run = await ai.interactions.get(run.id);
  console.log(run.status);
  await setTimeout(10);
}
console.log(run.output_text.split("\n")[0]);
