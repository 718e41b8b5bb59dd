import fs from "node:fs";
import { GoogleGenAI } from "@google/genai";

const ai = new GoogleGenAI({});

const tool = JSON.parse(fs.readFileSync("weather.json", "utf8"));
const degrees = { London: "22", Paris: "25" };

const history = [{ type: "user_input", content: [{ type: "text", text: "What are the temperatures in London and Paris?" }] }];
let answer;
let called = true;
while (called) {
  answer = await ai.interactions.create({ model: "gemini-3.5-flash", store: false, input: history, tools: [tool] });
  called = false;
  for (const step of answer.steps) {
    history.push(step);
    if (step.type !== "function_call") continue;
    called = true;
    const { location } = step.arguments;
    const text = JSON.stringify({ location, temperature: degrees[location], unit: "celsius" });
    history.push({ type: "function_result", name: step.name, call_id: step.id, result: [{ type: "text", text }] });
  }
}
console.log(...history.map((step) => step.type));
console.log(answer.output_text);
