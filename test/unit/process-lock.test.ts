import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
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

it("takes over from one that has not shown itself for minutes: its number may be another's by now", async () => {
  heldBy(process.pid);
  const longAgo = new Date(Date.now() - 600_000);
  utimesSync(path, longAgo, longAgo);
  (await acquireLock(path)).release();
});

it("takes over a file that was cut off, once it is old", async () => {
  writeFileSync(path, '{"pid":');
  const longAgo = new Date(Date.now() - 600_000);
  utimesSync(path, longAgo, longAgo);
  (await acquireLock(path)).release();
});

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
