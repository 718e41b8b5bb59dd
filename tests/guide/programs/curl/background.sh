ask() {
  curl -s "$GOOGLE_GEMINI_BASE_URL/v1beta/interactions" -H "x-goog-api-key: $GEMINI_API_KEY" -H "Content-Type: application/json" -d "$1"
}

said() {
  jq -r '[.steps[] | select(.type == "model_output") | .content[] | .text] | join("")' <<<"$1"
}

run=$(ask '{
  "model": "gemini-3.5-flash",
  "input": "Tell me about the impact of artificial intelligence on modern healthcare.",
  "background": true
}')
id=$(jq -r '.id' <<<"$run")
jq -r '.status' <<<"$run"
while [ "$(jq -r '.status' <<<"$run")" = in_progress ]; do
  run=$(curl -s "$GOOGLE_GEMINI_BASE_URL/v1beta/interactions/$id" -H "x-goog-api-key: $GEMINI_API_KEY")
  jq -r '.status' <<<"$run"
done
said "$run" >text.txt
head -n 1 text.txt
