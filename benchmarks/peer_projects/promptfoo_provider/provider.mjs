// Runs both turns of a conversation, calls included; responses come from promptfoo's cache.
import promptfoo from 'promptfoo';

const url = `${process.env.GOOGLE_GEMINI_BASE_URL}/v1beta/interactions`;
const tool = {
  type: 'function',
  name: 'get_current_temperature',
  description: 'Gets the current temperature for a given location.',
  parameters: {
    type: 'object',
    properties: { location: { type: 'string', description: 'The city name' } },
    required: ['location'],
  },
};

async function ask(history, text, temperature) {
  history.push({ type: 'user_input', content: [{ type: 'text', text }] });
  const first = history.length;
  for (;;) {
    const { data } = await promptfoo.cache.fetchWithCache(url, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'x-goog-api-key': process.env.GEMINI_API_KEY },
      body: JSON.stringify({ model: 'gemini-3.5-flash', store: false, input: history, tools: [tool] }),
    });
    history.push(...data.steps);
    const calls = data.steps.filter((step) => step.type === 'function_call');
    if (calls.length === 0) return history.slice(first);
    for (const call of calls) {
      const result = JSON.stringify({ ...call.arguments, temperature, unit: 'celsius' });
      history.push({
        type: 'function_result',
        name: call.name,
        call_id: call.id,
        result: [{ type: 'text', text: result }],
      });
    }
  }
}

export default class Conversation {
  id() {
    return 'conversation';
  }

  async callApi(prompt, context) {
    const history = [];
    const first = await ask(history, prompt, context.vars.temperature);
    const second = await ask(history, 'Thank you. Repeat location and unit as JSON.', context.vars.temperature);
    return { output: [first, second] };
  }
}
