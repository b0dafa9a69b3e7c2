import { readFileSync } from "node:fs";
import { join } from "node:path";
import { buildRoom } from "../../../src/lib/docker/build/build-room";
import { CONTRACT } from "../../../src/lib/docker/build/state";
import { errorCodes } from "../../../src/lib/errors";
import { LABELS, resolveNames } from "../../../src/lib/names";
import { BASE_IMAGE_STAND_IN } from "../../../src/lib/setup/base-image";
import { sizeText } from "../../../src/lib/units";
import { PETALS_VERSION, VERSION } from "../../../src/lib/version";

const read = (name: string) => readFileSync(join(import.meta.dirname, "..", "..", "..", "docker", name), "utf8");

describe("the guide", () => {
  it("has an entry for every error code, and none for others", () => {
    const entries = [...read("DOCKER_MACOS_GUIDE.txt").matchAll(/^ {2}([a-z]+(?:-[a-z]+)*) {2,}\S/gm)].map(
      ([, code]) => code,
    );
    expect(entries.toSorted()).toEqual([...errorCodes].toSorted());
  });

  it.each(["DOCKER_MACOS_GUIDE.txt", "DOCKER_README.txt", "IMPLEMENTATION_SUMMARY.txt"])(
    "never advises to prune (%s)",
    (name) => {
      expect(read(name)).not.toMatch(/\bprune\b/);
    },
  );

  it("cleans up by the names that things really have", () => {
    const { container, image, volume, network } = resolveNames({});
    for (const command of [
      `docker rm ${container}`,
      `docker rmi ${image}`,
      `docker volume rm ${volume}`,
      `docker network rm ${network}`,
      `docker rmi ${BASE_IMAGE_STAND_IN}`,
    ]) {
      expect(read("DOCKER_MACOS_GUIDE.txt")).toContain(command);
      expect(read("IMPLEMENTATION_SUMMARY.txt")).toContain(command);
    }
  });
});

describe("the image's files", () => {
  it("say the same version as the code", () => {
    expect(JSON.parse(read("../package.json"))).toMatchObject({ version: VERSION });
    expect(read("../python/torbiz/__init__.py")).toContain(`__version__ = "${VERSION}"`);
    expect(read("Dockerfile.macos")).toContain(`${LABELS.version}="${VERSION}"`);
    expect(read("Dockerfile.macos")).toContain(`org.opencontainers.image.version="${VERSION}"`);
    expect(read("docker-compose.macos.yml")).toContain(`${LABELS.version}: "${VERSION}"`);
  });

  // Invites name it, and one who joins compares.
  it.each(["petals.in", "petals.txt", "swarm.txt"])("have the Petals that the code names (%s)", (name) => {
    const lines = read(`../python/requirements/${name}`).split("\n");
    const versions = lines.flatMap((line) => /^petals==(\S+)/.exec(line)?.[1] ?? []);
    expect(versions).toEqual([PETALS_VERSION]);
  });

  it("speak the contract that the code asks for", () => {
    expect(read("Dockerfile.macos")).toContain(`${LABELS.contract}="${CONTRACT}"`);
  });

  it("mean the same base image and the same stand-in for it", () => {
    const base = /^ARG BASE_IMAGE=(\S+)$/m.exec(read("Dockerfile.macos"))?.[1];
    expect(read("build-docker-macos.sh")).toContain(`DEFAULT_BASE_IMAGE=${base}\n`);
    expect(read("build-docker-macos.sh")).toContain(`BASE_IMAGE_STAND_IN=${BASE_IMAGE_STAND_IN}\n`);
  });

  it("ask for the room on Docker's disk that people are told of", () => {
    const most = Math.max(
      ...[...read("Dockerfile.macos").matchAll(/"\$REQUIRE_ROOM" ([\d.]+)/g)].map(([, gigabytes]) => Number(gigabytes)),
    );
    const extra = Number(/--build-arg EXTRA_ROOM=([\d.]+)/.exec(read("build-docker-macos.sh"))?.[1]);
    const classic = Number(/needed \+ ([\d.]+) and print/.exec(read("Dockerfile.macos"))?.[1]);
    const { least: usual, most: atMost } = buildRoom({ containerdStore: false });
    const { least: more } = buildRoom({ containerdStore: true });
    expect([most, most + classic, most + extra]).toEqual([usual / 1e9, atMost / 1e9, more / 1e9]);
    expect(read("DOCKER_README.txt")).toContain(
      `takes ${sizeText(usual)} of Docker's disk with overlay2, and ${sizeText(more)} in containerd's store`,
    );
    expect(read("DOCKER_README.txt")).toContain(`--build-arg EXTRA_ROOM=${extra}\n`);
    expect(read("inputs/README.txt")).toContain(`The script gives ${extra} where`);
    expect(read("DOCKER_MACOS_GUIDE.txt")).toMatch(
      new RegExp(
        `takes ${sizeText(usual)} there, .* up to ${sizeText(atMost)} for a while, and ${sizeText(more)}\\s+where Docker keeps images in containerd's store`,
      ),
    );
  });
});
