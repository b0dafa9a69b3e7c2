import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readAskSettings, rememberAskSettings } from "../../../src/lib/ask/ask-settings";
import type { EngineChoice } from "../../../src/lib/ask/engine-choice";

const PEER = `/ip4/10.0.0.7/tcp/31330/p2p/${"Q".repeat(46)}`;
const invite = { model: "Owner/Name", revision: "b".repeat(40), dhtPrefix: "Name-hf", peers: [PEER], petals: "2.3.0" };

let home: string;

beforeEach(() => (home = mkdtempSync(join(tmpdir(), "ask-settings-"))));

afterEach(() => rmSync(home, { recursive: true, force: true }));

it.each<EngineChoice>([
  { kind: "this", model: "qwen3-4b" },
  { kind: "swarm" },
  { kind: "swarm", model: "smollm2", swarm: { kind: "join", peers: ["/ip4/1.2.3.4/tcp/1/p2p/Qm"] } },
  { kind: "swarm", model: "Owner/Name", swarm: { kind: "join", peers: invite.peers, invite } },
  { kind: "swarm", swarm: { kind: "public" } },
  { kind: "server", baseUrl: "http://127.0.0.1:1/v1" },
  { kind: "server", baseUrl: "http://127.0.0.1:1/v1", model: "gemma3" },
])("remembers the choice %j next to the consent", (lastChoice) => {
  const allowedStrangersAt = "2026-01-02T03:04:05.000Z";
  rememberAskSettings({ home }, { allowedStrangersAt });
  rememberAskSettings({ home }, { lastChoice });
  expect(readAskSettings({ home })).toEqual({ lastChoice, allowedStrangersAt });
});

it("leaves one file, for its user only", () => {
  rememberAskSettings({ home }, { lastChoice: { kind: "swarm" } });
  expect(readdirSync(home)).toEqual(["ask.json"]);
  expect(statSync(join(home, "ask.json")).mode & 0o777).toBe(0o600);
});

it.each([
  ["", {}],
  ["{", {}],
  ["null", {}],
  ["[1]", {}],
  [{ lastChoice: { kind: "this" }, allowedStrangersAt: true }, {}],
  [{ lastChoice: { kind: "server", model: "x" } }, {}],
  [{ lastChoice: { kind: "cloud", model: "x" } }, {}],
  [
    { lastChoice: { kind: "swarm", swarm: { kind: "join", peers: "all" }, model: 7 } },
    { lastChoice: { kind: "swarm" } },
  ],
  [
    { lastChoice: { kind: "swarm", swarm: { kind: "join", peers: [PEER], invite: "torbiz-invite:e30" } } },
    { lastChoice: { kind: "swarm", swarm: { kind: "join", peers: [PEER] } } },
  ],
])("takes nothing for granted in %j", (content, expected) => {
  writeFileSync(join(home, "ask.json"), typeof content === "string" ? content : JSON.stringify(content));
  expect(readAskSettings({ home })).toEqual(expected);
});
