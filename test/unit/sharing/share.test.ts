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
