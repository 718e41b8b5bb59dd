// TanStack AI over the Interactions API: the experimental adapter geminiTextInteractions.
import { chat, maxIterations, toolDefinition } from "@tanstack/ai";
import { googleSearchTool } from "@tanstack/ai-gemini/tools";
import { createGeminiTextInteractions } from "@tanstack/ai-gemini/experimental";
import { Location, MODEL, PNG, Recipe, report, temperatureIn, TOOL_DESCRIPTION, TOOL_NAME } from "./shared.mjs";

const adapter = createGeminiTextInteractions(MODEL, process.env.GEMINI_API_KEY);
const temperature = toolDefinition({
  name: TOOL_NAME,
  description: TOOL_DESCRIPTION,
  inputSchema: Location,
}).server(temperatureIn);

// Every turn of this adapter is streamed.
async function converse(prompt, settings = {}) {
  let text = "";
  let id;
  const messages = [{ role: "user", content: prompt }];
  for await (const chunk of chat({ adapter, messages, agentLoopStrategy: maxIterations(4), ...settings })) {
    if (chunk.type === "RUN_ERROR") throw new Error(chunk.message);
    if (chunk.type === "TEXT_MESSAGE_CONTENT") text += chunk.delta;
    if (chunk.type === "CUSTOM" && chunk.name === "gemini.interactionId") id = chunk.value.interactionId;
  }
  return { text, id };
}

async function secondTurn() {
  const { id } = await converse("I have 2 dogs in my house.");
  return converse("How many paws are in my house?", { modelOptions: { previous_interaction_id: id } });
}

const user = (content) => [{ role: "user", content }];
await report({
  plain: () => chat({ adapter, messages: user("Explain how AI works in a few words"), stream: false }),
  stream: async () => (await converse("Explain how AI works")).text,
  tools: async () => (await converse("What is the temperature in London?", { tools: [temperature] })).text,
  "second turn": async () => (await secondTurn()).text,
  "tools parallel": async () =>
    (await converse("What are the temperatures in London and Paris?", { tools: [temperature] })).text,
  media: async () => {
    const source = { type: "data", value: PNG, mimeType: "image/png" };
    return (await converse([{ type: "text", content: "What is in this picture?" }, { type: "image", source }])).text;
  },
  search: async () => (await converse("Who won the euro 2024?", { tools: [googleSearchTool()] })).text,
  structured: async () =>
    JSON.stringify(await chat({ adapter, messages: user("Give me a recipe for banana bread"), outputSchema: Recipe })),
});
