import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type HostOptions, RaycastHost } from "./raycast";
import { buildExtension } from "./built-extension";

const BUILD_TIMEOUT_MS = 120_000;
const HERE = import.meta.dirname;

let folder: string;
let host: RaycastHost;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "raycast-trial-"));
  const source = join(folder, "source");
  cpSync(join(HERE, "trial"), source, { recursive: true });
  symlinkSync(resolve(HERE, "../../node_modules"), join(source, "node_modules"));
  await buildExtension(source, join(folder, "built"));
}, BUILD_TIMEOUT_MS);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function open(options: Partial<HostOptions> = {}): Promise<RaycastHost> {
  await host?.close();
  host = await RaycastHost.open({ extension: join(folder, "built"), ...options });
  return host;
}

beforeEach(() => open());
afterEach(() => host.close());

/** Whether a process runs; one that ended and that nobody took leave of doesn't. */
function isRunning(pid: number): boolean {
  try {
    return !execFileSync("ps", ["-o", "stat=", "-p", String(pid)], { encoding: "utf8" }).startsWith("Z");
  } catch {
    return false;
  }
}

function copied<Value>(): Value {
  return JSON.parse(host.clipboard.text ?? "null") as Value;
}

async function job(kind: string, context?: Record<string, unknown>) {
  const command = await host.launch("job", { arguments: { kind }, context });
  await command.ended;
  return command;
}

async function trouble(kind: string) {
  const view = await host.launch("trouble", { arguments: { kind } });
  await view.run("Do It");
  return view;
}

describe("the screen", () => {
  it("is told as text and as a tree", async () => {
    const loading = await host.launch("things", { context: { neverLoads: true } });
    expect(loading.isLoading()).toBe(true);
    expect(loading.text()).toBe('List "Search things" (loading)\n  Dropdown: Fruit of Fruit, None');
    const view = await host.launch("things");
    await view.waitFor("selected apple");
    expect(view.text()).toBe(
      [
        'List "Search things"',
        "  Dropdown: Fruit of Fruit, None",
        "  -- Fruit · selected apple",
        "  > Apple · round (fresh) (ripe) (1970-01-01T00:00:00.000Z)",
        "    Detail",
        "      All about **Apple**",
        "  - Banana · round (fresh) (ripe) (1970-01-01T00:00:00.000Z)",
        "  - Cherry · round (fresh) (ripe) (1970-01-01T00:00:00.000Z)",
        "Actions: Eat [enter] · Show [cmd+enter] · Show by Hand · More > Open Page · More > Copy Name [cmd+shift+c]" +
          " · More > Pick Date · More > Count · More > Order · Throw Away [ctrl+x]",
      ].join("\n"),
    );
    expect(view.screen()).toMatchObject({
      type: "List",
      props: { searchBarPlaceholder: "Search things", searchBarAccessory: { type: "List.Dropdown" } },
    });
    expect(view.items().map(({ title, section, selected }) => [title, section, selected])).toEqual([
      ["Apple", "Fruit", true],
      ["Banana", "Fruit", false],
      ["Cherry", "Fruit", false],
    ]);
    expect(view.items()[0]?.node.props.icon).toEqual({ source: "circle-16", tintColor: "raycast-red" });
  });

  it("tells all of itself when something isn't there", async () => {
    const view = await host.launch("things");
    await view.waitFor("Banana");
    await expect(view.waitFor("Durian", { timeoutMs: 500 })).rejects.toThrow(
      /waited 500 ms for Durian:\nList[^]*Banana/,
    );
    await expect(view.run("Cook", { timeoutMs: 100 })).rejects.toThrow(/an action "Cook"/);
    await expect(view.run("Eat", { item: "Durian", timeoutMs: 100 })).rejects.toThrow(/an item "Durian"/);
    await expect(host.launch("no-such")).rejects.toThrow('no command "no-such"');
  });

  it("filters by titles and keywords, and selects", async () => {
    const view = await host.launch("things");
    await view.waitFor("selected apple");
    await view.search("yell");
    expect(view.items().map(({ title }) => title)).toEqual(["Banana"]);
    await view.waitFor("selected banana");
    await view.search("nothing like it");
    expect(view.text()).toContain("Empty: Nothing Here — Nothing at all");
    await view.press("escape");
    await view.select("Cherry");
    await view.waitFor("selected cherry");
    expect(view.text()).toContain("All about **Cherry**");
    await view.choose("None");
    await view.waitFor("Empty: Nothing Here");
    expect(view.items()).toEqual([]);
  });
});

