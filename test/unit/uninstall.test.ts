import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runUninstall } from "../../src/cli/uninstall";
import { findBelongings, needsStop, removeBelongings } from "../../src/lib/uninstall";
import { recordedSession, toldSession } from "./cli/session";
import { LABELS, scriptedShare, type ScriptedShare } from "./sharing/scripted-share";

let share: ScriptedShare;

beforeEach(async () => {
  share = await scriptedShare();
  share.others["/containers/json"] = (_, response) => void response.end("[]");
  const { models, conversations } = share.surroundings.paths;
  mkdirSync(join(models, "a"), { recursive: true });
  writeFileSync(join(models, "a", "file.gguf"), Buffer.alloc(2_000_000));
  writeFileSync(join(conversations, "c-1.jsonl"), Buffer.alloc(1_000));
});

afterEach(() => share.close());

test("what is here is listed with its size, and nothing that isn't", async () => {
  share.image = { "com.torbiz.managed": "1" };
  const { parts, inUse, notes } = await findBelongings(share.surroundings);
  expect(parts.map(({ id, bytes }) => [id, bytes])).toEqual([
    ["image", 1],
    ["models", 2_000_000],
    ["conversations", 1_000],
  ]);
  expect([inUse, notes]).toEqual([undefined, []]);
});

test("an image by our name without our label is somebody else's", async () => {
  share.image = {};
  const { parts, notes } = await findBelongings(share.surroundings);
  expect(parts.map(({ id }) => id)).not.toContain("image");
  expect(notes).toEqual([`Torbiz didn't make the image ${share.surroundings.names.image}: it is left alone.`]);
});

test("without an engine what is in the home folder is listed and goes all the same", async () => {
  share.others["/_ping"] = (_, response) => void response.writeHead(503).end();
  const { parts, notes } = await findBelongings(share.surroundings);
  expect(parts.map(({ id }) => id)).toEqual(["models", "conversations"]);
  expect(notes).toEqual(["Docker doesn't answer: what is in it isn't listed."]);
  const { removed } = await removeBelongings(share.surroundings, ["models"]);
  expect(removed.map(({ id }) => id)).toEqual(["models"]);
  expect([existsSync(share.surroundings.paths.models), existsSync(share.surroundings.paths.conversations)]).toEqual([
    false,
    true,
  ]);
});

test("a share that runs needs its model, and no conversation", async () => {
  share.container = {
    State: { Status: "running", Running: true, ExitCode: 0, Error: "" },
    Config: { Image: "a:1", Labels: LABELS },
  };
  const found = await findBelongings(share.surroundings);
  expect(found.inUse).toBe("smollm2-135m-instruct is shared now.");
  expect([needsStop(found, ["models"]), needsStop(found, ["conversations", "settings"])]).toEqual([true, false]);
  await expect(removeBelongings(share.surroundings, ["models", "conversations"])).rejects.toMatchObject({
    code: "already-sharing",
  });
  expect(existsSync(share.surroundings.paths.conversations)).toBe(true);
});

test("where nobody can be asked it only lists", async () => {
  const session = toldSession(share.surroundings);
  expect(await runUninstall(session, {})).toBe(0);
  expect(session.told()).toBe(
    [
      "models         2.0 MB  Models: files that answer on this computer or are shared from it",
      "conversations  1 kB    Conversations: questions and answers",
      "Nothing was removed. Choose with --only, and say --yes.",
      "",
    ].join("\n"),
  );
  expect(existsSync(share.surroundings.paths.models)).toBe(true);
});

test("with a yes goes what was named, or all of it with the home folder", async () => {
  const { paths } = share.surroundings;
  const some = recordedSession(share.surroundings);
  expect(await runUninstall(some, { only: ["conversations"], yes: true })).toBe(0);
  expect(some.events.at(-1)).toMatchObject({
    event: "result",
    ok: true,
    removed: ["conversations"],
    freedBytes: 1_000,
  });
  expect([existsSync(paths.models), existsSync(paths.conversations)]).toEqual([true, false]);

  writeFileSync(join(paths.logs, "a.log"), "a line\n");
  const all = recordedSession(share.surroundings);
  expect(await runUninstall(all, { yes: true })).toBe(0);
  expect(all.events.at(-1)).toMatchObject({ removed: ["models", "settings"] });
  expect(existsSync(paths.home)).toBe(false);
});
