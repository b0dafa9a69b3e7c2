import { jest } from "@jest/globals";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { resolveNames } from "../../../src/lib/names";
import { prepareHome, resolvePaths } from "../../../src/lib/paths";
import { requestFinish, requestStop, StopRequests, wishedEnd } from "../../../src/lib/sharing/stop-request";

const home = mkdtempSync(join(tmpdir(), "torbiz-request-"));
const where = { paths: resolvePaths({ TORBIZ_HOME: home }), names: resolveNames({}) };
let requests: StopRequests | undefined;

beforeAll(() => prepareHome(where.paths));
afterEach(() => requests?.end());
afterAll(() => rmSync(home, { recursive: true }));

test("a request that is made afterwards is heeded, at once where it is looked for", async () => {
  requests = new StopRequests(where);
  requests.check();
  await sleep(5);
  requestStop(where);
  const stopped = { code: "interrupted", message: "Sharing was stopped before it began." };
  expect(() => requests?.check()).toThrow(expect.objectContaining(stopped));
  expect(requests.signal.reason).toMatchObject(stopped);
});

test("without anybody looking the signal tells", async () => {
  requests = new StopRequests(where);
  const { signal } = requests;
  const aborted = new Promise((resolve) => signal.addEventListener("abort", resolve));
  await sleep(5);
  requestStop(where);
  await aborted;
});

test("an earlier request means others", async () => {
  requestStop(where);
  await sleep(5);
  requests = new StopRequests(where);
  requests.check();
});

test("who comes later knows what was wished for a share that began before, and a stop outranks a finish", async () => {
  const began = Date.now();
  await sleep(5);
  expect(wishedEnd(where, began)).toBeUndefined();
  requestFinish(where);
  expect(wishedEnd(where, began)).toBe("finish");
  requestStop(where);
  expect(wishedEnd(where, began)).toBe("stop");
  await sleep(5);
  expect(wishedEnd(where, Date.now())).toBeUndefined();
});

describe("a clock that is set", () => {
  const DAY_MS = 86_400_000;
  let clock: { mockRestore(): void } | undefined;
  const set = (ms: number) => {
    clock?.mockRestore();
    const now = Date.now();
    clock = jest.spyOn(Date, "now").mockReturnValue(now + ms);
  };

  afterEach(() => clock?.mockRestore());

  it("ahead and back makes an earlier stop neither a later one nor one of what began since", () => {
    set(DAY_MS);
    requestStop(where);
    set(0);
    const began = Date.now();
    requests = new StopRequests(where);
    requests.check();
    set(1_000);
    expect(wishedEnd(where, began)).toBeUndefined();
    requestStop(where);
    expect(wishedEnd(where, began)).toBe("stop");
  });

  it("back doesn't hide a stop from what is on its way", () => {
    requests = new StopRequests(where);
    set(-DAY_MS);
    requestStop(where);
    expect(() => requests?.check()).toThrow(expect.objectContaining({ code: "interrupted" }));
  });

  it("to the same time keeps two stops apart", () => {
    set(0);
    requestStop(where);
    requests = new StopRequests(where);
    requestStop(where);
    expect(() => requests?.check()).toThrow(expect.objectContaining({ code: "interrupted" }));
  });
});

test("another instance's request means others", async () => {
  requests = new StopRequests(where);
  await sleep(5);
  requestStop({ ...where, names: resolveNames({ TORBIZ_INSTANCE: "other" }) });
  requests.check();
});
