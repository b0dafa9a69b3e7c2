import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { jest } from "@jest/globals";
import { execa } from "execa";
import type { Environment } from "../../../src/lib/ask/environment";
import { distrustModel, ensureLocalModel, installedModels, isInstalled } from "../../../src/lib/ask/local-model-files";
import { removeModel } from "../../../src/lib/ask/local-model-files";
import { findLocalModel } from "../../../src/lib/ask/local-models";
import { cancelPull, followPull, modelFile } from "../../../src/lib/ask/model-download";
import type { PullProgress } from "../../../src/lib/ask/download-job";
import type { HubModel } from "../../../src/lib/ask/model-download";
import { openSurroundings, type Surroundings } from "../../../src/lib/context";
import { isAlive } from "../../../src/lib/is-alive";
import type { Progress } from "../../../src/lib/progress";
import { ForwardProxy } from "./forward-proxy";
import { HubStandIn, smallModel, type OfferedFile } from "./hub-stand-in";
import { localEnvironment } from "./local-environment";
import { TestAuthority } from "./test-authority";

const CONTENT = Buffer.concat([Buffer.from("GGUF\u0003\0\0\0"), Buffer.alloc(4_000_000, "some weights ")]);
const SLOW = 1_500_000;
const TOKEN = "hf_secret";

const hub = new HubStandIn();
let environment: Environment;
let home: string;
let surroundings: Surroundings;

// Downloads and the starter's preparation are real, on a machine that others may use too.
jest.setTimeout(120_000);

beforeAll(async () => {
  await hub.listen();
  environment = await localEnvironment();
}, 600_000);

afterAll(() => hub.close());

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "torbiz-models-"));
  const env = { ...process.env, TORBIZ_HOME: join(home, "torbiz"), HOME: home, HF_ENDPOINT: hub.url, HF_TOKEN: TOKEN };
  surroundings = openSurroundings({ runtimeFiles: process.cwd(), env, home });
});

afterEach(async () => {
  await cancelPull(surroundings.paths, smallModel(CONTENT));
  rmSync(home, { recursive: true, force: true });
});

function ensure(model: HubModel, onProgress?: (progress: Progress) => void): Promise<string> {
  return ensureLocalModel({ surroundings, model, environment, onProgress });
}

function offer(file: Partial<OfferedFile> = {}): void {
  hub.offer({ content: CONTENT, ...file });
}

function pidOf({ id }: HubModel): number {
  const status = readFileSync(join(surroundings.paths.run, `download-${id}.json`), "utf8");
  return (JSON.parse(status) as { pid: number }).pid;
}

/** Watches the download that runs, or is about to, until the condition holds. */
async function until(model: HubModel, condition: (progress: PullProgress) => boolean): Promise<PullProgress> {
  for (const deadline = Date.now() + 60_000; Date.now() < deadline; await sleep(20)) {
    for await (const progress of followPull(surroundings.paths, model)) if (condition(progress)) return progress;
  }
  throw new Error("No download came so far.");
}

function filesOf(model: HubModel): string[] {
  return readdirSync(join(surroundings.paths.models, model.id, "gguf")).sort();
}

