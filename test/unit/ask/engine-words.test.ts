import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { engineTitle, whoAnswers } from "../../../src/components/ask/engine-words";
import type { EngineChoice } from "../../../src/lib/ask/engine-choice";
import { rememberModel } from "../../../src/lib/hub/known-models";
import { defaultModel } from "../../../src/lib/models";

let home: string;

beforeEach(() => (home = mkdtempSync(join(tmpdir(), "engine-words-"))));

afterEach(() => rmSync(home, { recursive: true, force: true }));

const inSwarm = (model?: string): EngineChoice => ({ kind: "swarm", model, swarm: { kind: "public" } });

it.each([
  ["tinyllama-1.1b-chat", "TinyLlama 1.1B Chat"],
  ["TinyLlama/TinyLlama-1.1B-Chat-v1.0", "TinyLlama 1.1B Chat"],
  ["Owner/Name", "Name"],
  ["owner--name", "Name"],
  ["Never/Looked-Up", "Looked-Up"],
  [undefined, "the Swarm"],
])("names the swarm's model %s %s", (model, title) => {
  const { config } = defaultModel;
  const facts = { config, license: "MIT", gated: false, diskBytes: 1 };
  rememberModel({ home }, { repository: "Owner/Name", revision: "a".repeat(40), ...facts });
  expect(engineTitle(inSwarm(model), { home })).toBe(title);
});

it("says who answers", () => {
  expect(whoAnswers(inSwarm("Owner/Name"), { home })).toBe("Name answers, in the swarm.");
  expect(whoAnswers(inSwarm(), { home })).toBe("The swarm answers.");
});
