import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { healthy, scriptedEngine, type ScriptedEngine } from "../unit/docker/scripted-engine";
import { builtExtension } from "./built-extension";
import { RaycastHost } from "./raycast";
import { answering, ground, type Ground } from "./scripted-share";

/** Run Doctor as a person meets it, with an engine that answers as a test says. */

let extension: string;
let folder: string;
let here: Ground;
let engine: ScriptedEngine;
let host: RaycastHost;

beforeAll(async () => {
  extension = await builtExtension();
});

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "torbiz-doctor-"));
  here = ground(join(folder, "home"));
  mkdirSync(join(folder, "Downloads"));
});

afterEach(async () => {
  await host.close();
  await engine.close();
  rmSync(folder, { recursive: true, force: true });
});

async function open(isReady = true): Promise<RaycastHost> {
  const answer = answering(here, {});
  const socket = join(folder, "docker.sock");
  engine = await scriptedEngine((request, response) => {
    if (!isReady) return void response.writeHead(503).end();
    if (/\/containers\/json/.test(request.url ?? "")) return void response.end("[]");
    return request.url?.startsWith("/_ping") ? healthy()(request, response) : answer(request, response);
  }, socket);
  host = await RaycastHost.open({
    extension,
    preferences: { dockerHost: `unix://${socket}` },
    env: { ...here.env, HOME: folder },
  });
  return host;
}

it("shows the worst first, with what helps, and then whether it works", async () => {
  await open(false);
  const view = await host.launch("doctor");
  await view.waitFor("Does It Work?");
  const text = view.text();
  expect(text.indexOf("Problem")).toBeLessThan(text.indexOf("Well"));
  expect(text).toContain("is not ready yet (it answers 503).");
  expect(text).toContain("Can you stop and restart GPU sharing?");
});

it("repairs what a row offers, and looks again", async () => {
  chmodSync(here.paths.conversations, 0o755);
  await open();
  const view = await host.launch("doctor");
  await view.waitFor("Files and Sockets");
  await view.select("Files and Sockets");
  expect(view.actions()[0]?.title).toBe("Make Private");
  await view.run("Make Private");
  await host.waitFor(() => view.toast()?.title === "Repaired");
  expect(statSync(here.paths.conversations).mode & 0o777).toBe(0o700);
});

it("writes a report without the home folder", async () => {
  await open();
  const view = await host.launch("doctor");
  await view.waitFor("Does It Work?");
  await view.run("Export Report");
  const downloads = join(folder, "Downloads");
  await host.waitFor(() => view.toast()?.title === "Report Written");
  const [name = ""] = readdirSync(downloads);
  const report = readFileSync(join(downloads, name), "utf8");
  expect(JSON.parse(report)).toMatchObject({ torbiz: "0.1.0" });
  expect(report).not.toContain(`${folder}/`);
});

it("tells of a report that can't be written, and copies why, without the home folder", async () => {
  rmSync(join(folder, "Downloads"), { recursive: true });
  writeFileSync(join(folder, "Downloads"), "");
  await open();
  const view = await host.launch("doctor");
  await view.waitFor("Does It Work?");
  await view.run("Export Report");
  await host.waitFor(() => view.toast()?.style === "FAILURE");
  expect(view.toast()?.message).toMatch(/^ENOTDIR: .*~\/Downloads\/torbiz-report/);
  await view.run("Copy Details");
  const copied = String(host.clipboard.text);
  expect(copied).toContain("~/Downloads");
  expect(copied).toContain("Caused by:");
  for (const text of [view.text(), copied]) expect(text).not.toContain(`${folder}/`);
});

it("is a step away from Share GPU", async () => {
  await open(false);
  const view = await host.launch("share-gpu", { arguments: { model: "" } });
  await view.waitFor("Docker Is Starting");
  await view.run("Run Doctor");
  await host.waitFor(() => host.events.some(({ event, name }) => event === "launch" && name === "doctor"));
});

it("uninstalls what is ticked, after a yes", async () => {
  writeFileSync(join(here.paths.conversations, "c-1.jsonl"), Buffer.alloc(1_000));
  mkdirSync(join(here.paths.models, "a", "gguf"), { recursive: true });
  writeFileSync(join(here.paths.models, "a", "gguf", "file.gguf"), Buffer.alloc(2_000_000));
  await open();
  const view = await host.launch("doctor");
  await view.waitFor("Does It Work?");
  await view.run("Uninstall…");
  await view.waitFor("Models, 2.0 MB");
  await view.type("conversations", true);
  host.confirm = () => false;
  await view.submit();
  expect(host.alerts.at(-1)).toMatchObject({ title: "Remove Conversations?" });
  expect(existsSync(here.paths.conversations)).toBe(true);
  host.confirm = () => true;
  await view.submit();
  await host.waitFor(() => view.toast()?.title === "Removed");
  expect([existsSync(here.paths.conversations), existsSync(here.paths.models)]).toEqual([false, true]);
});
