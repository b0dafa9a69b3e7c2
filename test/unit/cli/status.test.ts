import { runStatus } from "../../../src/cli/status";
import { LABELS, scriptedShare, type ScriptedShare } from "../sharing/scripted-share";
import { recordedSession, toldSession } from "./session";

let share: ScriptedShare;

beforeEach(async () => {
  share = await scriptedShare();
});

afterEach(() => share.close());

function ended(ExitCode: number): void {
  share.container = { State: { Status: "exited", Running: false, ExitCode, Error: "" }, Config: { Labels: LABELS } };
  const at = "2026-01-31T12:00:00.000Z";
  share.log = [`${at} ${at} ERROR torbiz.seeder: [hub-unreachable] The model hub can't be reached.`];
}

test("says why a share has ended, and what to do", async () => {
  ended(1);
  const people = toldSession(share.surroundings);
  await runStatus(people);
  expect(people.told()).toMatch(/^Sharing smollm2-135m-instruct has ended\. The model hub can't be reached\.\n {2}\S/);

  const scripts = recordedSession(share.surroundings);
  await runStatus(scripts);
  expect(scripts.events.at(-1)).toMatchObject({
    ...{ event: "result", ok: true, state: "exited", exitCode: 1 },
    reason: { code: "hub-unreachable", message: "The model hub can't be reached.", hint: expect.stringMatching(/\S/) },
  });
});

test("a share that was asked to end has no reason for it", async () => {
  ended(0);
  const scripts = recordedSession(share.surroundings);
  await runStatus(scripts);
  expect(scripts.events.at(-1)).toMatchObject({ state: "exited", reason: null });
});
