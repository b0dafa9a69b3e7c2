import { copyFile, mkdir, readdir, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { execa } from "execa";
import { rememberAskSettings } from "../src/lib/ask/ask-settings";
import { toTorbizError } from "../src/lib/errors";
import { resolveNames } from "../src/lib/names";
import { prepareHome, resolvePaths } from "../src/lib/paths";
import { engineArgs, ensureBaseImage } from "../src/lib/setup/base-image";
import { type ReadyDocker, setUpMachine } from "../src/lib/setup/machine";
import type { SetUpSurroundings } from "../src/lib/setup/surroundings";
import { AskHome } from "../test/host/ask-home";
import { builtExtension } from "../test/host/built-extension";
import { type CommandView, type MenuBar, RaycastHost } from "../test/host/raycast";
import { removeLeftovers } from "./leftovers";
import { Album } from "./preview/album";
import { ensureChromium } from "./preview/chromium";

/**
 * Pictures of the real commands in real states: `npm run screenshots`. Builds the extension, runs its commands in a
 * Raycast of our own against a real engine, and has Chromium draw what they show. All pictures go to
 * test-results/screens; the best six to metadata/ for the store, some of them to media/ for the README.
 *
 * `npm run screenshots -- --light` draws all in the light theme too, to look at: the store and the README have dark ones.
 */

/** For the store, in its order. */
const STORE = ["live", "menu-online", "ask-conversation", "choose", "building", "ask-models"];
const README = ["live", "menu-online", "building"];

/** What is shared here meanwhile isn't touched. */
const INSTANCE = "shots";
const root = join(import.meta.dirname, "..");
const results = join(root, "test-results");
const screens = join(results, "screens");

const env: NodeJS.ProcessEnv = {
  ...process.env,
  TORBIZ_INSTANCE: INSTANCE,
  // The tests' own: what it keeps for asking took minutes to make.
  TORBIZ_HOME: join(results, "home"),
};

const surroundings: SetUpSurroundings = {
  env,
  home: homedir(),
  platform: process.platform,
  paths: resolvePaths(env),
  onProgress: ({ message }) => say(message),
  onChanged: say,
};

/** Limits against hanging: a build and the packages for asking take minutes. */
const BUILD = { timeoutMs: 1_200_000 };
const START = { timeoutMs: 300_000 };

/** Its answer is long: it is served while pictures are taken. */
const QUESTION = "Tell me a long story about a lighthouse keeper who finds a map.";

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { light: { type: "boolean" } } });
  prepareHome(surroundings.paths);
  const chromium = await ensureChromium(surroundings);
  const docker = await setUpMachine(surroundings);
  const baseImage = await ensureBaseImage({ ...surroundings, endpoint: docker.endpoint, runtimeFiles: root });
  const extension = await builtExtension();
  const album = new Album(screens, join(extension, "assets"), values.light ? ["dark", "light"] : ["dark"]);
  await rm(screens, { recursive: true, force: true });
  await forget(docker);
  try {
    await takeGate(album, extension);
    await takeFailure(album, extension);
    await takeAsk(album);
    await takeSharing(album, extension, baseImage);
  } finally {
    await forget(docker);
    // Also after a failure: what was taken shows what went before.
    say("Drawing");
    await album.develop(chromium);
  }
  await publish();
  say(`All pictures: ${screens}`);
}

/** Opens a Raycast whose commands see what this process sees, but for PATH: they get Raycast's. */
async function openHost(extension: string, more: NodeJS.ProcessEnv): Promise<RaycastHost> {
  const own = Object.fromEntries(Object.entries(env).filter(([name]) => name !== "PATH"));
  return RaycastHost.open({ extension, env: { ...own, ...more } });
}

