"use strict";

// The key lives in this page's memory only: it is gone when the page is closed.
let key = "";
let models = new Map();
let running = null;

const element = (id) => document.getElementById(id);

function show(id, text) {
  element(id).textContent = text;
  element(id).hidden = text === "";
}

async function call(path, options = {}) {
  const headers = { Authorization: `Bearer ${key}`, "Content-Type": "application/json" };
  const response = await fetch(path, { ...options, headers });
  if (!response.ok) {
    const body = await response.json().catch(() => null);
    throw new Error(body?.error?.message ?? `The gateway answered ${response.status}.`);
  }
  return response;
}

async function connect() {
  const { data } = await (await call("v1/models")).json();
  models = new Map(data.filter((m) => m.kind === "chat").map((m) => [m.id, m]));
  element("model").replaceChildren(...[...models.keys()].map((id) => new Option(id, id)));
  element("ask").hidden = false;
  await showBudgets();
}

async function showBudgets() {
  const { lines } = await (await call("v1/usage")).json();
  const rows = lines.map((line) => {
    const row = document.createElement("tr");
    const amount = (n) => (line.dimension === "micro_usd" ? dollars(n) : n.toLocaleString());
    const left = line.left === null ? "no limit" : amount(line.left);
    const dimension = line.dimension === "micro_usd" ? "money" : line.dimension;
    for (const text of [line.scope, line.window, dimension, amount(line.used), left]) {
      row.insertCell().textContent = text;
    }
    return row;
  });
  element("budgets").tBodies[0].replaceChildren(...rows);
  element("budgets").hidden = rows.length === 0;
}

const dollars = (microUsd) => `$${(microUsd / 1e6).toFixed(6)}`;

// Yields the data of each server-sent event; comments are heartbeats.
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    buffer += value;
    const parts = buffer.split("\n\n");
    buffer = parts.pop();
    for (const part of parts) {
      if (part.startsWith("data: ")) yield part.slice("data: ".length);
    }
  }
}

async function ask() {
  const started = performance.now();
  const body = {
    model: element("model").value,
    messages: [{ role: "user", content: element("prompt").value }],
    stream: true,
    stream_options: { include_usage: true },
  };
  running = new AbortController();
  const response = await call("v1/chat/completions", {
    method: "POST", body: JSON.stringify(body), signal: running.signal,
  });
  let complete = false;
  for await (const data of events(response)) {
    if (data === "[DONE]") { complete = true; break; }
    take(JSON.parse(data), started);
  }
  if (!complete) throw new Error("The answer broke off.");
}

function take(chunk, started) {
  if (chunk.error) throw new Error(chunk.error.message);
  const delta = chunk.choices[0]?.delta ?? {};
  if (delta.content) {
    if (element("first-token").textContent === "") {
      element("first-token").textContent = `${Math.round(performance.now() - started)} ms`;
    }
    element("answer").append(delta.content);
  }
  if (delta.reasoning_content) {
    element("reasoning").hidden = false;
    element("reasoning").append(delta.reasoning_content);
  }
  if (chunk.usage) showFigures(chunk.model, chunk.usage);
}

function showFigures(model, usage) {
  const price = models.get(model).micro_usd_per_million_tokens;
  const { cached_tokens: read, cache_write_tokens: written } = usage.prompt_tokens_details;
  const fresh = usage.prompt_tokens - read - written;
  const cost = fresh * price.input + read * price.cache_read + written * price.cache_write
    + usage.completion_tokens * price.output;
  element("input-tokens").textContent = usage.prompt_tokens.toLocaleString();
  element("output-tokens").textContent = usage.completion_tokens.toLocaleString();
  element("cost").textContent = dollars(cost / 1e6);
  element("figures").hidden = false;
}

async function attempt(work) {
  try {
    await work();
  } catch (error) {
    if (error.name !== "AbortError") show("problem", error.message);
  }
}

element("access").addEventListener("submit", (event) => {
  event.preventDefault();
  show("problem", "");
  key = element("key").value.trim();
  attempt(connect);
});

element("stop").addEventListener("click", () => running?.abort());

element("ask").addEventListener("submit", async (event) => {
  event.preventDefault();
  show("problem", "");
  for (const id of ["answer", "reasoning", "first-token"]) element(id).textContent = "";
  element("reasoning").hidden = true;
  element("send").disabled = true;
  element("stop").disabled = false;
  await attempt(ask);
  element("send").disabled = false;
  element("stop").disabled = true;
  await attempt(showBudgets);
});
