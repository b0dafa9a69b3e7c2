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

test("another instance's request means others", async () => {
  requests = new StopRequests(where);
  await sleep(5);
  requestStop({ ...where, names: resolveNames({ TORBIZ_INSTANCE: "other" }) });
  requests.check();
});
