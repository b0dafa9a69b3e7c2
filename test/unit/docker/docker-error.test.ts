import { messageOf, refusal } from "../../../src/lib/docker/docker-error";
import type { Endpoint } from "../../../src/lib/docker/endpoint";
import { ENGINES } from "./recorded-engines";

const endpoint: Endpoint = { url: "unix:///x.sock", socketPath: "/x.sock", source: "socket" };

/** An engine's own words: it doesn't write all of them as JSON. */
function wordsOf(body: string): string {
  try {
    return messageOf(JSON.parse(body)) ?? body;
  } catch {
    return body;
  }
}

describe.each(ENGINES)("what the engine $name really says", ({ answers }) => {
  it.each([
    ["an image isn't there", "image-missing"],
    ["a container isn't there", "docker-request-failed"],
    ["a container's name is taken", "docker-request-failed"],
    ["a port is taken by a program", "port-in-use"],
    ["a port is taken by a container", "port-in-use"],
    ["a container is made on a full disk", "disk-full"],
    ["a container is started on a full disk", "disk-full"],
    ["a client is too new", "docker-too-old"],
    ["a client is too old", "docker-request-failed"],
  ])("when %s is %s", (when, code) => {
    const answer = answers.find((each) => each.when === when);
    if (!answer) throw new Error("The engine wasn't asked that.");
    const error = refusal(answer.status, wordsOf(answer.body), endpoint);
    expect(error).toMatchObject({ code, details: { statusCode: answer.status } });
    if (code === "port-in-use") expect(error.message).toBe("Port 45671 is taken by another program.");
    if (when === "a client is too old") expect(error.hint).toContain("Update Torbiz");
  });
});

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

  it("advises an update of Torbiz to those whose engine is newer", () => {
    const words = "client version 1.47 is too old. Minimum supported API version is 1.50";
    expect(refusal(400, words, endpoint).hint).toContain("Update Torbiz");
  });
});
