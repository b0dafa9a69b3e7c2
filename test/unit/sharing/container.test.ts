import { containerOptions, resourceLimits, type SharePlan } from "../../../src/lib/sharing/container";
import { defaultModel } from "../../../src/lib/models";
import { resolveNames } from "../../../src/lib/names";

const FACTS = {
  version: "28.0",
  apiVersion: "1.47",
  operatingSystem: "Docker Desktop",
  architecture: "aarch64",
  cpus: 8,
  memoryBytes: 8_000_000_000,
  rootless: false,
};
const PEER = "/ip4/10.0.0.7/tcp/31330/p2p/QmfC7rrLzQFLoDbAwXNPJurRAA1PgTKzkwv38Xx3S7ScR2";
const PLAN: SharePlan = {
  model: defaultModel,
  modelFolder: "/home/me/.torbiz/models/smollm2-135m-instruct/petals",
  swarm: { kind: "private" },
  port: 31330,
  hasToken: false,
  startedBy: "share",
  inputs: "abc",
};
const names = resolveNames({});

function options(change: Partial<SharePlan> = {}) {
  return containerOptions({ ...PLAN, ...change }, names, FACTS);
}

test("one's own swarm is published and announced on loopback only, by one port inside and out", () => {
  const made = options({ port: 31400 });
  expect(made.HostConfig?.PortBindings).toEqual({ "31400/tcp": [{ HostIp: "127.0.0.1", HostPort: "31400" }] });
  expect(made.Cmd).toEqual(expect.arrayContaining(["--new-swarm", "--announce", "/ip4/127.0.0.1/tcp/31400"]));
});

test("in another's swarm peers can connect", () => {
  const made = options({ swarm: { kind: "join", peers: [PEER] } });
  expect(made.HostConfig?.PortBindings).toEqual({ "31330/tcp": [{ HostIp: "0.0.0.0", HostPort: "31330" }] });
  expect(made.Cmd).toEqual(expect.arrayContaining(["--initial-peer", PEER]));
  expect(made.Cmd).not.toContain("--new-swarm");
});

test("the model is mounted read-only beside the cache, and nothing else of the host", () => {
  expect(options().HostConfig?.Mounts).toEqual([
    { Type: "volume", Source: "torbiz-petals-cache", Target: "/cache" },
    { Type: "bind", Source: PLAN.modelFolder, Target: "/model", ReadOnly: true },
  ]);
});

test("a token opens stdin and leaves no other trace", () => {
  expect(options({ hasToken: true })).toMatchObject({ OpenStdin: true, StdinOnce: true });
  expect(options({ hasToken: false })).toMatchObject({ OpenStdin: false, StdinOnce: false });
});

test("the computer keeps a quarter of its processors and memory, and no less than one processor is used", () => {
  expect(resourceLimits({ cpus: 8, memoryBytes: 8_000_000_000 })).toEqual({
    memoryBytes: 6_000_000_000,
    nanoCpus: 6_000_000_000,
    threads: 6,
  });
  expect(resourceLimits({ cpus: 1, memoryBytes: 2_000_000_000 })).toMatchObject({
    nanoCpus: 1_000_000_000,
    threads: 1,
  });
});
