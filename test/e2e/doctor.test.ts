import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { once } from "node:events";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { EngineContext } from "../../src/lib/context";
import { exec, openTestBed, torbiz, type Ended } from "./torbiz";

/** `torbiz doctor` on the real engine: well, and with what goes wrong at people's desks. */

interface Found {
  id: string;
  state: string;
  detail: string;
  hint: string | null;
  repair: string | null;
}

let context: EngineContext;
let docker: string;
let folder: string;

beforeAll(async () => {
  ({ context, docker } = await openTestBed());
  folder = mkdtempSync(join(tmpdir(), "torbiz-doctor-"));
});

afterEach(() => torbiz(["stop"]));

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function findings({ last }: Ended): Record<string, Found> {
  return Object.fromEntries((last.findings as Found[]).map((finding) => [finding.id, finding]));
}

function answers({ last }: Ended): string[] {
  return (last.answers as { answer: string }[]).map(({ answer }) => answer);
}

test("a computer that shares, asks and stops is well, and the five questions are answered with yes", async () => {
  expect((await torbiz(["share"])).code).toBe(0);
  const { code: asked } = await torbiz(["ask", "Hello?", "--engine", "this", "--max-tokens", "1"]);
  expect(asked).toBe(0);

  const sharing = await torbiz(["doctor"]);
  expect([sharing.code, sharing.last.ok]).toEqual([0, true]);
  expect(findings(sharing).share).toMatchObject({ state: "ok", detail: expect.stringContaining("online") as unknown });
  expect(findings(sharing).port?.detail).toContain("this share's own");
  expect(findings(sharing).dependencies?.detail).toMatch(/petals 2\.\d.*torch \d.*peft \d/);

  await torbiz(["stop"]);
  const bundle = join(folder, "report.json");
  const after = await torbiz(["doctor", "--bundle", bundle], { env: { HF_TOKEN: "hf_0123456789abcdefgh" } });
  expect(findings(after)).toMatchObject(
    Object.fromEntries(
      ["engine", "image", "dependencies", "volume", "last-share", "port", "clock"].map((id) => [id, { state: "ok" }]),
    ),
  );
  expect(answers(after)).toEqual(["yes", "yes", "yes", "yes", "yes"]);

  const report = readFileSync(bundle, "utf8");
  expect(statSync(bundle).mode & 0o777).toBe(0o600);
  expect(report).not.toContain("hf_0123456789abcdefgh");
  expect(report).not.toContain(`${context.home}/`);
  expect(JSON.parse(report)).toMatchObject({
    torbiz: "0.1.0",
    findings: expect.any(Array) as unknown,
    logs: expect.any(Object) as unknown,
  });
  expect((await torbiz(["doctor", "--bundle", bundle])).last).toMatchObject({ event: "error", code: "usage" });
});

test("no engine: that is the problem, and what needs none is looked at all the same", async () => {
  const ended = await torbiz(["doctor"], { env: { DOCKER_HOST: `unix://${folder}/none.sock` } });
  expect([ended.code, ended.last.event, ended.last.ok]).toEqual([1, "result", false]);
  expect(findings(ended)).toMatchObject({
    engine: { state: "problem", detail: expect.stringContaining("none.sock") as unknown },
    context: { state: "ok", detail: expect.stringContaining("from DOCKER_HOST") as unknown },
    memory: { state: "unknown" },
    share: { state: "unknown" },
    disk: { state: "ok" },
    python: { state: "ok" },
  });
  expect(answers(ended)[0]).toBe("no");
});

test("another program on the port, and another's container under the name", async () => {
  const { port, container } = context.names;
  const server = createServer().listen(port, "127.0.0.1");
  await once(server, "listening");
  // Without our label, which it would take from the image.
  await exec(docker, ["create", "--name", container, "--label", "com.torbiz.managed=", context.names.image, "true"]);
  try {
    const ended = await torbiz(["doctor", "--repair"]);
    expect(ended.code).toBe(1);
    expect(findings(ended)).toMatchObject({
      port: { state: "problem", hint: expect.stringMatching(/Port \d+ is free/) as unknown },
      share: { state: "problem", detail: expect.stringContaining(container) as unknown },
    });
    expect(await context.engine.inspect(container)).toBeDefined();
  } finally {
    server.close();
    await exec(docker, ["rm", container]);
  }
});

test("an image that lacks what it should hold is found out, and one that isn't there is built by a repair", async () => {
  const { image } = context.names;
  const kept = `${image}-kept`;
  await exec(docker, ["tag", image, kept]);
  try {
    const packages = "/opt/torbiz/venv/lib/python3.11/site-packages";
    const build = exec(docker, ["build", "--tag", image, "-"]);
    build.child.stdin?.end(`FROM ${kept}\nUSER 0\nRUN rm -rf ${packages}/peft\nUSER 10001\n`);
    await build;
    const broken = await torbiz(["doctor"]);
    expect(broken.code).toBe(1);
    expect(findings(broken).dependencies).toMatchObject({
      ...{ state: "problem", repair: "Rebuild Image" },
      detail: expect.stringContaining("No module named 'peft'") as unknown,
    });
    expect(answers(broken)[1]).toBe("no");

    await exec(docker, ["rmi", image]);
    expect(findings(await torbiz(["doctor"])).image).toMatchObject({ state: "warning", repair: "Build Image" });
    const repaired = await torbiz(["doctor", "--repair"]);
    expect(repaired.code).toBe(0);
    expect(findings(repaired)).toMatchObject({ image: { state: "ok" }, dependencies: { state: "ok" } });
  } finally {
    if (!(await context.engine.image(image))) await exec(docker, ["tag", kept, image]);
    await exec(docker, ["rmi", kept]);
  }
});
