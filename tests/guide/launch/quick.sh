# Sourced by bash (BASH_ENV): a failing command ends the program, and sleeps between polls return at once.
set -euo pipefail
sleep() { command sleep 0.01; }
