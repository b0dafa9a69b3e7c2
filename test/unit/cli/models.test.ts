import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { jest } from "@jest/globals";
import { runAsk } from "../../../src/cli/ask";
import { runEngines } from "../../../src/cli/engines";
import { runModelsList, runModelsPull, runModelsRemove } from "../../../src/cli/models";
import { LOCAL_MODELS, type OfferedModel } from "../../../src/lib/ask/local-models";
import { cancelPull, isDownloading, modelFile } from "../../../src/lib/ask/model-download";
import { openSurroundings, type Surroundings } from "../../../src/lib/context";
import { HubStandIn, smallModel } from "../ask/hub-stand-in";
import { lend, sharedStarter, type Shared } from "../ask/local-environment";
import { endAskServer } from "../../end-ask-server";
import { recordedSession, stdinWith, toldSession, type Recorded } from "./session";

/** `torbiz models` and `torbiz engines`: a catalogue with one more model in it, which the hub's stand-in has. */

const GB = 1e9;
const CONTENT = Buffer.concat([Buffer.from("GGUF\u0003\0\0\0"), Buffer.alloc(4_000_000, "some weights ")]);
const MODEL = smallModel(CONTENT);
const [STARTER] = LOCAL_MODELS;
const catalogue = LOCAL_MODELS as unknown as OfferedModel[];

const hub = new HubStandIn();
let shared: Shared;
let root: string;
let surroundings: Surroundings;

// Downloads are real, and so is the model that answers, on a machine that others may use too.
jest.setTimeout(180_000);

beforeAll(async () => {
  catalogue.push(MODEL);
  await hub.listen();
  shared = await sharedStarter();
}, 600_000);

afterAll(async () => {
  catalogue.pop();
  await hub.close();
});

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "cli models "));
  const own = { TORBIZ_HOME: join(root, "home"), HF_ENDPOINT: hub.url, DOCKER_HOST: `unix://${root}/none.sock` };
  const env = { ...process.env, ...own };
  surroundings = openSurroundings({ runtimeFiles: process.cwd(), env, home: root });
});

afterEach(async () => {
  await cancelPull(surroundings.paths, MODEL);
  rmSync(root, { recursive: true, force: true });
});

/** `torbiz models pull`, and when some of it has come. */
async function begun(): Promise<{ session: Recorded; ended: Promise<void> }> {
  const session = recordedSession(surroundings);
  const some = new Promise<void>((resolve) => {
    const { progress } = session.output;
    session.output.progress = (step) => {
      progress(step);
      if (step.stage === "preparing-model" && (step.progress ?? 0) > 0.4) resolve();
    };
  });
  const ended = runModelsPull(session, MODEL.id);
  await Promise.race([some, ended]);
  return { session, ended };
}

test("list tells what there is, what this computer can hold, and what is here", async () => {
  lend({ starter: shared.starter }, surroundings.paths);
  const session = recordedSession(surroundings);
  await runModelsList(session, 16 * GB);
  const [result] = session.events as unknown as [{ models: (OfferedModel & Record<string, unknown>)[] }];
  expect(result).toMatchObject({ event: "result", ok: true });
  expect(result.models.map(({ id }) => id)).toEqual(LOCAL_MODELS.map(({ id }) => id));
  expect(result.models[0]).toEqual({
    ...{ id: STARTER.id, title: STARTER.title, bytes: STARTER.bytes, memoryBytes: STARTER.memoryBytes },
    ...{ context: 8_192, license: "Apache-2.0", note: STARTER.note, source: "starter" },
    ...{ path: modelFile(surroundings.paths, STARTER), recommended: false, fits: true },
  });
  const [recommended, ...others] = result.models.filter((model) => model.recommended);
  expect([recommended?.id, others]).toEqual(["gemma-4-e4b", []]);
  for (const { fits, memoryBytes } of result.models) expect(fits).toBe(memoryBytes <= 16 * GB);
  expect(result.models.find(({ id }) => id === MODEL.id)).toMatchObject({ path: null, fits: true });

  const people = toldSession(surroundings);
  await runModelsList(people, 16 * GB);
  expect(people.told()).toMatch(
    /^smollm2-135m-instruct +0\.3 GB +needs 1\.1 GB of memory +here +Apache-2\.0 +For trying out: .*\.$/m,
  );
  expect(people.told()).toMatch(/^gemma-4-e4b +5\.2 GB +needs 6\.5 GB of memory +recommended +Apache-2\.0 +\S/m);
  expect(people.told()).toMatch(/^gemma-4-31b +17\.7 GB +needs 20\.2 GB of memory +too large +Apache-2\.0 +\S/m);
});

