import { existsSync, readFileSync, readdirSync } from "node:fs";
import { dirname, extname, join, resolve } from "node:path";
import ts from "typescript";
import { MODELS, defaultModel } from "../../src/lib/models";
import { PREFERENCE_TITLES, readSharePreferences } from "../../src/lib/sharing/preferences";

interface Preference {
  name: string;
  title: string;
  description: string;
  type: string;
  required: boolean;
  default?: string;
  placeholder: string;
  data?: { title: string; value: string }[];
}

interface Command {
  name: string;
  title: string;
  subtitle: string;
  description: string;
  mode: string;
  interval?: string;
  keywords: string[];
  preferences?: Preference[];
  arguments?: { name: string; type: string; placeholder: string; required: boolean }[];
}

interface Manifest {
  icon: string;
  categories: string[];
  platforms: string[];
  license: string;
  version: string;
  preferences: Preference[];
  commands: Command[];
  dependencies: Record<string, string>;
  devDependencies: Record<string, string>;
}

const root = process.cwd();
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Manifest;
const sources = filesUnder(join(root, "src"));
const preferences = [...manifest.preferences, ...manifest.commands.flatMap(({ preferences: own = [] }) => own)];
const commandNames = manifest.commands.map(({ name }) => name);

describe("the manifest", () => {
  it("has the five commands, each with a file of its name", () => {
    const names = manifest.commands.map(({ name, mode }) => `${name}: ${mode}`);
    expect(names.sort()).toEqual([
      ...["ask-model: view", "doctor: view", "menu-bar: menu-bar", "share-gpu: view", "stop-sharing: no-view"],
    ]);
    const files = readdirSync(join(root, "src")).filter((name) => name !== "cli.ts" && extname(name).startsWith(".ts"));
    expect(files.map((name) => name.replace(/\.tsx?$/, "")).sort()).toEqual([...commandNames].sort());
  });

  it("titles as the store wants them", () => {
    for (const { title, subtitle, description } of manifest.commands) {
      expect(title).toMatch(/^([A-Z][A-Za-z]*)( [A-Z][A-Za-z]*)*$/);
      expect(subtitle).toBe("Torbiz");
      expect(description).toMatch(/^[A-Z].*[^.]$/);
    }
    for (const { title, description, data = [] } of preferences) {
      expect(title).toMatch(/^([A-Z][A-Za-z]*)( [A-Z][A-Za-z]*)*$/);
      expect(description).toMatch(/^[A-Z].*\.$/);
      for (const choice of data) expect(choice.title).toMatch(/^([A-Z0-9][A-Za-z0-9.]*)( [A-Z0-9][A-Za-z0-9.]*)*$/);
    }
    for (const category of manifest.categories) expect(category).toMatch(/^([A-Z][a-z]+)( [A-Z][a-z]+)*$/);
    expect(manifest).toMatchObject({ license: "MIT", platforms: ["macOS"] });
  });

  it("asks for nothing before it works", () => {
    expect(preferences.filter(({ required }) => required)).toEqual([]);
  });

  it("is found by words that its titles lack", () => {
    for (const { title, keywords } of manifest.commands) {
      expect(keywords.length).toBeGreaterThan(0);
      expect(keywords.filter((word) => title.toLowerCase().split(" ").includes(word))).toEqual([]);
      expect(new Set(keywords).size).toBe(keywords.length);
    }
  });

  it("lets a model be named where sharing is started, and a question be typed where one is asked; needs neither", () => {
    const given = manifest.commands.flatMap(({ name, arguments: all }) => (all ? [[name, ...all]] : []));
    expect(given).toEqual([
      ["share-gpu", { name: "model", type: "text", placeholder: "Model or Invite", required: false }],
      ["ask-model", { name: "prompt", type: "text", placeholder: "Question", required: false }],
    ]);
  });

  it("offers the models that there are", () => {
    const models = preference("defaultModel");
    expect(models.data).toEqual(MODELS.map(({ id, title }) => ({ value: id, title })));
    expect(models.default).toBe(defaultModel.id);
  });

  it("calls its preferences as failures call them", () => {
    for (const [name, title] of Object.entries(PREFERENCE_TITLES)) expect(preference(name).title).toBe(title);
  });

  it("shares by its defaults, and by every choice that it offers", () => {
    const defaults = Object.fromEntries(manifest.preferences.map(({ name, default: value }) => [name, value]));
    expect(readSharePreferences(defaults)).toEqual({
      model: defaultModel.id,
      swarm: { kind: "private" },
      limits: { cpus: { fraction: 0.75 }, memory: { fraction: 0.75 }, diskBytes: 50_000_000_000 },
    });
    const peers = { swarmPeers: preference("swarmPeers").placeholder.replace("...", "x".repeat(44)) };
    for (const { name, data = [] } of manifest.preferences) {
      for (const { value } of data) {
        expect(() => readSharePreferences({ ...defaults, ...peers, [name]: value })).not.toThrow();
      }
    }
  });

  it("has only preferences that the code reads", () => {
    const readers = sources.map((file) => readFileSync(file, "utf8")).filter((text) => /Preferences\b/.test(text));
    for (const { name } of preferences) expect(readers.join("\n")).toMatch(new RegExp(`\\b${name}\\b`));
  });

  it("refreshes the menu bar, and only that", () => {
    const refreshed = manifest.commands.filter(({ interval }) => interval !== undefined);
    expect(refreshed.map(({ name, interval }) => `${name} ${interval}`)).toEqual(["menu-bar 10s"]);
  });

  it("pins every version exactly", () => {
    for (const version of Object.values({ ...manifest.dependencies, ...manifest.devDependencies })) {
      expect(version).toMatch(/^\d+\.\d+\.\d+$/);
    }
  });

  it("has an icon of 512 x 512", () => {
    const png = readFileSync(join(root, "assets", manifest.icon));
    expect(png.subarray(0, 8).toString("latin1")).toBe("\x89PNG\r\n\x1a\n");
    expect([png.readUInt32BE(16), png.readUInt32BE(20)]).toEqual([512, 512]);
  });

  it("has a changelog in the store's form", () => {
    expect(readFileSync(join(root, "CHANGELOG.md"), "utf8")).toMatch(
      /^# Torbiz Changelog\n\n## \[.+\] - (\{PR_MERGE_DATE\}|\d{4}-\d{2}-\d{2})\n/,
    );
  });
});

