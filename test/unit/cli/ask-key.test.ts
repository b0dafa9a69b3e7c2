import { mkdtempSync, rmSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { runAsk, type AskFlags } from "../../../src/cli/ask";
import { rememberAskSettings } from "../../../src/lib/ask/ask-settings";
import { openSurroundings, type Surroundings } from "../../../src/lib/context";
import { ScriptedOpenAi } from "../../host/scripted-openai";
import { lend, localEnvironment } from "../ask/local-environment";
import { endAskServer } from "../../end-ask-server";
import { recordedSession, stdinWith } from "./session";

/** Whom TORBIZ_API_KEY is sent to: the real ask server between this command and two servers. */

const KEYED = "Bearer sk-canary";

let root: string;
let surroundings: Surroundings;
const [one, other] = [new ScriptedOpenAi(), new ScriptedOpenAi()];

beforeAll(async () => {
  const environment = await localEnvironment();
  root = mkdtempSync(join(tmpdir(), "cli key "));
  const env = { ...process.env, TORBIZ_HOME: root, TORBIZ_API_KEY: "sk-canary" };
  surroundings = openSurroundings({ runtimeFiles: process.cwd(), env, home: homedir() });
  lend({ environment: environment.folder }, surroundings.paths);
  await Promise.all([one.listen(), other.listen()]);
}, 600_000);

afterAll(async () => {
  endAskServer(surroundings.paths);
  await Promise.all([one.close(), other.close()]);
  rmSync(root, { recursive: true, force: true });
});

/** `torbiz ask`; resolves with the keys that each server was sent with it. */
async function keysSent(flags: AskFlags): Promise<{ one: (string | undefined)[]; other: (string | undefined)[] }> {
  for (const server of [one, other]) server.looks.length = server.requests.length = 0;
  const session = recordedSession(surroundings);
  await runAsk(session, "Who?", flags, stdinWith());
  expect(session.events.at(-1)).toMatchObject({ ok: true, answer: "Yes." });
  const sent = ({ looks, requests }: ScriptedOpenAi) =>
    [...looks, ...requests].map(({ authorization }) => authorization);
  return { one: sent(one), other: sent(other) };
}

it("is the server that the same command names, and no other", async () => {
  expect(await keysSent({ engine: one.baseUrl })).toEqual({ one: [KEYED, KEYED], other: [] });
  // The conversation remembers that server, as does what was asked last.
  expect(await keysSent({ continue: true })).toEqual({ one: [undefined], other: [] });
  expect(await keysSent({})).toEqual({ one: [undefined], other: [] });
  expect(await keysSent({ model: "scripted" })).toEqual({ one: [undefined], other: [] });
  expect(await keysSent({ continue: true, engine: other.baseUrl })).toEqual({ one: [], other: [KEYED, KEYED] });
  expect(await keysSent({ continue: true, engine: one.baseUrl })).toEqual({ one: [KEYED, KEYED], other: [] });
  rememberAskSettings(surroundings.paths, { lastChoice: { kind: "server", baseUrl: other.baseUrl } });
  expect(await keysSent({})).toEqual({ one: [], other: [undefined, undefined] });
}, 120_000);
