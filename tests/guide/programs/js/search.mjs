import { GoogleGenAI } from "@google/genai";

const ai = new GoogleGenAI({});

const answer = await ai.interactions.create({
  model: "gemini-3.5-flash",
  input: "Who won the euro 2024?",
  tools: [{ type: "google_search" }],
});
const call = answer.steps.find((step) => step.type === "google_search_call");
const result = answer.steps.find((step) => step.type === "google_search_result");
console.log(...call.arguments.queries, call.id === result.call_id ? "same" : "other");
for (const block of answer.steps.at(-1).content) {
  for (const note of block.annotations) {
    const cited = Buffer.from(block.text).subarray(note.start_index, note.end_index).toString();
    console.log(`${cited} [${note.title}](${note.url})`);
  }
}
