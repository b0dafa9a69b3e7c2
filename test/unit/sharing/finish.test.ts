import { openEngine } from "../../../src/lib/context";
import { CONTRACT } from "../../../src/lib/docker/build/state";
import { unpackFile } from "../../../src/lib/docker/tar";
import { finishSharing, type FinishOptions } from "../../../src/lib/sharing/finish";
import { LABELS, scriptedShare, type ScriptedShare } from "./scripted-share";

let share: ScriptedShare;
/** What the engine was told to do, in order. */
let done: string[];

const CURRENT = { ...LABELS, "com.torbiz.contract": String(CONTRACT) };

beforeEach(async () => {
  share = await scriptedShare();
  done = [];
  share.others["/containers/abc/kill"] = (request, response) => {
    const signal = new URL(request.url ?? "", "http://engine").searchParams.get("signal");
    done.push(`kill ${signal}`);
    if (signal === "SIGUSR1") runs("finishing", { active: 2, finishBy: new Date(2026, 0, 31, 14, 5).toISOString() });
    response.writeHead(204).end();
  };
  share.others["/containers/abc/stop"] = (_, response) => {
    done.push("stop");
    ends();
    response.writeHead(204).end();
  };
  share.others["/containers/abc/unpause"] = (_, response) => {
    done.push("unpause");
    response.writeHead(204).end();
  };
  share.others["/containers/abc"] = (_, response) => {
    done.push("remove");
    share.container = undefined;
    response.writeHead(204).end();
  };
});

afterEach(() => share.close());

function runs(stage: string, report: object = {}, { labels = CURRENT as object, paused = false } = {}): void {
  const Output = JSON.stringify({ stage, time: new Date().toISOString(), sessions: 2, ...report });
  share.container = {
    State: {
      Status: paused ? "paused" : "running",
      Running: true,
      Paused: paused,
      Health: { Log: [{ End: new Date().toISOString(), Output }] },
    },
    Config: { Labels: labels },
  };
}

function ends(lastLine = "No answer is on its way any more"): void {
  share.log = [
    "2026-01-31T12:00:00Z 2026-01-31T12:00:00.000Z INFO torbiz.seeder: Announced ONLINE: blocks 0:30",
    "2026-01-31T12:00:01Z 2026-01-31T12:00:01.000Z INFO torbiz.seeder: Announced OFFLINE: blocks 0:30",
    `2026-01-31T12:00:02Z 2026-01-31T12:00:02.000Z INFO torbiz.finishing: ${lastLine}`,
  ];
  share.container = { State: { Status: "exited", Running: false, ExitCode: 0 }, Config: { Labels: CURRENT } };
}

const finish = async (options?: FinishOptions) => finishSharing(await openEngine(share.surroundings), options);

test("it is one signal; what is on its way is told until the end, then it is cleaned up like a stop", async () => {
  runs("online");
  const told: string[] = [];
  const result = await finish({
    onProgress: ({ message }) => {
      told.push(message);
      if (message.includes("2 answers")) runs("finishing", { active: 0 });
      else if (message.includes("no answer")) ends();
    },
  });
  expect(told).toEqual([
    "Finishing: nothing new begins",
    "Finishing: 2 answers on their way, at most until 14:05",
    "Finishing: no answer is on its way any more",
  ]);
  expect(done).toEqual(["kill SIGUSR1", "remove"]);
  expect(result).toMatchObject({
    stopped: true,
    finishing: false,
    announcedOffline: true,
    exitCode: 0,
    message: "Finished: every answer came to its end. Peers were told.",
  });
  expect(result.log).toMatch(/\.log$/);
});

test("answers that took too long are told of", async () => {
  runs("online");
  const { message } = await finish({
    onProgress: ({ message }) => message.includes("2 answers") && ends("The time is over: answers that break off: 1"),
  });
  expect(message).toBe("Finished: the time was over, and 1 answer was broken off. Peers were told.");
});

test("nobody needs to stay: it returns at once, or when it is told to stop following", async () => {
  runs("online");
  expect(await finish({ follow: false })).toMatchObject({ stopped: false, finishing: true });
  const ending = new AbortController();
  const following = finish({ signal: ending.signal, onProgress: () => ending.abort() });
  expect(await following).toMatchObject({ finishing: true, message: expect.stringContaining("by itself") as unknown });
  expect(done).toEqual(["kill SIGUSR1", "kill SIGUSR1"]);
});

test("the limit travels before the signal, and only once", async () => {
  const limits: string[] = [];
  share.others["/containers/abc/archive"] = (request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      done.push("limit");
      limits.push(unpackFile(Buffer.concat(chunks)).toString());
      response.end();
    });
  };
  runs("online");
  await finish({ withinSeconds: 600, follow: false });
  await finish({ withinSeconds: 60, follow: false }); // it finishes already
  expect(done).toEqual(["limit", "kill SIGUSR1", "kill SIGUSR1"]);
  expect(limits).toEqual(["600"]);
});

test("a paused one is woken for it", async () => {
  runs("online", {}, { paused: true });
  await finish({ follow: false });
  expect(done).toEqual(["unpause", "kill SIGUSR1"]);
});

test.each([
  ["is on its way to be online", () => runs("loading")],
  ["is of an older Torbiz, which the signal would kill", () => runs("online", {}, { labels: LABELS })],
])("what %s is stopped", async (_what, begin) => {
  begin();
  expect(await finish()).toMatchObject({ stopped: true, finishing: false });
  expect(done).toEqual(["stop", "remove"]);
});

test("nothing to finish is no failure, and what another command stopped is told", async () => {
  expect(await finish()).toMatchObject({ stopped: false, message: "Nothing is shared." });
  runs("online");
  const { message } = await finish({ onProgress: () => (share.container = undefined) });
  expect(message).toBe("Another command stopped it meanwhile.");
});