describe("a download", () => {
  it("is told as it comes, checked, and readable for the container's user", async () => {
    const model = smallModel(CONTENT);
    offer({ speed: SLOW * 2 });
    expect(await isInstalled(surroundings.paths, model)).toBe(false);
    const told: Progress[] = [];
    const umask = process.umask(0o077);
    const path = await ensure(model, (progress) => told.push(progress)).finally(() => process.umask(umask));
    expect(path).toBe(modelFile(surroundings.paths, model));
    expect(readFileSync(path).equals(CONTENT)).toBe(true);
    expect(statSync(path).mode & 0o777).toBe(0o644);
    for (const folder of [join(path, ".."), join(path, "../..")]) expect(statSync(folder).mode & 0o777).toBe(0o755);
    expect(filesOf(model)).toEqual([model.file]);

    const parts = told.map(({ progress }) => progress ?? 0);
    expect(parts.filter((part) => part > 0 && part < 1).length).toBeGreaterThan(2);
    expect(told.map(({ message }) => message)).toContainEqual(
      expect.stringMatching(
        /^Downloading Small Model: \d\.\d of 4\.0 GB, \d+ s left$/.source.replace("4\\.0", "0\\.0"),
      ),
    );
    // The token goes to the hub, and not on to where the hub sends one.
    expect(new Set(hub.requests.map(({ place, authorization }) => `${place} ${authorization}`))).toEqual(
      new Set([`hub Bearer ${TOKEN}`, "store undefined"]),
    );

    hub.requests.length = 0;
    expect(await ensure(model)).toBe(path);
    expect(hub.requests).toEqual([]);
    // Nothing of the hub's own library stays behind in the user's home.
    expect(readdirSync(home)).toEqual(["torbiz"]);
  });

  it("keeps its notes to the user, and the model from being written by others, whatever the umask", async () => {
    const model = smallModel(CONTENT);
    offer();
    const umask = process.umask(0);
    const path = await ensure(model).finally(() => process.umask(umask));
    expect(statSync(path).mode & 0o777).toBe(0o644);
    const { run, logs } = surroundings.paths;
    const notes = [run, logs].flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)));
    expect(notes.length).toBeGreaterThan(1);
    expect(notes.filter((note) => (statSync(note).mode & 0o777) !== 0o600)).toEqual([]);
  });

  it("outlives its watchers, is one for all of them, and keeps the token to itself", async () => {
    const model = smallModel(CONTENT);
    offer({ speed: SLOW });
    const leave = new AbortController();
    const left = ensureLocalModel({ surroundings, model, environment, signal: leave.signal });
    const second = ensure(model);
    await until(model, ({ doneBytes }) => doneBytes > 0);
    const pid = pidOf(model);
    const { stdout } = await execa("ps", ["-ww", "-o", "ppid=,command=", "-p", `${pid}`], { env: { COLUMNS: "9999" } });
    expect(stdout).toContain("torbiz.download");
    expect(stdout.trim().split(/\s+/)[0]).not.toBe(`${process.pid}`);
    expect(stdout).not.toContain(TOKEN);
    if (process.platform === "linux") expect(readFileSync(`/proc/${pid}/environ`, "utf8")).not.toContain(TOKEN);
    leave.abort();
    await expect(left).rejects.toMatchObject({ code: "interrupted", message: expect.stringContaining("goes on") });
    await expect(removeModel(surroundings.paths, model)).rejects.toMatchObject({ code: "usage" });
    await second;
    expect(hub.requests.filter(({ place }) => place === "store")).toHaveLength(1);
    expect(await removeModel(surroundings.paths, model)).toBe(true);
    expect(existsSync(join(surroundings.paths.models, model.id))).toBe(false);
    expect(await removeModel(surroundings.paths, model)).toBe(false);
  });

  it("goes on after a kill from where it was, and says that it was killed", async () => {
    const model = smallModel(CONTENT);
    offer({ speed: SLOW });
    const watched = ensure(model);
    const { doneBytes } = await until(model, ({ doneBytes }) => doneBytes > 1_000_000);
    process.kill(pidOf(model), "SIGKILL");
    await expect(watched).rejects.toMatchObject({ code: "download-failed", hint: expect.stringContaining("is kept") });
    expect(await isInstalled(surroundings.paths, model)).toBe(false);
    offer();
    const path = await ensure(model);
    expect(readFileSync(path).equals(CONTENT)).toBe(true);
    const from = Number(/bytes=(\d+)-/.exec(hub.requests.find(({ range }) => range)?.range ?? "")?.[1]);
    expect(from).toBeGreaterThanOrEqual(1_000_000);
    expect(from).toBeLessThanOrEqual(doneBytes + (1 << 21));
  });

  it("is cancelled by anybody, and goes on later, even where the server only gives the whole", async () => {
    const model = smallModel(CONTENT);
    offer({ speed: SLOW });
    const watched = ensure(model);
    await until(model, ({ doneBytes }) => doneBytes > 1_000_000);
    const pid = pidOf(model);
    expect(await cancelPull(surroundings.paths, model)).toBe(true);
    await expect(watched).rejects.toMatchObject({ code: "interrupted", message: expect.stringContaining("cancelled") });
    while (isAlive(pid)) await sleep(20);
    expect(await cancelPull(surroundings.paths, model)).toBe(false);
    offer({ ignoresRange: true });
    const told: Progress[] = [];
    expect(readFileSync(await ensure(model, (progress) => told.push(progress))).equals(CONTENT)).toBe(true);
    for (const { progress } of told) expect(progress).toBeLessThanOrEqual(1);
  });

  it("gets over connections that break off", async () => {
    const model = smallModel(CONTENT);
    offer({ breakAfter: 1_500_000 });
    expect(readFileSync(await ensure(model)).equals(CONTENT)).toBe(true);
    expect(hub.requests.filter(({ place, range }) => place === "store" && range).length).toBeGreaterThan(0);
  });

  it("never takes what isn't the model", async () => {
    const model = smallModel(CONTENT);
    const other = Buffer.from(CONTENT);
    other[2_000_000] = 0;
    offer({ content: other, sha256: model.hub.sha256 });
    await expect(ensure(model)).rejects.toMatchObject({
      code: "download-failed",
      message: "What came isn't the model: its hash is wrong. It was deleted.",
    });
    expect(filesOf(model)).toEqual([]);
    offer({ content: other });
    await expect(ensure(model)).rejects.toMatchObject({
      code: "download-failed",
      message: expect.stringContaining("another file"),
    });
    expect(hub.requests.map(({ place }) => place)).toEqual(["hub"]);
  });

  it.each([
    [404, { "X-Error-Code": "EntryNotFound" }, /doesn't have this file/],
    [401, { "X-Error-Code": "GatedRepo" }, /only to those it has allowed/],
    [403, {}, /only to those it has allowed/],
    [401, {}, /doesn't know this model, or wants a valid access token/],
    [429, {}, /too many requests/],
    [503, {}, /error \(503\)/],
  ])("tells why the hub answers %i %j", async (status, headers, message) => {
    offer({ status, headers });
    await expect(ensure(smallModel(CONTENT))).rejects.toMatchObject({
      code: "download-failed",
      message: expect.stringMatching(message),
    });
  });

  it("says when the hub can't be reached, and when there is no space", async () => {
    surroundings.env.HF_ENDPOINT = "http://127.0.0.1:9";
    await expect(ensure(smallModel(CONTENT))).rejects.toMatchObject({
      code: "download-failed",
      message: expect.stringContaining("can't be reached"),
    });
    const huge = { ...smallModel(CONTENT), bytes: 9e15 };
    await expect(ensure(huge)).rejects.toMatchObject({
      code: "disk-full",
      message: expect.stringMatching(/^The model needs 9000000\.0 GB of disk space, and .* GB is free\.$/),
    });
  });
});

