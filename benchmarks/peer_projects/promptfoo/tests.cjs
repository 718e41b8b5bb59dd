// Three tests for each conversation: a question, the result of the call, a second question.
const fs = require('node:fs');
const path = require('node:path');

const types = (...names) => ({
  type: 'javascript',
  value: `JSON.stringify(output.map((step) => step.type).filter((type) => type !== 'thought')) === '${JSON.stringify(names)}'`,
});
const calls = (name, args) => ({
  type: 'javascript',
  value: `JSON.stringify(output.filter((step) => step.type === 'function_call').map((step) => [step.name, step.arguments])) === '${JSON.stringify([[name, args]])}'`,
});
const outputText =
  "output.filter((step) => step.type === 'model_output').flatMap((step) => step.content).map((part) => part.text).join('')";

module.exports = () => {
  const [, ...rows] = fs.readFileSync(path.join(__dirname, 'cases.csv'), 'utf8').trim().split('\n');
  return rows.flatMap((row) => {
    const [id, city, temperature] = row.trim().split(',');
    const metadata = { conversationId: id };
    return [
      {
        description: `${id}: calls the tool`,
        metadata,
        vars: { text: `Case ${id}: what is the temperature in ${city}?` },
        assert: [
          types('function_call'),
          calls('get_current_temperature', { location: city }),
        ],
      },
      {
        description: `${id}: answers`,
        metadata,
        vars: { result: JSON.stringify({ location: city, temperature, unit: 'celsius' }) },
        assert: [types('model_output'), { type: 'contains', value: temperature, transform: outputText }],
      },
      {
        description: `${id}: repeats as JSON`,
        metadata,
        vars: { text: 'Thank you. Repeat location and unit as JSON.' },
        assert: [
          types('model_output'),
          {
            type: 'is-json',
            transform: outputText,
            value: {
              type: 'object',
              properties: { location: { type: 'string' }, unit: { enum: ['celsius', 'fahrenheit'] } },
              required: ['location', 'unit'],
              additionalProperties: false,
            },
          },
        ],
      },
    ];
  });
};
