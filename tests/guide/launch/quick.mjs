// Preloaded by node: the five seconds between two polls of the guide are over at once. Any other timer is as it was.
const POLL_MILLISECONDS = 5000;
const { setTimeout } = globalThis;

globalThis.setTimeout = (run, wait, ...values) => setTimeout(run, wait === POLL_MILLISECONDS ? 10 : wait, ...values);