describe("actions", () => {
  it("run by title, with toasts that change and have buttons", async () => {
    const view = await host.launch("things");
    await view.run("Eat", { item: "Banana" });
    await view.waitFor("Toast success Ate Banana (Eat Again)");
    expect(view.toast()).toMatchObject({ style: "SUCCESS", title: "Ate Banana" });
    await view.run("Eat Again");
    await view.waitFor("Ate Banana: twice");
    expect(host.toasts).toHaveLength(1);
    expect(host.events.filter(({ event }) => event === "toast").map(({ title }) => title)).toEqual([
      "Eating",
      "Eating",
      "Ate Banana",
      "Ate Banana",
      "Ate Banana",
    ]);
  });

  it("run by key: Enter, Command-Enter, a shortcut, and Raycast's own shortcuts", async () => {
    const view = await host.launch("things");
    await view.waitFor("selected apple");
    await view.press("enter");
    await view.waitFor("Ate Apple");
    await view.press("cmd+enter");
    await view.waitFor("# Peel of Apple");
    await view.press("escape");
    await view.press({ modifiers: ["ctrl"], key: "x" });
    await view.waitFor(() => view.items().length === 2);
    expect(view.items().map(({ title }) => title)).toEqual(["Banana", "Cherry"]);
    await expect(view.press({ modifiers: ["cmd"], key: "k" })).rejects.toThrow("No action answers to cmd+k");
    await view.press({ modifiers: ["shift", "cmd"], key: "c" });
    await view.ended;
    expect(host.clipboard.text).toBe("Banana");
    expect(host.huds).toEqual(["Copied to Clipboard"]);
  });

  it("are found again when the view rendered under the press", async () => {
    const view = await host.launch("trouble", { arguments: { kind: "restless" } });
    for (let press = 0; press < 20; press++) {
      await (press % 2 ? view.press("enter") : view.run("Do It"));
      await sleep(10);
    }
    await view.waitFor("count 20");
  });

  it("push and pop views", async () => {
    const view = await host.launch("things");
    await view.search("an");
    await view.run("Show");
    await view.waitFor("Peel of Banana");
    expect(view.text()).toBe("Detail\n  # Peel of Banana\n  Weight: 12 g\nActions: Go Back [enter]");
    await view.run("Go Back");
    await view.waitFor("search: an");
    await view.run("Show by Hand");
    await view.waitFor("Peel of Banana");
    await view.back();
    await view.waitFor("Ate Banana");
    await view.search("");
    await view.back();
    await view.ended;
  });

  it("ask before they do harm", async () => {
    const view = await host.launch("things");
    host.confirm = () => false;
    await view.run("Throw Away", { item: "Apple" });
    expect(view.items()).toHaveLength(3);
    host.confirm = () => true;
    await view.run("Throw Away", { item: "Apple" });
    await view.waitFor((screen) => !JSON.stringify(screen).includes("Apple"));
    expect(host.alerts.map(({ title, confirmed }) => [title, confirmed])).toEqual([
      ["Throw Apple away?", false],
      ["Throw Apple away?", true],
    ]);
    expect(view.actions().at(-1)).toMatchObject({ title: "Throw Away", style: "destructive" });
  });

  it("open pages, and say what isn't in the host", async () => {
    const view = await host.launch("things");
    await view.run("Open Page");
    expect(host.opened).toEqual([{ target: "https://example.com/fruit", application: "Browser" }]);
    await expect(view.run("Pick Date")).rejects.toThrow("Action.PickDate of @raycast/api: not in the test host");
  });
});

