import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rememberAskSettings } from "../../src/lib/ask/ask-settings";
import type { EngineChoice } from "../../src/lib/ask/engine-choice";
import { openSurroundings, type Surroundings } from "../../src/lib/context";
import { lend, sharedStarter } from "../unit/ask/local-environment";
import { endAskServer } from "../end-ask-server";
import { builtExtension } from "./built-extension";
import { RaycastHost, type CommandView } from "./raycast";
import { ScriptedOpenAi } from "./scripted-openai";

export interface OpenOptions {
  prompt?: string;
  fallbackText?: string;
  preferences?: Record<string, unknown>;
  support?: string;
  env?: NodeJS.ProcessEnv;
}

/**
 * A home folder in which the built Ask Model has what it needs to answer: the environment and the starter that all tests
 * share, and a server that answers what a test says.
 */
export class AskHome {
  readonly other = new ScriptedOpenAi();
  private current?: RaycastHost;

  private constructor(
    private readonly extension: string,
    /** The user's home folder. */
    readonly folder: string,
    readonly surroundings: Surroundings,
  ) {}

  static async make(): Promise<AskHome> {
    const extension = await builtExtension();
    const shared = await sharedStarter();
    const folder = mkdtempSync(join(tmpdir(), "ask "));
    const env = { ...process.env, TORBIZ_HOME: join(folder, "home") };
    const surroundings = openSurroundings({ runtimeFiles: process.cwd(), env });
    lend(shared, surroundings.paths);
    const home = new AskHome(extension, folder, surroundings);
    await home.other.listen();
    return home;
  }

  /** The Raycast that was opened last. */
  get host(): RaycastHost {
    if (!this.current) throw new Error("No Raycast is open.");
    return this.current;
  }

  /** Opens Ask Model in a Raycast of its own. */
  async open({ prompt = "", fallbackText, env, ...rest }: OpenOptions = {}): Promise<CommandView> {
    const { TORBIZ_PYTHON } = process.env;
    const { extension, folder, surroundings } = this;
    const own = { HOME: folder, TORBIZ_HOME: surroundings.paths.home, ...(TORBIZ_PYTHON && { TORBIZ_PYTHON }) };
    this.current = await RaycastHost.open({ extension, env: { ...own, ...env }, ...rest });
    return this.current.launch("ask-model", { arguments: { prompt }, fallbackText });
  }

  /** Who is asked from now on; without it, nobody has ever been chosen. */
  choose(choice?: EngineChoice): void {
    rememberAskSettings(this.surroundings.paths, { lastChoice: choice });
  }

  /** The scripted server is asked from now on. */
  chooseOther(): void {
    this.choose({ kind: "server", baseUrl: this.other.baseUrl, model: "scripted" });
  }

  /** Closes the Raycast; the scripted server is as it was at first. */
  async afterTest(): Promise<void> {
    await this.current?.close();
    this.other.requests.length = 0;
    this.other.script = () => ["Yes."];
  }

  async remove(): Promise<void> {
    await this.other.close();
    endAskServer(this.surroundings.paths);
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** The titles of the actions that a key press reaches now. */
export function titles(view: CommandView): string[] {
  return view.actions().map(({ title }) => title);
}

/** The rows, the selected one with a mark. */
export function rows(view: CommandView): string[] {
  return view.items().map(({ id, title, selected }) => `${id}: ${title}${selected ? " <" : ""}`);
}
