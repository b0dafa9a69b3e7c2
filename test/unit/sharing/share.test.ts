import { openEngine } from "../../../src/lib/context";
import { share } from "../../../src/lib/sharing/share";
import { requestStop } from "../../../src/lib/sharing/stop-request";
import { LABELS, scriptedShare, type ScriptedShare } from "./scripted-share";

let engine: ScriptedShare;

beforeEach(async () => {
  engine = await scriptedShare();
});

afterEach(() => engine.close());

test("a share that another command kills while it starts was stopped, and has not failed", async () => {
  const Config = { Labels: LABELS };
  const runs = { Id: "abc", State: { Status: "running", Running: true }, Config };
  engine.others["/containers/torbiz-petals-seeder/json"] = (_, response) => void response.end(JSON.stringify(runs));
  engine.container = { State: { Status: "exited", Running: false, ExitCode: 137 }, Config };
  engine.others["/containers/abc/logs"] = ({ url }, response) => {
    // The wish comes so late that nothing but a look at the very end can see it.
    if (!/follow=(1|true)/.test(url ?? "")) requestStop(engine.surroundings);
    response.end();
  };
  await expect(share(await openEngine(engine.surroundings))).rejects.toMatchObject({
    code: "interrupted",
    message: "Sharing was stopped before it began.",
  });
});

test.each([
  ["4", { start: 0, end: 4 }, "with 4 blocks"],
  ["auto", { start: 0, end: 4 }, "with as many blocks as fit"],
  ["12:16", { start: 0, end: 4 }, "with the blocks 12 to 15"],
  ["12:16", 4, "with the blocks 12 to 15"],
])("a share of the blocks %s is not one of %j", async (label, blocks, words) => {
  engine.container = {
    State: { Status: "running", Running: true },
    Config: { Labels: { ...LABELS, "com.torbiz.blocks": label } },
  };
  await expect(share(await openEngine(engine.surroundings), { blocks })).rejects.toMatchObject({
    code: "already-sharing",
    message: `smollm2-135m-instruct is shared already, ${words}.`,
  });
});

test("blocks that the model has not are refused before anything starts", async () => {
  const wanted = share(await openEngine(engine.surroundings), { blocks: { start: 28, end: 31 } });
  await expect(wanted).rejects.toMatchObject({
    code: "blocks-invalid",
    message: "SmolLM2 135M Instruct has the blocks 0 to 29.",
  });
});
