ask() {
  curl -s "$GOOGLE_GEMINI_BASE_URL/v1beta/interactions" -H "x-goog-api-key: $GEMINI_API_KEY" -H "Content-Type: application/json" -d "$1"
}

said() {
  jq -r '[.steps[] | select(.type == "model_output") | .content[] | .text] | join("")' <<<"$1"
}

image=$(base64 <sample.jpg | tr -d '\n')
document=$(printf 'a,b\n1,2\n' | base64)
answer=$(ask '{
  "model": "gemini-3.5-flash",
  "input": [
    {"type": "text", "text": "What is all this?"},
    {"type": "image", "data": "'"$image"'", "mime_type": "image/jpeg"},
    {"type": "audio", "uri": "https://example.com/sample.mp3", "mime_type": "audio/mp3"},
    {"type": "video", "uri": "https://example.com/sample.mp4", "mime_type": "video/mp4"},
    {"type": "document", "data": "'"$document"'", "mime_type": "text/csv"}
  ]
}')
said "$answer"
