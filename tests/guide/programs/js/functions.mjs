import fs from "node:fs";
import { GoogleGenAI } from "@google/genai";

const ai = new GoogleGenAI({});

const tool = JSON.parse(fs.readFileSync("weather.json", "utf8"));
const degrees = { London: "22", Paris: "25" };

let input = "What are the temperatures in London and Paris?";
let previous = null;
let answer;
while (input.length) {
  answer = await ai.interactions.create({ model: "gemini-3.5-flash", input, tools: [tool], previous_interaction_id: previous });
  console.log(answer.status);
  input = answer.steps
    .filter((step) => step.type === "function_call")
    .map(({ id, name, arguments: { location } }) => {
      const result = { location, temperature: degrees[location], unit: "celsius" };
      return { type: "function_result", name, call_id: id, result };
    });
  previous = answer.id;
}
console.log(answer.output_text);
