// Holds recorded exchanges and webhook deliveries against GitHub's published OpenAPI description.
//
//   node check.mjs RECORDING.json
//
// RECORDING.json: {"exchanges": […], "deliveries": […]} as the double writes them. Prints one line for each violation
// and exits 1 if there is one; prints what was checked otherwise. An answer that a fault garbled on purpose is not
// looked at, its request is.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const tools = process.env.LAPDEV_GITHUB_TOOLS;
if (!tools) throw new Error("set LAPDEV_GITHUB_TOOLS to what tests/tools/github/install printed");
const require = createRequire(join(tools, "package.json"));
const Ajv = require("ajv").default;
const addFormats = require("ajv-formats").default;
const description = JSON.parse(readFileSync(require.resolve("@octokit/openapi/generated/api.github.com.json")));

// OpenAPI 3.0 says `nullable` where JSON Schema says `type: null`.
function plain(node) {
  if (Array.isArray(node)) return node.map(plain);
  if (node === null || typeof node !== "object") return node;
  const { nullable, ...rest } = node;
  const copy = Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, key === "example" || key === "examples" ? undefined : plain(value)]));
  return nullable === true ? { anyOf: [{ type: "null" }, copy] } : copy;
}

const ajv = new Ajv({ strict: false, allErrors: true, logger: false, validateSchema: false, coerceTypes: false });
addFormats(ajv);
const document = plain(description);
ajv.addSchema(document, "github");

const compiled = new Map();
function validator(pointer) {
  if (!compiled.has(pointer)) compiled.set(pointer, ajv.compile({ $ref: `github#${pointer}` }));
  return compiled.get(pointer);
}

const escape = (part) => encodeURIComponent(part.replaceAll("~", "~0").replaceAll("/", "~1"));
const at = (...parts) => parts.map((part) => `/${escape(part)}`).join("");
const lookup = (reference) => reference.slice(2).split("/").reduce((node, part) => node[part], document);
const resolve = (node) => (node?.$ref ? lookup(node.$ref) : node);

const violations = [];
const used = new Set();
function wrong(place, message) {
  violations.push(`${place}: ${message}`);
}
function check(place, pointer, value) {
  const valid = validator(pointer);
  if (!valid(value)) {
    for (const error of valid.errors.slice(0, 5)) wrong(place, `${error.instancePath || "/"} ${error.message}`);
  }
}

// The operation of a path: most literal segments win, as /issues/comments/{id} over /issues/{number}/comments.
function operation(method, path) {
  const bare = path.replace(/^\/api\/v3/, "").replace(/^\/repositories\/\d+/, "/repos/by/id");
  const parts = bare.split("/");
  let best;
  for (const template of Object.keys(document.paths)) {
    const wanted = template.split("/");
    if (wanted.length !== parts.length || !document.paths[template][method]) continue;
    const fits = wanted.every((want, i) => want === parts[i] || (want.startsWith("{") && parts[i] !== ""));
    const literal = wanted.filter((want) => !want.startsWith("{")).length;
    if (fits && (!best || literal > best.literal)) best = { template, literal, wanted, parts };
  }
  return best;
}

function parameters(place, operation, found, query) {
  const declared = (operation.parameters ?? []).map(resolve);
  const typed = (schema, text) => (/^-?\d+$/.test(text) && JSON.stringify(schema).includes('"integer"') ? Number(text) : text);
  const one = (parameter, text) => {
    const valid = ajv.compile(parameter.schema.$ref ? { $ref: `github${parameter.schema.$ref}` } : parameter.schema);
    if (!valid(typed(parameter.schema, text))) wrong(place, `${parameter.in} parameter ${parameter.name}=${text} ${ajv.errorsText(valid.errors)}`);
  };
  found.wanted.forEach((want, i) => {
    const parameter = declared.find((candidate) => candidate.in === "path" && `{${candidate.name}}` === want);
    if (parameter) one(parameter, decodeURIComponent(found.parts[i]));
  });
  for (const [name, text] of new URLSearchParams(query)) {
    const parameter = declared.find((candidate) => candidate.in === "query" && candidate.name === name);
    if (parameter) one(parameter, text);
    else wrong(place, `query parameter ${name} is not in the description`);
  }
  for (const parameter of declared) {
    if (parameter.in === "query" && parameter.required && !new URLSearchParams(query).has(parameter.name)) wrong(place, `query parameter ${parameter.name} is missing`);
  }
}

