// Pushes to, adds to or deletes a group: push.js push|pushAdd|delete GATEWAY GROUPING-VALUE
const client = require("prom-client");

const [what, gateway, db] = process.argv.slice(2);
const registry = new client.Registry();
const registers = [registry];
if (what === "pushAdd") {
  new client.Gauge({ name: "js_added", help: "Added.", registers }).set(1);
} else {
  new client.Counter({ name: "js_seen_total", help: "Seen.", registers }).inc(3);
  new client.Gauge({ name: "js_records", help: "Records.", registers }).set(42);
  new client.Histogram({ name: "js_size", help: "Sizes.", buckets: [1, 10], registers }).observe(4);
  new client.Summary({ name: "js_took", help: "Times.", percentiles: [0.5], registers }).observe(2);
}
const headers = what === "push" ? { "Content-Encoding": "gzip" } : {};
new client.Pushgateway(gateway, { timeout: 30000, headers }, registry)
  [what]({ jobName: "js", groupings: { db } })
  .catch((error) => {
    console.error(error);
    process.exit(1);
  });
