import { CHECK_STEP, OWN_STEPS, planBuild, vertexOf, type PlannedStep, type StepSeconds } from "./plan";

/** How far a build is. */
export interface BuildProgress {
  /** The first instruction that isn't done, counted from 1 through the whole Dockerfile. */
  step: number;
  /** How many there are. */
  steps: number;
  instruction: string;
  /** The same for people: "Installing PyTorch". */
  title: string;
  /** What pip works on within it: "torch 2.13.0 (190 MB)". */
  detail?: string;
  /** What may end the build before its time. */
  warning?: string;
  /** 0..1 by time, not by number of steps; never goes back. */
  percent: number;
  /** null as long as nothing tells how fast this computer and its line are. */
  secondsLeft: number | null;
}

export interface BuildProgressOptions {
  dockerfile: string;
  /** From the last build on this computer. */
  history?: StepSeconds;
  /** Monotonic, in milliseconds. */
  now?: () => number;
  /**
   * For how long the build had run when the parser was made, in milliseconds: how far the step is whose beginning
   * nobody saw is then estimated.
   */
  ranForMs?: number;
}

/** A planned step and how it went. */
interface Step extends PlannedStep {
  state: "waiting" | "running" | "done";
  /** When it began, by the parser's clock; undefined where that was not seen as it happened. */
  since?: number;
  /** Seconds it took, where it really ran and both ends were seen. */
  took?: number;
  /** The builder had it already. */
  cached?: boolean;
  /** `BuildProgress.detail` while it is the one that is shown. */
  detail?: string;
}

/** A running step never counts as more than this, as its end was not seen. */
const ALMOST = 0.95;
/** Seconds of finished steps that tell enough about this computer's pace. */
const TELLING_SECONDS = 4;

/**
 * Reads what `docker build` prints, line by line, and tells how far it is. Knows the classic builder ("Step 3/30 : RUN
 * ...") and BuildKit's plain output ("#7 [packages 3/12] RUN ..."), and overlooks every line it doesn't know.
 *
 * @example
 * const parser = new BuildProgressParser({ dockerfile });
 * for (const line of lines) parser.read(line);
 * parser.progress(); // { step: 14, steps: 30, title: "Installing PyTorch", percent: 0.31, ... }
 */
export class BuildProgressParser {
  private readonly plan: Step[];
  private readonly now: () => number;
  private readonly hasHistory: boolean;
  /** When the build began, by the parser's clock; undefined where nobody said. */
  private readonly begun?: number;
  /** BuildKit's number of a step -> the step. */
  private readonly vertices = new Map<string, Step>();
  private warning?: string;
  private percent = 0;

  /** @throws Error when the Dockerfile is empty */
  constructor({ dockerfile, history = {}, now = () => performance.now(), ranForMs }: BuildProgressOptions) {
    this.plan = planBuild(dockerfile, history).map((step) => ({ ...step, state: "waiting" }));
    this.hasHistory = Object.keys(history).length > 0;
    this.now = now;
    this.begun = ranForMs === undefined ? undefined : now() - ranForMs;
    if (this.plan.length === OWN_STEPS) throw new Error("The Dockerfile is empty.");
  }

  /** @param live false for lines that were written some time ago: they tell what happened, not how long it took */
  read(line: string, live = true): void {
    const classic = /^Step (\d+)\/\d+ : /.exec(line);
    if (classic) return this.goTo(this.plan[Number(classic[1]) - 1], live);
    if (line === " ---> Using cache") return endCached(this.current());
    const buildKit = /^#(\d+) (.*)$/.exec(line);
    if (buildKit) return this.readVertex(buildKit[1] ?? "", buildKit[2] ?? "", live);
    if (line === "torbiz: step check") {
      return this.goTo(
        this.plan.find(({ instruction }) => instruction === CHECK_STEP),
        live,
      );
    }
    if (line.startsWith("torbiz: done ")) return this.plan.forEach((step) => this.endNow(step));
    this.readDetail(line, this.current());
  }

  progress(): BuildProgress {
    const total = sum(this.plan.map(({ seconds }) => seconds));
    const done = sum(this.plan.map((step) => step.seconds * this.share(step)));
    this.percent = Math.max(
      this.percent,
      this.plan.every(({ state }) => state === "done") ? 1 : Math.min(done / total, 0.99),
    );
    // What comes after the last instruction is the script's, not the Dockerfile's.
    const steps = this.plan.length - OWN_STEPS;
    const current = this.current();
    return {
      step: Math.min(this.plan.indexOf(current) + 1, steps),
      steps,
      instruction: current.instruction,
      title: current.title,
      ...(current.detail && { detail: current.detail }),
      ...(this.warning && { warning: this.warning }),
      percent: this.percent,
      secondsLeft: this.secondsLeft(),
    };
  }

  /** Seconds of the steps that really ran, to be the next build's history. */
  stepSeconds(): StepSeconds {
    return Object.fromEntries(this.measured().map(({ instruction, took }) => [instruction, took]));
  }