describe("forms", () => {
  it("take values, show errors, and are submitted", async () => {
    const view = await host.launch("order");
    expect(view.text()).toBe(
      [
        "Form",
        "  What shall it be?",
        '  What: "Anything"',
        "  Size: Medium",
        "  As a Gift: [ ]",
        "Actions: Order [cmd+enter]",
      ].join("\n"),
    );
    await view.submit();
    await view.waitFor("(error: The item is required)");
    await view.type("what", "Tea");
    await view.type("Size", "s");
    await view.type("gift", true);
    expect(view.text()).toContain("What: Tea\n  Size: Small\n  As a Gift: [x]");
    await view.submit();
    await view.ended;
    expect(host.huds).toEqual(["Tea s true"]);
    await expect(view.type("price", 1)).rejects.toThrow('No field is "price"');
  });
});

describe("a view's life", () => {
  it.each([
    ["hud", "HUD Bye\n(hidden)"],
    ["root", "(hidden)"],
    ["close", "(hidden)"],
  ])("ends with its window: %s", async (kind, end) => {
    const view = await trouble(kind);
    await view.ended;
    expect(view.text()).toContain(end);
    expect(view.text()).toContain("count 0");
    expect(isRunning(view.pid ?? 0)).toBe(false);
    await expect(view.waitFor("count 1")).rejects.toThrow(/ended before count 1/);
  });

  it("goes on where the window is to come back to it", async () => {
    const view = await trouble("stay");
    await view.waitFor("count 1");
  });

  it("takes its children with it, but not those that are detached", async () => {
    const view = await trouble("children");
    await view.waitFor("count 1");
    const { child, detached } = copied<{ child: number; detached: number }>();
    expect([child, detached].map(isRunning)).toEqual([true, true]);
    await view.closeWindow();
    await host.waitFor(() => !isRunning(child));
    expect(isRunning(detached)).toBe(true);
    process.kill(detached, "SIGKILL");
  });

  it("ends when another view takes the window", async () => {
    const view = await host.launch("things");
    await view.run("Order");
    await view.ended;
    expect(view.text()).toContain("(replaced)");
    await host.waitFor(() => host.window?.command === "order");
    await host.window?.waitFor("What shall it be?");
  });

  it.each([
    ["throw", /thrown by an action\n +at /],
    ["reject", /rejected by an action\n +at /],
    ["late", /rejected later\n +at /],
    ["exit", /its process ended with exit code 3/],
    ["heap", /its process was ended by SIGABRT[^]*heap out of memory/],
    ["unknown", /has no export "NoSuchThing"/],
    ["unimplemented", /getFrontmostApplication of @raycast\/api: not in the test host/],
  ])("ends in a crash that is told: %s", async (kind, message) => {
    const view = await host.launch("trouble", { arguments: { kind } });
    await expect(view.run("Do It").then(() => view.ended)).rejects.toThrow(message);
    await expect(view.waitFor("count 2")).rejects.toThrow(/^trouble crashed: /);
    expect(host.events.at(-1)).toMatchObject({ event: "crash", command: "trouble" });
  });

  it.each([
    ["text", /Raycast shows no bare text, only its components: "bare words"/],
    ["menu", /MenuBarExtra is for menu-bar commands only/],
  ])("doesn't begin with what Raycast can't show: %s", async (kind, message) => {
    await expect(host.launch("trouble", { arguments: { kind } })).rejects.toThrow(message);
  });
});

describe("a command without a view", () => {
  it("ends when its function resolves, with its children", async () => {
    const command = await job("children");
    const { child, detached } = copied<{ child: number; detached: number }>();
    await host.waitFor(() => !isRunning(child));
    expect([command.pid ?? 0, detached].map(isRunning)).toEqual([false, true]);
    process.kill(detached, "SIGKILL");
  });

  it("outlives its messages, and isn't ended while it works", async () => {
    await job("hud-then-more");
    expect(host.huds).toEqual(["First", "Second"]);
    const command = await host.launch("job", { arguments: { kind: "forever" } });
    await expect(command.waitFor("(done)", { timeoutMs: 300 })).rejects.toThrow("waited 300 ms");
  });

  it("fails with its error", async () => {
    await expect(job("fail")).rejects.toThrow(/^job crashed: Error: the job failed\n +at /);
  });

  it("shows toasts, though not from the background", async () => {
    expect((await job("toast")).text()).toContain("Toast failure Burnt: badly");
    const command = await host.launch("job", { arguments: { kind: "toast" }, type: "background" });
    await expect(command.ended).rejects.toThrow("Toasts can't be shown by a command in the background");
    expect(host.toasts).toHaveLength(1);
  });

  it("changes with a late update the toast that is visible", async () => {
    expect((await job("late-toast")).toast()?.title).toBe("Late");
  });
});

