import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { choiceOf, requireEngine } from "../../../src/lib/ask/conversation-engine";
import type { EngineChoice, EngineNote } from "../../../src/lib/ask/engine-choice";
import { findLocalModel } from "../../../src/lib/ask/local-models";
import { modelFile } from "../../../src/lib/ask/model-download";
import { openSurroundings } from "../../../src/lib/context";
import type { Paths } from "../../../src/lib/paths";
import type { Swarm } from "../../../src/lib/sharing/swarm";

let root: string;
let paths: Paths;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "conversation engine "));
  paths = openSurroundings({ runtimeFiles: root, env: { TORBIZ_HOME: root } }).paths;
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

const here = (model: string): EngineNote => ({ kind: "this", model, title: "Named", where: "This Computer" });
const where = "https://api.example/v1";
const peers = ["/ip4/1.2.3.4/tcp/1/p2p/Qm"];
const swarm: Swarm = { kind: "join", peers };
const invited: Swarm = { ...swarm, invite: { model: "Owner/Name", dhtPrefix: "Name-hf", peers, petals: "2.3.0" } };

it.each<[EngineNote, EngineChoice | undefined, EngineChoice]>([
  [here("granite-4.1-3b"), undefined, { kind: "this", model: "granite-4.1-3b" }],
  [
    { kind: "server", model: "m", title: "m", where },
    { kind: "this", model: "x" },
    { kind: "server", baseUrl: where, model: "m" },
  ],
  [
    { kind: "swarm", model: "m", title: "M", where: "Swarm" },
    { kind: "this", model: "x" },
    { kind: "swarm", model: "m" },
  ],
  [
    { kind: "swarm", model: "m", title: "M", where: "Swarm" },
    { kind: "swarm", model: "other", swarm },
    { kind: "swarm", model: "m", swarm },
  ],
  [
    { kind: "swarm", model: "owner--name", title: "Name", where: "Swarm" },
    { kind: "swarm", model: "other", swarm: invited },
    { kind: "swarm", model: "owner--name", swarm: invited },
  ],
  [
    { kind: "swarm", model: "m", title: "M", where: "Swarm" },
    { kind: "swarm", model: "owner--name", swarm: invited },
    { kind: "swarm", model: "m", swarm },
  ],
])("makes a choice of what answered: %j after %j", (note, last, expected) => {
  expect(choiceOf(note, last)).toEqual(expected);
});

it("says which model is gone, and what to do", async () => {
  const gone = requireEngine(paths, here("granite-4.1-3b"));
  await expect(gone).rejects.toMatchObject({
    code: "model-missing",
    message: "Named answered in this conversation, and is no longer on this computer.",
    hint: expect.stringMatching(/Choose another model/) as string,
    cliHint: expect.stringContaining("torbiz models pull granite-4.1-3b") as string,
  });
  await expect(requireEngine(paths, here("of-an-older-torbiz"))).rejects.toMatchObject({ code: "model-unknown" });
  await expect(requireEngine(paths, here(join(root, "mine.gguf")))).rejects.toMatchObject({
    ...{ code: "model-missing", message: expect.stringContaining("Named answered") as string },
  });
});

it("takes what is there, and what only an answer can show", async () => {
  const granite = findLocalModel("granite-4.1-3b");
  const file = modelFile(paths, granite);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, "");
  truncateSync(file, granite.bytes); // a hole: it takes no space
  await requireEngine(paths, here(granite.id));
  const mine = join(root, "mine.gguf");
  writeFileSync(mine, "GGUF\x03\0\0\0");
  await requireEngine(paths, here(mine));
  await requireEngine(paths, { kind: "server", model: "m", title: "m", where: "http://127.0.0.1:1/v1" });
  await requireEngine(paths, { kind: "swarm", model: "m", title: "M", where: "Swarm" });
});
