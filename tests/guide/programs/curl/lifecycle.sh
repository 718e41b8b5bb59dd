ask() {
  curl -s "$GOOGLE_GEMINI_BASE_URL/v1beta/interactions" -H "x-goog-api-key: $GEMINI_API_KEY" -H "Content-Type: application/json" -d "$1"
}

one="$GOOGLE_GEMINI_BASE_URL/v1beta/interactions/"
key="x-goog-api-key: $GEMINI_API_KEY"

run=$(ask '{"model": "gemini-3.5-flash", "input": "Take your time", "background": true}')
one+=$(jq -r '.id' <<<"$run")
jq -r '.status' <<<"$run"
curl -s -X POST "$one/cancel" -H "$key" | jq -r '.status'
curl -s "$one" -H "$key" | jq -r '.status'
curl -s -X DELETE "$one" -H "$key" -o nothing.json
curl -s "$one" -H "$key" -o error.json -w '%{http_code}\n' || jq -e '.error.code == "not_found"' error.json >/dev/null
