# What curl sees beyond the guide: statuses, a line each.
interactions="$GOOGLE_GEMINI_BASE_URL/v1beta/interactions"
body='{"model": "gemini-3.5-flash", "input": "Hi"}'
status() { # NAME [curl's arguments]
  local name=$1
  shift
  echo "$name: $(curl -s -o nothing.json -w '%{http_code}' "$@" || true)"
}

status "key in the query" "$interactions?key=$GEMINI_API_KEY" -d "$body"
status "key as a bearer" "$interactions" -H "Authorization: Bearer $GEMINI_API_KEY" -d "$body"
status "no key" "$interactions" -d "$body"
status "wrong key" "$interactions?key=wrong" -d "$body"
for revision in 2026-05-20 2026-05-07 nonsense; do
  status "revision $revision" "$interactions?key=$GEMINI_API_KEY" -H "Api-Revision: $revision" -d "$body"
done
for prefix in /v1 /v1alpha "" /some/prefix/v1beta; do
  status "at $prefix" "$GOOGLE_GEMINI_BASE_URL$prefix/interactions?key=$GEMINI_API_KEY" -d "$body"
done
status "in chunks" "$interactions?key=$GEMINI_API_KEY" -H "Transfer-Encoding: chunked" -d "$body"
status "no JSON" "$interactions?key=$GEMINI_API_KEY" -d "model=gemini"
status "overloaded" "$interactions?key=$GEMINI_API_KEY" -d '{"model": "gemini-3.5-flash", "input": "overload me once"}'
status "and again" "$interactions?key=$GEMINI_API_KEY" -d '{"model": "gemini-3.5-flash", "input": "overload me once"}'
status "compressed" --compressed "$interactions?key=$GEMINI_API_KEY" -d "$body"

for resource in agents environments webhooks; do
  status "$resource" "$GOOGLE_GEMINI_BASE_URL/v1beta/$resource?key=$GEMINI_API_KEY"
done
status "agent" "$GOOGLE_GEMINI_BASE_URL/v1beta/agents?key=$GEMINI_API_KEY" -d '{"id": "poet", "base_agent": "antigravity-preview-05-2026"}'
status "agent again" "$GOOGLE_GEMINI_BASE_URL/v1beta/agents?key=$GEMINI_API_KEY" -d '{"id": "poet", "base_agent": "antigravity-preview-05-2026"}'
status "agent deleted" -X DELETE "$GOOGLE_GEMINI_BASE_URL/v1beta/agents/poet?key=$GEMINI_API_KEY"
