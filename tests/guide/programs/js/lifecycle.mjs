import { GoogleGenAI } from "@google/genai";

const ai = new GoogleGenAI({});

const run = await ai.interactions.create({ model: "gemini-3.5-flash", input: "Take your time", background: true });
console.log(run.status);
console.log((await ai.interactions.cancel(run.id)).status);
console.log((await ai.interactions.get(run.id)).status);
await ai.interactions.delete(run.id);
try {
  await ai.interactions.get(run.id);
} catch (error) {
  console.log(error.status);
}