describe("what a command is given", () => {
  it("is its arguments, its context as JSON, and its preferences", async () => {
    host.preferences.greeting = "Hi";
    await job("props", { name: "x", when: new Date(0) });
    expect(copied()).toEqual({
      launchType: "userInitiated",
      arguments: { kind: "props" },
      launchContext: { name: "x", when: "1970-01-01T00:00:00.000Z" },
      preferences: { greeting: "Hi", loud: false, color: "blue" },
    });
    await expect(host.launch("trouble")).rejects.toThrow('argument "kind" is required');
    await expect(host.launch("trouble", { arguments: { what: "?" } })).rejects.toThrow('no argument "what"');
  });

  it("is Raycast's environment, not this one's", async () => {
    await open({ env: { TRIAL: "1" } });
    await job("surroundings");
    expect(copied()).toMatchObject({
      env: { PATH: "/usr/bin:/bin:/usr/sbin:/sbin", TRIAL: "1", RAYCAST_SCHEME: "raycast" },
      icon: "plus-16",
      environment: {
        commandName: "job",
        commandMode: "no-view",
        launchType: "userInitiated",
        assetsPath: join(folder, "built", "assets"),
        supportPath: host.supportPath,
      },
    });
    expect(copied<{ env: object }>().env).not.toHaveProperty("NODE_OPTIONS");
    expect(copied<{ env: object }>().env).not.toHaveProperty("JEST_WORKER_ID");
  });

  it("comes by deeplink too", async () => {
    const context = encodeURIComponent(JSON.stringify({ name: "link" }));
    const given = encodeURIComponent(JSON.stringify({ kind: "props" }));
    const command = await host.openDeeplink(
      `raycast://extensions/torbiz/trial/job?arguments=${given}&context=${context}&launchType=background`,
    );
    await command.ended;
    expect(copied()).toMatchObject({ launchType: "background", launchContext: { name: "link" } });
    await job("link");
    await host.waitFor(() => copied<{ launchContext?: { name?: string } }>().launchContext?.name === "own link");
    await expect(host.openDeeplink("raycast://extensions/torbiz/other/job")).rejects.toThrow("No command");
  });

  it("is kept over launches: LocalStorage for all commands", async () => {
    await job("store");
    expect((await host.refresh("counter")).title).toBe("42");
    await expect(job("store-object")).rejects.toThrow("strings, numbers and booleans only");
  });

  it("is kept over launches: the Cache, whose least used entry goes when it is full", async () => {
    await job("cache");
    expect(copied()).toEqual({ told: ["a", "b", "c"], a: "12345", b: false, c: null });
    await job("read");
    expect(copied()).toEqual({ before: "12345", isEmpty: true });
  });

  it("is asked for before the command runs: a required preference", async () => {
    await expect(host.launch("order")).resolves.toBeDefined();
    await open({ preferences: { size: "" } });
    await expect(host.launch("order")).rejects.toThrow('The preference "size" is required and not set.');
  });

  it("is told to Raycast: preferences to open, a subtitle", async () => {
    await job("preferences");
    await job("metadata");
    expect(host.events).toEqual([
      { event: "open-extension-preferences", command: "job" },
      { event: "metadata", command: "job", subtitle: "new" },
    ]);
  });
});