/** Docker isn't there. */
async function takeGate(album: Album, extension: string): Promise<void> {
  say("No Docker");
  const host = await openHost(extension, { DOCKER_HOST: `unix://${join(screens, "docker.sock")}` });
  try {
    const view = await host.launch("share-gpu");
    await view.waitFor("Docker Isn't Running");
    album.window("gate", view, "Share GPU");
    album.window("gate-actions", view, "Share GPU", { actions: true });
    album.menu("menu-gate", shown(await host.refresh("menu-bar")));
    await view.run("Choose Socket…");
    await view.waitFor("Choose Socket");
    await view.waitFor(() => !view.isLoading());
    album.window("choose-socket", view, "Share GPU", { pushed: true });
    await takeDoctor(album, host, "gate");
  } finally {
    await host.close();
  }
}

/** What Run Doctor finds. */
async function takeDoctor(album: Album, host: RaycastHost, when: string): Promise<void> {
  const view = await host.launch("doctor");
  await view.waitFor(() => view.items().length > 10 && !view.isLoading(), START);
  album.window(`doctor-${when}`, view, "Run Doctor");
}

/** A build fails. */
async function takeFailure(album: Album, extension: string): Promise<void> {
  say("A build that fails");
  const host = await openHost(extension, {
    TORBIZ_INSTANCE: `${INSTANCE}-failed`,
    // How the last build ended is kept in the home folder: the next run begins without.
    TORBIZ_HOME: join(screens, "home"),
    TORBIZ_BASE_IMAGE: "torbiz-no-such-image:none",
  });
  try {
    const view = await host.launch("share-gpu");
    await view.run("Build Image", { item: "1. Build the Image" });
    await view.waitFor("Build Failed", BUILD);
    album.window("build-failed", view, "Share GPU", { toast: view.toast() });
    album.menu("menu-build-failed", shown(await host.refresh("menu-bar")));
  } finally {
    await host.close();
  }
}

/** Ask Model on this computer, from the first run on. */
async function takeAsk(album: Album): Promise<void> {
  say("Asking this computer");
  const home = await AskHome.make();
  const take = (name: string, view: CommandView, more?: Parameters<Album["window"]>[3]) =>
    album.window(`ask-${name}`, view, "Ask Model", more);
  try {
    const view = await home.open();
    const send = async (question: string): Promise<void> => {
      await view.search(question);
      await view.press("enter");
    };
    const ended = () => view.waitFor(() => !view.isLoading(), START);
    await view.waitFor("- SmolLM2 135M Instruct");
    await view.select("SmolLM2 135M Instruct");
    await view.waitFor("License");
    take("first", view);
    await view.run("Use SmolLM2 135M Instruct");
    await view.waitFor("Empty: Ask a Question", START);
    take("empty", view);
    await send("What is the capital of France?");
    await ended();
    await send("Name three things to see there.");
    await ended();
    await view.run("Regenerate");
    await ended();
    take("conversation", view);
    take("actions", view, { actions: true });
    await send(QUESTION);
    await view.waitFor(/\n +[^\n]{350}/, START);
    take("streaming", view);
    await view.run("Stop");
    await ended();
    take("stopped", view);
    await view.run("Change Model…");
    await view.waitFor(() => view.items().length > 1 && !view.isLoading());
    take("models", view, { pushed: true });
    await view.run("Use Another…");
    take("another", view, { pushed: true });
    await view.back();
    await view.back();
    home.host.selectedText = "The lighthouse stands on a rock three miles from the harbor.";
    await view.run("Ask About Selected Text…");
    await view.waitFor("Selected Text");
    await view.type("question", "Where does it stand?");
    take("selected-text", view, { pushed: true });
    await view.back();
    await view.run("New Conversation");
    await send("What is the largest ocean?");
    await ended();
    await view.run("Conversations…");
    await view.waitFor(() => view.items().length > 1);
    take("conversations", view, { pushed: true });
    home.choose({ kind: "server", baseUrl: "http://127.0.0.1:9/v1", model: "llama-3.3-70b" });
    await home.host.close();
    const failed = await home.open({ prompt: "Is anybody there?" });
    await failed.waitFor("**The server can't be reached**");
    take("failed", failed);
  } finally {
    await home.afterTest();
    await home.remove();
  }
}

