import { GoogleGenAI } from "@google/genai";

const ai = new GoogleGenAI({});

const first = await ai.interactions.create({
  agent: "antigravity-preview-05-2026",
  input: "Write the first 20 Fibonacci numbers to fibonacci.txt with a script, and show the file.",
  environment: "remote",
});
console.log(...first.steps.map((step) => step.type));
console.log(first.output_text.split("\n").at(-1));
const second = await ai.interactions.create({
  agent: "antigravity-preview-05-2026",
  input: "Now count its lines.",
  environment: first.environment_id,
  previous_interaction_id: first.id,
});
console.log(second.status, second.environment_id === first.environment_id ? "same" : "other");