test("pull tells how far it is; Ctrl-C ends the download, and the next one goes on from there", async () => {
  lend({ environment: shared.environment }, surroundings.paths);
  hub.offer({ content: CONTENT, speed: 1_500_000 });
  const first = await begun();
  first.session.interrupt();
  await expect(first.ended).rejects.toMatchObject({ code: "interrupted" });
  expect(await isDownloading(surroundings.paths, MODEL)).toBe(false);
  const messages = first.session.events.map(({ message }) => message);
  expect(messages).toContainEqual(expect.stringMatching(/^Downloading Small Model: 0\.0 of 0\.0 GB, \d+ s left$/));
  expect(existsSync(modelFile(surroundings.paths, MODEL))).toBe(false);

  hub.offer({ content: CONTENT });
  const second = recordedSession(surroundings);
  await runModelsPull(second, MODEL.id.toUpperCase());
  const from = Number(/bytes=(\d+)-/.exec(hub.requests.find(({ range }) => range)?.range ?? "")?.[1]);
  expect(from).toBeGreaterThan(0.4 * CONTENT.length - (1 << 20));
  const path = modelFile(surroundings.paths, MODEL);
  expect(second.events.at(-1)).toEqual({ event: "result", ok: true, model: MODEL.id, path, bytes: CONTENT.length });
  expect(readFileSync(path).equals(CONTENT)).toBe(true);

  hub.requests.length = 0;
  const people = toldSession(surroundings);
  await runModelsPull(people, MODEL.id);
  expect(people.told()).toBe("Small Model is here. Ask it with `torbiz ask --model small-model`.\n");
  expect(hub.requests).toEqual([]);
});

test("remove deletes it once, also what a download has brought so far, which it ends", async () => {
  lend({ environment: shared.environment }, surroundings.paths);
  const folder = join(surroundings.paths.models, MODEL.id);
  hub.offer({ content: CONTENT });
  await runModelsPull(recordedSession(surroundings), MODEL.id);
  const people = toldSession(surroundings);
  await runModelsRemove(people, MODEL.id);
  expect(people.told()).toBe("Removed Small Model.\n");
  expect(existsSync(folder)).toBe(false);
  await expect(runModelsRemove(people, MODEL.id)).rejects.toMatchObject({
    ...{ code: "model-missing", message: "Small Model isn't on this computer.", hint: "There is nothing to remove." },
  });

  hub.offer({ content: CONTENT, speed: 1_500_000 });
  const { ended } = await begun();
  const failed = expect(ended).rejects.toMatchObject({ code: "interrupted" });
  const session = recordedSession(surroundings);
  await runModelsRemove(session, MODEL.id);
  await failed;
  expect(session.events).toEqual([{ event: "result", ok: true, model: MODEL.id, removed: true }]);
  expect(existsSync(folder)).toBe(false);
});

test("a model that nobody knows is named, with the one that may have been meant", async () => {
  for (const run of [runModelsPull, runModelsRemove]) {
    await expect(run(recordedSession(surroundings), "smal-model")).rejects.toMatchObject({
      ...{ code: "model-unknown", hint: expect.stringContaining("Did you mean small-model?") as string },
    });
  }
});

test("engines tells what can be asked, how near it is to an answer, and what to type for it", async () => {
  const told = async () => {
    const people = toldSession(surroundings);
    await runEngines(people);
    return people.told();
  };
  const starter = (state: string) =>
    new RegExp(`^--engine this --model ${STARTER.id} +${state} +${STARTER.title} +.*For trying out: `, "m");
  expect(await told()).toMatch(starter("downloaded at first"));
  lend({ starter: shared.starter }, surroundings.paths);
  expect(await told()).toMatch(starter("set up at first"));
  lend({ environment: shared.environment }, surroundings.paths);
  expect(await told()).toMatch(starter("ready"));
  expect(await told()).toMatch(/^--engine swarm +not available +Swarm +\S.*\.$/m);

  const asking = recordedSession(surroundings);
  await runAsk(asking, "Say yes.", { engine: "this", model: STARTER.id, maxTokens: 2 }, stdinWith());
  try {
    expect(await told()).toMatch(starter("loaded"));
    const session = recordedSession(surroundings);
    await runEngines(session);
    const [{ engines }] = session.events as unknown as [{ engines: { choice: unknown }[] }];
    expect(engines[0]).toEqual({
      ...{ choice: { kind: "this", model: STARTER.id }, title: STARTER.title, state: "ready", warm: true },
      detail: `0.3 GB, Apache-2.0, ${STARTER.note}`,
    });
    expect(engines.at(-1)).toMatchObject({ choice: { kind: "swarm" }, state: "unavailable", warm: false });
  } finally {
    endAskServer(surroundings.paths);
  }
});

test("engines tells of a server that runs at a place where it looks", async () => {
  const server = createServer((_request, response) => {
    response.end(JSON.stringify({ object: "list", data: [{ id: "gemma3" }] }));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
  try {
    const people = toldSession(surroundings);
    await runEngines(people, { servers: { places: [{ title: "GPT4All", baseUrl }] } });
    expect(people.told()).toMatch(
      new RegExp(`^--engine ${baseUrl} --model gemma3 +ready +gemma3 +GPT4All, ${baseUrl}$`, "m"),
    );
  } finally {
    server.close();
  }
});
