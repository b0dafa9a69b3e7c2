import { toTorbizError } from "../../../src/lib/errors";
import { readSharePreferences } from "../../../src/lib/sharing/preferences";

const PEER = "/ip4/192.168.1.20/tcp/31330/p2p/12D3KooWJ7EbqvxCY9bZ4PqfPuXmDxVPtNYrW2R9yVbQYx7pWkXn";

function failure(values: Record<string, unknown>) {
  try {
    readSharePreferences(values);
  } catch (error) {
    const { code, message, hint, details } = toTorbizError(error);
    return { code, message, hint, preference: details?.preference };
  }
  throw new Error("It was read.");
}

describe("the preferences of a share", () => {
  it("leave open what nobody filled in", () => {
    const nothing = { model: undefined, port: undefined, token: undefined, swarm: { kind: "private" }, limits: {} };
    expect(readSharePreferences({})).toEqual(nothing);
    expect(
      readSharePreferences({ port: "", swarm: "", diskLimit: " ", defaultModel: null, cpuLimit: undefined }),
    ).toEqual(nothing);
  });

  it("are read as people type them", () => {
    expect(
      readSharePreferences({
        defaultModel: "smollm2-135m-instruct",
        swarm: "public",
        cpuLimit: "25%",
        memoryLimit: "100%",
        diskLimit: " 12.5 GB ",
        port: " 31340 ",
        huggingFaceToken: " hf_secret\n",
      }),
    ).toEqual({
      model: "smollm2-135m-instruct",
      swarm: { kind: "public" },
      limits: { cpus: { fraction: 0.25 }, memory: { fraction: 1 }, diskBytes: 12_500_000_000 },
      port: 31340,
      token: "hf_secret",
    });
  });

  it("join the peers that are named, and only when joining is chosen", () => {
    const swarmPeers = ` ${PEER},  ${PEER} `;
    expect(readSharePreferences({ swarm: "join", swarmPeers }).swarm).toEqual({ kind: "join", peers: [PEER, PEER] });
    expect(readSharePreferences({ swarm: "private", swarmPeers: "half an addr" }).swarm).toEqual({ kind: "private" });
  });

  it.each([
    [{ port: "http" }, "port-invalid", "Port", "port"],
    [{ port: "80" }, "port-invalid", "Port", "port"],
    [{ port: "31330.5" }, "port-invalid", "Port", "port"],
    [{ diskLimit: "lots" }, "limit-invalid", "Disk Limit", "diskLimit"],
    [{ diskLimit: "0" }, "limit-invalid", "Disk Limit", "diskLimit"],
    [{ diskLimit: "50 MB" }, "limit-invalid", "Disk Limit", "diskLimit"],
    [{ cpuLimit: "200%" }, "limit-invalid", "CPU Limit", "cpuLimit"],
    [{ memoryLimit: "most" }, "limit-invalid", "Memory Limit", "memoryLimit"],
    [{ defaultModel: "gpt-5" }, "model-unknown", "Default Model", "defaultModel"],
    [{ swarm: "neighbors" }, "swarm-invalid", "Swarm", "swarm"],
    [{ swarm: "join" }, "swarm-invalid", "Swarm Peers", "swarmPeers"],
    [{ swarm: "join", swarmPeers: "10.0.0.1" }, "swarm-invalid", "Swarm Peers", "swarmPeers"],
    [{ port: { macOS: "31330" } }, "unexpected", "Port", "port"],
  ])("say which one can't be used: %j", (values, code, title, preference) => {
    const told = failure(values);
    expect(told).toMatchObject({ code, preference, hint: "Change it in Torbiz's preferences, and try again." });
    expect(told.message).toMatch(new RegExp(`^The preference ${title} can't be used: .+\\.$`));
  });

  it("never tell a token", () => {
    expect(failure({ huggingFaceToken: { secret: "hf_secret" } }).message).not.toContain("hf_secret");
  });
});