describe("launching another command", () => {
  it("really launches it", async () => {
    await job("launch-counter");
    await host.waitFor(() => host.menuBar("counter")?.title === "1");
    const view = await host.launch("things");
    await view.run("Count");
    await host.waitFor(() => host.menuBar("counter")?.title === "6");
  });

  it("fails for one that isn't there, is off, or was never opened", async () => {
    await expect(job("launch-unknown")).rejects.toThrow('no command "no-such"');
    await expect(job("launch-off")).rejects.toThrow('The command "off" is disabled');
    await open({ disabled: [], notActivated: ["counter"] });
    await job("launch-off");
    await host.waitFor(() => host.huds.includes("Switched on"));
    await expect(job("launch-counter")).rejects.toThrow("it isn't active");
    await job("open-counter");
    await host.waitFor(() => host.menuBar("counter") !== undefined);
    await job("launch-counter");
    await host.waitFor(() => host.menuBar("counter")?.title === "2");
  });
});

describe("a menu-bar command", () => {
  it("is refreshed in the background and unloaded", async () => {
    const menu = await host.refresh("counter");
    expect(menu).toMatchObject({ shown: true, title: "1", tooltip: "Counter", icon: "circle-16" });
    expect(menu.text).toBe(
      [
        "Menu bar: 1 (Counter)",
        "  -- load 1",
        "    Color · red (can't be clicked)",
        "    Paint [cmd+b]",
        "      or: Paint White",
        "  ---",
        "  More",
        "    Fail",
      ].join("\n"),
    );
    expect(menu.items.map(({ title, section, submenu, enabled }) => [title, section, submenu, enabled])).toEqual([
      ["Color", "load 1", undefined, false],
      ["Paint", "load 1", undefined, true],
      ["Fail", undefined, "More", true],
    ]);
    expect((await host.refresh("counter")).title).toBe("2");
  });

  it("may show nothing, and may not load for ever", async () => {
    await open({ env: { TRIAL_SHOWS: "nothing" } });
    expect(await host.refresh("counter")).toMatchObject({ shown: false, items: [] });
    await open({ env: { TRIAL_SHOWS: "loading" } });
    await expect(host.refresh("counter", { timeoutMs: 500 })).rejects.toThrow(
      /waited 500 ms for isLoading to be false/,
    );
  });

  it("is clicked in its open menu, which then closes", async () => {
    const menu = await host.openMenu("counter");
    await menu.waitFor("Menu bar: 1");
    expect(menu.hasEnded).toBe(false);
    await menu.click("Paint");
    expect(menu.hasEnded).toBe(true);
    expect(host.huds).toEqual(["Painted"]);
    expect((await host.refresh("counter")).text).toContain("Color · blue");
    await (await host.openMenu("counter")).click("Paint", { button: "right-click" });
    expect((await host.refresh("counter")).text).toContain("Color · green");
    await (await host.openMenu("counter")).click("Paint White", { alternate: true });
    expect((await host.refresh("counter")).text).toContain("Color · white");
    const open = await host.openMenu("counter");
    await expect(open.click("Color")).rejects.toThrow(`"Color" can't be clicked`);
    await expect(open.click("Fail")).rejects.toThrow("the menu failed");
  });

  it("is loaded again and again by one process, which tells what stays", async () => {
    const tidy = await host.resident("counter");
    await tidy.refresh();
    const before = await tidy.report();
    for (let load = 0; load < 20; load += 1) await tidy.refresh();
    const after = await tidy.report();
    expect((await tidy.refresh()).text).toContain("load 1");
    expect(after.activeResources).toEqual(before.activeResources);
    expect(after.childProcesses).toBe(0);
    expect(after.heapUsed - before.heapUsed).toBeLessThan(1_000_000);
    await tidy.close();
  });

  it("is seen to leak", async () => {
    await open({ env: { TRIAL_LEAKS: "1" } });
    const leaky = await host.resident("counter");
    await leaky.refresh();
    const before = await leaky.report();
    for (let load = 0; load < 3; load += 1) await leaky.refresh();
    const after = await leaky.report();
    expect(after.heapUsed - before.heapUsed).toBeGreaterThan(3_000_000);
    expect((after.activeResources.Timeout ?? 0) - (before.activeResources.Timeout ?? 0)).toBe(3);
    expect(after.childProcesses).toBe(4);
  });
});
