import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { errorCodes, toTorbizError, TorbizError } from "../../src/lib/errors";

/** What only a terminal understands. */
const TYPED = /`torbiz|\btorbiz [a-z]+`|(?:^|\s)--[a-z]|TORBIZ_/;

test("a known failure stays what it is", () => {
  const error = new TorbizError("port-in-use", "Port 1 is used.");
  expect(toTorbizError(error)).toBe(error);
});

test.each([
  [Object.assign(new Error("ENOSPC: no space left"), { code: "ENOSPC", path: "/x/y" }), "disk-full", "/x/y"],
  [Object.assign(new Error("EACCES: denied"), { code: "EACCES", path: "/x/y" }), "home-not-writable", "/x/y"],
  [Object.assign(new Error("EROFS: read-only"), { code: "EROFS", path: "/x/y" }), "home-not-writable", "/x/y"],
  [AbortSignal.abort().reason, "interrupted", "interrupted"],
  [new Error("odd"), "unexpected", "odd"],
  ["a string", "unexpected", "a string"],
  [null, "unexpected", "null"],
])("%p becomes %s", (thrown, code, words) => {
  const error = toTorbizError(thrown);
  expect(error).toBeInstanceOf(TorbizError);
  expect(error.code).toBe(code);
  expect(error.message).toContain(words);
});

test.each(errorCodes)("the hint of %s is true in a launcher as well", (code) => {
  const { hint, cliHint } = new TorbizError(code, "It happened.");
  expect(hint).not.toMatch(TYPED);
  expect(hint).toMatch(/\.$/);
  expect(cliHint ?? "Fine.").toMatch(/\.$/);
});

test("what asking on this computer can end with has hints that neither sharing nor Docker has a part in", () => {
  const folder = resolve("python/torbiz");
  const sources = [
    "engines/local.py",
    "engines/base.py",
    "engines/other_server.py",
    "conversation_file.py",
    "download.py",
  ];
  const codes = sources
    .flatMap((name) => [...readFileSync(join(folder, name), "utf8").matchAll(/Error\(\s*"([a-z-]+)"/g)])
    .map(([, code]) => errorCodes.find((known) => known === code));
  expect(new Set(codes)).toContain("not-enough-memory");
  for (const code of codes) {
    const { hint, cliHint = "" } = new TorbizError(code ?? "unexpected", "It happened.");
    expect([code, `${hint} ${cliHint}`]).not.toEqual([code, expect.stringMatching(/\bshar|docker|--blocks|--memory/i)]);
  }
});

test("no place that fails has a hint of what to type", () => {
  const lib = resolve("src/lib");
  const files = readdirSync(lib, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"));
  const typed = files.flatMap((name) =>
    [...readFileSync(join(lib, name), "utf8").matchAll(/(?<!\w)hint[:=]\s*["`](?:[^"`\\]|\\.)*["`]/g)]
      .map(([hint]) => `${name}: ${hint.replaceAll("\\`", "`")}`)
      .filter((hint) => TYPED.test(hint)),
  );
  expect(typed).toEqual([]);
});

test("a hint for terminals goes with the hint it was written for", () => {
  expect(new TorbizError("port-in-use", "x").cliHint).toContain("--port");
  expect(new TorbizError("port-in-use", "x", { hint: "Port 2 is free." }).cliHint).toBeUndefined();
  expect(new TorbizError("port-in-use", "x", { hint: "Port 2 is free.", cliHint: "Use --port 2." }).cliHint).toBe(
    "Use --port 2.",
  );
});
