import { Toast, showToast } from "@raycast/api";
import { usePromise } from "@raycast/utils";
import { useRef, useState } from "react";
import { toTorbizError, type TorbizError } from "../lib/errors";
import { examine, repairAll, type Examination } from "../lib/doctor/doctor";
import type { Finding } from "../lib/doctor/finding";
import { reportOf } from "../lib/doctor/report";
import { exportFile } from "./export-file";
import { extensionSurroundings } from "./extension-surroundings";
import { showFailure } from "./show-failure";

export interface UseDoctor {
  /** What the last look found; undefined until there was one. */
  examination?: Examination;
  /** Why nothing could be looked at. */
  error?: TorbizError;
  /** Something is looked at or repaired. */
  isBusy: boolean;
  /** Looks again. */
  look: () => void;
  /** Repairs what these findings offer, then looks again. */
  repair: (findings: readonly Finding[]) => Promise<void>;
  /** Writes a file for a report. */
  report: (examination: Examination) => Promise<void>;
}

/**
 * Looks at everything that Torbiz needs, once and whenever it is asked to.
 *
 * @example
 * const { examination, repair } = useDoctor();
 */
export function useDoctor(): UseDoctor {
  const leaving = useRef<AbortController>(undefined);
  const [isRepairing, setRepairing] = useState(false);
  const { data, error, isLoading, revalidate } = usePromise(
    async () => examine(extensionSurroundings(), { signal: leaving.current?.signal }),
    [],
    { abortable: leaving, onError: () => undefined },
  );

  const repair = async (findings: readonly Finding[]) => {
    setRepairing(true);
    const toast = await showToast({ style: Toast.Style.Animated, title: "Repairing" });
    const repaired = await repairAll(extensionSurroundings(), findings, {
      onProgress: ({ message }) => {
        toast.message = message;
      },
    });
    setRepairing(false);
    const failed = repaired.find((each) => each.error);
    if (failed) await showFailure(failed.error);
    else await showToast({ style: Toast.Style.Success, title: "Repaired" });
    revalidate();
  };

  const report = (examination: Examination) =>
    exportFile(contentOf(examination), { name: "torbiz-report", extension: ".json", done: "Report Written" });

  return {
    examination: data,
    error: error && toTorbizError(error),
    isBusy: isLoading || isRepairing,
    look: () => void revalidate(),
    repair,
    report,
  };
}

/** Made when it is written, so that a failure is told as one of writing. */
function* contentOf(examination: Examination): Generator<string> {
  yield reportOf(extensionSurroundings(), examination);
}
