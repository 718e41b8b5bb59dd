ask() {
  curl -s "$GOOGLE_GEMINI_BASE_URL/v1beta/interactions" -H "x-goog-api-key: $GEMINI_API_KEY" -H "Content-Type: application/json" -d "$1"
}

said() {
  jq -r '[.steps[] | select(.type == "model_output") | .content[] | .text] | join("")' <<<"$1"
}

history='[]'
for text in "I have 3 dogs in my house." "They are called Ada, Grace and Linus." "How many paws are in my house?"; do
  history=$(jq --arg text "$text" '. + [{type: "user_input", content: [{type: "text", text: $text}]}]' <<<"$history")
  answer=$(ask "$(jq '{model: "gemini-3.5-flash", store: false, input: .}' <<<"$history")")
  history=$(jq --argjson steps "$(jq '.steps' <<<"$answer")" '. + $steps' <<<"$history")
done
jq -r 'map(.type) | join(" ")' <<<"$history"
said "$answer"