/** From a computer without the image to a share that is stopped. */
async function takeSharing(album: Album, extension: string, baseImage: string): Promise<void> {
  const host = await openHost(extension, { TORBIZ_BASE_IMAGE: baseImage });
  try {
    const view = await host.launch("share-gpu");
    await takeImage(album, host, view);
    await takeChoice(album, view);
    await takeStart(album, host, view);
    await takeAnswer(album, host);
    await whileServing(() => takeLive(album, host));
    await takeStop(album, host);
  } finally {
    await host.close();
  }
}

async function takeImage(album: Album, host: RaycastHost, view: CommandView): Promise<void> {
  say("First time");
  await view.waitFor("1. Build the Image");
  album.window("first-time", view, "Share GPU");
  await view.select("3. Share");
  album.window("first-time-share", view, "Share GPU");
  album.menu("menu-off", shown(await host.refresh("menu-bar")));
  await view.run("Build Image");
  await view.waitFor("-- Models", BUILD);
  say("Building");
  // Where the steps were cached the first build was over in seconds: nothing to see. This one does all anew.
  await view.run("Rebuild Image");
  await view.waitFor(/Done: [4-9]\d%/, BUILD);
  album.window("building", view, "Share GPU");
  album.menu("menu-building", shown(await host.refresh("menu-bar")));
  await view.run("View Log");
  await view.waitFor(() => view.items().length > 5);
  album.window("build-log", view, "Share GPU", { pushed: true });
  await view.back();
  await view.waitFor("-- Models", BUILD);
  album.menu("menu-built", shown(await host.refresh("menu-bar")));
}

