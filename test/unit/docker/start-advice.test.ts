import type { Endpoint } from "../../../src/lib/docker/endpoint";
import { startAdvice } from "../../../src/lib/docker/start-advice";

const socket = (socketPath: string): Endpoint => ({ url: `unix://${socketPath}`, socketPath, source: "socket" });

describe("startAdvice", () => {
  it.each([
    ["darwin", "/Users/me/.docker/run/docker.sock", 'open -ga "Docker"'],
    ["darwin", "/Users/me/.orbstack/run/docker.sock", 'open -ga "OrbStack"'],
    ["darwin", "/Users/me/.colima/default/docker.sock", "colima start"],
    ["darwin", "/Users/me/.colima/x86/docker.sock", "colima start x86"],
    ["darwin", "/Users/me/.colima/docker.sock", "colima start"],
    ["darwin", "/Users/me/.lima/vm/sock/docker.sock", "limactl start vm"],
    ["darwin", "/Users/me/.rd/docker.sock", 'open -ga "Rancher Desktop"'],
    ["darwin", "/Users/me/.local/share/containers/podman/machine/podman.sock", "podman machine start"],
    ["darwin", "/var/run/docker.sock", 'open -ga "Docker"'],
    ["linux", "/var/run/docker.sock", "sudo systemctl start docker"],
    ["linux", "/home/me/.docker/desktop/docker.sock", "systemctl --user start docker-desktop"],
    ["linux", "/run/user/1000/docker.sock", "systemctl --user start docker"],
    ["linux", "/run/user/1000/podman/podman.sock", "systemctl --user start podman.socket"],
    ["linux", "/run/podman/podman.sock", "sudo systemctl start podman.socket"],
  ] as const)("on %s %s: %s", (platform, path, command) => {
    expect(startAdvice(socket(path), platform).action?.command).toBe(command);
  });

  it.each([
    ["darwin", "/Users/me/.docker/run/docker.sock", { file: "open", args: ["-ga", "Docker"] }],
    ["darwin", "/Users/me/.rd/docker.sock", { file: "open", args: ["-ga", "Rancher Desktop"] }],
    ["darwin", "/Users/me/.colima/x86/docker.sock", { file: "colima", args: ["start", "x86"] }],
    ["linux", "/run/user/1000/docker.sock", { file: "systemctl", args: ["--user", "start", "docker"] }],
    ["linux", "/var/run/docker.sock", undefined],
  ] as const)("on %s %s: starts %j itself, unless sudo has to ask", (platform, path, start) => {
    expect(startAdvice(socket(path), platform).action?.start).toEqual(start);
  });

  it("gives its action a title's capitals", () => {
    expect(startAdvice(socket("/var/run/docker.sock"), "linux").action?.title).toBe("Start Docker Engine");
    expect(startAdvice(socket("/run/user/1000/docker.sock"), "linux").action?.title).toBe("Start Rootless Docker");
  });

  it("knows contexts by their names", () => {
    const endpoint: Endpoint = { ...socket("/somewhere"), source: "context", context: "orbstack" };
    expect(startAdvice(endpoint, "darwin").how).toBe("Open OrbStack");
  });

  it("takes a Mac's own socket for the application that is installed", () => {
    expect(startAdvice(socket("/var/run/docker.sock"), "darwin", "OrbStack").how).toBe("Open OrbStack");
  });

  it("names another computer", () => {
    const tcp = { protocol: "http", host: "box", port: 2375 } as const;
    const advice = startAdvice({ url: "tcp://box:2375", tcp, source: "option" }, "darwin");
    expect(advice).toEqual({ name: "Docker", how: "Start Docker on box" });
  });
});