function request(place, exchange, operation, pointer) {
  if (!exchange.request_headers["user-agent"]) wrong(place, "no User-Agent");
  if (!/github|json/.test(exchange.request_headers.accept ?? "")) wrong(place, "no Accept");
  const schema = resolve(operation.requestBody)?.content?.["application/json"]?.schema;
  if (!schema) {
    if (exchange.request_body && exchange.request_body !== "{}") wrong(place, "has a body, which the description does not know");
    return;
  }
  if (!exchange.request_body) {
    if (operation.requestBody.required) wrong(place, "has no body");
    return;
  }
  if (!/^application\/json/.test(exchange.request_headers["content-type"] ?? "")) wrong(place, "its body is not declared as JSON");
  const body = JSON.parse(exchange.request_body);
  check(place, `${pointer}/requestBody/content/application~1json/schema`, body);
  const known = resolve(schema).properties;
  for (const name of Object.keys(body)) if (known && !known[name]) wrong(place, `field ${name} is not in the description`);
}

function response(place, exchange, operation, pointer) {
  const { status, response_body: text, response_headers: headers } = exchange;
  if (status === 304) {
    if (text) wrong(place, "304 with a body");
    if (!headers.etag) wrong(place, "304 without an ETag");
    return;
  }
  if (status === 204) {
    if (text) wrong(place, "204 with a body");
    return;
  }
  if (!/^application\/json/.test(headers["content-type"] ?? "")) return wrong(place, "the answer is not JSON");
  if (status >= 300 && status < 400 && !headers.location) wrong(place, "a redirect to nowhere");
  const declared = operation.responses[status];
  // The description leaves out what every operation may answer; those have the usual error.
  if (!declared && ![301, 307, 400, 401, 403, 404, 422, 429, 500, 502, 503].includes(status)) return wrong(place, `status ${status} is not in the description`);
  const schema = resolve(declared)?.content?.["application/json"]?.schema;
  const body = JSON.parse(text);
  if (!declared || !schema) return check(place, "/components/schemas/basic-error", body);
  const where = declared.$ref ? declared.$ref.slice(1) : `${pointer}/responses/${status}`;
  check(place, `${where}/content/application~1json/schema`, body);
}

const recording = JSON.parse(readFileSync(process.argv[2]));
for (const exchange of recording.exchanges) {
  const method = exchange.method.toLowerCase();
  const place = `${exchange.method} ${exchange.path}${exchange.query && `?${exchange.query}`} → ${exchange.status}`;
  const found = operation(method, exchange.path);
  if (!found) {
    wrong(place, "no such operation in the description");
    continue;
  }
  const operationObject = document.paths[found.template][method];
  const pointer = at("paths", found.template, method);
  used.add(`${exchange.method} ${found.template}`);
  // A test may send what is wrong, to see it refused; then only the refusal is looked at.
  if (exchange.status !== 400 && exchange.status !== 422) {
    parameters(place, operationObject, found, exchange.query);
    request(place, exchange, operationObject, pointer);
  }
  if (!exchange.fault && exchange.status) response(place, exchange, operationObject, pointer);
}
for (const delivery of recording.deliveries) {
  const name = [delivery.event, delivery.action].filter(Boolean).join("-").replaceAll("_", "-");
  const place = `webhook ${name}`;
  if (!document["x-webhooks"][name]) {
    wrong(place, "no such webhook in the description");
    continue;
  }
  used.add(place);
  check(place, `${at("x-webhooks", name)}/post/requestBody/content/application~1json/schema`, JSON.parse(delivery.payload));
}

for (const violation of [...new Set(violations)]) console.log(violation);
if (violations.length > 0) process.exit(1);
console.log(`${recording.exchanges.length} exchanges and ${recording.deliveries.length} deliveries fit GitHub's description ${description.info.version}:`);
for (const name of [...used].sort()) console.log(`  ${name}`);
