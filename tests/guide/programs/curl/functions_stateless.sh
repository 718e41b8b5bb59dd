ask() {
  curl -s "$GOOGLE_GEMINI_BASE_URL/v1beta/interactions" -H "x-goog-api-key: $GEMINI_API_KEY" -H "Content-Type: application/json" -d "$1"
}

said() {
  jq -r '[.steps[] | select(.type == "model_output") | .content[] | .text] | join("")' <<<"$1"
}

tool=$(cat weather.json)
history='[{"type": "user_input", "content": [{"type": "text", "text": "What are the temperatures in London and Paris?"}]}]'
while true; do
  answer=$(ask "$(jq --argjson tool "$tool" '{model: "gemini-3.5-flash", store: false, input: ., tools: [$tool]}' <<<"$history")")
  steps=$(jq --argjson degrees '{"London": "22", "Paris": "25"}' '[.steps[] | ., (select(.type == "function_call") | .arguments.location as $city | {
    type: "function_result",
    name: .name,
    call_id: .id,
    result: [{type: "text", text: ({location: $city, temperature: $degrees[$city], unit: "celsius"} | tojson)}]
  })]' <<<"$answer")
  history=$(jq --argjson steps "$steps" '. + $steps' <<<"$history")
  [ "$(jq -r '.status' <<<"$answer")" = requires_action ] || break
done
jq -r 'map(.type) | join(" ")' <<<"$history"
said "$answer"
