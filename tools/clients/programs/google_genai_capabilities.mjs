// Google's SDK for JavaScript, on Node and in a browser: conversations, and every method of five resources.
import { z } from "zod";
import { AGENT, Location, MODEL, PNG, Recipe, temperatureIn, TOOL_DESCRIPTION, TOOL_NAME } from "./shared.mjs";

const TOOL = { type: "function", name: TOOL_NAME, description: TOOL_DESCRIPTION, parameters: z.toJSONSchema(Location) };
const NOT_METHODS = new Set(["constructor", "getClient", "resolveClient"]);

// A resource, and a function that fails where the SDK has a method that was not called.
function methodsOf(resource) {
  const names = Object.getOwnPropertyNames(Object.getPrototypeOf(resource)).filter((name) => !NOT_METHODS.has(name));
  const uncalled = new Set(names);
  const methods = new Proxy(resource, {
    get(target, name) {
      uncalled.delete(name);
      const value = target[name];
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  const allCalled = () => {
    if (uncalled.size) throw new Error(`not called: ${[...uncalled]}`);
  };
  return [methods, allCalled];
}

async function eventsOf(stream) {
  const events = [];
  for await (const event of await stream) events.push(event);
  return events;
}

export function capabilities(ai) {
  const create = (params) => ai.interactions.create({ model: MODEL, ...params });
  const results = (steps) =>
    steps
      .filter((step) => step.type === "function_call")
      .map((call) => ({ type: "function_result", name: call.name, call_id: call.id, result: temperatureIn(call.arguments) }));

  return {
    plain: async () => (await create({ input: "Explain how AI works in a few words" })).output_text,
    stream: async () =>
      (await eventsOf(create({ input: "Explain how AI works", stream: true })))
        .filter((event) => event.event_type === "step.delta" && event.delta.type === "text")
        .map((event) => event.delta.text)
        .join(""),
    tools: async () => {
      const first = await create({ input: "What is the temperature in London?", tools: [TOOL] });
      const input = results(first.steps);
      return (await create({ input, tools: [TOOL], previous_interaction_id: first.id })).output_text;
    },
    "tools stateless": async () => {
      const content = [{ type: "text", text: "What is the temperature in Paris?" }];
      const input = [{ type: "user_input", content }];
      const { steps } = await create({ input, tools: [TOOL], store: false });
      input.push(...steps, ...results(steps));
      return (await create({ input, tools: [TOOL], store: false })).output_text;
    },
    "second turn": async () => {
      const first = await create({ input: "I have 2 dogs in my house.", previous_interaction_id: null });
      const input = "How many paws are in my house?";
      return (await create({ input, previous_interaction_id: first.id })).output_text;
    },
    structured: async () => {
      const schema = z.toJSONSchema(Recipe);
      const response_format = { type: "text", mime_type: "application/json", schema };
      return (await create({ input: "Give me a recipe for banana bread", response_format })).output_text;
    },
    media: async () => {
      const input = [
        { type: "text", text: "What is in this picture?" },
        { type: "image", data: PNG, mime_type: "image/png" },
      ];
      return (await create({ input })).output_text;
    },
    search: async () =>
      (await create({ input: "Who won the euro 2024?", tools: [{ type: "google_search" }] })).output_text,
    agent: async () => {
      const input = "Write the first 20 Fibonacci numbers to fibonacci.txt.";
      const first = await ai.interactions.create({ agent: AGENT, input, environment: "remote" });
      await ai.interactions.create({
        agent: AGENT,
        input: "Now count its lines.",
        environment: first.environment_id,
        previous_interaction_id: first.id,
      });
      return first.output_text;
    },
    background: async () => {
      const input = "Describe the impact of artificial intelligence on modern healthcare.";
      let run = await create({ input, background: true });
      while (run.status === "in_progress") run = await ai.interactions.get(run.id);
      return run.output_text;
    },
    interactions: async () => {
      const [methods, allCalled] = methodsOf(ai.interactions);
      const run = await methods.create({ model: MODEL, input: "Take your time", background: true });
      const statuses = [run.status, (await methods.cancel(run.id)).status, (await methods.get(run.id)).status];
      await methods.delete(run.id);
      const answer = await create({ input: "Explain how AI works" });
      const events = await eventsOf(methods.get(answer.id, { stream: true }));
      const last_event_id = events[3].event_id;
      const rest = await eventsOf(methods.get(answer.id, { stream: true, last_event_id }));
      allCalled();
      return [...statuses, events.length - rest.length];
    },
    agents: async () => {
      const [methods, allCalled] = methodsOf(ai.agents);
      const settings = { base_agent: AGENT, system_instruction: "Rhyme.", base_environment: "remote" };
      const made = await methods.create({ id: "poet", ...settings });
      const poem = await ai.interactions.create({ agent: "poet", input: "Write a line" });
      const listed = (await methods.list()).agents.map((agent) => agent.id);
      const facts = [made.id, ...listed, (await methods.get("poet")).base_agent, poem.status];
      await methods.delete("poet");
      allCalled();
      return facts;
    },
    environments: async () => {
      const [methods, allCalled] = methodsOf(ai.environments);
      const [files, allFilesCalled] = methodsOf(ai.environments.files);
      const sources = [{ type: "inline", target: "main.py", content: "print(1)" }];
      const made = await methods.create({ sources, network: "disabled" });
      const worked = await ai.interactions.create({ agent: AGENT, input: "Go on", environment: made.id });
      const environment = made.id;
      const path = "data/numbers.txt";
      const up = await files.upload({ environment, path, file: new Blob(["1 2 3"]), mimeType: "text/plain" });
      const facts = [
        made.status,
        Number(made.file_count),
        worked.environment_id === made.id,
        (await methods.list()).environments.some((one) => one.id === made.id),
        Number((await methods.get(made.id)).file_count),
        up.files.map((file) => file.path),
        (await files.list({ environment, path: "data" })).files.map((file) => file.path),
        new TextDecoder().decode(await files.download({ environment, path })),
      ];
      await methods.delete(made.id);
      allCalled();
      allFilesCalled();
      return facts;
    },
    webhooks: async () => {
      const [methods, allCalled] = methodsOf(ai.webhooks);
      const hook = await methods.create({
        uri: "https://example.com/hook",
        subscribed_events: ["interaction.completed"],
        name: "mine",
      });
      const facts = [
        hook.state,
        (await methods.get(hook.id)).name,
        (await methods.update(hook.id, { name: "yours" })).name,
        (await methods.list()).webhooks.map((one) => one.name),
        Boolean((await methods.rotateSigningSecret(hook.id)).secret),
        // A server on loopback pings nobody else.
        await methods.ping(hook.id).catch((error) => error.status),
      ];
      await methods.delete(hook.id);
      allCalled();
      return facts;
    },
    triggers: async () => {
      const [methods, allCalled] = methodsOf(ai.triggers);
      const made = await methods.create({
        schedule: "0 9 * * 1-5",
        time_zone: "Europe/Berlin",
        display_name: "daily",
        interaction: { agent: AGENT, input: "Count my words" },
      });
      const facts = [
        made.status,
        (await methods.get(made.id)).display_name,
        (await methods.update(made.id, { status: "paused" })).status,
        (await methods.list()).triggers.some((one) => one.id === made.id),
        (await methods.run(made.id)).status,
        (await methods.listExecutions(made.id)).trigger_executions.map((one) => one.status),
      ];
      await methods.delete(made.id);
      allCalled();
      return facts;
    },
  };
}
