// The Vercel AI SDK over the Interactions API: google.interactions(…), stored and not.
import { createGoogle } from "@ai-sdk/google";
import { generateText, isStepCount, Output, streamText, tool } from "ai";
import { AGENT, Location, MODEL, PNG, Recipe, report, temperatureIn, TOOL_DESCRIPTION, TOOL_NAME } from "./shared.mjs";

const google = createGoogle({
  baseURL: `${process.env.GOOGLE_GEMINI_BASE_URL}/v1beta`,
  apiKey: process.env.GEMINI_API_KEY,
});
const model = google.interactions(MODEL);
const stateless = { providerOptions: { google: { store: false } } };
const until = { stopWhen: isStepCount(4) };
const tools = {
  [TOOL_NAME]: tool({ description: TOOL_DESCRIPTION, inputSchema: Location, execute: temperatureIn }),
};

async function streamed(settings) {
  let text = "";
  for await (const part of streamText({ model, ...settings }).fullStream) {
    if (part.type === "error") throw part.error;
    if (part.type === "text-delta") text += part.text;
  }
  return text;
}

async function secondTurn() {
  const first = await generateText({ model, prompt: "I have 2 dogs in my house." });
  const previousInteractionId = first.providerMetadata.google.interactionId;
  return (
    await generateText({
      model,
      prompt: "How many paws are in my house?",
      providerOptions: { google: { previousInteractionId } },
    })
  ).text;
}

async function secondTurnStateless() {
  const question = { role: "user", content: "I have 2 dogs in my house." };
  const first = await generateText({ model, messages: [question], ...stateless });
  const messages = [
    question,
    ...first.response.messages,
    { role: "user", content: "How many paws are in my house?" },
  ];
  return (await generateText({ model, messages, ...stateless })).text;
}

const asked = (city) => ({ model, prompt: `What is the temperature in ${city}?`, tools, ...until });
await report({
  plain: async () => (await generateText({ model, prompt: "Explain how AI works in a few words" })).text,
  stream: () => streamed({ prompt: "Explain how AI works" }),
  tools: async () => (await generateText(asked("London"))).text,
  "tools streamed": () => streamed(asked("Paris")),
  "tools stateless": async () => (await generateText({ ...asked("Rome"), ...stateless })).text,
  "second turn": secondTurn,
  "second turn stateless": secondTurnStateless,
  "tools parallel": async () =>
    (await generateText({ model, prompt: "What are the temperatures in London and Paris?", tools, ...until })).text,
  media: async () => {
    const picture = { type: "file", data: PNG, mediaType: "image/png" };
    const content = [{ type: "text", text: "What is in this picture?" }, picture];
    return (await generateText({ model, messages: [{ role: "user", content }] })).text;
  },
  search: async () => {
    const search = { google_search: google.tools.googleSearch({}) };
    return (await generateText({ model, prompt: "Who won the euro 2024?", tools: search })).text;
  },
  agent: async () =>
    (
      await generateText({
        model: google.interactions({ agent: AGENT }),
        prompt: "Write the first 20 Fibonacci numbers to fibonacci.txt.",
        providerOptions: { google: { environment: "remote" } },
      })
    ).text,
  "agent streamed": () =>
    streamed({
      model: google.interactions({ agent: AGENT }),
      prompt: "Write the first 20 Fibonacci numbers to fibonacci.txt, again.",
      providerOptions: { google: { environment: "remote" } },
    }),
  background: async () =>
    (
      await generateText({
        model: google.interactions({ agent: "deep-research-preview-04-2026" }),
        prompt: "Describe the impact of artificial intelligence on modern healthcare.",
        providerOptions: { google: { background: true } },
      })
    ).text,
  structured: async () => {
    const output = Output.object({ schema: Recipe });
    return JSON.stringify((await generateText({ model, prompt: "Give me a recipe for banana bread", output })).output);
  },
});