describe("the sources", () => {
  it.each(commandNames)("keep the command thin: %s", (name) => {
    expect(readFileSync(commandFile(name), "utf8").split("\n").length).toBeLessThanOrEqual(101);
  });

  it("leave the launcher's address to the launcher", () => {
    expect(sources.filter((file) => readFileSync(file, "utf8").includes("raycast://"))).toEqual([]);
  });

  it("keep the library free of the user interface", () => {
    const ui = /^(@raycast\/|react(\/|$))|(^|\/)(components|hooks)\//;
    for (const file of sources.filter((name) => name.startsWith(join(root, "src", "lib")))) {
      expect({ file, ui: importsOf(file).filter((name) => ui.test(name)) }).toEqual({ file, ui: [] });
    }
  });

  it("keep the menu bar light and free of processes", () => {
    const graph = importGraph(commandFile("menu-bar"));
    expect(graph.packages).toContain("@raycast/api");
    expect(graph.packages).toContain("node:http");
    const heavy = ["dockerode", "execa", "child_process", "node:child_process", "node:https", "node:fs/promises"];
    expect(heavy.filter((name) => graph.packages.has(name))).toEqual([]);
  });

  it("let the menu bar's check see what it looks for", () => {
    expect([...importGraph(commandFile("share-gpu")).packages]).toEqual(expect.arrayContaining(["dockerode", "execa"]));
  });
});

function preference(name: string): Preference {
  const found = manifest.preferences.find((candidate) => candidate.name === name);
  if (!found) throw new Error(`The manifest has no preference ${name}.`);
  return found;
}

function filesUnder(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => /\.tsx?$/.test(name))
    .map((name) => join(folder, name));
}

function commandFile(name: string): string {
  const path = join(root, "src", `${name}.tsx`);
  return existsSync(path) ? path : path.replace(/x$/, "");
}

/** Everything that loads with a file: packages by name, own files by path. Types vanish when built, so they don't count. */
function importGraph(entry: string): { files: Set<string>; packages: Set<string> } {
  const graph = { files: new Set<string>(), packages: new Set<string>() };
  const open = [entry];
  for (let file = open.pop(); file !== undefined; file = open.pop()) {
    if (graph.files.has(file)) continue;
    graph.files.add(file);
    for (const name of importsOf(file)) {
      if (name.startsWith(".")) open.push(sourceOf(resolve(dirname(file), name)));
      else graph.packages.add(name);
    }
  }
  return graph;
}

function sourceOf(path: string): string {
  const found = [`${path}.ts`, `${path}.tsx`, join(path, "index.ts"), path].find((name) => existsSync(name));
  if (!found) throw new Error(`${path} is imported but isn't there`);
  return found;
}

function importsOf(file: string): string[] {
  const names: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) && !onlyTypes(node.importClause)) names.push(literal(node.moduleSpecifier));
    if (ts.isExportDeclaration(node) && node.moduleSpecifier && !node.isTypeOnly)
      names.push(literal(node.moduleSpecifier));
    if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      names.push(...node.arguments.map(literal));
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(file, readFileSync(file, "utf8"), ts.ScriptTarget.Latest));
  return names;
}

function onlyTypes(clause: ts.ImportClause | undefined): boolean {
  if (!clause) return false;
  if (clause.isTypeOnly) return true;
  const { name, namedBindings } = clause;
  return (
    !name &&
    namedBindings !== undefined &&
    ts.isNamedImports(namedBindings) &&
    namedBindings.elements.every((element) => element.isTypeOnly)
  );
}

function literal(node: ts.Node): string {
  return ts.isStringLiteral(node) ? node.text : "";
}