describe("the way to the hub", () => {
  it("leads through the proxy that is set, and not through one to this computer", async () => {
    const proxy = new ForwardProxy();
    await proxy.listen();
    try {
      const host = hub.url.replace("http://127.0.0.1", "hub.test");
      Object.assign(surroundings.env, { HF_ENDPOINT: `http://${host}`, HTTP_PROXY: proxy.url, NO_PROXY: "" });
      offer();
      expect(readFileSync(await ensure(smallModel(CONTENT))).equals(CONTENT)).toBe(true);
      expect(proxy.requests).not.toEqual([]);
      // The store is at 127.0.0.1.
      for (const request of proxy.requests) expect(request).toMatch(`http://${host}/maker/small-model-GGUF/resolve/`);
      expect(hub.requests.map(({ place }) => place)).toContain("store");
      await removeModel(surroundings.paths, smallModel(CONTENT));
      proxy.login = "me:word";
      surroundings.env.HTTPS_PROXY = surroundings.env.HTTP_PROXY = proxy.url.replace("word", "wrong");
      surroundings.env.HF_ENDPOINT = "https://hub.test";
      await expect(ensure(smallModel(CONTENT))).rejects.toMatchObject({
        code: "download-failed",
        message: "The proxy doesn't lead to the model hub.",
      });
    } finally {
      await proxy.close();
    }
  });

  it("needs a certificate that this computer trusts, or that it is told to", async () => {
    const authority = new TestAuthority("IP:127.0.0.1");
    const secure = new HubStandIn(authority);
    await secure.listen();
    try {
      secure.offer({ content: CONTENT });
      // Such as python.org's Python for a Mac, which knows no authority at first.
      const nothing = { SSL_CERT_FILE: "/nonexistent/cert.pem", SSL_CERT_DIR: "/nonexistent", REQUESTS_CA_BUNDLE: "" };
      Object.assign(surroundings.env, { HF_ENDPOINT: secure.url, ...nothing, CURL_CA_BUNDLE: "" });
      await expect(ensure(smallModel(CONTENT))).rejects.toMatchObject({
        code: "download-failed",
        message: "The certificate of the model hub isn't trusted here.",
      });
      surroundings.env.SSL_CERT_FILE = authority.file;
      expect(readFileSync(await ensure(smallModel(CONTENT))).equals(CONTENT)).toBe(true);
    } finally {
      await secure.close();
      authority.remove();
    }
  });
});

