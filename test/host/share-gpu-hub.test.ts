import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { EngineContext } from "../../src/lib/context";
import { findDockerCli } from "../../src/lib/docker/cli";
import { LABELS } from "../../src/lib/names";
import { exec, openTestEngine, ROOT, torbiz } from "../e2e/torbiz";
import { type Fault, HubProcess } from "../hub-process";
import { localEnvironment } from "../unit/ask/local-environment";
import { builtExtension } from "./built-extension";
import { RaycastHost, type CommandView } from "./raycast";
import { commandEnv, eventually, LONG, ONLINE } from "./real-share";

/**
 * A model that a person names, in the built Share GPU with the real engine and the real Petals: looked up on a hub of this
 * computer, which fails in every way first, measured, downloaded, shared, found on the map, kept, and removed.
 */

const REPOSITORY = "maker/tiny-llama";
const MODEL = "tiny-llama";
const SHARDS = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"] as const;

let context: EngineContext;
let root: string;
let hub: HubProcess;
let env: NodeJS.ProcessEnv;
let host: RaycastHost;

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "torbiz-host-hub-"));
  // A home of its own: no model was named there before.
  const home = { TORBIZ_HOME: join(root, "home") };
  context = await openTestEngine(home);
  const { engine, names } = context;
  await torbiz(["stop"], { env: home });
  expect((await torbiz(["build"], { env: home })).code).toBe(0);
  const docker = await findDockerCli(context);
  await exec(docker, ["volume", "rm", "--force", names.volume]);
  const models = join(root, "models");
  await makeModels(docker, models);
  // The host's address in the share's own network: reached from here and from the container.
  await engine.ensureNetwork(names.network, { [LABELS.managed]: "1", [LABELS.instance]: names.instance });
  const gateway = ["network", "inspect", names.network, "--format", "{{(index .IPAM.Config 0).Gateway}}"];
  const { python } = await localEnvironment();
  hub = await HubProcess.start(python, models, (await exec(docker, gateway)).stdout.trim());
  env = { ...home, HF_ENDPOINT: hub.url };
  host = await RaycastHost.open({ extension: await builtExtension(), env: { ...commandEnv(), ...env } });
}, 900_000);

afterAll(async () => {
  await host.close();
  await torbiz(["stop", "--now"], { env });
  await hub.close();
  rmSync(root, { recursive: true, force: true });
});

/** A llama, by what the image has of PyTorch, and a model of a family that Petals doesn't know. */
async function makeModels(docker: string, models: string): Promise<void> {
  const other = join(models, "maker", "other");
  mkdirSync(other, { recursive: true });
  writeFileSync(join(other, "config.json"), JSON.stringify({ model_type: "gpt2" }));
  const make = ["python", "-W", "ignore", "-m", "tests.tiny_llama", `/models/${REPOSITORY}`];
  await exec(docker, [
    ...[
      "run",
      "--rm",
      "--network",
      "none",
      "--user",
      `${process.getuid?.()}:${process.getgid?.()}`,
      "--env",
      "HOME=/tmp",
    ],
    ...["--volume", `${join(ROOT, "python", "tests")}:/made/tests:ro`, "--volume", `${models}:/models`],
    ...["--workdir", "/made", "--entrypoint", "", context.names.image, ...make],
  ]);
}

const titles = (view: CommandView) => view.actions().map(({ title }) => title);

async function choosing(): Promise<CommandView> {
  const view = await host.launch("share-gpu");
  await view.waitFor("Another Model…");
  return view;
}

async function lookUp(view: CommandView, name: string, answer: string | RegExp): Promise<void> {
  await view.type("name", name);
  await view.submit();
  await view.waitFor(answer);
}

