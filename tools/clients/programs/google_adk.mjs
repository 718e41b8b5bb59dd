// Google's Agent Development Kit for JavaScript over the Interactions API.
import { FunctionTool, Gemini, GOOGLE_SEARCH, InMemoryRunner, LlmAgent, LogLevel, setLogLevel, StreamingMode } from "@google/adk";
import { Location, MODEL, PNG, Recipe, report, temperatureIn, TOOL_DESCRIPTION, TOOL_NAME } from "./shared.mjs";

setLogLevel(LogLevel.ERROR); // its log goes to the output
const model = new Gemini({ model: MODEL, useInteractionsApi: true });
const temperature = new FunctionTool({
  name: TOOL_NAME,
  description: TOOL_DESCRIPTION,
  parameters: Location,
  execute: temperatureIn,
});

async function converse(prompts, { stream = false, ...settings } = {}) {
  const agent = new LlmAgent({ name: "helper", model, instruction: "You are helpful.", ...settings });
  const runner = new InMemoryRunner({ agent, appName: "clients" });
  const session = await runner.sessionService.createSession({ appName: "clients", userId: "me" });
  let answer = "";
  let partial = "";
  for (const prompt of prompts) {
    for await (const event of runner.runAsync({
      userId: "me",
      sessionId: session.id,
      newMessage: { role: "user", parts: typeof prompt === "string" ? [{ text: prompt }] : prompt },
      runConfig: { streamingMode: stream ? StreamingMode.SSE : StreamingMode.NONE },
    })) {
      if (event.errorCode) throw new Error(`${event.errorCode}: ${event.errorMessage}`);
      const text = (event.content?.parts ?? []).map((part) => (part.thought ? "" : (part.text ?? ""))).join("");
      if (event.partial) partial += text;
      else if (text) answer = text;
    }
  }
  if (stream && !partial.includes(answer)) throw new Error(`streamed ${partial}, but the answer is ${answer}`);
  return answer;
}

const tools = [temperature];
await report({
  plain: () => converse(["Explain how AI works in a few words"]),
  stream: () => converse(["Explain how AI works"], { stream: true }),
  tools: () => converse(["What is the temperature in London?"], { tools }),
  "tools streamed": () => converse(["What is the temperature in Paris?"], { tools, stream: true }),
  "second turn": () => converse(["I have 2 dogs in my house.", "How many paws are in my house?"]),
  "tools parallel": () => converse(["What are the temperatures in London and Paris?"], { tools }),
  media: () => converse([[{ text: "What is in this picture?" }, { inlineData: { data: PNG, mimeType: "image/png" } }]]),
  search: () => converse(["Who won the euro 2024?"], { tools: [GOOGLE_SEARCH] }),
  structured: () => converse(["Give me a recipe for banana bread"], { outputSchema: Recipe }),
});
process.exit(0); // the runner's telemetry would wait