describe("a model's file", () => {
  it("comes anew when it is truncated, and is checked when it couldn't be loaded", async () => {
    const model = smallModel(CONTENT);
    offer();
    const path = await ensure(model);
    truncateSync(path, 1_000);
    expect(await isInstalled(surroundings.paths, model)).toBe(false);
    await ensure(model);
    expect(readFileSync(path).equals(CONTENT)).toBe(true);

    hub.requests.length = 0;
    await distrustModel(surroundings.paths, model);
    expect(await isInstalled(surroundings.paths, model)).toBe(false);
    await ensure(model);
    expect(hub.requests).toEqual([]);

    const damaged = Buffer.from(CONTENT);
    damaged[3_000_000] = 0;
    writeFileSync(path, damaged);
    await distrustModel(surroundings.paths, model);
    await expect(ensure(model)).rejects.toMatchObject({ code: "download-failed" });
    expect(readFileSync(await ensure(model)).equals(CONTENT)).toBe(true);
  });

  it("may be one of the user's own, which is left alone", async () => {
    const path = join(home, "mein Modell ü.gguf");
    writeFileSync(path, CONTENT);
    const model = findLocalModel(path);
    expect(await ensureLocalModel({ surroundings, model, environment })).toBe(path);
    await expect(removeModel(surroundings.paths, model)).rejects.toMatchObject({ code: "usage" });
    rmSync(path);
    await expect(ensureLocalModel({ surroundings, model, environment })).rejects.toMatchObject({
      code: "model-missing",
    });
  });
});

describe("the starter", () => {
  it("is prepared once without Docker, for sharing too", async () => {
    const model = findLocalModel("smollm2-135m-instruct");
    const told: Progress[] = [];
    const both = [1, 2].map(() =>
      ensureLocalModel({ surroundings, model, environment, onProgress: (progress) => told.push(progress) }),
    );
    const [path = ""] = await Promise.all(both);
    expect(statSync(path).size).toBe(model.bytes);
    const folder = join(surroundings.paths.models, model.id);
    expect(readdirSync(folder).sort()).toEqual(["gguf", "petals", "ready.json"]);
    for (const name of ["ready.json", "gguf", "petals", "petals/config.json"]) {
      expect(statSync(join(folder, name)).mode & 0o055).toBeGreaterThanOrEqual(0o044);
    }
    expect(readdirSync(surroundings.paths.models).filter((name) => name.includes("wheel"))).toEqual([]);
    expect(told.some(({ progress }) => progress !== null && progress > 0.5 && progress < 1)).toBe(true);
    const { model: found, path: at } = (await installedModels(surroundings.paths))[0] ?? {};
    expect([found, at]).toEqual([model, path]);

    const made = statSync(join(folder, "ready.json")).ino;
    await ensureLocalModel({ surroundings, model, environment });
    expect(statSync(join(folder, "ready.json")).ino).toBe(made);
  });
});