async function takeChoice(album: Album, view: CommandView): Promise<void> {
  say("Choosing");
  album.window("choose", view, "Share GPU");
  album.window("choose-actions", view, "Share GPU", { actions: true });
  await view.run("Share with Options…");
  await view.waitFor((screen) => screen.type === "Form");
  album.window("form", view, "Share GPU", { pushed: true });
  await view.type("port", "80");
  await view.submit();
  await view.waitFor("error:");
  album.window("form-error", view, "Share GPU", { pushed: true });
  await view.back();
  await view.run("Enter Model Name", { item: "Another Model…" });
  await view.type("name", "torbiz/no-such-model");
  await view.submit();
  await view.waitFor(/Unknown Model|Can't Be Reached/);
  album.window("another-model", view, "Share GPU", { pushed: true });
  await view.back();
  await view.run("Enter Invite", { item: "Join by Invite…" });
  await view.type("invite", "torbiz-invite:abc");
  await view.submit();
  await view.waitFor("error:");
  album.window("join-by-invite", view, "Share GPU", { pushed: true });
  await view.back();
  const [usual] = view.items();
  await view.select(usual?.title ?? "");
}

async function takeStart(album: Album, host: RaycastHost, view: CommandView): Promise<void> {
  say("Sharing");
  await view.run("Share");
  await view.waitFor(/Stage \d of \d/, START);
  album.window("starting", view, "Share GPU", { toast: view.toast() });
  album.menu("menu-starting", shown(await host.refresh("menu-bar")));
  await view.waitFor("Status · Sharing", START);
}

async function takeAnswer(album: Album, host: RaycastHost): Promise<void> {
  say("Asking");
  rememberAskSettings(surroundings.paths, { lastChoice: { kind: "swarm" } });
  const view = await host.launch("ask-model");
  album.window("ask", view, "Ask Model");
  await view.search("What is the capital of France?");
  await view.press("enter");
  await view.waitFor("Paris", BUILD);
  await view.waitFor(() => !view.isLoading(), START);
  album.window("answer", view, "Ask Model");
}

/** Has a question asked, by a program of its own, as long as something is done. */
async function whileServing(work: () => Promise<void>): Promise<void> {
  const asked = new AbortController();
  const torbiz = join(root, "bin", "torbiz.mjs");
  const ask = async (): Promise<void> => {
    const options = { env, stdin: "ignore", cancelSignal: asked.signal, timeout: BUILD.timeoutMs } as const;
    while (!asked.signal.aborted) await execa(process.execPath, [torbiz, "ask", QUESTION], options);
  };
  const asking = ask().catch((error: unknown) => {
    if (!asked.signal.aborted) throw error;
  });
  await Promise.all([work().finally(() => asked.abort()), asking]);
}

async function takeLive(album: Album, host: RaycastHost): Promise<void> {
  say("Online");
  host.confirm = (alert) => {
    if (host.window) album.alert("alert", host.window, "Share GPU", alert);
    return false;
  };
  const view = await host.launch("share-gpu");
  await view.waitFor("Status · Sharing");
  await view.waitFor(/CPU and Memory · \d/);
  await view.waitFor(/Serving · [1-9]/, START);
  album.window("live", view, "Share GPU");
  album.window("live-actions", view, "Share GPU", { actions: true });
  for (const { title } of view.items().slice(1)) {
    await view.select(title);
    album.window(`live-${title.toLowerCase().replaceAll(" ", "-")}`, view, "Share GPU");
  }
  album.menu("menu-online", shown(await host.refresh("menu-bar")));
  await view.run("Stop Now", { item: "Status" });
  await view.run("Show Swarm Map");
  await view.waitFor("-- Servers", START);
  album.window("swarm-map", view, "Share GPU", { pushed: true });
  await view.back();
  await view.run("View Log");
  await view.waitFor(() => view.items().length > 10);
  album.window("log", view, "Share GPU", { pushed: true });
  await view.run("Show Full Line");
  album.window("log-line", view, "Share GPU", { pushed: true });
  await takeDoctor(album, host, "live");
}

async function takeStop(album: Album, host: RaycastHost): Promise<void> {
  say("Stopping");
  const stop = await host.start("stop-sharing", {});
  await stop.ended;
  album.hud("stopped", host.huds.at(-1) ?? "");
  album.menu("menu-stopped", shown(await host.refresh("menu-bar")));
  const view = await host.launch("share-gpu");
  await view.waitFor("Last Choice");
  album.window("choose-again", view, "Share GPU");
}

function shown({ screen, text }: MenuBar) {
  if (!screen) throw new Error(`The menu bar shows nothing: ${text}`);
  return screen;
}

/** Takes away all that this instance makes and remembers, its image too: the first time has none. */
async function forget({ endpoint }: ReadyDocker): Promise<void> {
  await removeLeftovers(endpoint, INSTANCE, say);
  const { run, logs } = surroundings.paths;
  for (const folder of [run, logs]) {
    const notes = (await readdir(folder)).filter((name) => name.includes(INSTANCE));
    await Promise.all(notes.map((name) => rm(join(folder, name), { recursive: true })));
  }
  const image = resolveNames(env).image;
  await execa("docker", [...engineArgs(endpoint), "rmi", image], { reject: false, timeout: 60_000 });
}

async function publish(): Promise<void> {
  const copies = [
    ...STORE.map((name, index) => [name, join("metadata", `torbiz-${index + 1}.png`)] as const),
    ...README.map((name) => [name, join("media", `${name}.png`)] as const),
  ];
  await mkdir(join(root, "metadata"), { recursive: true });
  for (const [name, to] of copies) await copyFile(join(screens, `${name}-dark.png`), join(root, to));
}

main().catch((error: unknown) => {
  const { message, hint, cause } = toTorbizError(error);
  say(`${message} ${hint}${cause instanceof Error ? `\n${cause.message}` : ""}`);
  process.exitCode = 1;
});
