import { toTorbizError, TorbizError } from "../../src/lib/errors";

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
