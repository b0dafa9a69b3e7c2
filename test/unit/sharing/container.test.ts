import { containerOptions, type SharePlan } from "../../../src/lib/sharing/container";
import { defaultModel, findModel } from "../../../src/lib/models";
import { resolveNames } from "../../../src/lib/names";

const PEER = "/ip4/10.0.0.7/tcp/31330/p2p/QmfC7rrLzQFLoDbAwXNPJurRAA1PgTKzkwv38Xx3S7ScR2";
const PLAN: SharePlan = {
  model: defaultModel,
  files: { folder: "/home/me/.torbiz/models/smollm2-135m-instruct/petals" },
  swarm: { kind: "private" },
  port: 31330,
  limits: { memoryBytes: 6e9, nanoCpus: 1.5e9, threads: 2 },
  startedBy: "share",
  inputs: "abc",
};
const names = resolveNames({});

function options(change: Partial<SharePlan> = {}) {
  return containerOptions({ ...PLAN, ...change }, names);
}

test("one's own swarm is published and announced on loopback only, by one port inside and out", () => {
  const made = options({ port: 31400 });
  expect(made.HostConfig?.PortBindings).toEqual({ "31400/tcp": [{ HostIp: "127.0.0.1", HostPort: "31400" }] });
  expect(made.Cmd).toEqual(expect.arrayContaining(["--new-swarm", "--announce", "/ip4/127.0.0.1/tcp/31400"]));
});

test("opened to others, it is announced beside loopback and published on all addresses", () => {
  const made = options({ host: "192.168.1.20", port: 31400 });
  expect(made.HostConfig?.PortBindings).toEqual({ "31400/tcp": [{ HostIp: "0.0.0.0", HostPort: "31400" }] });
  expect(made.Cmd?.join(" ")).toContain(
    "--new-swarm --announce /ip4/127.0.0.1/tcp/31400 --announce /ip4/192.168.1.20/tcp/31400 ",
  );
  expect(made.Labels).toMatchObject({ "com.torbiz.swarm": "private", "com.torbiz.host": "192.168.1.20" });
});

test("whoever joins announces no loopback: at other computers that would be themselves", () => {
  const made = options({ swarm: { kind: "join", peers: [PEER] }, host: "my-mac.local" });
  expect(made.Cmd?.filter((word) => word.startsWith("/dns/") || word.startsWith("/ip4/127"))).toEqual([
    "/dns/my-mac.local/tcp/31330",
  ]);
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
    { Type: "bind", Source: "/home/me/.torbiz/models/smollm2-135m-instruct/petals", Target: "/model", ReadOnly: true },
  ]);
});

test("a model of the hub is named by repository and commit, and nothing of the host is mounted", () => {
  const model = findModel("tinyllama-1.1b-chat");
  const made = options({ model, files: { hub: "https://hub.example" } });
  expect(made.HostConfig?.Mounts).toEqual([{ Type: "volume", Source: "torbiz-petals-cache", Target: "/cache" }]);
  expect(made.Cmd?.join(" ")).toContain(
    "--model tinyllama-1.1b-chat --model-path TinyLlama/TinyLlama-1.1B-Chat-v1.0 " +
      "--revision fe8a4ea1ffedaf415f4da2f062534de366a451e6 --dht-prefix TinyLlama-1-1B-Chat-v1-0-hf ",
  );
  expect(made.Labels?.["com.torbiz.revision"]).toBe("fe8a4ea1ffedaf415f4da2f062534de366a451e6");
  expect(options().Labels).not.toHaveProperty(["com.torbiz.revision"]);
  expect(made.Env).toContain("HF_ENDPOINT=https://hub.example");
  expect(options().Env?.join(" ")).not.toContain("HF_ENDPOINT");
});

test("the way to the hub opens stdin, and names this computer where a proxy is on it", () => {
  const made = options({ hubAccess: { usesHost: false } });
  expect(made).toMatchObject({ OpenStdin: true, StdinOnce: true });
  expect(made.Cmd).toContain("--hub-stdin");
  expect(made.HostConfig).not.toHaveProperty("ExtraHosts");
  expect(options({ hubAccess: { usesHost: true } }).HostConfig?.ExtraHosts).toEqual([
    "host.docker.internal:host-gateway",
  ]);
  expect(options()).toMatchObject({ OpenStdin: false, StdinOnce: false });
  expect(options().Cmd).not.toContain("--hub-stdin");
});

test("it gets the limits of the plan, and swaps nothing", () => {
  expect(options().HostConfig).toMatchObject({ Memory: 6e9, MemorySwap: 6e9, NanoCpus: 1.5e9 });
  expect(options().Env).toContain("OMP_NUM_THREADS=2");
});

test("a limit of disk reaches the seeder, and none is named where there is none", () => {
  expect(options({ diskBytes: 20e9 }).Cmd?.join(" ")).toContain("--max-disk-space 20000000000 ");
  expect(options().Cmd).not.toContain("--max-disk-space");
});

test.each([
  [undefined, "auto", ""],
  [4, "4", " --blocks 4 "],
  [{ start: 12, end: 16 }, "12:16", " --blocks 12:16 "],
])("the blocks %j reach the label and the seeder", (blocks, label, argument) => {
  const made = options({ blocks });
  expect(made.Labels?.["com.torbiz.blocks"]).toBe(label);
  expect(made.Cmd?.join(" ").includes("--blocks")).toBe(argument !== "");
  expect(made.Cmd?.join(" ")).toContain(argument);
});
