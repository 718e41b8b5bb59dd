tool=$(cat weather.json)
body=$(jq -n --argjson tool "$tool" '{model: "gemini-3.5-flash", input: "What is the temperature in London?", tools: [$tool], stream: true}')
while true; do
  curl -s --no-buffer "$GOOGLE_GEMINI_BASE_URL/v1beta/interactions?alt=sse" -H "x-goog-api-key: $GEMINI_API_KEY" \
    -H "Content-Type: application/json" -d "$body" | sed -n 's/^data: {/{/p' >events.jsonl
  jq -r 'select(.event_type == "interaction.completed") | .interaction.status' events.jsonl
  grep -q '"arguments_delta"' events.jsonl || break
  body=$(jq -s --argjson tool "$tool" '
    map(select(.event_type == "interaction.created"))[0].interaction.id as $id
    | map(select(.event_type == "step.start" and .step.type == "function_call")) as $calls
    | . as $events
    | {
      model: "gemini-3.5-flash",
      previous_interaction_id: $id,
      tools: [$tool],
      stream: true,
      input: [$calls[] | .index as $index | {
        type: "function_result",
        name: .step.name,
        call_id: .step.id,
        result: (
          [$events[] | select(.index == $index and .delta.type? == "arguments_delta") | .delta.arguments] | join("")
          | fromjson + {temperature: "22", unit: "celsius"})
      }]
    }' events.jsonl)
done
jq -rj 'select(.event_type == "step.delta" and .delta.type == "text") | .delta.text' events.jsonl
echo
