import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { acquireLock, lockHolder } from "../../src/lib/process-lock";

let folder: string;
let path: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "lock-"));
  path = join(folder, "a.lock");
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

function heldBy(pid: number, note = ""): void {
  writeFileSync(path, JSON.stringify({ pid, token: "another", note }));
}

/** As if nobody had shown himself for ten minutes. */
function makeOld(): void {
  const longAgo = new Date(Date.now() - 600_000);
  utimesSync(path, longAgo, longAgo);
}

it("lets one after the other in", async () => {
  let inside = 0;
  let most = 0;
  await Promise.all(
    Array.from({ length: 5 }, async () => {
      const lock = await acquireLock(path);
      most = Math.max(most, ++inside);
      await new Promise((resolve) => setTimeout(resolve, 20));
      inside -= 1;
      lock.release();
    }),
  );
  expect(most).toBe(1);
  expect(readdirSync(folder)).toEqual([]);
});

it("tells who holds it, as long as somebody does", async () => {
  expect(lockHolder(path)).toBeUndefined();
  const lock = await acquireLock(path);
  const holder = lockHolder(path);
  expect(holder).toMatch(/\S/);
  lock.note("still here");
  expect(lockHolder(path)).toBe(holder);
  lock.release();
  expect(lockHolder(path)).toBeUndefined();
  heldBy(spawnSync("true").pid);
  expect(lockHolder(path)).toBeUndefined();
});

it("leaves nothing behind where a note couldn't be written, as on a full disk", async () => {
  const lock = await acquireLock(path);
  const draft = `${path}.${lockHolder(path)}`;
  symlinkSync(join(folder, "nowhere", "draft"), draft);
  lock.note("no room");
  expect(readdirSync(folder)).toHaveLength(2);
  lock.release();
  expect(readdirSync(folder)).toEqual([]);
});

it("tells those who wait what is being done", async () => {
  const lock = await acquireLock(path);
  lock.note("package 3 of 70");
  const notes: string[] = [];
  const second = acquireLock(path, {
    onWait: (note) => {
      notes.push(note);
      lock.release();
    },
  });
  (await second).release();
  expect(notes[0]).toBe("package 3 of 70");
});

it("takes over from a process that is no more", async () => {
  heldBy(spawnSync("true").pid);
  const lock = await acquireLock(path);
  lock.release();
  expect(existsSync(path)).toBe(false);
});

it("takes over from a thread that was ended in a process that lives on, as Raycast ends a command", async () => {
  const thread = new Worker(
    `require("tsx/cjs/api").register();
     const { acquireLock } = require(${JSON.stringify(join(process.cwd(), "src/lib/process-lock.ts"))});
     acquireLock(${JSON.stringify(path)}).then(() => require("node:worker_threads").parentPort.postMessage("held"));`,
    { eval: true },
  );
  await new Promise((resolve, reject) => thread.once("message", resolve).once("error", reject));
  expect(lockHolder(path)).toMatch(/\S/);
  await thread.terminate();
  const began = performance.now();
  while (lockHolder(path)) await sleep(100);
  (await acquireLock(path)).release();
  expect(performance.now() - began).toBeLessThan(45_000);
  expect(existsSync(path)).toBe(false);
});

it("stops waiting for one that seems to be gone, too, when told to", async () => {
  heldBy(process.pid);
  makeOld();
  await expect(acquireLock(path, { signal: AbortSignal.timeout(100) })).rejects.toMatchObject({ code: "interrupted" });
  expect(existsSync(path)).toBe(true);
});

it("takes over a file that was cut off, once it is old", async () => {
  writeFileSync(path, '{"pid":');
  makeOld();
  (await acquireLock(path)).release();
});

it("takes nothing from one that slept with the computer and shows itself again", async () => {
  const lock = await acquireLock(path);
  makeOld();
  let taken = false;
  const second = acquireLock(path).then((lock) => {
    taken = true;
    lock.release();
  });
  while (!taken && Date.now() - statSync(path).mtimeMs > 60_000) await sleep(50);
  await sleep(2_000);
  expect(taken).toBe(false);
  lock.release();
  await second;
}, 20_000);

it("waits for one that lives, until told to stop", async () => {
  heldBy(process.pid);
  const controller = new AbortController();
  const waiting = acquireLock(path, { signal: controller.signal, onWait: () => controller.abort() });
  await expect(waiting).rejects.toMatchObject({ code: "interrupted" });
  expect(existsSync(path)).toBe(true);
});

it("leaves a lock alone that was taken over meanwhile", async () => {
  const lock = await acquireLock(path);
  heldBy(process.pid, "mine now");
  lock.note("still here");
  lock.release();
  expect(existsSync(path)).toBe(true);
});
