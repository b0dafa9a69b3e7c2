import { TorbizError, type ErrorCode, type TorbizErrorOptions } from "../errors";

/** What helps a share, where the catalogue's own hint is for who asks on this computer. */
const HINTS: Partial<Record<ErrorCode, { hint: string; cliHint: string }>> = {
  "not-enough-memory": {
    hint: "Give Docker more memory in its settings, allow a share more of it, or share fewer blocks.",
    cliHint: "Allow more with --memory, or choose the number of blocks with --blocks.",
  },
  "disk-full": {
    hint: "Allow a share more disk space, or make Docker's own disk larger in its settings.",
    cliHint: "Allow more with --disk.",
  },
  // It was found when it was looked up.
  "model-unknown": {
    hint: "Its owner may have changed or removed it. Remove what is kept of it, and name it again: then it is looked up anew.",
    cliHint: "Remove it with `torbiz cache remove`.",
  },
};

/** A failure of a share, with the next step for one who shares. */
export function shareFailure(code: ErrorCode, message: string, options?: TorbizErrorOptions): TorbizError {
  return new TorbizError(code, message, { ...HINTS[code], ...options });
}