test("a model is named by its repository: what is wrong with it is said in the form, else it is among the others", async () => {
  const view = await choosing();
  await view.run("Enter Model Name", { item: "Another Model…" });
  await lookUp(view, MODEL, "(error: Enter owner/name, as on the model's page)");
  await lookUp(
    view,
    "maker/nothing",
    /Unknown Model: .* has no model maker\/nothing, or it is private\. Check its name/,
  );
  await lookUp(view, "maker/other", /Petals Can't Serve This Model: .*gpt2.*safetensors files\./);
  expect(titles(view)).toEqual(["Look It up"]);
  await hub.fail({ place: "api", status: 401, code: "GatedRepo" });
  await lookUp(view, REPOSITORY, `Ask for access at ${hub.url}/${REPOSITORY}, and give Torbiz a Hugging Face token`);
  await view.run("Ask for Access");
  await eventually(() => expect(JSON.stringify(host.opened.at(-1))).toContain(`${hub.url}/${REPOSITORY}`));

  await hub.fail();
  const again = await choosing();
  await again.run("Enter Model Name", { item: "Another Model…" });
  await lookUp(again, ` ${REPOSITORY} `, `- ${MODEL}`);
  expect(again.toast()).toMatchObject({ style: "SUCCESS", title: `${MODEL} Can Be Shared` });
  await again.select(MODEL);
  expect(again.text()).toContain(`Chosen by you on the model hub: ${REPOSITORY}.`);
  expect(again.text()).toContain("Fit: Fits");
  expect(again.text()).toContain("Download: 5.3 MB for All Blocks");
});

test("this computer is measured with it, and that is kept", async () => {
  const view = await choosing();
  await view.run("Measure This Computer", { item: MODEL });
  await view.waitFor(/Measured: about \d+ tokens\/s through all blocks\./, LONG);
  expect(view.toast()).toMatchObject({ style: "SUCCESS", title: "Measured This Computer" });
  const [speed = ""] = /Speed: \d+ tokens\/s/.exec(view.text()) ?? [];
  expect(speed).not.toBe("");
  await view.closeWindow();

  const again = await choosing();
  await again.select(MODEL);
  await again.waitFor(speed);
});

interface Failure {
  fault: Fault;
  title: string;
  sentence: string;
  next: string;
  actions: string[];
}

test("a download that comes to nothing ends with what happened and what to do; the next one goes on, and is shared", async () => {
  const hubName = new URL(hub.url).host;
  const failures: Failure[] = [
    {
      fault: { file: "*.safetensors", status: 403, code: "GatedRepo" },
      title: "The model's owner must grant you access",
      sentence: `${hubName} gives ${REPOSITORY} only to people it has allowed, and no token was given. Ask for access at ${hub.url}/${REPOSITORY}`,
      next: "Ask for access on the model's page, and give Torbiz a Hugging Face token of that account.",
      actions: ["Retry", "Ask for Access"],
    },
    {
      fault: { file: SHARDS[0], status: 404, code: "EntryNotFound" },
      title: "Unknown model",
      sentence: `${REPOSITORY} has no file ${SHARDS[0]} on ${hubName}.`,
      next: "Remove what is kept of it, and name it again: then it is looked up anew.",
      actions: ["Retry", "Show Cached Models"],
    },
    {
      fault: { file: SHARDS[0], place: "store", silent_after: 0 },
      title: "The model hub can't be reached",
      sentence: `${hubName} has sent nothing for 30 s.`,
      next: "Check the network and try again: what has been downloaded is kept.",
      actions: ["Retry"],
    },
    {
      fault: { file: SHARDS[0], wrong: true },
      title: "The model's files are damaged",
      sentence: `${SHARDS[0]} of ${REPOSITORY} came with a wrong hash: ${hubName} sent something else. It was deleted.`,
      next: "Try again: what Torbiz brought is checked and comes anew.",
      actions: ["Retry"],
    },
  ];
  const view = await choosing();
  await view.run("Share with Options…", { item: MODEL });
  await view.type("blocks", "0:3");
  for (const { fault, title, sentence, next, actions } of failures) {
    await hub.fail(fault);
    if (titles(view).includes("Retry")) await view.run("Retry");
    else await view.submit();
    await view.waitFor(`**${title}**`, LONG);
    expect(view.items()[0]).toMatchObject({ section: "Last Share", title: "Share Ended" });
    expect(view.text()).toContain(sentence);
    expect(view.text()).toContain(next);
    expect(titles(view)).toEqual(expect.arrayContaining(actions));
    expect(titles(view)[0]).toBe("Retry");
  }

  await hub.fail(
    { file: SHARDS[0], cut_after: 1_000_000, times: 1 },
    { file: SHARDS[0], place: "store", bytes_per_second: 50_000 },
  );
  await view.run("Retry");
  await view.waitFor(/Downloading model-00001-of-00002\.safetensors \(\d+%, [12]\.\d of 2\.9 MB, \d+ kB\/s\)/, LONG);
  await view.waitFor(/The model hub sends \d+ kB\/s: this file takes \d+ s more\./, LONG);
  await view.waitFor(ONLINE, LONG);
  expect(view.text()).toContain("Blocks: 0 to 2, 3 of 4");
  const weights = (await hub.requests()).filter(({ place }) => place === "store");
  expect(weights.map(({ file, range }) => [file, range !== null])).toEqual([
    [SHARDS[0], false],
    [SHARDS[0], true],
    [SHARDS[1], false],
  ]);
});

test("the map tells who serves which blocks, what is missing, and that nobody else is there", async () => {
  const view = await host.launch("share-gpu");
  await view.waitFor(ONLINE);
  await view.run("Show Swarm Map");
  await view.waitFor("Block 3 is missing.", LONG);
  expect(view.items().map(({ title, subtitle }) => `${title}: ${subtitle}`)).toEqual([
    "Map: 0 peers",
    "Blocks 0 to 2: This Computer",
  ]);
  expect(view.text()).toContain("Another computer helps most with 1 block: 3.");
  expect(view.text()).toContain("Nobody else can serve it: this swarm is open to this computer only.");
  await view.select("Blocks 0 to 2");
  expect(view.text()).toMatch(/State: Online[^]*Throughput: [\d.]+ tokens\/s \(announced\)/);
});

test("what is kept serves after its container was removed: the hub is asked for nothing", async () => {
  const view = await host.launch("share-gpu");
  await view.waitFor(ONLINE);
  await view.run("Stop Sharing");
  await eventually(() => expect(view.toast()?.title).toMatch(/^Stopped in /));
  expect(await context.engine.inspect(context.names.container)).toBeUndefined();
  // All that a hub could be asked for now would never come.
  await hub.fail({ silent_after: 0 });
  await view.press("enter");
  await view.waitFor(ONLINE, LONG);
  expect(view.text()).toContain("Blocks: 0 to 2, 3 of 4");
  expect(await hub.requests()).toEqual([]);
});

test("what is kept of it is listed, not removed while it is shared, and removed after a yes", async () => {
  const view = await host.launch("share-gpu");
  await view.waitFor(ONLINE);
  await view.run("Show Cached Models");
  await view.waitFor(`${MODEL} · ${REPOSITORY} (5.3 MB)`, LONG);
  await view.run("Remove…");
  await view.waitFor(`${MODEL} is shared now, so its blocks are in use. Stop it first, then remove them.`, LONG);
  await view.back();
  await view.run("Stop Sharing");
  await view.waitFor("Last Choice", LONG);

  await view.run("Show Cached Models", { item: MODEL });
  await view.waitFor("(5.3 MB)", LONG);
  host.confirm = () => false;
  await view.run("Remove…");
  expect(host.alerts.at(-1)).toMatchObject({
    title: `Remove ${MODEL}?`,
    message: "This frees 5.3 MB. It is downloaded anew when it is shared again.",
  });
  expect(view.items()).toHaveLength(1);
  host.confirm = () => true;
  await view.run("Remove…");
  await view.waitFor("Nothing Is Kept", LONG);
  expect(view.toast()).toMatchObject({ style: "SUCCESS", title: "Removed 5.3 MB" });
  await view.back();
  await view.waitFor(() => !view.items().some(({ title }) => title === MODEL));
});
