// What TF Serving does not look at before it joins requests of several callers into one batch: a request of no rows is
// never answered and holds a thread for ever, a wrong shape fails everybody in the batch, and a small file may be a
// picture of many pixels. Each is refused here with HTTP 400, and everything else passed on as it came.

const MAX_ROWS = 4096; // as max_batch_size in batching_parameters.txt
const MAX_PIXELS = 4096 * 4096; // of one picture

async function predict(r) {
  let refusal;
  try {
    refusal = await reasonToRefuse(r);
  } catch (error) {
    refusal = { status: 400, text: `The request cannot be read: ${error.message}` };
  }
  if (refusal) {
    answer(r, refusal.status, refusal.body || JSON.stringify({ error: refusal.text }));
    return;
  }
  const reply = await r.subrequest(`/ask${r.uri}`, { method: "POST", body: r.requestText });
  answer(r, reply.status, reply.responseText);
}

function answer(r, status, body) {
  r.headersOut["Content-Type"] = "application/json";
  r.return(status, body);
}

async function reasonToRefuse(r) {
  if (r.method !== "POST") return { status: 405, text: "A prediction is asked for by POST." };
  const request = parsed(r.requestText);
  const reply = await r.subrequest(`/signatures${r.uri.replace(/:predict$/, "/metadata")}`);
  if (reply.status !== 200) return { status: reply.status, body: reply.responseText };
  const signatures = JSON.parse(reply.responseText).metadata.signature_def.signature_def;
  const signature = signatures[request.signature_name || "serving_default"];
  if (!signature) return null; // the server has a text of its own for it
  const columns = asColumns(request, Object.keys(signature.inputs));
  let size;
  Object.keys(signature.inputs).forEach((name) => {
    const rows = columns[name];
    if (!Array.isArray(rows)) throw new Error(`expected a list of rows of ${name}`);
    if (rows.length < 1 || rows.length > MAX_ROWS) {
      throw new Error(`expected 1 to ${MAX_ROWS} rows of ${name}, got ${rows.length}`);
    }
    if (size !== undefined && rows.length !== size) throw new Error("expected as many rows of every input");
    size = rows.length;
    const info = signature.inputs[name];
    const shape = (info.tensor_shape.dim || []).slice(1).map((dim) => Number(dim.size));
    const mayBeEmpty = (request.signature_name || "").endsWith("_as_cells"); // a gap
    rows.forEach((row) => checkRow(name, row, shape, info.dtype, mayBeEmpty));
  });
  return null;
}

// TF Serving reads NaN, a gap, which JSON does not know; here any number does in its place.
function parsed(text) {
  const tokens = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\b(?:NaN|Infinity|Inf)\b/g;
  return JSON.parse(text.replace(tokens, (token) => (token.startsWith('"') ? token : "0")));
}

// TF Serving takes columns, {"inputs": {NAME: ROWS}}, and rows, {"instances": [{NAME: ROW}]}, and may do without a
// single name.
function asColumns(request, names) {
  const only = names.length === 1 ? names[0] : null;
  const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value) && !("b64" in value);
  const named = (value) => (isObject(value) || only === null ? value : { [only]: value });
  if (request.inputs !== undefined) return named(request.inputs);
  if (!Array.isArray(request.instances)) throw new Error('expected "inputs" or "instances"');
  const columns = {};
  names.forEach((name) => {
    columns[name] = request.instances.map((row) => named(row)[name]);
  });
  return columns;
}

function checkRow(name, value, shape, dtype, mayBeEmpty) {
  if (shape.length > 0) {
    if (!Array.isArray(value) || (shape[0] >= 0 && value.length !== shape[0])) {
      throw new Error(`a row of ${name} has another shape than [${shape.join(", ")}] where that is expected`);
    }
    value.forEach((part) => checkRow(name, part, shape.slice(1), dtype, mayBeEmpty));
  } else if (dtype === "DT_STRING") {
    const isPicture = name.endsWith("_bytes");
    if (!isPicture && typeof value === "string") return;
    const bytes = value && value.b64;
    if (typeof bytes !== "string") throw new Error(`expected {"b64": ...} in ${name}`);
    if (isPicture && !(mayBeEmpty && bytes === "")) checkPicture(name, Buffer.from(bytes, "base64"));
  } else if (typeof value !== "number" || (dtype !== "DT_FLOAT" && !Number.isInteger(value))) {
    throw new Error(`expected ${dtype === "DT_FLOAT" ? "numbers" : "whole numbers"} in ${name}`);
  }
}

// By the header alone: PNG, GIF, BMP and JPEG, which are what the model's graph decodes.
function checkPicture(name, bytes) {
  const size = pictureSize(bytes);
  if (!size) throw new Error(`${name} holds a file that is no PNG, JPEG, GIF or BMP`);
  if (size[0] * size[1] > MAX_PIXELS) {
    throw new Error(`${name} holds a picture of ${size[0]} x ${size[1]} pixels; at most ${MAX_PIXELS} are taken`);
  }
}

function pictureSize(bytes) {
  const start = bytes.slice(0, 8).toString("hex");
  if (bytes.length < 26) return null;
  if (start === "89504e470d0a1a0a") return [bytes.readUInt32BE(16), bytes.readUInt32BE(20)];
  if (start.startsWith("47494638")) return [bytes.readUInt16LE(6), bytes.readUInt16LE(8)];
  if (start.startsWith("424d")) return [Math.abs(bytes.readInt32LE(18)), Math.abs(bytes.readInt32LE(22))];
  return start.startsWith("ffd8") ? jpegSize(bytes) : null;
}

// Segments follow one another, each with its length; that of a frame's start has height and width.
function jpegSize(bytes) {
  let at = 2;
  while (at + 9 <= bytes.length && bytes[at] === 0xff) {
    const marker = bytes[at + 1];
    const frame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (frame) return [bytes.readUInt16BE(at + 7), bytes.readUInt16BE(at + 5)];
    at += marker === 0xff ? 1 : 2 + bytes.readUInt16BE(at + 2);
  }
  return null;
}

export default { predict };
