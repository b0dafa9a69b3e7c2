import { refusal } from "../../../src/lib/docker/docker-error";
import type { Endpoint } from "../../../src/lib/docker/endpoint";

const endpoint: Endpoint = { url: "unix:///x.sock", socketPath: "/x.sock", source: "socket" };

describe("refusal", () => {
  const engineWords =
    "driver failed programming external connectivity on endpoint torbiz (0f3a9): Error starting userland proxy: ";
  it.each([
    [`${engineWords}listen tcp4 127.0.0.1:31330: bind: address already in use`],
    [
      "driver failed programming external connectivity on endpoint t (9c): Bind for 0.0.0.0:31330 failed: port is already allocated",
    ],
    [
      "Ports are not available: exposing port TCP 0.0.0.0:31330 -> 127.0.0.1:0: listen tcp 0.0.0.0:31330: bind: address already in use",
    ],
    ["failed to bind host port for [::]:31330:172.18.0.2:31330/tcp: address already in use"],
  ])("names the port: %s", (words) => {
    expect(refusal(500, words, endpoint)).toMatchObject({
      code: "port-in-use",
      message: "Port 31330 is taken by another program.",
      details: { statusCode: 500, port: 31330 },
    });
  });

  it.each([
    [500, "write /var/lib/docker/x: no space left on device", "disk-full"],
    [404, "No such image: torbiz:latest", "image-missing"],
    [404, "No such container: x", "docker-request-failed"],
    [400, "client version 1.47 is too new. Maximum supported API version is 1.40", "docker-too-old"],
    [409, 'Conflict. The container name "/x" is already in use by container "5"', "docker-request-failed"],
  ])("%d %s is %s", (status, words, code) => {
    const error = refusal(status, words, endpoint);
    expect(error).toMatchObject({ code, details: { statusCode: status } });
    expect(error.message).toContain(words);
  });

  it("advises an update of Torbiz to those whose engine is newer", () => {
    const words = "client version 1.47 is too old. Minimum supported API version is 1.50";
    expect(refusal(400, words, endpoint).hint).toContain("Update Torbiz");
  });
});
