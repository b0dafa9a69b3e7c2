/** A step of a longer job that a person watches. */
export interface Progress {
  /** Kebab-case word for the step, stable for people's scripts: "building", "loading", "online", ... */
  stage: string;
  /** One line for people. */
  message: string;
  /** 0..1, or null when it isn't known. */
  progress: number | null;
}

/** Takes progress as it comes. Long jobs in lib report to one of these and know nothing of terminals or views. */
export type OnProgress = (progress: Progress) => void;