  /** Everything before it is done: BuildKit goes on in several stages at once, and a person wants to see no step again. */
  private current(): Step {
    return this.plan.find(({ state }) => state !== "done") ?? (this.plan.at(-1) as Step);
  }

  /** The classic builder and the script do one thing after the other: where they are, everything before is done. */
  private goTo(step: Step | undefined, live: boolean): void {
    if (!step) return;
    for (const earlier of this.plan.slice(0, this.plan.indexOf(step))) this.endNow(earlier);
    this.begin(step, live);
  }

  /** BuildKit does several steps at once, and says of each when it has ended. */
  private readVertex(number: string, text: string, live: boolean): void {
    const step = this.vertices.get(number) ?? this.findVertex(vertexOf(text) ?? text);
    if (!step) return;
    if (!this.vertices.has(number)) {
      this.vertices.set(number, step);
      // What it took is told by itself.
      for (const earlier of this.before(step)) end(earlier);
      this.begin(step, live);
    }
    const done = /^DONE (\d+\.\d+)s$/.exec(text);
    if (done) return end(step, Number(done[1]));
    // An image that is there takes no time in the next build either.
    if (text === "CACHED" && step.instruction.startsWith("FROM ")) return end(step, 0);
    if (text === "CACHED") return [...this.before(step), step].forEach(endCached);
    const output = /^\d+\.\d+ (.*)$/.exec(text)?.[1];
    if (output !== undefined) this.readDetail(output, step);
  }

  /** An image that several stages begin with is fetched once, under the name of any of them. */
  private findVertex(vertex: string): Step | undefined {
    const step = this.plan.find((planned) => planned.vertex === vertex);
    const image = /^FROM \S+/.exec(step?.instruction ?? "")?.[0];
    return image ? this.plan.find(({ instruction }) => `${instruction} `.startsWith(`${image} `)) : step;
  }

  /** What must be done when this step runs: all before it in its stage, and before the image is saved in any stage. */
  private before(step: Step): Step[] {
    return this.plan
      .slice(0, this.plan.indexOf(step))
      .filter(({ stage }) => !stage || step.stage === undefined || stage === step.stage);
  }

  private begin(step: Step, live: boolean): void {
    if (step.state !== "waiting") return;
    step.state = "running";
    if (live) step.since = this.now();
  }

  private endNow(step: Step): void {
    if (step.state !== "done") end(step, this.elapsed(step));
  }

  private elapsed({ since }: Step): number | undefined {
    return since === undefined ? undefined : (this.now() - since) / 1000;
  }

  /** How much of a step is done, 0..1. */
  private share(step: Step): number {
    if (step.state !== "running") return step.state === "done" ? 1 : 0;
    return Math.min((this.elapsed(step) ?? this.sinceOthers()) / (step.seconds * this.pace()), ALMOST);
  }

  /** Seconds of the build that its finished steps don't account for: the running one has them. */
  private sinceOthers(): number {
    if (this.begun === undefined) return 0;
    const ran = this.plan.filter(({ state, cached }) => state === "done" && !cached);
    const others = sum(ran.map(({ took, seconds }) => took ?? seconds * this.pace()));
    return Math.max(0, (this.now() - this.begun) / 1000 - others);
  }

  private measured(): Array<Step & { took: number }> {
    return this.plan.filter((step): step is Step & { took: number } => step.took !== undefined);
  }

  /** How much slower than planned this build is: what finished steps took over what they were expected to take. */
  private pace(): number {
    const measured = this.measured();
    const expected = sum(measured.map(({ seconds }) => seconds));
    return expected < TELLING_SECONDS ? 1 : Math.max(0.1, sum(measured.map(({ took }) => took)) / expected);
  }

  private secondsLeft(): number | null {
    const expected = sum(this.measured().map(({ seconds }) => seconds));
    if (!this.hasHistory && expected < TELLING_SECONDS) return null;
    return this.pace() * sum(this.plan.map((step) => step.seconds * (1 - this.share(step))));
  }

  /** pip's own words and a step's warning, as far as they tell a person something. */
  private readDetail(line: string, step: Step): void {
    const file =
      /^\s*(?:Downloading|Processing) (?:\S*\/)?([^-\s/]+)-([^-\s/]+?)(?:-\S+\.whl|\.tar\.gz)(?: \(([^)]+)\))?/.exec(
        line,
      );
    if (file) step.detail = `${file[1]} ${file[2]}${file[3] ? ` (${file[3]})` : ""}`;
    const packages = /^\s*Installing collected packages: (.*)$/.exec(line)?.[1]?.split(",").length;
    if (packages) step.detail = packages === 1 ? "1 package" : `${packages} packages`;
    const free = /^torbiz: warning the disk of Docker has ([\d.]+) GB free/.exec(line)?.[1];
    if (free) this.warning = `Docker's disk has only ${free} GB free, which may be too little`;
  }
}

/** @param took seconds, where the step really ran */
function end(step: Step, took?: number): void {
  step.state = "done";
  step.took ??= took;
}

function endCached(step: Step): void {
  step.cached ||= step.took === undefined;
  end(step);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
